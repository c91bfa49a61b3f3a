"""
The error budget of an account: how many of its requests may fail before no further request is sent.

A platform blocks accounts that send too many failing requests. All threads of a process share what they know of an
account. After an error, requests are sent one at a time, and other threads wait until the failed request's backoff is
over. While a process knows nothing of an account yet, its first request is sent before all others. Notes of errors may
also be shared with other processes.
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

from airflow_provider_audiences.exceptions import AudienceError, ConnectionFailedError, RateLimitedError
from airflow_provider_audiences.wording import counted

DEFAULT_MAX_ERRORS = 50
"""Default for the most errors within :data:`WINDOW_SECONDS`; AppLovin is known to block an account after 100."""

WINDOW_SECONDS = 300.0
"""Errors older than this don't count."""

_FIRST_SECONDS = 1.0
"""Longest time that other threads wait for the reply to a process's first request."""

_NOTES_SECONDS = 15.0
"""Age at which the notes of other processes' errors are read again."""

_MAX_REMEMBERED = 10_000

_STEP_SECONDS = 1.0
"""Time between two checks, during a wait, of whether the request is still wanted."""

Clock = Callable[[], float]
Wanted = Callable[[], bool]
"""Returns whether the request is still wanted; called about every second of a wait."""


class ErrorNotes(Protocol):
    """Notes of errors that all processes share. No method raises: without notes, each process has its own."""

    def add(self, now_epoch_seconds: float) -> str | None:
        """
        Note an error, or a request about to be sent, which may fail.

        :param now_epoch_seconds: time of the error or request, in seconds since 1970 (UTC).
        :return: name of the note; None if it could not be written.
        """

    def remove(self, name: str) -> None:
        """
        Remove a note.

        :param name: name of the note, as :meth:`add` has returned it.
        """

    def times(self, since_epoch_seconds: float) -> list[float] | None:
        """
        Return the times of the noted errors, in seconds since 1970 (UTC); None if the notes can't be read.

        :param since_epoch_seconds: start of the period, in seconds since 1970 (UTC); older notes may be deleted.
        """


@dataclass(frozen=True, kw_only=True)
class _Backoff:
    """
    The pause after a failed request, in which no other thread sends anything.

    :param until: end of the pause, in monotonic seconds.
    :param thread: identifier of the thread whose request failed.
    """

    until: float
    thread: int


class AccountErrors:
    """
    What this process knows of an account's errors; all of its threads share it.

    :param clock: returns seconds since 1970 (UTC).
    """

    def __init__(self, *, clock: Clock = time.time) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        # Reentrant, as a call may send another call, such as a look at a list, while it is under way.
        self.probe_lock = threading.RLock()
        self.times: deque[float] = deque(maxlen=_MAX_REMEMBERED)
        self.unnoted_times: deque[float] = deque(maxlen=_MAX_REMEMBERED)
        """Times of the errors that could not be noted for other processes."""
        self.is_failing = False
        """Whether the account's latest request, as far as this process knows, ended in an error."""
        self.has_succeeded = False
        """Whether any request of this process has succeeded."""
        self.failures_in_a_row = 0
        self.backoff = _Backoff(until=0.0, thread=0)
        self.notes_read_at = 0.0
        self.stopped_until = 0.0


