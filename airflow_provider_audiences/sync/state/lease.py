"""
The lease of an audience: only one sync works on it at a time.

Stores offer no locks. So each sync writes a claim of its own, and looks for others; whoever sees another claim steps
back. Listings are complete as soon as a file is written, on disks and in today's object stores; so of two claims, at
least one process sees the other's. A claim is valid for a limited time, and is renewed while its process lives; after a
process was killed, its claim expires. The next try of the same task does not wait for that.

A lease can't stop a process that is suspended after it has checked the lease. Such a process' late writes are refused
where they are written: see :mod:`airflow_provider_audiences.sync.state.manifests`. The lease only avoids double work.
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

from airflow_provider_audiences.exceptions import AudienceBusyError, AudienceError, StateUnavailableError
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
    Identifies the task that holds an audience.

    :param key: text that stays the same over all tries of a task: DAG, run, task and map index.
    :param try_number: number of the try; a later try takes over from an earlier one.
    """

    key: str
    try_number: int


@dataclass(frozen=True, kw_only=True)
class Claim:
    """
    A claim as it is stored.

    :param key: key of the task whose process has made it.
    :param try_number: number of that task's try.
    :param until: when it expires; seconds since 1970 (UTC).
    :param is_held: whether the process has found no other claim, so that it holds the lease.
    """

    key: str
    try_number: int
    until: float
    is_held: bool

    def __post_init__(self) -> None:
        if not isinstance(self.try_number, int):  # a file may hold anything
            raise TypeError
        self.ends()

    def ends(self) -> datetime:
        """Return when the claim expires."""
        return datetime.fromtimestamp(self.until, UTC)

    def is_over(self, now: float) -> bool:
        """
        Return whether the claim has expired.

        :param now: seconds since 1970 (UTC).
        """
        # No claim is longer than this: if one seems to be, its writer's clock is far ahead.
        return not 0 < self.until - now <= LEASE_SECONDS + _CLOCKS_DIFFER_SECONDS


def is_claim(name: str) -> bool:
    """
    Return whether a file is a claim, or was to become one.

    :param name: name of a file in the store of an audience's state.
    """
    return name.startswith(_PREFIX)


def claims(files: FileStore, names: Collection[str]) -> Iterator[tuple[str, Claim | None]]:
    """
    Yield the names of all claims, and the claims; None for a file that is not a claim. Nothing is changed.

    :param files: the file store of an audience's state.
    :param names: names of all files of the store, listed just now.
    """
    for name in names:
        if not name.startswith(_PREFIX) or not name.endswith(_ENDING):
            continue
        try:
            claim = Claim(**json.loads(files.read(name)))
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, OverflowError):
            claim = None  # no version of this program has written this file
        yield name, claim


