"""
How many errors an account may have, before everybody stops asking: a platform blocks who goes on.

All threads of a process share what they know of an account. After an error one request goes at a time, and not before
the backoff of the one that failed is over; the first request of all goes ahead of the others. What was noted of errors
may be shared with other processes too.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from airflow_provider_audiences.exceptions import AudienceApiError, ConnectionFailedError, RateLimitedError

DEFAULT_MAX_ERRORS = 50
"""AppLovin is known to block an account after 100 in 5 minutes."""

WINDOW_SECONDS = 300.0

_FIRST_SECONDS = 1.0
"""How long others wait for the answer to a process's first request."""

_LOOK_SECONDS = 15.0
"""How old may be what is known of other processes' errors."""

_MOST_REMEMBERED = 10_000

_STEP_SECONDS = 1.0
"""How often a wait looks whether it is still wanted."""

Clock = Callable[[], float]
Wanted = Callable[[], bool]
"""Asked every second of a wait whether somebody still wants the request."""


class ErrorNotes(Protocol):
    """Notes of errors that all processes share. No method raises: without notes, each process has its own."""

    def add(self, now_epoch_seconds: float) -> str | None:
        """
        Note an error, or a request that may become one.

        :param now_epoch_seconds: when.
        :return: its name; None if it could not be noted.
        """

    def remove(self, name: str) -> None:
        """
        Remove a note.

        :param name: of the note.
        """

    def times(self, since_epoch_seconds: float) -> list[float] | None:
        """
        Return when the noted errors were; None if that can't be told.

        :param since_epoch_seconds: those before are of no use any more.
        """


@dataclass(frozen=True, kw_only=True)
class _Hold:
    """Until when (in monotonic seconds) no other thread than the one that failed sends anything."""

    until: float
    thread: int


class AccountErrors:
    """
    What the threads of this process know of an account's errors.

    :param clock: seconds since 1970.
    """

    def __init__(self, *, clock: Clock = time.time) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        # A call may hold another one within it.
        self.alone = threading.RLock()
        self.times: deque[float] = deque(maxlen=_MOST_REMEMBERED)
        self.unnoted_times: deque[float] = deque(maxlen=_MOST_REMEMBERED)
        """Those that other processes don't know of."""
        self.is_troubled = False
        """Whether the last that was heard of the account was an error."""
        self.is_known = False
        """Whether any request was answered well."""
        self.failures_in_a_row = 0
        self.hold = _Hold(until=0.0, thread=0)
        self.looked_at = 0.0
        self.stopped_until = 0.0


