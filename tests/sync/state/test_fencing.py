"""
Whoever was overtaken changes nothing that its successor reads, whenever its write arrives.

A first try stands still at one call to its store, or its call is held up on the way; a later one takes over and ends,
or is cut off; then the call goes through. On a disk, in S3, in stores without conditions, and in one that takes them
and does not mind them.
"""

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import pytest
from support.fixtures import MakeIds

from airflow_provider_audiences.exceptions import (
    AudienceBusyError,
    AudienceError,
    PlanOutdatedError,
    StateUnavailableError,
)
from airflow_provider_audiences.sync.state import lease as lease_module
from airflow_provider_audiences.sync.state.file_store import FileStore, LocalFileStore, ObjectFileStore

EVERY_CALL = bool(os.environ.get("AUDIENCES_LONG_TESTS"))
"""Whether to hold up each call in each store, as ``make test-rounds`` does."""

CHANGES = {"create", "write", "store", "delete"}
FIRST, SECOND = "one/run/task", "other/run/task"


class Plain:
    """A disk without hard links: it can't refuse a name that is taken."""

    def __init__(self, inner: FileStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create(self, name: str, content: bytes) -> None:
        raise NotImplementedError


class Heedless(Plain):
    """A store that takes a condition, and writes all the same."""

    def create(self, name: str, content: bytes) -> None:
        self._inner.write(name, content)


class Refusing(Plain):
    """A store that answers a condition with an error of its own."""

    def create(self, name: str, content: bytes) -> None:
        raise StateUnavailableError(f"NotImplemented: {name}, {len(content)} bytes, with a condition")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "_RENEWAL_SECONDS", 3600)  # what threads do by the clock has its own tests


Open = Callable[[], FileStore]


@pytest.fixture
def stores(tmp_path: Any, s3_options: dict[str, Any]) -> Callable[[str], Open]:
    """Opens a new place of a kind, as each process does for itself: ``stores("disk")()``."""
    numbers = itertools.count()

    def place(kind: str) -> Open:
        name = f"{kind}-{next(numbers)}"

        def local() -> FileStore:
            return LocalFileStore(tmp_path / name)

        def s3() -> FileStore:
            file_system = fsspec.filesystem("s3", skip_instance_cache=True, **s3_options)
            return ObjectFileStore(file_system, f"/state/{tmp_path.name}/{name}", name=name)

        return {
            "disk": local,
            "s3": s3,
            "plain": lambda: Plain(local()),
            "heedless": lambda: Heedless(local()),
            "refusing": lambda: Refusing(local()),
        }[kind]

    return place


class Stage:
    """An audience with two tries: the first is held up at a call to its store."""

    def __init__(self, make_in_memory: Any, make_ids: MakeIds, open_folder: Open) -> None:
        self.first = make_in_memory()
        self.second = make_in_memory(self.first.destination.platform)
        self.first.folder.inner = open_folder()
        self.second.folder.inner = open_folder()
        self.sources = [make_ids(6), make_ids(6, start=3), make_ids(5, start=2)]
        self.first.run(self.sources[0])
        self.first.clear()
        self.held_call = ""

    def calls(self) -> list[str]:
        """Which calls the first try makes, when nothing happens to it."""
        self.first.run(self.sources[1])
        return [method for method, _ in self.first.folder.calls]

    @contextlib.contextmanager
    def first_held(self, number: int, *, is_lost: bool) -> Iterator[Callable[[], BaseException | None]]:
        """
        Begin the first try, and hold it up at one of its calls; yield what lets the call go through.

        A call that is lost fails for the first try, and still arrives in the end.
        """
        held, goes_on = threading.Event(), threading.Event()
        numbers = itertools.count(1)
        late: list[Callable[[], Any]] = []
        outcome: list[BaseException | None] = []
        inner = self.first.folder.inner
        hooked = self.first.folder
        hooked.makes_content_first = is_lost

        def call(method: str, name: str, work: Callable[[], Any]) -> Any:
            hooked.calls.append((method, name))
            if next(numbers) != number:
                return work()
            self.held_call = f"{method} {name}"
            if is_lost:
                late.append(work)
                raise StateUnavailableError("no reply in time")
            held.set()
            assert goes_on.wait(60)
            return work()

        hooked._call = call

        def run() -> None:
            try:
                self.first.run(self.sources[1], opened={"key": FIRST, "try_number": 1})
                outcome.append(None)
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                outcome.append(error)
            held.set()

        thread = threading.Thread(target=run)
        thread.start()
        assert held.wait(60)

        def release() -> BaseException | None:
            goes_on.set()
            thread.join(60)
            for work in late:
                with contextlib.suppress(OSError, NotImplementedError, AudienceError):
                    work()
            assert outcome, "the first try has not ended"
            return outcome[0]

        try:
            yield release
        finally:
            goes_on.set()
            thread.join(60)
            del hooked._call
            hooked.inner = inner


def steps_of(stage: Stage, kind: str) -> list[int]:
    """Calls to hold up: all of them on disks, in S3 those that change something."""
    calls = stage.calls()
    return [number for number, method in enumerate(calls, 1) if kind != "s3" or method in CHANGES]


