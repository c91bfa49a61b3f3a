from __future__ import annotations

import contextlib
import http.server
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
import support
from support.fixtures import AsBody, MakeIds
from support.forks import Forks
from support.memory_destination import MemoryDestination, MemoryPlatform
from support.synced import AudienceOverHttp, HookedFolder, SyncedAudience, Wire

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.members.malformed import refuse_without_members
from airflow_provider_audiences.platforms.applovin.audience_destination import AudienceDestination
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.platforms.applovin.defaults import AUDIENCE_LIMITS
from airflow_provider_audiences.redaction import MaskedBytes
from airflow_provider_audiences.sync.delivery.direct_delivery import DeliveryMode, DirectDelivery
from airflow_provider_audiences.sync.report import DirectDeliveryReport
from airflow_provider_audiences.sync.state.file_store import LocalFileStore

T = TypeVar("T")


@dataclass
class _Batch:
    staged: StagedInMemory
    first: int
    count: int

    def lines(self) -> MaskedBytes:
        return MaskedBytes(self.staged.lines(self.first, self.count))


@dataclass
class StagedInMemory:
    """A staged set without a file; counts the bodies that somebody still holds."""

    ids: list[str]
    malformed: int = 0
    zeroed: int = 0
    duplicates: int = 0
    blank: int = 0
    by_column: dict[str, int] = field(default_factory=dict)
    live: int = 0
    max_live: int = 0
    made: int = 0
    lock: Any = field(default_factory=threading.RLock)
    member_name: str = "advertising ID"
    damage: str = ""

    @property
    def members(self) -> int:
        return len(self.ids)

    @property
    def member_texts(self) -> int:
        return len(self.ids) + self.duplicates

    def text_counts(self) -> dict[str, Any]:
        names = ("malformed", "zeroed", "duplicates", "blank")
        return {name: getattr(self, name) for name in names} | {"members_by_column": self.by_column}

    def refuse_without_members(self, *, of: str = "the source's texts") -> None:
        refuse_without_members(self.members, self.malformed, member_name=self.member_name, of=of, damage=self.damage)

    def batch(self, first: int, count: int) -> _Batch:
        return _Batch(self, first, count)

    def lines(self, first: int, count: int) -> bytes:
        assert 0 <= first <= first + count <= self.members, "no such members"
        ids = self.ids[first : first + count]
        staged = self

        class Body(bytes):
            def __del__(self) -> None:
                with staged.lock:
                    staged.live -= 1

        with self.lock:
            self.made += 1
            self.live += 1
            self.max_live = max(self.max_live, self.live)
        return Body("".join(f"{item}\n" for item in ids).encode())


@pytest.fixture(scope="session")
def as_staged() -> type[StagedInMemory]:
    """Makes a staged set of IDs: ``as_staged(ids, malformed=1)``."""
    return StagedInMemory


@dataclass
class Platform:
    """
    A bare server with AppLovin's update and append, for what the emulator can't do: it sees what is in flight.

    ``answer`` gets operation, number (from 1) and lines of a request, may wait, and returns a status, or status
    and headers.
    """

    url: str = ""
    answer: Callable[[str, int, int], int | tuple[int, dict[str, str]]] = lambda _operation, _number, _lines: 200
    events: list[tuple[str, str, int]] = field(default_factory=list)
    in_flight: int = 0
    max_in_flight: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def requests(self) -> list[tuple[str, int]]:
        """Operations and lines, as they came in."""
        return [(operation, lines) for event, operation, lines in self.events if event == "begin"]

    def begin(self, operation: str, lines: int) -> int:
        with self.changed:
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            self.events.append(("begin", operation, lines))
            self.changed.notify_all()
            return len(self.requests)

    def end(self, operation: str, lines: int) -> None:
        with self.changed:
            self.in_flight -= 1
            self.events.append(("end", operation, lines))
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; fail if it does not come about."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout=30), "waited in vain"


