"""
Whether a call is repeated, and when: the one place that decides it.

The error's type says whether a repetition can help. The settings say how often to repeat, and how long to wait.
Failures of other threads count, too, as they are failures of the same account. The caller's ``give_up`` says whether a
repetition is still wanted.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

from tenacity import RetryCallState, Retrying

from airflow_provider_audiences.exceptions import AudienceError, RateLimitedError, TransientError
from airflow_provider_audiences.http.calls import Call, TransportSettings
from airflow_provider_audiences.http.error_budget import ErrorBudget

log = logging.getLogger(__name__)

_MAX_DOUBLINGS = 10

_RETRIES_WHEN_LIMITED = 1
"""Most repetitions of a rate-limited request if the platform does not say how long to wait."""

_PAUSE_SECONDS = 1.0
"""Time between two checks, during a wait, of whether the next request is still wanted."""


class Repetition:
    """
    The requests of one call: how many there were, how they ended, and whether another one follows.

    This object does not refer to the call's body: tenacity's objects refer to each other and to this object, so it
    stays in memory until the garbage collector runs.

    :param call: the call whose requests are counted.
    :param settings: number of repetitions, and the waits between them.
    :param error_budget: the account's error budget.
    :param sleep: sleeps for the given number of seconds.
    """

    def __init__(
        self, call: Call[Any], *, settings: TransportSettings, error_budget: ErrorBudget, sleep: Callable[[float], None]
    ) -> None:
        self._operation = call.operation
        self._give_up = call.give_up
        self._settings = settings
        self._error_budget = error_budget
        self._sleep = sleep
        self._error: TransientError | None = None
        self._limited = 0
        """Number of rate-limited requests for which the platform has not said how long to wait."""
        self._failures_before = error_budget.failures_in_a_row
        """The account's failures in a row when the call began."""
        self.attempts = 0
        """Number of requests so far."""
        self.maybe_applied = False
        """Whether the platform may have carried out a request although the request failed."""

    def retrying(self) -> Retrying:
        """Return tenacity's loop, which repeats a function as this object decides."""
        return Retrying(
            retry=self._is_repeated,
            wait=self._wait_seconds,
            sleep=self._pause,
            reraise=True,
        )

    def begin_attempt(self) -> None:
        """Forget the last error, as its traceback refers to the request's body."""
        self._error = None

    def is_wanted(self) -> bool:
        """Ask the caller whether the next request is still wanted."""
        return self._give_up is None or not self._give_up(self._error)

    def failed(self, error: AudienceError) -> None:
        """
        Count a failed request, and complete its error: ``maybe_applied`` then speaks of all requests of the call.

        :param error: error of this call's request, or of a call within it, such as a look at a list. An error of a call
            within names its own operation, and does not tell whether this call's request was carried out.
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
                self._error_budget.failed(self._backoff_seconds(error))

    def _is_repeated(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        # A call within this one has already been repeated as often as allowed.
        if not isinstance(error, TransientError) or error.operation != self._operation:
            return False
        if (error.retry_after_seconds or 0) > self._settings.max_retry_after_seconds:
            return False
        # The platform did not say how long to wait, and each further request makes the limit worse.
        if _says_not_when(error) and self._limited > _RETRIES_WHEN_LIMITED:
            return False
        # Failures of other threads count as well: this call need not find out again that the account has a problem.
        return self._failures() <= self._settings.max_retries

    def _failures(self) -> int:
        """Return the number of the account's failures in a row since the call began, in all threads."""
        return max(self.attempts, self._error_budget.failures_in_a_row - self._failures_before)

    def _wait_seconds(self, state: RetryCallState) -> float:
        wait = self._backoff_seconds(state.outcome.exception() if state.outcome else None)
        # The random numbers spread load; they keep no secret.
        return wait + (random.uniform(0, wait / 4) if self._settings.jitter else 0.0)  # noqa: S311

    def _backoff_seconds(self, error: BaseException | None) -> float:
        backoff: float = self._settings.backoff_seconds * 2 ** (min(self._failures(), _MAX_DOUBLINGS) - 1)
        asked = error.retry_after_seconds if isinstance(error, TransientError) else None
        return max(backoff, min(asked or 0.0, self._settings.max_retry_after_seconds))

    def _pause(self, seconds: float) -> None:
        """Wait before the next request; raise the last request's error if no further request is wanted."""
        self._raise_unless_wanted()
        # The error is logged as text: a log handler that keeps records would keep its traceback, and so the body.
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