@pytest.mark.parametrize("kind", ["disk", "s3", "plain", "heedless"])
@pytest.mark.parametrize("is_lost", [False, True], ids=["stands still", "reply lost"])
@pytest.mark.parametrize("successor", ["later try", "another run", "later try that is cut off"])
def test_a_call_that_arrives_late(
    make_in_memory: Any, make_ids: MakeIds, stores: Any, kind: str, is_lost: bool, successor: str
) -> None:
    steps = steps_of(Stage(make_in_memory, make_ids, stores(kind)), kind)
    if not EVERY_CALL and (kind, successor) != ("disk", "later try"):
        # A part of them, others for each store: the rule is the same.
        steps = steps[len(kind + successor) % 6 :: 6]
    for number in steps:
        stage = Stage(make_in_memory, make_ids, stores(kind))
        second = stage.second
        opened = {"key": FIRST, "try_number": 2}
        with stage.first_held(number, is_lost=is_lost) as release:
            if successor == "another run":
                second.advance(lease_module.LEASE_SECONDS + 100)
                opened = {"key": SECOND, "try_number": 1}
            if successor == "later try that is cut off":
                cut_off(second, at=2)
            with contextlib.suppress(Cut):
                second.run(stage.sources[2], opened=opened)
            second.clear()
            error = release()
        where = f"{kind}, {stage.held_call}"
        assert error is None or isinstance(error, (AudienceBusyError, StateUnavailableError)), (where, error)
        # A first try that had not begun when the other ended is simply the next one.
        is_next = error is None and second.members == stage.sources[1]
        second.folder.clear()
        second.wire.clear()
        report = second.run(stage.sources[2], opened={"key": FIRST, "try_number": 3})
        assert second.members == stage.sources[2], where
        if successor != "later try that is cut off" and not is_next:
            assert second.wire.posts == [], where
        assert (report.live, report.drift) == (5, 0), where
        second.wire.clear()
        assert second.run(stage.sources[2], opened={"key": "later/run/task", "try_number": 1}).batches == 0, where


class Cut(BaseException):
    """The process is gone."""


def cut_off(audience: Any, *, at: int) -> None:
    """Let its process die after a request has landed, before that is written down."""
    numbers = itertools.count(1)
    is_dead = False

    def hook(*_: Any) -> None:
        if is_dead:
            raise Cut

    def after(_post: Any) -> None:
        nonlocal is_dead
        if next(numbers) == at:
            is_dead = True
            raise Cut

    audience.wire.after = after
    audience.folder.before = hook


@pytest.mark.parametrize("kind", ["disk", "plain", "refusing"])
def test_an_overtaken_sync_says_so_whatever_it_finds_missing(
    make_in_memory: Any, make_ids: MakeIds, stores: Any, kind: str
) -> None:
    """Its files were removed by the one that took over: that is no lost ledger, and no outdated plan."""
    for method, at in itertools.product(["fetch", "read", "names"], range(1, 5)):
        stage = Stage(make_in_memory, make_ids, stores(kind))
        plan_id = stage.first.run(stage.sources[1], plan_only=True).plan_id
        stage.first.clear()
        numbers = itertools.count(1)
        has_come: list[bool] = []

        def meanwhile(called: str, _name: str, method: str = method, at: int = at) -> None:
            kinds = [(method, name[:5]) for method, name in stage.first.folder.calls]  # noqa: B023
            if called == method and next(numbers) == at:  # noqa: B023 - used within the round
                stage.second.run(stage.sources[2], opened={"key": FIRST, "try_number": 2})  # noqa: B023
                has_come.append(("create", "lease") in kinds)  # noqa: B023

        stage.first.folder.before = meanwhile
        try:
            stage.first.apply(plan_id, key=FIRST)
        except AudienceBusyError:
            assert has_come
        except PlanOutdatedError:
            assert has_come == [False], "it holds the audience since the other one has ended"
        else:
            assert not has_come, "too late for that call"
        assert stage.second.members == stage.sources[2 if has_come else 1]


@pytest.mark.parametrize("kind", ["disk", "s3", "plain", "heedless", "refusing"])
def test_what_a_store_can_is_found_out(make_in_memory: Any, make_ids: MakeIds, stores: Any, kind: str) -> None:
    stage = Stage(make_in_memory, make_ids, stores(kind))
    with stage.first.open_audience(key="another run") as audience:
        assert audience.lease.is_exclusive == (kind in {"disk", "s3"})
    stage.first.run(stage.sources[1])
    files = [name for name in stage.first.folder.inner.names() if name.startswith("head-")]
    assert {len(name.split("-")) for name in files} == {2 if kind in {"disk", "s3"} else 4}


def test_manifests_that_nobody_needs_are_removed(make_in_memory: Any, make_ids: MakeIds, stores: Any) -> None:
    """Of each sync the one with which it took over stays, of the last ones; of one that was cut off, no more."""
    stage = Stage(make_in_memory, make_ids, stores("disk"))

    def manifests() -> int:
        return sum(name.startswith("head-") for name in stage.first.folder.inner.names())

    stage.first.run(stage.sources[1], opened={"batch": 1})
    assert manifests() == 4  # of two syncs, the first and the last one
    cut_off(stage.second, at=3)
    with pytest.raises(Cut):
        stage.second.run(stage.sources[2], opened={"batch": 1, "try_number": 2})
    stage.second.clear()
    for _ in range(20):
        stage.second.run(stage.sources[2], opened={"try_number": 3})
        assert manifests() < 20
    assert stage.second.run(stage.sources[2], opened={"try_number": 3}).batches == 0


def test_a_create_whose_reply_was_lost_is_no_other_writer(make_in_memory: Any, make_ids: MakeIds, stores: Any) -> None:
    """A store may do what it says it could not; and a repeated request finds what the first one has made."""
    stage = Stage(make_in_memory, make_ids, stores("disk"))
    inner = stage.first.folder.inner
    create = inner.create

    def twice(name: str, content: bytes) -> None:
        create(name, content)
        create(name, content)

    inner.create = twice
    assert stage.first.run(stage.sources[1]).added == 2
    assert stage.first.members == stage.sources[1]
