"""The lease: never two at once, whatever comes in between; and nobody waits for the dead longer than need be."""

import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_audiences.exceptions import AudienceBusyError, StateUnavailableError
from airflow_provider_audiences.sync.state import lease as lease_module
from airflow_provider_audiences.sync.state.file_store import LocalFileStore
from airflow_provider_audiences.sync.state.lease import LEASE_SECONDS, Holder, Lease, leased

ONE, OTHER = Holder(key="one", try_number=1), Holder(key="other", try_number=1)


class Clock:
    """A time that stands still unless it is moved."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> LocalFileStore:
    return LocalFileStore(tmp_path / "state")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who steps back comes again at once; each check looks."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(lease_module, "_LOOK_SECONDS", -1)


@pytest.fixture
def make(folder: LocalFileStore, clock: Clock) -> Iterator[Callable[..., Lease]]:
    """Makes leases, and lets them go in the end: ``make(holder)``."""
    made: list[Lease] = []

    def make(holder: Holder) -> Lease:
        made.append(Lease(folder, holder, clock=clock))
        return made[-1]

    yield make
    for lease in made:
        lease.release()


def claims(folder: Any) -> list[dict[str, Any]]:
    return [json.loads(folder.read(name)) for name in folder.names() if re.fullmatch(r"lease-.*[.]json", name)]


# One after the other


def test_one_at_a_time(folder: LocalFileStore, clock: Clock) -> None:
    with leased(folder, ONE, clock=clock) as lease:
        lease.check()
        assert claims(folder) == [{"key": "one", "try_number": 1, "until": clock.now + LEASE_SECONDS, "is_held": True}]
        with pytest.raises(AudienceBusyError) as caught, leased(folder, OTHER, clock=clock):
            pytest.fail("both are inside")
        assert str(caught.value).startswith(
            "another sync of this audience is under way: one, try 1; nothing was sent. Should its process be dead, the "
            "audience is free from 2023-11-14 22:18:20 UTC on. Let it end"
        )
        assert len(claims(folder)) == 1, "who steps back leaves nothing"
        lease.check()
    assert claims(folder) == []
    with leased(folder, OTHER, clock=clock) as lease:
        lease.check()


def test_what_fails_inside_lets_go(folder: LocalFileStore) -> None:
    with pytest.raises(KeyboardInterrupt), leased(folder, ONE):
        raise KeyboardInterrupt
    assert claims(folder) == []
    assert "audiences-lease" not in {thread.name for thread in threading.enumerate() if not thread.daemon}


@pytest.mark.parametrize(("first", "second"), [(1, 1), (1, 2), (3, 9)])
@pytest.mark.usefixtures("quick")
def test_the_same_work_takes_over(make: Callable[..., Lease], folder: LocalFileStore, first: int, second: int) -> None:
    """A worker was killed, and the task's next try need not wait."""
    dead, alive = make(Holder(key="one", try_number=first)), make(Holder(key="one", try_number=second))
    dead.acquire()
    dead.check()
    alive.acquire()
    assert [claim["try_number"] for claim in claims(folder)] == [second]
    alive.check()
    with pytest.raises(AudienceBusyError, match="no longer holds its audience"):
        dead.check()
    dead.release()  # takes nothing from the other
    alive.check()


@pytest.mark.usefixtures("quick")
def test_an_earlier_try_does_not_take_over(make: Callable[..., Lease]) -> None:
    """A zombie that wakes up when its next try is at work."""
    later, zombie = make(Holder(key="one", try_number=2)), make(Holder(key="one", try_number=1))
    later.acquire()
    with pytest.raises(AudienceBusyError, match="one, try 2"):
        zombie.acquire()
    later.check()


def test_a_dead_one_is_waited_for_no_longer_than_it_said(
    make: Callable[..., Lease], folder: LocalFileStore, clock: Clock
) -> None:
    make(ONE)._write(is_held=True)  # and its process was killed
    clock.now += LEASE_SECONDS - 1
    with pytest.raises(AudienceBusyError):
        make(OTHER).acquire()
    clock.now += 1
    make(OTHER).acquire()
    assert [claim["key"] for claim in claims(folder)] == ["other"], "it is tidied up"