class ErrorBudget:
    """
    One client's part in an account's budget.

    :param errors: of the account.
    :param max_errors: in :data:`WINDOW_SECONDS`; None for any number.
    :param notes: that other processes see; None to keep to this one.
    """

    def __init__(self, errors: AccountErrors, *, max_errors: int | None, notes: ErrorNotes | None = None) -> None:
        self._errors = errors
        self._max_errors = max_errors
        self._notes = notes

    @contextmanager
    def turn(
        self, operation: str, *, is_patient: bool, is_wanted: Wanted, pause: Callable[[float], None]
    ) -> Iterator[None]:
        """
        Send a request in the block, when the account's errors allow it.

        :param operation: its name; errors of another come from a call within this one, and are counted there.
        :param is_patient: whether it may wait for others of this process. Who waits for something else, such as a
            group that becomes ready, does not.
        :param is_wanted: asked while it waits.
        :param pause: waits that many seconds.
        :raises RateLimitedError: there were too many errors, or it is not wanted any more; it was not sent.
        """
        self._stop_if_spent()
        is_alone = is_patient and self._go_alone(is_wanted, pause)
        try:
            with self._noted(operation, is_patient=is_patient):
                yield
        finally:
            if is_alone:
                self._errors.alone.release()

    @property
    def failures_in_a_row(self) -> int:
        """Requests of this process that failed for a moment since the last that did not."""
        return self._errors.failures_in_a_row

    def failed(self, wait_seconds: float) -> None:
        """
        Count a request that failed for a moment, and let the other threads wait as long as this one does.

        :param wait_seconds: from now, before it is repeated.
        """
        errors = self._errors
        with errors.lock:
            errors.failures_in_a_row += 1
            errors.is_troubled = True
            until = time.monotonic() + wait_seconds
            if until > errors.hold.until:
                errors.hold = _Hold(until=until, thread=threading.get_ident())

    @contextmanager
    def _noted(self, operation: str, *, is_patient: bool) -> Iterator[None]:
        """Note the error of the block, if it ends in one that the platform counts."""
        errors = self._errors
        # Noted before it is sent, so that those who begin at the same moment see each other.
        note = self._intent() if errors.is_troubled and self._max_errors is not None else None
        failed = False
        try:
            yield
        except AudienceApiError as error:
            if isinstance(error, ConnectionFailedError):
                # Looks that a server leaves unanswered are no reason to stop those that it answers.
                is_counted = is_patient and error.maybe_applied
            else:
                is_counted = error.http_status is not None
            failed = is_counted and error.operation == operation
            raise
        else:
            errors.is_troubled, errors.is_known, errors.failures_in_a_row = False, True, 0
        finally:
            if failed:
                errors.is_troubled = True
                now = errors.clock()
                errors.times.append(now)
                if note is None and (self._notes is None or self._notes.add(now) is None):
                    errors.unnoted_times.append(now)
            elif self._notes is not None and note is not None:
                self._notes.remove(note)

    def _intent(self) -> str | None:
        if self._notes is None:
            self._stop_if_too_many(list(self._errors.times))
            return None
        note = self._notes.add(self._errors.clock())
        try:
            self._look(own=note is not None)
        except RateLimitedError:
            if note is not None:
                self._notes.remove(note)
            raise
        return note

    def _stop_if_spent(self) -> None:
        errors = self._errors
        if self._max_errors is None:
            return
        left = errors.stopped_until - errors.clock()
        if left > 0:
            raise self._stopped(errors.stopped_until)
        if self._notes is None:
            self._stop_if_too_many(list(errors.times))
        elif time.monotonic() - errors.looked_at > _LOOK_SECONDS or not errors.looked_at:
            self._look()

    def _look(self, *, own: bool = False) -> None:
        """Look at the notes of all processes, of which one may be of the request that is about to be sent."""
        errors = self._errors
        now = errors.clock()
        is_first = not errors.looked_at
        errors.looked_at = time.monotonic()
        noted = self._notes.times(now - WINDOW_SECONDS) if self._notes is not None else None
        times = sorted(errors.times if noted is None else [*noted, *errors.unnoted_times])
        if own and noted is not None and times:
            times.pop()
        # Others had errors: the first request of this process goes alone.
        errors.is_troubled |= is_first and any(moment > now - WINDOW_SECONDS for moment in times)
        self._stop_if_too_many(times)

    def _stop_if_too_many(self, times: list[float]) -> None:
        now = self._errors.clock()
        recent = [moment for moment in times if now - WINDOW_SECONDS < moment < now + WINDOW_SECONDS]
        if self._max_errors is None or len(recent) < self._max_errors:
            return
        # By then, so many are too old that there is room for one.
        until = sorted(recent)[-self._max_errors] + WINDOW_SECONDS
        self._errors.stopped_until = until
        raise self._stopped(until)

    def _stopped(self, until_epoch_seconds: float) -> RateLimitedError:
        until = datetime.fromtimestamp(until_epoch_seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return RateLimitedError(
            f"{self._max_errors} requests of this account have failed within {WINDOW_SECONDS / 60:g} minutes, in all "
            f"tasks together; no request is sent until {until}, lest the platform block the account",
            retry_after_seconds=max(0.0, until_epoch_seconds - self._errors.clock()),
            advice="See what failed first, and let the task be retried after that. max_errors in the connection's "
            "extra is the limit; 0 lifts it.",
        )

    def _go_alone(self, is_wanted: Wanted, pause: Callable[[float], None]) -> bool:
        """Return whether this request goes alone, and all others wait for its answer."""
        errors = self._errors
        if not errors.is_troubled and not errors.is_known:
            has_turn = errors.alone.acquire(timeout=_FIRST_SECONDS)
            if not errors.is_troubled:
                return has_turn
            # Found out while this one waited.
            if has_turn:
                errors.alone.release()
        waited_out: _Hold | None = None
        while errors.is_troubled:
            _refuse_unless(is_wanted)
            hold = errors.hold
            if hold is not waited_out and hold.thread != threading.get_ident():
                self._wait_out(hold, is_wanted, pause)
                waited_out = hold
            elif errors.alone.acquire(timeout=_STEP_SECONDS):
                if errors.is_troubled and errors.hold is hold:
                    return True
                errors.alone.release()
        return False

    def _wait_out(self, hold: _Hold, is_wanted: Wanted, pause: Callable[[float], None]) -> None:
        """Wait as long as the one that failed."""
        left = hold.until - time.monotonic()
        while left > 0 and self._errors.is_troubled:
            _refuse_unless(is_wanted)
            pause(min(left, _STEP_SECONDS))
            left -= _STEP_SECONDS


def _refuse_unless(is_wanted: Wanted) -> None:
    if not is_wanted():
        raise RateLimitedError("other requests of this account have failed, and this one was not sent any more")


_accounts: dict[str, AccountErrors] = {}
_accounts_lock = threading.Lock()


def shared_errors(account: str) -> AccountErrors:
    """
    Return what this process knows of an account's errors.

    :param account: :func:`account_digest`.
    """
    with _accounts_lock:
        return _accounts.setdefault(account, AccountErrors())


def account_digest(base_url: str, identity: str) -> str:
    """
    Return what tells one account from another, and from which neither its address nor its key can be told.

    :param base_url: of the platform.
    :param identity: the key, or a digest of it.
    """
    return hashlib.sha256(f"{base_url}\n{identity}".encode()).hexdigest()[:32]