@pytest.fixture
def platform() -> Iterator[Platform]:
    platform = Platform()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            lines = self.rfile.read(int(self.headers["Content-Length"] or 0)).count(b"\n")
            operation = urlsplit(self.path).path.rpartition("/")[2]
            number = platform.begin(operation, lines)
            try:
                answer = platform.answer(operation, number, lines)
            finally:
                platform.end(operation, lines)
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            body = json.dumps({"code": status, "num_valid_ids": lines, "num_invalid_ids": 0}).encode()
            with contextlib.suppress(OSError):  # the client may have gone
                self.send_response_only(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

        def handle_error(self, *args: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        platform.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield platform
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def audience_id(emulator: AudiencesEmulator, applovin: AppLovinClient, make_ids: MakeIds, as_body: AsBody) -> str:
    """An audience with the members 1 to 3."""
    created = applovin.create_audience(name="n", platform="ios", package_name="p")
    applovin.append_users(audience_id=created.audience_id, advertising_ids=as_body(make_ids(3)))
    emulator.clear_requests()
    return created.audience_id


@pytest.fixture(scope="session")
def deliver() -> Callable[..., DirectDeliveryReport]:
    """Sends a staged set: ``deliver(client, staged, mode, audience_id=…, batch_size=…, parallel=…)``."""

    def run(
        client: AppLovinClient,
        staged: Any,
        mode: DeliveryMode = DeliveryMode.APPEND,
        *,
        audience_id: str = "a",
        batch_size: int = 1,
        parallel: int = 4,
    ) -> DirectDeliveryReport:
        delivery = DirectDelivery.checked(
            audience_id=audience_id,
            limits=AUDIENCE_LIMITS,
            mode=mode,
            batch_size=batch_size,
            ttl_seconds=None,
            max_parallel_requests=parallel,
        )
        return delivery.run(
            AudienceDestination(client, audience_id, identifier_kind=AdvertisingIds()),
            staged,
            sleep=lambda _seconds: None,
        )

    return run


@pytest.fixture
def make_synced(emulator: AudiencesEmulator, make_applovin: Any, tmp_path: Path) -> Callable[..., AudienceOverHttp]:
    """Makes an empty audience at the emulator, and what syncs it: ``make_synced(**transport_settings)``."""
    numbers = itertools.count(1)

    def make(**transport: Any) -> AudienceOverHttp:
        client = make_applovin(**transport)
        session = client._transport._session
        wire = Wire(session.get_adapter(emulator.url))
        session.mount("http://", wire)
        name = f"audience {next(numbers)}"
        audience_id = client.create_audience(name=name, platform="ios", package_name="p").audience_id
        emulator.clear_requests()
        path = tmp_path / "state" / audience_id
        return AudienceOverHttp(
            destination=AudienceDestination(client, audience_id, identifier_kind=AdvertisingIds()),
            wire=wire,
            path=path,
            folder=HookedFolder(LocalFileStore(path)),
            emulator=emulator,
            client=client,
            stranger=make_applovin(),
        )

    return make


@pytest.fixture
def over_http(make_synced: Callable[..., AudienceOverHttp]) -> AudienceOverHttp:
    """An audience without members at the emulator, and a client that repeats nothing."""
    return make_synced(max_retries=0)


@pytest.fixture
def make_in_memory(tmp_path: Path) -> Callable[..., SyncedAudience]:
    """Makes an audience without members in memory, or another client of one: ``make_in_memory(platform)``."""
    numbers = itertools.count(1)

    def make(platform: MemoryPlatform | None = None) -> SyncedAudience:
        destination = MemoryDestination(platform or MemoryPlatform())
        path = tmp_path / f"memory-{next(numbers)}"
        return SyncedAudience(destination, destination, path, HookedFolder(LocalFileStore(path)))

    return make


@pytest.fixture
def synced(make_in_memory: Callable[..., SyncedAudience]) -> SyncedAudience:
    """An audience without members, in memory."""
    return make_in_memory()


@pytest.fixture(scope="module")
def processes() -> Iterator[Forks]:
    """Processes that sync: ``processes.begin(job)``."""
    found = Forks(Path(support.__file__).with_name("crash_process.py"))
    yield found
    found.close()
