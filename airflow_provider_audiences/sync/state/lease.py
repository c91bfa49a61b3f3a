"""
The lease of an audience: one sync at a time.

Stores offer no lock. So each sync writes a claim of its own, and looks who else has one: who sees another's claim
steps back. Listings are complete as soon as a file is written, on disks and in the object stores of today, so of two
claims at least one sees the other. A claim holds for a limited time and is renewed while its process lives: that of
a process that was killed ends by itself. The same task's next try need not wait for that.

A lease can't stop a process that stands still after it has looked: what such a process writes late is refused where it
is written, see :mod:`airflow_provider_audiences.sync.state.manifests`. The lease spares two syncs the work.
"""

from __future__ import annotations

import json
import logging
import math
import random
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from airflow_provider_audiences.exceptions import AudienceApiError, AudienceBusyError, StateUnavailableError
from airflow_provider_audiences.sync.state.file_store import FileStore

log = logging.getLogger(__name__)

LEASE_SECONDS = 300.0
_RENEWAL_SECONDS = 60.0
_SAFETY_SECONDS = 30.0
_LOOK_SECONDS = 1.0
_CLOCKS_DIFFER_SECONDS = 600.0
_ATTEMPTS = 6
_PREFIX, _ENDING = "lease-", ".json"
_LOST = (
    "this sync no longer holds its audience: it stood still for too long, or a later try of its task took over; "
    "nothing more was sent"
)


@dataclass(frozen=True, kw_only=True)
class Holder:
    """
    Who syncs.

    :param key: what stays the same over the tries of one piece of work: DAG, run, task and map index.
    :param try_number: which try it is; a later one takes over what an earlier one held.
    """

    key: str
    try_number: int


@dataclass(frozen=True, kw_only=True)
class _Claim:
    """A claim as it is stored; ``is_held`` once it is known that there is no other."""

    key: str
    try_number: int
    until: float
    is_held: bool

    def __post_init__(self) -> None:
        if not isinstance(self.try_number, int):  # what is read may be anything
            raise TypeError
        self.ends()

    def ends(self) -> datetime:
        """Return when it ends by itself."""
        return datetime.fromtimestamp(self.until, UTC)