class Lease:
    """
    The right to work on an audience; made by :func:`leased`.

    :param files: the file store of the audience's state.
    :param holder: identifies the task that holds the lease.
    :param clock: returns seconds since 1970 (UTC).
    """

    def __init__(self, files: FileStore, holder: Holder, *, clock: Callable[[], float]) -> None:
        self._files = files
        self._holder = holder
        self._clock = clock
        self._name = f"{_PREFIX}{secrets.token_hex(8)}{_ENDING}"
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._renewed = _now()
        self._checked_at = -math.inf  # the first check always asks the store, as staging takes long
        self.is_exclusive = False
        """Whether the store lets only one of several writers create a file; known once the lease is held."""

    def acquire(self) -> None:
        """
        Take the lease, without waiting for another holder.

        :raises AudienceBusyError: another sync holds the lease.
        """
        for attempt in range(_ATTEMPTS):
            self._renewed = _now()
            self._write(is_held=False)
            other = self._other() or self._hold()
            if other is None:
                self.is_exclusive = self._creates_exclusively()
                threading.Thread(target=self._renew, name="audiences-lease", daemon=True).start()
                return
            self._files.delete(self._name)
            if other.is_held or attempt == _ATTEMPTS - 1:
                until = other.ends().strftime("%Y-%m-%d %H:%M:%S UTC")
                raise AudienceBusyError(
                    f"another sync of this audience is under way: {other.key}, try {other.try_number}; nothing was "
                    f"sent. Should its process be dead, the audience is free from {until} on"
                )
            # Both processes have just begun: each steps back, for a random time.
            time.sleep(random.uniform(0.05, 0.5) * (attempt + 1))  # noqa: S311 - no secret

    def check(self) -> None:
        """
        Raise an error if the lease is lost. Call it before each request.

        The store is not asked each time, so the answer may be some seconds old.

        :raises AudienceBusyError: this process was suspended for too long, or a later try took over.
        """
        if self._stop.is_set():
            raise AudienceBusyError("this sync has ended; nothing more was sent")
        now = _now()
        has_expired = self._has_expired()
        # If the store decides between writers, an overtaken process also notices when it records delivered rows.
        if self.is_exclusive and not has_expired and now - self._checked_at < _LOOK_SECONDS:
            return
        if has_expired or not self._exists():
            raise AudienceBusyError(_LOST)
        self._checked_at = now

    def ensure_current(self, names: Collection[str]) -> None:
        """
        Raise an error if the lease is lost at this moment.

        :param names: names of all files of the store, listed just now.
        :raises AudienceBusyError: another sync holds the lease, or may hold it.
        """
        if self._stop.is_set() or self._has_expired() or self._name not in names or self._has_successor(names):
            raise AudienceBusyError(_LOST)

    def release(self) -> None:
        """Give the lease up, so that others need not wait until it expires."""
        self._stop.set()
        with self._lock, suppress(StateUnavailableError):  # otherwise the claim expires
            self._files.delete(self._name)

    def _write(self, *, is_held: bool) -> None:
        begun = _now()
        self._files.write(self._name, self._claim(is_held=is_held))
        if not self._has_expired():
            self._renewed = begun  # otherwise another process may have come: the lease stays lost

    def _claim(self, *, is_held: bool) -> bytes:
        until = self._clock() + LEASE_SECONDS
        claim = Claim(key=self._holder.key, try_number=self._holder.try_number, until=until, is_held=is_held)
        return json.dumps(asdict(claim)).encode()

    def _has_expired(self) -> bool:
        """Whether the claim has expired, or may have."""
        return _now() - self._renewed > LEASE_SECONDS - _SAFETY_SECONDS

    def _creates_exclusively(self) -> bool:
        """Whether the store refuses to create this claim's file again; only such a store can decide between writers."""
        content = self._claim(is_held=True)
        for attempt in range(2):
            try:
                self._files.create(self._name, content)
            except FileExistsError:
                if not attempt:
                    return True
                # The first creation succeeded, so the claim was gone: a later try has taken over.
                self._files.delete(self._name)
                raise AudienceBusyError(_LOST) from None
            except NotImplementedError:
                return False
            except StateUnavailableError:
                # If a plain write works, the store can't do conditions; otherwise the write raises the cause.
                self._files.write(self._name, content)
                return False
        return False

    def _exists(self) -> bool:
        try:
            self._files.read(self._name)
        except FileNotFoundError:
            return False
        return True

    def _hold(self) -> Claim | None:
        """Mark the claim as held; return the claim of a later try that has taken over in the meantime."""
        self._write(is_held=True)
        for _, claim in self._others(self._files.names()):
            if claim and claim.key == self._holder.key and claim.try_number > self._holder.try_number:
                return claim
        return None

    def _has_successor(self, names: Collection[str]) -> bool:
        """Whether another process holds the lease, too: this claim had expired, and a late write restored its file."""
        now = self._clock()
        held = [claim for _, claim in self._others(names) if claim and claim.is_held and not claim.is_over(now)]
        return any(claim.key != self._holder.key or claim.try_number > self._holder.try_number for claim in held)

    def _other(self) -> Claim | None:
        """Return another valid claim; delete the claims that have expired or are of an earlier try."""
        for name, claim in self._others(self._files.names()):
            is_ours = claim and claim.key == self._holder.key and claim.try_number <= self._holder.try_number
            if claim is None or is_ours or claim.is_over(self._clock()):
                self._files.delete(name)
            else:
                return claim
        return None

    def _others(self, names: Collection[str]) -> Iterator[tuple[str, Claim | None]]:
        """Yield the names of all other claims, and the claims; None for a file that is not a claim."""
        return claims(self._files, [name for name in names if name != self._name])

    def _renew(self) -> None:
        while not self._stop.wait(_RENEWAL_SECONDS):
            with self._lock:
                if self._stop.is_set():
                    return
                try:
                    if not self._exists():
                        return  # another process took over; the next check raises the error
                    if self._hold():
                        self._files.delete(self._name)  # taken over in between: the claim must not stay
                        return
                except AudienceError as error:
                    log.warning("The lease was not renewed, and will be tried again: %s", error)


def _now() -> float:
    """Return the seconds of a clock that also runs while the machine is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


OnBusy = Callable[[AudienceBusyError], None]
"""Waits some time for an audience that another sync holds, or raises the given error."""


@contextmanager
def leased(
    files: FileStore, holder: Holder, *, on_busy: OnBusy | None = None, clock: Callable[[], float] = time.time
) -> Iterator[Lease]:
    """
    Hold an audience's lease until the block ends.

    :param files: the file store of the audience's state.
    :param holder: identifies the task that holds the lease.
    :param on_busy: called again and again while another sync holds the lease; None to raise the error at once.
    :param clock: returns seconds since 1970 (UTC).
    :raises AudienceBusyError: another sync holds the lease.
    """
    lease = Lease(files, holder, clock=clock)
    try:
        while True:
            try:
                lease.acquire()
                break
            except AudienceBusyError as error:
                if on_busy is None:
                    raise
                on_busy(error)
        yield lease
    finally:
        lease.release()