@pytest.mark.usefixtures("quick")
def test_who_just_comes_is_not_waited_for_long(make: Callable[..., Lease], folder: LocalFileStore) -> None:
    """One that died between its claim and its look: each tries a few times, then says so."""
    make(ONE)._write(is_held=False)
    with pytest.raises(AudienceBusyError, match="one, try 1"):
        make(OTHER).acquire()
    assert [claim["key"] for claim in claims(folder)] == ["one"]


DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"{",
    "no text": b"\xff\xfe\x00",
    "null": b"null",
    "a list": b"[]",
    "a number": b"7",
    "nothing in it": b"{}",
    "one too few": b'{"key": "other", "try_number": 1, "until": 9e9}',
    "one too many": b'{"key": "other", "try_number": 1, "until": 9e9, "is_held": true, "x": 1}',
    "a time as text": b'{"key": "other", "try_number": 1, "until": "soon", "is_held": true}',
    "no time": b'{"key": "other", "try_number": 1, "until": null, "is_held": true}',
    "no number": b'{"key": "one", "try_number": "first", "until": 9e9, "is_held": true}',
    "for ever": b'{"key": "other", "try_number": 1, "until": Infinity, "is_held": true}',
    "nearly for ever": b'{"key": "other", "try_number": 1, "until": 1e300, "is_held": true}',
    "never": b'{"key": "other", "try_number": 1, "until": NaN, "is_held": true}',
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_claims_stop_nobody(make: Callable[..., Lease], folder: LocalFileStore, name: str) -> None:
    folder.write("lease-0123456789abcdef.json", DAMAGED[name])
    folder.write("leash.json", DAMAGED[name])  # nobody's claim
    make(ONE).acquire()
    assert [claim["key"] for claim in claims(folder)] == ["one"]
    assert "leash.json" in folder.names()


# For how long


@pytest.mark.usefixtures("quick")
def test_it_is_renewed_while_it_is_held(
    make: Callable[..., Lease], folder: LocalFileStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "_RENEWAL_SECONDS", 0.01)
    lease = make(ONE)
    lease.acquire()
    for _ in range(3):
        clock.now += LEASE_SECONDS - 1
        wait_for(lambda: claims(folder)[0]["until"] == clock.now + LEASE_SECONDS)
        with pytest.raises(AudienceBusyError):
            make(OTHER).acquire()
        lease.check()


@pytest.mark.usefixtures("quick")
def test_renewal_does_not_bring_back_what_was_taken(
    make: Callable[..., Lease], folder: LocalFileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "_RENEWAL_SECONDS", 0.01)
    lease, before = make(ONE), set(threading.enumerate())
    lease.acquire()
    (thread,) = (found for found in threading.enumerate() if found.name == "audiences-lease" and found not in before)
    for name in folder.names():
        folder.delete(name)
    thread.join(30)
    assert not thread.is_alive()
    assert claims(folder) == []
    with pytest.raises(AudienceBusyError, match="no longer holds"):
        lease.check()


def test_a_store_that_fails_for_a_while_is_tried_again(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lease_module, "_RENEWAL_SECONDS", 0.01)
    is_down = threading.Event()

    class Shaky(LocalFileStore):
        def read(self, name: str) -> bytes:
            if is_down.is_set():
                raise StateUnavailableError("s3://bucket/state: it is down")
            return super().read(name)

    folder = Shaky(tmp_path)
    with leased(folder, ONE, clock=clock) as lease:
        is_down.set()
        wait_for(lambda: "it is down" in caplog.text)
        is_down.clear()
        clock.now += 100
        wait_for(lambda: claims(folder)[0]["until"] == clock.now + LEASE_SECONDS)
        lease.check()