class Lease:
    """
    A claim that holds; made by :func:`leased`.

    :param folder: of the audience's state.
    :param holder: who syncs.
    :param clock: seconds since 1970.
    """

    def __init__(self, folder: FileStore, holder: Holder, *, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._holder = holder
        self._clock = clock
        self._name = f"{_PREFIX}{secrets.token_hex(8)}{_ENDING}"
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._renewed = _now()
        self._looked = -math.inf  # staging takes its time: the first check looks in any case
        self.is_exclusive = False
        """Whether the folder lets one writer only create a file of one name; known when the lease is held."""

    def acquire(self) -> None:
        """
        Wait for nobody: hold it, or fail.

        :raises AudienceBusyError: another sync holds it.
        """
        for attempt in range(_ATTEMPTS):
            self._renewed = _now()
            self._write(is_held=False)
            other = self._other() or self._hold()
            if other is None:
                self.is_exclusive = self._finds_itself()
                threading.Thread(target=self._renew, name="audiences-lease", daemon=True).start()
                return
            self._folder.delete(self._name)
            if other.is_held or attempt == _ATTEMPTS - 1:
                until = other.ends().strftime("%Y-%m-%d %H:%M:%S UTC")
                raise AudienceBusyError(
                    f"another sync of this audience is under way: {other.key}, try {other.try_number}; nothing was "
                    f"sent. Should its process be dead, the audience is free from {until} on"
                )
            # Both have just come: they step back, and not for the same time.
            time.sleep(random.uniform(0.05, 0.5) * (attempt + 1))  # noqa: S311 - no secret

    def check(self) -> None:
        """
        Make sure that it still holds; to be called before each request.

        :raises AudienceBusyError: it was lost: this process stood still for too long, or a later try took over.
        """
        if self._stop.is_set():
            raise AudienceBusyError("this sync has ended; nothing more was sent")
        now = _now()
        is_late = self._is_late()
        # Where the store decides between writers, who was overtaken learns it when it writes down what has landed.
        if self.is_exclusive and not is_late and now - self._looked < _LOOK_SECONDS:
            return
        if is_late or not self._exists():
            raise AudienceBusyError(_LOST)
        self._looked = now

    def confirm(self, names: Collection[str]) -> None:
        """
        Make sure that it holds at this moment.

        :param names: of all files of the folder, as they are now.
        :raises AudienceBusyError: it was lost.
        """
        if self._stop.is_set() or self._is_late() or self._name not in names or self._has_successor(names):
            raise AudienceBusyError(_LOST)

    def release(self) -> None:
        """Let it go."""
        self._stop.set()
        with self._lock, suppress(StateUnavailableError):  # then it ends by itself
            self._folder.delete(self._name)

    def _write(self, *, is_held: bool) -> None:
        begun = _now()
        self._folder.write(self._name, self._claim(is_held=is_held))
        if not self._is_late():
            self._renewed = begun  # else somebody may have come meanwhile: it was lost, and stays so

    def _claim(self, *, is_held: bool) -> bytes:
        until = self._clock() + LEASE_SECONDS
        claim = _Claim(key=self._holder.key, try_number=self._holder.try_number, until=until, is_held=is_held)
        return json.dumps(asdict(claim)).encode()

    def _is_late(self) -> bool:
        """Whether the claim has, or may have, ended by itself."""
        return _now() - self._renewed > LEASE_SECONDS - _SAFETY_SECONDS

    def _finds_itself(self) -> bool:
        """Whether the folder refuses a second claim of this name: only then it can decide between two writers."""
        content = self._claim(is_held=True)
        for attempt in range(2):
            try:
                self._folder.create(self._name, content)
            except FileExistsError:
                if not attempt:
                    return True
                # So it was not there at first: a later try took over in between.
                self._folder.delete(self._name)
                raise AudienceBusyError(_LOST) from None
            except NotImplementedError:
                return False
            except StateUnavailableError:
                # Should this work, or say why not, conditions are what the store can't take.
                self._folder.write(self._name, content)
                return False
        return False

    def _exists(self) -> bool:
        try:
            self._folder.read(self._name)
        except FileNotFoundError:
            return False
        return True

    def _hold(self) -> _Claim | None:
        """Write that it is held; return the claim of a later try that has just taken over."""
        self._write(is_held=True)
        for _, claim in self._others(self._folder.names()):
            if claim and claim.key == self._holder.key and claim.try_number > self._holder.try_number:
                return claim
        return None

    def _has_successor(self, names: Collection[str]) -> bool:
        """Whether another holds it as well: then this claim was over, and a late write has brought it back."""
        claims = [claim for _, claim in self._others(names) if claim and claim.is_held and not self._is_over(claim)]
        return any(claim.key != self._holder.key or claim.try_number > self._holder.try_number for claim in claims)

    def _is_over(self, claim: _Claim) -> bool:
        # Nobody claims for longer: who seems to has a clock that is far ahead.
        return not 0 < claim.until - self._clock() <= LEASE_SECONDS + _CLOCKS_DIFFER_SECONDS

    def _other(self) -> _Claim | None:
        """Return another claim that holds; remove those that don't."""
        for name, claim in self._others(self._folder.names()):
            is_ours = claim and claim.key == self._holder.key and claim.try_number <= self._holder.try_number
            if claim is None or is_ours or self._is_over(claim):
                self._folder.delete(name)
            else:
                return claim
        return None

    def _others(self, names: Collection[str]) -> Iterator[tuple[str, _Claim | None]]:
        """Yield all other claims with their names; None for what is none."""
        for name in names:
            if not name.startswith(_PREFIX) or not name.endswith(_ENDING) or name == self._name:
                continue
            try:
                claim = _Claim(**json.loads(self._folder.read(name)))
            except FileNotFoundError:
                continue
            except (ValueError, TypeError, OverflowError):
                claim = None  # whatever it is, no version of this program has written it
            yield name, claim

    def _renew(self) -> None:
        while not self._stop.wait(_RENEWAL_SECONDS):
            with self._lock:
                if self._stop.is_set():
                    return
                try:
                    if not self._exists():
                        return  # somebody took over: the next check says so
                    if self._hold():
                        self._folder.delete(self._name)  # in between: it must not come back
                        return
                except AudienceApiError as error:
                    log.warning("The lease was not renewed, and will be tried again: %s", error)


def _now() -> float:
    """Return seconds that go on while the machine is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


Wait = Callable[[AudienceBusyError], None]
"""Waits a while for an audience that another sync holds, or raises the error that says so."""


@contextmanager
def leased(
    folder: FileStore, holder: Holder, *, wait: Wait | None = None, clock: Callable[[], float] = time.time
) -> Iterator[Lease]:
    """
    Hold an audience for as long as the block lasts.

    :param folder: of its state.
    :param holder: who syncs.
    :param wait: called as long as another sync holds it; None for no wait.
    :param clock: seconds since 1970.
    :raises AudienceBusyError: another sync holds it.
    """
    lease = Lease(folder, holder, clock=clock)
    try:
        while True:
            try:
                lease.acquire()
                break
            except AudienceBusyError as error:
                if wait is None:
                    raise
                wait(error)
        yield lease
    finally:
        lease.release()
