"""
The retry policy of all operators and sensors: no try before the platform, or the account's error budget, allows one.

For Airflow 3.3 and newer, which asks a retry policy after each failure; older versions can't import this module.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import RetryDecision, RetryPolicy

from airflow_provider_audiences.exceptions import AudienceError, PermanentError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

MAX_DELAY = timedelta(days=1)
"""Longest wait for what a platform asks; a longer one is cut to this."""

_MARGIN = timedelta(seconds=1)
"""Added to what a platform asks, since clocks differ, and platforms round."""


class AudienceRetryPolicy(RetryPolicy):
    """
    Waits with the next try as long as the platform, or the account's error budget, has asked.

    The next try begins then, or after the task's own ``retry_delay``, whichever is later. A permanent error fails the
    task. About all other errors, Airflow decides by itself, by ``retries`` and ``retry_delay``.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """
        Decide what follows a failed try.

        :param exception: error that ended the try.
        :param try_number: number of the try, from 1.
        :param max_tries: number of retries that the task has.
        :param context: context of the task; None if its ``retry_delay`` does not matter.
        """
        error = exception if isinstance(exception, AudienceError) else exception.__cause__
        if isinstance(error, PermanentError):
            return RetryDecision.fail(f"{type(error).__name__}: another try can't succeed")
        asked = error.retry_after_seconds if isinstance(error, AudienceError) else None
        if not asked:
            return RetryDecision.default()
        delay = min(timedelta(seconds=min(asked, MAX_DELAY.total_seconds())) + _MARGIN, MAX_DELAY)
        if delay <= _own_delay(context["task"] if context else None, try_number):
            return RetryDecision.default()
        return RetryDecision.retry(delay, f"{type(error).__name__}: the next request is allowed in {asked:,.0f} s")


def _own_delay(task: Any, try_number: int) -> timedelta:
    """Return how long Airflow waits by the task's arguments; with a backoff, it waits at least so long."""
    delay: timedelta = getattr(task, "retry_delay", timedelta(0))
    longest: timedelta = getattr(task, "max_retry_delay", None) or MAX_DELAY
    factor = float(getattr(task, "retry_exponential_backoff", 0) or 1)
    try:
        return min(delay * factor ** (try_number - 1), longest)
    except OverflowError:
        return longest
