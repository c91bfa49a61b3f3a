"""
What the clients do about each fault of the platform, by real requests to the emulator.

The tests check it against what is expected; run as a program, it prints it as Markdown::

    python tests/support/fault_table.py
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

from airflow_provider_audiences.emulator.testing import PAI_PATH, AudiencesEmulator
from airflow_provider_audiences.exceptions import AudienceError
from airflow_provider_audiences.http.calls import TransportSettings
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.platforms.applovin.suppression import AppLovinSuppressionClient
from airflow_provider_audiences.platforms.pai.auth import AccessKeyAuth, ApiKeyAuth
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.marker import make_marker
from airflow_provider_audiences.platforms.pai.signing import AccessKey
from airflow_provider_audiences.redaction import Secret

OLD = [f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3)]
NEW = [f"00000000-0000-4000-8000-00000000000{n}" for n in (4, 5)]
BODY = "".join(f"{item}\n" for item in NEW).encode()
OLD_BODY = "".join(f"{item}\n" for item in OLD).encode()
APP = "com.example"
PHONE = "13900001111"
SPEC = GroupSpec(source=PaiSource.TEXT, name="table", text=PHONE, phone_number=True).checked()
MARKER = make_marker(
    provenance="dag.task", run="run 1", map_index=-1, clear_count=0, fingerprint="", spec=SPEC, secret=None
)
SETTLE_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class Fault:
    """
    A fault as the emulator makes it.

    :param late: the platform carries the request out ``during`` the wait before the repetition, or ``after``
        the whole call.
    :param read_timeout_seconds: of the client.
    """

    kind: str
    options: Callable[[], dict[str, Any]] = dict
    late: str = ""
    read_timeout_seconds: float = 20.0


def _status(status: int, **options: Any) -> Fault:
    return Fault(kind="status", options=lambda: {"status": status, **options})


def _in_twenty_seconds() -> dict[str, Any]:
    moment = datetime.now(UTC) + timedelta(seconds=20)
    return {"status": 503, "retry_after": format_datetime(moment, usegmt=True)}


FAULTS: dict[str, Fault] = {
    "500": _status(500),
    "500, though applied": _status(500, applied=True),
    "502 with a web page": _status(502, html=True),
    "503, Retry-After: 7": _status(503, retry_after=7),
    "503, Retry-After: a date": Fault(kind="status", options=_in_twenty_seconds),
    "429": _status(429),
    "429, Retry-After: 3": _status(429, retry_after=3),
    "408": _status(408),
    "dropped before": Fault(kind="drop_before"),
    "dropped after": Fault(kind="drop_after"),
    "500, applied in the wait": Fault(kind="apply_late", options=lambda: {"delay_seconds": 0}, late="during"),
    "dropped, applied in the wait": Fault(
        kind="apply_late", options=lambda: {"delay_seconds": 0, "drop": True}, late="during"
    ),
    "dropped, applied at the end": Fault(kind="drop_before", late="after"),
    "slow": Fault(kind="slow", options=lambda: {"seconds": 1.5}, read_timeout_seconds=0.5),
    "half a body": Fault(kind="truncated_json"),
    "half a body, then dropped": Fault(kind="truncated_json", options=lambda: {"cut": "connection"}),
    "200 with a web page": Fault(kind="html"),
    "wrong counts": Fault(kind="wrong_counts"),
    "302": Fault(kind="redirect"),
    "200 with code 500": Fault(kind="error_code"),
    "200 with code 400": Fault(kind="error_code", options=lambda: {"error_code": 400}),
    "400": _status(400),
    "401": _status(401),
    "403": _status(403),
    "404": _status(404),
}


@dataclass(kw_only=True)
class Outcome:
    """
    What one call came to.

    :param requests: requests for the operation itself.
    :param looks: requests for lists that the client made because of the fault; not the one that comes before any
        create of a marked group.
    :param waits: seconds between attempts.
    :param state: what the platform holds afterwards.
    :param duplicates: things that were made more than once.
    """

    requests: int = 0
    looks: int = 0
    waits: list[float] = field(default_factory=list)
    result: Any = None
    error: AudienceError | None = None
    state: str = ""
    duplicates: int = 0
    billable: dict[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The outcome as a cell of the table."""
        end = f"**{type(self.error).__name__}**" if self.error else "ok"
        looks = f" + {self.looks} look{'s' if self.looks > 1 else ''}" if self.looks else ""
        doubles = f", **{self.duplicates} duplicate**" if self.duplicates else ""
        return f"{end}, {self.requests} req{looks}, {self.state}{doubles}"


class Clients(NamedTuple):
    """One client of each API, and of each of PAI's dialects."""

    applovin: AppLovinClient
    suppression: AppLovinSuppressionClient
    pai: PaiClient
    openapi: PaiClient


