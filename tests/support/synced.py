"""An audience in a test: its platform, its stored state, and ways to sync it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from requests.adapters import BaseAdapter

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.platforms.applovin.audience_destination import AudienceDestination
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.sync.audience_sync import AudienceSync
from airflow_provider_audiences.sync.guards import Guards
from airflow_provider_audiences.sync.open_audience import OpenAudience, open_audience
from airflow_provider_audiences.sync.report import SyncReport
from airflow_provider_audiences.sync.settings import DeliverySettings, SyncSettings
from airflow_provider_audiences.sync.state.file_store import FileStore
from airflow_provider_audiences.sync.state.lease import Holder
from support.kinds import ID_KIND
from support.memory_destination import Post

T = TypeVar("T")


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


def _content_of(write: Callable[[Path], object]) -> bytes:
    with NamedTemporaryFile() as file:
        write(Path(file.name))
        return Path(file.name).read_bytes()


class HookedFolder:
    """A folder of state that notes its calls, and lets hooks act around each: ``hook(method, name)``."""

    def __init__(self, inner: FileStore) -> None:
        self.inner = inner
        self.name = inner.name
        self.makes_content_first = False
        """Whether the content of a large file is made before the call, which may then arrive whenever it likes."""
        self.calls: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda _method, _name: None
        self.after: Callable[[str, str], None] = lambda _method, _name: None

    def clear(self) -> None:
        """Forget the calls and the hooks."""
        self.__init__(self.inner)  # type: ignore[misc]

    def before_fetching(self, prefix: str, act: Callable[[], object]) -> None:
        """Act once, just before the first file with this prefix is fetched."""

        def hook(method: str, name: str) -> None:
            if method == "fetch" and name.startswith(prefix):
                self.before = lambda _method, _name: None
                act()

        self.before = hook

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

    def store(self, name: str, write: Callable[[Path], object], *, scratch: Path) -> None:
        content = _content_of(write) if self.makes_content_first else None

        def written(path: Path) -> None:
            write(path) if content is None else path.write_bytes(content)
            self.after("content", name)  # the whole content is there, and not yet under its name

        self._call("store", name, lambda: self.inner.store(name, written, scratch=scratch))

    def delete(self, name: str) -> None:
        self._call("delete", name, lambda: self.inner.delete(name))


TTL_SECONDS = 100_000
"""Of the syncs of these tests; a member is due a tenth of it before it expires."""


@dataclass
class SyncedAudience:
    """An audience, what is stored about it, and how it is synced; see :class:`AudienceOverHttp` too."""

    destination: Any
    wire: Any
    """Has what was posted, and lets hooks act around it."""
    path: Path
    folder: HookedFolder
    sleeps: list[float] = field(default_factory=list)
    ttl_seconds: int | None = TTL_SECONDS
    identifier_kind: IdentifierKind = ID_KIND

    @property
    def audience_id(self) -> str:
        return str(self.destination.address.audience_id)

    def now(self) -> float:
        return float(self.destination.platform.now())

    def advance(self, seconds: float) -> None:
        self.destination.platform.advance(seconds)

    @property
    def members(self) -> list[str]:
        """Who lives at the platform."""
        return list(self.destination.platform.members())

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

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.advance(seconds)

    def settings(self, *, initial: str = "fail", lost: str = "fail", mode: str = "mirror", **changes: Any) -> Any:
        guards = {"allow_empty": True, "max_removed_ratio": None, "max_added_ratio": None, "min_members": 0}
        return SyncSettings.checked(
            limits=self.destination.limits,
            mode=mode,
            ttl_seconds=changes.pop("ttl", self.ttl_seconds),
            refresh_before_seconds=changes.pop("refresh_before_seconds", None),
            next_run_seconds=None,
            initial=initial,
            on_lost_ledger=lost,
            release_held_back=changes.pop("release_held_back", False),
            guards=Guards(**(guards | changes)),
        )

    @contextlib.contextmanager
    def open_audience(self, *, key: str, try_number: int = 1) -> Iterator[OpenAudience]:
        holder = Holder(key=key, try_number=try_number)
        with open_audience(self.destination, self.folder, holder=holder, clock=self.now, sleep=self.sleep) as audience:
            yield audience

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
        delivery_settings = DeliverySettings(
            batch_size=batch,
            max_parallel_requests=parallel,
            max_drift=max_drift,
            drift_patience_seconds=patience,
        )
        with self.open_audience(key=key, try_number=try_number) as audience:
            yield AudienceSync(audience, delivery_settings=delivery_settings)

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
            stage(wanted, rules=rules, identifier_kind=self.identifier_kind) as staged,
            stage(unwanted, rules=rules, identifier_kind=self.identifier_kind) as suppressed,
        ):
            work = sync.plan if plan_only else sync.run
            return work(staged, suppressed, self.settings(**settings))

    def apply(self, plan_id: str, *, override_guards: bool = False, **opened: Any) -> SyncReport:
        """Carry a stored plan out."""
        with self.opened(**opened) as sync:
            return sync.apply(plan_id, override_guards=override_guards)

    def post_by_others(self, operation: str, ids: Iterable[str], *, ttl_seconds: int = TTL_SECONDS) -> None:
        """Change the audience without the wire seeing it: somebody else does, or a request that comes late."""
        self.destination.platform.carry_out(operation, ids, ttl_seconds)


@dataclass(kw_only=True)
class AudienceOverHttp(SyncedAudience):
    """One at the emulator, by AppLovin's client."""

    emulator: AudiencesEmulator
    client: AppLovinClient
    stranger: AppLovinClient

    def joins(self, other: AudienceOverHttp) -> None:
        """Sync the audience of another one, by this one's client."""
        self.destination = AudienceDestination(self.client, other.audience_id, identifier_kind=ID_KIND)

    @property
    def members(self) -> list[str]:
        """Who lives at the emulator."""
        return self.emulator.members(self.audience_id)

    def now(self) -> float:
        return float(self.emulator.now())

    def advance(self, seconds: float) -> None:
        self.emulator.advance(seconds)

    def clear(self) -> None:
        super().clear()
        self.emulator.clear_requests()

    def post_by_others(self, operation: str, ids: Iterable[str], *, ttl_seconds: int = TTL_SECONDS) -> None:
        body = "".join(f"{item}\n" for item in ids).encode()
        call = self.stranger.update_audience if operation == "update" else self.stranger.append_users
        ttl_seconds = 0 if operation == "remove" else ttl_seconds
        call(audience_id=self.audience_id, advertising_ids=body, ttl_seconds=ttl_seconds)