def test_a_process_that_stood_still_notices(make: Callable[..., Lease], monkeypatch: pytest.MonkeyPatch) -> None:
    """It was stopped, or its machine slept: by the clock of others its claim has ended, or is about to."""
    lease = make(ONE)
    lease.acquire()
    lease.check()
    now = lease_module._now()
    monkeypatch.setattr(lease_module, "_now", lambda: now + LEASE_SECONDS - 29)
    with pytest.raises(AudienceBusyError, match="stood still for too long"):
        lease.check()


def test_checks_between_looks_ask_nobody(make: Callable[..., Lease], folder: LocalFileStore, monkeypatch: Any) -> None:
    """One look in a second is enough: requests are short of nothing but speed."""
    now = lease_module._now()
    monkeypatch.setattr(lease_module, "_now", lambda: now)
    lease = make(ONE)
    lease.acquire()
    lease.check()
    for name in folder.names():
        folder.delete(name)
    lease.check()
    monkeypatch.setattr(lease_module, "_now", lambda: now + 1)
    with pytest.raises(AudienceBusyError, match="no longer holds"):
        lease.check()


def test_after_the_end_nothing_is_sent(make: Callable[..., Lease]) -> None:
    lease = make(ONE)
    lease.acquire()
    lease.release()
    with pytest.raises(AudienceBusyError, match="this sync has ended"):
        lease.check()
    lease.release()


def test_a_folder_that_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateUnavailableError), leased(LocalFileStore(tmp_path / "file" / "state"), ONE):
        pytest.fail("it is held by nobody")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    event = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        event.wait(0.005)


# At the same time


class Scripted:
    """A folder in memory: who may do the next step is written in a script; whoever has ended is left out of it."""

    name = "memory"

    def __init__(self, script: tuple[int, ...]) -> None:
        self.files: dict[str, bytes] = {}
        self._script = list(script)
        self._changed = threading.Condition()
        self._actors: dict[int, int] = {}
        self._ended: set[int] = set()

    def enter(self, actor: int) -> None:
        self._actors[threading.get_ident()] = actor

    def end(self, actor: int) -> None:
        with self._changed:
            self._ended.add(actor)
            self._changed.notify_all()

    def _step(self, work: Callable[[], Any]) -> Any:
        actor = self._actors.get(threading.get_ident())
        with self._changed:
            if actor is not None:
                assert self._changed.wait_for(lambda: self._next() in {actor, None}, timeout=30), "stuck"
                if self._script:
                    self._script.pop(0)
            found = work()
            self._changed.notify_all()
            return found

    def _next(self) -> int | None:
        while self._script and self._script[0] in self._ended:
            self._script.pop(0)
        return self._script[0] if self._script else None

    def names(self) -> list[str]:
        return self._step(lambda: list(self.files))  # type: ignore[no-any-return]

    def read(self, name: str) -> bytes:
        found = self._step(lambda: self.files.get(name))
        if found is None:
            raise FileNotFoundError(name)
        return found  # type: ignore[no-any-return]

    def write(self, name: str, content: bytes) -> None:
        self._step(lambda: self.files.update({name: content}))

    def create(self, name: str, content: bytes) -> None:
        def work() -> bool:
            is_free = name not in self.files
            self.files.setdefault(name, content)
            return is_free

        if not self._step(work):
            raise FileExistsError(name)

    def delete(self, name: str) -> None:
        self._step(lambda: self.files.pop(name, None))