class ErrorBudget:
    """
    One client's view of an account's error budget.

    :param errors: what this process knows of the account's errors.
    :param max_errors: number of errors within :data:`WINDOW_SECONDS` after which no request is sent; None for no limit.
    :param notes: notes of errors that other processes see, too; None to count this process' errors only.
    """

    def __init__(self, errors: AccountErrors, *, max_errors: int | None, notes: ErrorNotes | None = None) -> None:
        self._errors = errors
        self._max_errors = max_errors
        self._notes = notes

    @contextmanager
    def admit(
        self, operation: str, *, waits_for_others: bool, is_wanted: Wanted, pause: Callable[[float], None]
    ) -> Iterator[None]:
        """
        Wait until the account's errors allow a request; the block then sends it.

        :param operation: name of the request's operation. An error with the name of another operation comes from a call
            within this one, and was counted there.
        :param waits_for_others: whether the request may wait for other threads' requests. A poll does not, as the next
            poll comes anyway.
        :param is_wanted: returns whether the request is still wanted; called again and again during a wait.
        :param pause: sleeps for the given number of seconds.
        :raises RateLimitedError: there were too many errors, or the request is no longer wanted; it was not sent.
        """
        self._stop_if_too_many_noted()
        is_alone = waits_for_others and self._admit_alone(is_wanted, pause)
        try:
            with self._noted(operation, waits_for_others=waits_for_others):
                yield
        finally:
            if is_alone:
                self._errors.probe_lock.release()

    @property
    def failures_in_a_row(self) -> int:
        """Number of this process' transient failures since the account's last success."""
        return self._errors.failures_in_a_row

    def failed(self, wait_seconds: float) -> None:
        """
        Count a transient failure, and make the other threads wait until the request is repeated.

        :param wait_seconds: time from now until the request is repeated, in seconds.
        """
        errors = self._errors
        with errors.lock:
            errors.failures_in_a_row += 1
            errors.is_failing = True
            until = time.monotonic() + wait_seconds
            if until > errors.backoff.until:
                errors.backoff = _Backoff(until=until, thread=threading.get_ident())

    @contextmanager
    def _noted(self, operation: str, *, waits_for_others: bool) -> Iterator[None]:
        """Note the block's error, if it is one that the platform counts."""
        errors = self._errors
        # The note is written before the request is sent, so that processes that begin together see each other's notes.
        note = self._noted_ahead() if errors.is_failing and self._max_errors is not None else None
        failed = False
        try:
            yield
        except AudienceError as error:
            if isinstance(error, ConnectionFailedError):
                # An unanswered poll does not count: the server may still answer all other requests.
                is_counted = waits_for_others and error.maybe_applied
            else:
                is_counted = error.http_status is not None
            failed = is_counted and error.operation == operation
            raise
        else:
            errors.is_failing, errors.has_succeeded, errors.failures_in_a_row = False, True, 0
        finally:
            if failed:
                errors.is_failing = True
                now = errors.clock()
                errors.times.append(now)
                if note is None and (self._notes is None or self._notes.add(now) is None):
                    errors.unnoted_times.append(now)
            elif self._notes is not None and note is not None:
                self._notes.remove(note)

    def _noted_ahead(self) -> str | None:
        if self._notes is None:
            self._stop_if_too_many(list(self._errors.times))
            return None
        note = self._notes.add(self._errors.clock())
        try:
            self._read_notes(own=note is not None)
        except RateLimitedError:
            if note is not None:
                self._notes.remove(note)
            raise
        return note

    def _stop_if_too_many_noted(self) -> None:
        errors = self._errors
        if self._max_errors is None:
            return
        left = errors.stopped_until - errors.clock()
        if left > 0:
            raise self._stopped(errors.stopped_until)
        if self._notes is None:
            self._stop_if_too_many(list(errors.times))
        elif time.monotonic() - errors.notes_read_at > _NOTES_SECONDS or not errors.notes_read_at:
            self._read_notes()

    def _read_notes(self, *, own: bool = False) -> None:
        """
        Read the notes of all processes, and stop if there are too many.

        :param own: whether one of the notes is that of the request about to be sent, which is left out.
        """
        errors = self._errors
        now = errors.clock()
        is_first = not errors.notes_read_at
        errors.notes_read_at = time.monotonic()
        noted = self._notes.times(now - WINDOW_SECONDS) if self._notes is not None else None
        times = sorted(errors.times if noted is None else [*noted, *errors.unnoted_times])
        if own and noted is not None and times:
            times.pop()
        # Other processes had errors, so this process' first request is sent alone.
        errors.is_failing |= is_first and any(moment > now - WINDOW_SECONDS for moment in times)
        self._stop_if_too_many(times)

    def _stop_if_too_many(self, times: list[float]) -> None:
        now = self._errors.clock()
        recent = [moment for moment in times if now - WINDOW_SECONDS < moment < now + WINDOW_SECONDS]
        if self._max_errors is None or len(recent) < self._max_errors:
            return
        # At that time, enough errors are too old for one more request to be allowed.
        until = sorted(recent)[-self._max_errors] + WINDOW_SECONDS
        self._errors.stopped_until = until
        raise self._stopped(until)

    def _stopped(self, until_epoch_seconds: float) -> RateLimitedError:
        until = datetime.fromtimestamp(until_epoch_seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        failed = counted(self._max_errors or 0, "request of this account has", "requests of this account have")
        return RateLimitedError(
            f"{failed} failed within {WINDOW_SECONDS / 60:g} minutes, in all "
            f"tasks together; no request is sent until {until}, lest the platform block the account",
            retry_after_seconds=max(0.0, until_epoch_seconds - self._errors.clock()),
            advice="See what failed first, and let the task be retried after that. max_errors in the connection's "
            "extra is the limit; 0 lifts it.",
        )

    def _admit_alone(self, is_wanted: Wanted, pause: Callable[[float], None]) -> bool:
        """Wait if needed; return whether this request is sent alone, while all other threads wait for its reply."""
        errors = self._errors
        if not errors.is_failing and not errors.has_succeeded:
            is_locked = errors.probe_lock.acquire(timeout=_FIRST_SECONDS)
            if not errors.is_failing and not (is_locked and errors.has_succeeded):
                return is_locked
            # While this thread waited, another thread's request failed, or was answered well.
            if is_locked:
                errors.probe_lock.release()
        waited_for: _Backoff | None = None
        while errors.is_failing:
            _refuse_unless(is_wanted)
            backoff = errors.backoff
            if backoff is not waited_for and backoff.thread != threading.get_ident():
                self._wait_out(backoff, is_wanted, pause)
                waited_for = backoff
            elif errors.probe_lock.acquire(timeout=_STEP_SECONDS):
                if errors.is_failing and errors.backoff is backoff:
                    return True
                errors.probe_lock.release()
        return False

    def _wait_out(self, backoff: _Backoff, is_wanted: Wanted, pause: Callable[[float], None]) -> None:
        """Wait until a pause is over, or the account works again."""
        left = backoff.until - time.monotonic()
        while left > 0 and self._errors.is_failing:
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
    Return what this process knows of an account's errors; all clients of the account get the same object.

    :param account: digest of the account, from :func:`account_digest`.
    """
    with _accounts_lock:
        return _accounts.setdefault(account, AccountErrors())


def account_digest(base_url: str, identity: str) -> str:
    """
    Return a digest that identifies an account, and does not reveal its address or key.

    :param base_url: base URL of the platform.
    :param identity: the account's key, or a digest of it.
    """
    return hashlib.sha256(f"{base_url}\n{identity}".encode()).hexdigest()[:32]
