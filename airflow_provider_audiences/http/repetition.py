"""
Whether a call is repeated, and when: the one place that decides it.

The error's type says whether a repetition can help. The settings say how often and how patiently, the account's errors
whether others have found out already, and the caller's ``give_up`` whether a repetition is wanted at all.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

from tenacity import RetryCallState, Retrying

from airflow_provider_audiences.exceptions import AudienceApiError, RateLimitedError, TransientError
from airflow_provider_audiences.http.calls import Call, TransportSettings
from airflow_provider_audiences.http.error_budget import ErrorBudget

log = logging.getLogger(__name__)

_MOST_DOUBLINGS = 10

_RETRIES_WHEN_LIMITED = 1
"""How often a request is repeated that came too soon, if the platform does not say when it would not."""

_PAUSE_SECONDS = 1.0
"""How often a wait asks whether it is still wanted."""


class Repetition:
    """
    The requests of one call: how many there were, what became of them, and whether another one follows.

    It keeps nothing of the call's body: tenacity refers to itself, and so to this, until the garbage collector comes.

    :param call: the call.
    :param settings: how often, and after which waits.
    :param errors: the account's budget for errors.
    :param sleep: waits that many seconds.
    """

    def __init__(
        self, call: Call[Any], *, settings: TransportSettings, errors: ErrorBudget, sleep: Callable[[float], None]
    ) -> None:
        self._operation = call.operation
        self._give_up = call.give_up
        self._settings = settings
        self._errors = errors
        self._sleep = sleep
        self._error: TransientError | None = None
        self._limited = 0
        """Requests that were too many, and nobody said for how long."""
        self._failures_before = errors.failures_in_a_row
        """Of the account, when the call began."""
        self.attempts = 0
        """Requests so far."""
        self.maybe_applied = False
        """Whether one of them may have been carried out, although it failed."""

    def retrying(self) -> Retrying:
        """Return what calls a function again and again, as is decided here."""
        return Retrying(
            retry=self._is_repeated,
            wait=self._wait_seconds,
            sleep=self._pause,
            reraise=True,
        )

    def begin_attempt(self) -> None:
        """Forget the last error: one that is kept keeps its traceback, and so the body."""
        self._error = None

    def is_wanted(self) -> bool:
        """Ask the caller whether the next request is still wanted."""
        return self._give_up is None or not self._give_up(self._error)

    def failed(self, error: AudienceApiError) -> None:
        """
        Note what a request came to; the error then says of all requests of the call whether one was carried out.

        :param error: of this call; or of one within it, such as a look at the list, which has put its own name on its
            error, and says nothing about what became of this one.
        """
        is_own = error.operation in {None, self._operation}
        if is_own:
            error.operation = self._operation
            error.attempts = self.attempts
            self.maybe_applied |= error.maybe_applied
        error.maybe_applied = self.maybe_applied
        if isinstance(error, TransientError):
            self._error = error
            self._limited += _says_not_when(error)
            if is_own and self._settings.max_retries:
                self._errors.failed(self._backoff_seconds(error))

    def _is_repeated(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        # A call within this one has used its own retries up.
        if not isinstance(error, TransientError) or error.operation != self._operation:
            return False
        if (error.retry_after_seconds or 0) > self._settings.max_retry_after_seconds:
            return False
        # Of one that does not say when: nobody knows when it would be taken, and asking makes it worse.
        if _says_not_when(error) and self._limited > _RETRIES_WHEN_LIMITED:
            return False
        # Its own requests are among them; what other threads have tried meanwhile, this one need not find out again.
        return self._failures() <= self._settings.max_retries

    def _failures(self) -> int:
        """Return how often the account has failed in a row since the call began, in whichever thread."""
        return max(self.attempts, self._errors.failures_in_a_row - self._failures_before)

    def _wait_seconds(self, state: RetryCallState) -> float:
        wait = self._backoff_seconds(state.outcome.exception() if state.outcome else None)
        # Chance for spreading load, not for secrets.
        return wait + (random.uniform(0, wait / 4) if self._settings.jitter else 0.0)  # noqa: S311

    def _backoff_seconds(self, error: BaseException | None) -> float:
        backoff: float = self._settings.backoff_seconds * 2 ** (min(self._failures(), _MOST_DOUBLINGS) - 1)
        asked = error.retry_after_seconds if isinstance(error, TransientError) else None
        return max(backoff, min(asked or 0.0, self._settings.max_retry_after_seconds))

    def _pause(self, seconds: float) -> None:
        """Wait for the next request, or raise the error of the last one when none is wanted any more."""
        self._raise_unless_wanted()
        # As text: a handler that keeps records would keep the error, its traceback, and so the body.
        log.warning("%s Trying again in %.1f s.", str(self._error), seconds)
        step = _PAUSE_SECONDS if self._give_up else seconds
        while seconds > 0:
            self._sleep(min(seconds, step))
            seconds -= step
            self._raise_unless_wanted()

    def _raise_unless_wanted(self) -> None:
        if self._error and not self.is_wanted():
            raise self._error


def _says_not_when(error: TransientError) -> bool:
    return isinstance(error, RateLimitedError) and error.retry_after_seconds is None