class Operation:
    """One operation, with what it needs prepared; made anew for each run."""

    def __init__(self, emulator: AudiencesEmulator, clients: Clients) -> None:
        self.emulator, self.applovin, self.suppression = emulator, clients.applovin, clients.suppression
        self.pai = self.client(clients)
        self.prepare()

    def client(self, clients: Clients) -> PaiClient:
        """Return the client of PAI that is used."""
        return clients.pai

    def prepare(self) -> None:
        """Make what the operation needs."""

    def call(self, clients: Clients) -> Any:
        """Call the operation."""
        raise NotImplementedError

    def send_again(self, clients: Clients) -> Any:
        """Send the request itself once more, without asking what became of the first."""
        return self.call(clients)

    def state(self) -> str:
        """What the platform holds."""
        return "read"

    done = "read"
    """The state once the operation was carried out."""

    def copies(self) -> int:
        """How often the thing exists that the operation makes."""
        return 0

    def _new_audience(self) -> str:
        made = self.applovin.create_audience(name="table", platform="android", package_name="com.example")
        self.applovin.append_users(audience_id=made.audience_id, advertising_ids=OLD_BODY)
        return made.audience_id

    def _members(self, names: dict[tuple[str, ...], str]) -> str:
        return names[tuple(self.emulator.members(self.audience_id))]

    audience_id = ""


class AppLovinCreate(Operation):
    done = "made"

    def call(self, clients: Clients) -> Any:
        return clients.applovin.create_audience(name="table", platform="android", package_name="com.example")

    def copies(self) -> int:
        return len(self.emulator.audiences())

    def state(self) -> str:
        return "made" if self.copies() else "not made"


class AppLovinList(Operation):
    def prepare(self) -> None:
        self._new_audience()

    def call(self, clients: Clients) -> Any:
        return clients.applovin.list_audiences()


class AppLovinUpdate(Operation):
    done = "replaced"

    def prepare(self) -> None:
        self.audience_id = self._new_audience()

    def call(self, clients: Clients) -> Any:
        return clients.applovin.update_audience(audience_id=self.audience_id, advertising_ids=BODY)

    def state(self) -> str:
        return self._members({tuple(OLD): "as before", tuple(NEW): "replaced"})


class AppLovinAppend(AppLovinUpdate):
    done = "added"

    def call(self, clients: Clients) -> Any:
        return clients.applovin.append_users(audience_id=self.audience_id, advertising_ids=BODY)

    def state(self) -> str:
        return self._members({tuple(OLD): "as before", tuple(OLD + NEW): "added"})


class AppLovinDelete(Operation):
    done = "deleted"

    def prepare(self) -> None:
        self.audience_id = self._new_audience()

    def call(self, clients: Clients) -> Any:
        return clients.applovin.delete_audience(audience_id=self.audience_id)

    def state(self) -> str:
        return "still there" if self.emulator.audiences() else "deleted"


class SuppressionAdd(Operation):
    done = "added"

    def prepare(self) -> None:
        self.suppression.add_users(package_name=APP, advertising_ids=OLD_BODY)

    def call(self, clients: Clients) -> Any:
        return clients.suppression.add_users(package_name=APP, advertising_ids=BODY)

    def state(self) -> str:
        return {tuple(OLD): "as before", tuple(OLD + NEW): "added"}[tuple(self.emulator.suppressed(APP))]


class SuppressionDelete(SuppressionAdd):
    done = "removed"

    def call(self, clients: Clients) -> Any:
        return clients.suppression.delete_users(package_name=APP, advertising_ids=OLD_BODY)

    def state(self) -> str:
        return {tuple(OLD): "as before", (): "removed"}[tuple(self.emulator.suppressed(APP))]


class PaiCreate(Operation):
    done = "made"

    def call(self, clients: Clients) -> Any:
        return self.client(clients).create_group(SPEC, marker=MARKER)

    def send_again(self, clients: Clients) -> Any:
        return self.client(clients).create_group(replace(SPEC, remark=MARKER.text), marker=None)

    def copies(self) -> int:
        return len(self.emulator.groups(deleted=True))

    def state(self) -> str:
        return "made" if self.copies() else "not made"


class PaiGet(Operation):
    def prepare(self) -> None:
        self.group_id = self.pai.create_group(SPEC, marker=MARKER).group.id

    def call(self, clients: Clients) -> Any:
        return self.client(clients).get_group(self.group_id)


class PaiList(PaiGet):
    def call(self, clients: Clients) -> Any:
        return self.client(clients).list_groups()


class PaiDelete(PaiGet):
    done = "deleted"

    def call(self, clients: Clients) -> Any:
        return self.client(clients).delete_group(self.group_id)

    def state(self) -> str:
        return "still there" if self.emulator.groups() else "deleted"


class _OpenApi(Operation):
    """The same in the dialect with signatures."""

    def client(self, clients: Clients) -> PaiClient:
        return clients.openapi


class OpenApiCreate(_OpenApi, PaiCreate):
    pass


class OpenApiGet(_OpenApi, PaiGet):
    pass


