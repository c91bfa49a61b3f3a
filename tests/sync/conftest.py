import contextlib
import http.server
import itertools
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import pytest
from requests.adapters import BaseAdapter

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.platforms.applovin.audience_destination import AUDIENCE_LIMITS, AudienceDestination
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.sync.audience_sync import AudienceSync
from airflow_provider_audiences.sync.delivery.upload import Delivery, DeliveryMode, UploadReport
from airflow_provider_audiences.sync.guards import Guards
from airflow_provider_audiences.sync.held import HeldAudience, held_audience
from airflow_provider_audiences.sync.report import SyncReport
from airflow_provider_audiences.sync.settings import SendSettings, SyncSettings
from airflow_provider_audiences.sync.state.folder import LocalFolder, StateFolder
from airflow_provider_audiences.sync.state.lease import Holder

T = TypeVar("T")


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

    @property
    def members(self) -> int:
        return len(self.ids)

    @property
    def size_bytes(self) -> int:
        return 37 * self.members

    def batch_count(self, batch_size: int) -> int:
        return -(-self.members // batch_size)

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
def audience_id(emulator: AudiencesEmulator, applovin: AppLovinClient, make_ids: Any, as_body: Any) -> str:
    """An audience with the members 1 to 3."""
    created = applovin.create_audience(name="n", platform="ios", package_name="p")
    applovin.append_users(audience_id=created.audience_id, advertising_ids=as_body(make_ids(3)))
    emulator.clear_requests()
    return created.audience_id


@pytest.fixture(scope="session")
def deliver() -> Callable[..., UploadReport]:
    """Sends a staged set: ``deliver(client, staged, mode, audience_id=…, batch_size=…, parallel=…)``."""

    def run(
        client: AppLovinClient,
        staged: Any,
        mode: DeliveryMode = DeliveryMode.APPEND,
        *,
        audience_id: str = "a",
        batch_size: int = 1,
        parallel: int = 4,
    ) -> UploadReport:
        delivery = Delivery.checked(
            audience_id=audience_id,
            limits=AUDIENCE_LIMITS,
            mode=mode,
            batch_size=batch_size,
            ttl_seconds=None,
            max_parallel_requests=parallel,
        )
        return delivery.run(AudienceDestination(client, audience_id, kind=AdvertisingIds()), staged)

    return run


@dataclass
class Post:
    """A request with members: ``update``, ``append`` or ``remove``; ``status`` is None without a reply."""

    operation: str
    ids: list[str]
    ttl_seconds: int
    status: int | None = None


class Wire(BaseAdapter):
    """
    Lies between a client and the emulator: sees who is in each request, and lets hooks act around it.

    A hook that raises ends the request: before it is sent, or with its reply lost.
    """

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self._inner = inner
        self.posts: list[Post] = []
        self.before: Callable[[Post], None] = lambda _post: None
        self.after: Callable[[Post], None] = lambda _post: None

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if request.method != "POST":
            return self._inner.send(request, *args, **kwargs)
        address = urlsplit(request.url)
        ttl_seconds = int(parse_qs(address.query)["ttl_seconds"][0])
        operation = address.path.rpartition("/")[2] if ttl_seconds else "remove"
        post = Post(operation, (request.body or b"").decode().split(), ttl_seconds)
        self.before(post)
        self.posts.append(post)
        response = self._inner.send(request, *args, **kwargs)
        post.status = response.status_code
        self.after(post)
        return response

    def close(self) -> None:
        self._inner.close()

    def clear(self) -> None:
        """Forget the posts and the hooks."""
        self.__init__(self._inner)  # type: ignore[misc]


class HookedFolder:
    """A folder of state that notes its calls, and lets hooks act around each: ``hook(method, name)``."""

    def __init__(self, inner: StateFolder) -> None:
        self.inner = inner
        self.name = inner.name
        self.calls: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda _method, _name: None
        self.after: Callable[[str, str], None] = lambda _method, _name: None

    def clear(self) -> None:
        """Forget the calls and the hooks."""
        self.__init__(self.inner)  # type: ignore[misc]

    def _call(self, method: str, name: str, call: Callable[[], T]) -> T:
        self.calls.append((method, name))
        self.before(method, name)
        result = call()
        self.after(method, name)
        return result

    def names(self) -> list[str]:
        return self._call("names", "", self.inner.names)

    def read(self, name: str) -> bytes:
        return self._call("read", name, lambda: self.inner.read(name))

    def write(self, name: str, content: bytes) -> None:
        self._call("write", name, lambda: self.inner.write(name, content))

    def create(self, name: str, content: bytes) -> None:
        self._call("create", name, lambda: self.inner.create(name, content))

    def fetch(self, name: str, path: Path) -> None:
        self._call("fetch", name, lambda: self.inner.fetch(name, path))

    def store(self, name: str, path: Path) -> None:
        self._call("store", name, lambda: self.inner.store(name, path))

    def delete(self, name: str) -> None:
        self._call("delete", name, lambda: self.inner.delete(name))


TTL_SECONDS = 100_000
"""Of the syncs of these tests; a member is due a tenth of it before it expires."""


@dataclass
class SyncedAudience:
    """An audience at the emulator, what is stored about it, and how it is synced."""

    emulator: AudiencesEmulator
    client: AppLovinClient
    stranger: AppLovinClient
    wire: Wire
    path: Path
    folder: HookedFolder
    audience_id: str
    sleeps: list[float] = field(default_factory=list)
    ttl_seconds: int = TTL_SECONDS

    @property
    def members(self) -> list[str]:
        """Who lives at the emulator."""
        return self.emulator.members(self.audience_id)

    @property
    def sent(self) -> list[tuple[str, int]]:
        """Operations of the posts, and how many IDs each has."""
        return [(post.operation, len(post.ids)) for post in self.wire.posts]

    def ids_sent(self, *operations: str) -> list[str]:
        """Whoever was in posts, in order and as often as they were."""
        return [item for post in self.wire.posts if not operations or post.operation in operations for item in post.ids]

    def clear(self) -> None:
        """Forget posts, calls, hooks and waits."""
        self.wire.clear()
        self.folder.clear()
        self.sleeps.clear()
        self.emulator.clear_requests()

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.emulator.advance(seconds)

    def settings(self, *, initial: str = "fail", lost: str = "fail", mode: str = "mirror", **changes: Any) -> Any:
        guards = {"allow_empty": True, "max_removed_ratio": None, "max_added_ratio": None, "min_members": 0}
        return SyncSettings.checked(
            limits=AUDIENCE_LIMITS,
            mode=mode,
            ttl_seconds=changes.pop("ttl", self.ttl_seconds),
            refresh_before_seconds=None,
            next_run_seconds=None,
            initial=initial,
            on_lost_ledger=lost,
            release_held_back=changes.pop("release_held_back", False),
            guards=Guards.checked(**(guards | changes)),
        )

    @contextlib.contextmanager
    def held(self, *, key: str, try_number: int = 1) -> Iterator[HeldAudience]:
        destination = AudienceDestination(self.client, self.audience_id, kind=AdvertisingIds())
        holder = Holder(key=key, try_number=try_number)
        with held_audience(destination, self.folder, holder=holder, clock=self.emulator.now, sleep=self.sleep) as held:
            yield held

    @contextlib.contextmanager
    def opened(
        self,
        *,
        batch: int = 2,
        parallel: int = 1,
        key: str = "dag/run/task",
        try_number: int = 1,
        max_drift: float | None = None,
        patience: int = 0,
    ) -> Iterator[AudienceSync]:
        send = SendSettings.checked(
            limits=AUDIENCE_LIMITS,
            batch_size=batch,
            max_parallel_requests=parallel,
            max_drift=max_drift,
            drift_patience_seconds=patience,
        )
        with self.held(key=key, try_number=try_number) as held:
            yield AudienceSync(held, send=send)

    def run(
        self,
        source: Iterable[str],
        *,
        suppress: Iterable[str] = (),
        opened: dict[str, Any] | None = None,
        plan_only: bool = False,
        **settings: Any,
    ) -> SyncReport:
        """Sync, or make a plan only."""
        wanted, unwanted = ValuesInput(chunks=[list(source)]), ValuesInput(chunks=[list(suppress)])
        rules = StagingRules()
        with (
            self.opened(**(opened or {})) as sync,
            stage(wanted, rules=rules) as staged,
            stage(unwanted, rules=rules) as suppressed,
        ):
            work = sync.plan if plan_only else sync.run
            return work(staged, suppressed, self.settings(**settings))

    def apply(self, plan_id: str, *, override_guards: bool = False, **opened: Any) -> SyncReport:
        """Carry a stored plan out."""
        with self.opened(**opened) as sync:
            return sync.apply(plan_id, override_guards=override_guards)

    def post_as_stranger(self, operation: str, ids: Iterable[str], *, ttl_seconds: int = TTL_SECONDS) -> None:
        """Send a request that the wire does not see: by somebody else, or late."""
        body = "".join(f"{item}\n" for item in ids).encode()
        call = self.stranger.update_audience if operation == "update" else self.stranger.append_users
        ttl_seconds = 0 if operation == "remove" else ttl_seconds
        call(audience_id=self.audience_id, advertising_ids=body, ttl_seconds=ttl_seconds)


@pytest.fixture
def make_synced(emulator: AudiencesEmulator, make_applovin: Any, tmp_path: Path) -> Callable[..., SyncedAudience]:
    """Makes an empty audience, and what syncs it: ``make_synced(**transport_settings)``."""
    numbers = itertools.count(1)

    def make(**transport: Any) -> SyncedAudience:
        client = make_applovin(**transport)
        session = client._transport._session
        wire = Wire(session.get_adapter(emulator.url))
        session.mount("http://", wire)
        name = f"audience {next(numbers)}"
        audience_id = client.create_audience(name=name, platform="ios", package_name="p").audience_id
        emulator.clear_requests()
        path = tmp_path / "state" / audience_id
        return SyncedAudience(
            emulator, client, make_applovin(), wire, path, HookedFolder(LocalFolder(path)), audience_id
        )

    return make


@pytest.fixture
def synced(make_synced: Callable[..., SyncedAudience]) -> SyncedAudience:
    """An audience without members, and a client that repeats nothing."""
    return make_synced(max_retries=0)


@pytest.fixture(scope="module")
def processes() -> Iterator[Any]:
    """Processes that wait for a job."""
    from support.sync_processes import Processes  # the processes import this module, and can't import that one

    found = Processes()
    yield found
    found.close()