def race(script: tuple[int, ...], holders: list[Holder]) -> tuple[list[int], Scripted]:
    """Let holders come in the order of a script; return those that got in, and whose check still says so."""
    folder: Any = Scripted(script)
    leases = [Lease(folder, holder, clock=time.time) for holder in holders]
    inside: list[int] = []
    failures: list[BaseException] = []

    def come(actor: int) -> None:
        folder.enter(actor)
        try:
            leases[actor].acquire()
            inside.append(actor)
        except AudienceBusyError:
            pass
        except BaseException as error:  # noqa: BLE001 - the test raises it
            failures.append(error)
        finally:
            folder.end(actor)

    threads = [threading.Thread(target=come, args=(actor,)) for actor in range(len(holders))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    valid = []
    for actor in inside:
        try:
            leases[actor].check()
            valid.append(actor)
        except AudienceBusyError:
            pass
    for lease in leases:
        lease.release()
    return valid, folder


@pytest.mark.usefixtures("quick")
def test_any_order_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """All orders in which two can come: claim, look, read the other's claim, and hold or step back."""
    monkeypatch.setattr(lease_module, "_ATTEMPTS", 1)
    outcomes = set()
    for places in itertools.combinations(range(12), 6):
        script = tuple(int(step in places) for step in range(12))
        inside, folder = race(script, [ONE, OTHER])
        assert len(inside) <= 1, script
        assert not folder.files
        outcomes.add(tuple(inside))
    assert outcomes == {(), (0,), (1,)}, "also that both step back, and come again later"


@pytest.mark.usefixtures("quick")
def test_a_later_try_in_any_order_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The earlier one is at work on its claim while the later one takes it away: it must not put it there again."""
    monkeypatch.setattr(lease_module, "_ATTEMPTS", 1)
    outcomes = set()
    for places in itertools.combinations(range(12), 6):
        script = tuple(int(step in places) for step in range(12))
        inside, _ = race(script, [Holder(key="one", try_number=1), Holder(key="one", try_number=2)])
        outcomes.add(tuple(inside))
    assert outcomes == {(1,)}, "the later one has it, whatever happens"


def test_renewal_gives_way_to_a_later_try(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes over between the renewal's look and its write."""
    monkeypatch.setattr(lease_module, "_RENEWAL_SECONDS", 0.01)
    monkeypatch.setattr(lease_module, "_LOOK_SECONDS", -1)
    later = {"key": "one", "try_number": 2, "until": clock.now + 100, "is_held": True}

    class Meanwhile(Scripted):
        def read(self, name: str) -> bytes:
            found = super().read(name)
            if threading.current_thread().name == "audiences-lease" and "lease-later.json" not in self.files:
                self.files = {"lease-later.json": json.dumps(later).encode()}
            return found

    folder: Any = Meanwhile(())
    lease, before = Lease(folder, ONE, clock=clock), set(threading.enumerate())
    lease.acquire()
    (thread,) = (found for found in threading.enumerate() if found.name == "audiences-lease" and found not in before)
    thread.join(30)
    assert claims(folder) == [later]
    with pytest.raises(AudienceBusyError, match="a later try of its task took over"):
        lease.check()


RACER = """
import os, random, sys, time, types
from pathlib import Path
from airflow_provider_audiences.exceptions import AudienceBusyError
from airflow_provider_audiences.sync.state import lease
from airflow_provider_audiences.sync.state.file_store import LocalFileStore

folder, witness, key, times = LocalFileStore(Path(sys.argv[1])), sys.argv[2], sys.argv[3], int(sys.argv[4])
lease.random = types.SimpleNamespace(uniform=lambda least, most: random.uniform(least, most) / 100)
inside, refused, ends = 0, 0, time.monotonic() + 60
while inside < times and time.monotonic() < ends:
    try:
        with lease.leased(folder, lease.Holder(key=key, try_number=1)):
            os.close(os.open(witness, os.O_CREAT | os.O_EXCL))
            time.sleep(random.uniform(0, 0.003))
            os.unlink(witness)
            inside += 1
    except AudienceBusyError:
        refused += 1
    time.sleep(random.uniform(0, 0.003))
print(inside, refused)
"""


def test_processes_that_race(tmp_path: Path) -> None:
    """Three real processes; a file that must not be there yet is the witness."""
    arguments = [sys.executable, "-c", RACER, str(tmp_path / "state"), str(tmp_path / "witness")]
    racers = [
        subprocess.Popen([*arguments, f"racer {number}", "40"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for number in range(3)
    ]
    outputs = [racer.communicate(timeout=120) for racer in racers]
    assert [error.decode() for _, error in outputs] == [""] * 3
    counts = [tuple(map(int, output.split())) for output, _ in outputs]
    assert [inside for inside, _ in counts] == [40] * 3
    assert sum(refused for _, refused in counts) > 0, "they did meet"
    assert LocalFileStore(tmp_path / "state").names() == []