class OpenApiList(_OpenApi, PaiList):
    pass


class OpenApiDelete(_OpenApi, PaiDelete):
    pass


OPERATIONS: dict[str, type[Operation]] = {
    "applovin.create": AppLovinCreate,
    "applovin.list": AppLovinList,
    "applovin.update": AppLovinUpdate,
    "applovin.append": AppLovinAppend,
    "applovin.delete": AppLovinDelete,
    "applovin.suppression_add": SuppressionAdd,
    "applovin.suppression_delete": SuppressionDelete,
    "pai.create": PaiCreate,
    "pai.get": PaiGet,
    "pai.list": PaiList,
    "pai.delete": PaiDelete,
    "openapi.create": OpenApiCreate,
    "openapi.get": OpenApiGet,
    "openapi.list": OpenApiList,
    "openapi.delete": OpenApiDelete,
}
APPLOVIN = {name for name in OPERATIONS if name.startswith("applovin.")}


@contextlib.contextmanager
def connected(emulator: AudiencesEmulator, sleep: Callable[[float], None], **settings: Any) -> Iterator[Clients]:
    """Yield a client of each API whose waits go to ``sleep``."""
    key = Secret(emulator.api_key)
    common: dict[str, Any] = {
        "settings": TransportSettings(jitter=False, **{"read_timeout_seconds": 20.0, **settings}),
        "sleep": sleep,
    }
    access_key = AccessKey(key_id=emulator.access_key_id, secret=Secret(emulator.access_key_secret))
    unlimited = {**common, "requests_per_second": 1e6}
    with (
        AppLovinClient(api_key=key, base_url=emulator.url, **common) as applovin,
        AppLovinSuppressionClient(api_key=key, base_url=emulator.url, **common) as suppression,
        PaiClient(auth=ApiKeyAuth(key), base_url=emulator.url + PAI_PATH, **unlimited) as pai,
        PaiClient(auth=AccessKeyAuth(access_key), base_url=emulator.url, **unlimited) as openapi,
    ):
        yield Clients(applovin, suppression, pai, openapi)


def run(
    emulator: AudiencesEmulator,
    operation: str,
    fault: Fault,
    *,
    times: int | None = 1,
    number: int = 1,
    refused_before: bool = False,
    **settings: Any,
) -> Outcome:
    """
    Call an operation while a fault is on, and look what became of it.

    :param emulator: reset here; without a limit on requests a second.
    :param operation: key of ``OPERATIONS``.
    :param fault: one of ``FAULTS``.
    :param times: how many requests of the operation in a row it hits; None for all.
    :param number: the first request that it hits.
    :param refused_before: requests before that one are refused with 429.
    :param settings: of the transport.
    """
    emulator.reset()
    outcome = Outcome()
    called = operation.replace("openapi.", "pai.")

    def sleep(seconds: float) -> None:
        outcome.waits.append(seconds)
        if fault.late == "during" and len(emulator.requests(called)) >= number:
            _settle(lambda: subject.state() == subject.done)

    settings.setdefault("read_timeout_seconds", fault.read_timeout_seconds)
    with connected(emulator, time.sleep) as helpers, connected(emulator, sleep, **settings) as subjects:
        subject = OPERATIONS[operation](emulator, helpers)
        emulator.clear_requests()
        emulator.fault(called, fault.kind, number=number, times=times, **fault.options())
        if refused_before and number > 1:
            emulator.fault(called, "status", status=429, times=number - 1, retry_after=1)
        try:
            outcome.result = subject.call(subjects)
        except AudienceError as error:
            outcome.error = error
        sent = [request["operation"] for request in emulator.requests()]
        sent = sent[sent.index(called) :]
        outcome.requests = sent.count(called)
        outcome.looks = len(sent) - outcome.requests
        outcome.billable = subject.client(subjects).billable_calls if operation not in APPLOVIN else {}
        if fault.late == "after":
            # The first request, which was lost on its way, arrives at last: the same bytes once more.
            with contextlib.suppress(AudienceError):
                subject.send_again(helpers)
        outcome.state = subject.state()
        outcome.duplicates = max(0, subject.copies() - 1)
    return outcome


def _settle(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the emulator did not apply the request")
        time.sleep(0.002)


def table() -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"| fault | {' | '.join(OPERATIONS)} |"
    yield f"|{' --- |' * (1 + len(OPERATIONS))}"
    with AudiencesEmulator(qps=None) as emulator:
        for name, fault in FAULTS.items():
            cells = [run(emulator, operation, fault).text for operation in OPERATIONS]
            yield f"| {name} | {' | '.join(cells)} |"
        for name in ("500", "429", "dropped before", "dropped after"):
            cells = [run(emulator, operation, FAULTS[name], times=None).text for operation in OPERATIONS]
            yield f"| always {name} | {' | '.join(cells)} |"


def main() -> None:
    logging.disable()  # each repetition is a warning
    for line in table():
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
