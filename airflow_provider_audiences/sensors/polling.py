"""Base class of the sensors: polls in the worker or in the triggerer, with the same loop and the same outcomes."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_audiences.common.billable_calls import BILLABLE_CALLS, report_billable_calls, total_calls
from airflow_provider_audiences.common.errors import task_errors
from airflow_provider_audiences.common.task_mixin import DEFAULT_DEFERRABLE, TaskMixin
from airflow_provider_audiences.exceptions import PermanentError
from airflow_provider_audiences.validation import true_or_false, whole_number

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.triggers.polling import PollingTrigger
    from airflow_provider_audiences.waiting.outcomes import WaitOutcome
    from airflow_provider_audiences.waiting.polls import Poll
    from airflow_provider_audiences.waiting.wait import Pause

T = TypeVar("T")

_PRICE = "price_per_call"

_AFTER_DEADLINE_SECONDS = 0.05
"""By this much the last poll in the worker is late, so that the wait is over when it fails."""


class PollingSensor(TaskMixin, BaseSensorOperator):
    """
    Base of the sensors: polls until what the sensor waits for is ready.

    In poke mode one process makes all polls; in reschedule mode each poll is a process of its own; with
    ``deferrable=True`` the worker polls once, and the triggerer makes the other polls.

    :param deferrable: wait in the triggerer, without a worker slot; default Airflow's ``[operators]
        default_deferrable``.
    :param max_poll_failures: how many polls in a row may fail for a passing reason, such as a server error; default 5.
    """

    def __init__(self, *, deferrable: bool = DEFAULT_DEFERRABLE, max_poll_failures: int = 5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self.max_poll_failures = max_poll_failures
        self._deadline_epoch_seconds = 0.0
        self._poll: Poll | None = None
        self._polls: Generator[Pause | WaitOutcome, None, None] | None = None

    @abstractmethod
    def trigger_of(self, **polling: Any) -> PollingTrigger:
        """
        Return the trigger that polls for this sensor.

        :param polling: arguments of :class:`~airflow_provider_audiences.triggers.polling.PollingTrigger`, except the
            connection.
        :raises InvalidInputError: an argument of the sensor is wrong.
        """

    def trigger(self, *, deadline_epoch_seconds: float, first_poll_epoch_seconds: float = 0.0) -> PollingTrigger:
        """
        Return the trigger that polls for this sensor, with its deadline.

        :param deadline_epoch_seconds: when the wait ends, in seconds since 1970 (UTC).
        :param first_poll_epoch_seconds: time of the earliest poll, in seconds since 1970 (UTC); default 0, at once.
        """
        return self.trigger_of(
            poll_interval_seconds=self.poke_interval,
            deadline_epoch_seconds=deadline_epoch_seconds,
            max_poll_failures=whole_number("max_poll_failures", self.max_poll_failures, at_least=0),
            max_poll_interval_seconds=self.max_poll_interval_seconds,
            first_poll_epoch_seconds=first_poll_epoch_seconds,
        )

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once, and return whether the wait is over. A later poke in the same process continues the same wait."""
        from airflow_provider_audiences.waiting.outcomes import WaitOutcome

        with self.running():
            if self._polls is None:
                deadline = self._deadline_epoch_seconds or time.time() + self.timeout
                trigger = self.trigger(deadline_epoch_seconds=deadline)
                self._poll = self._poll or trigger.poll()
                self._polls = trigger.polls_here(self._poll)
            polls, self._polls = self._polls, None
            step = next(polls)
            if not isinstance(step, WaitOutcome):
                self._polls = polls
                return PokeReturnValue(is_done=False)
            polls.close()
            # With silent_fail, Airflow pokes again after a failure: that poke begins a new wait.
            return PokeReturnValue(is_done=True, xcom_value=self._result_of(step))

    def _result_of(self, outcome: WaitOutcome) -> Any:
        seen = outcome.result(timeout_error=AirflowSensorTimeout)
        self.log.info("%s", outcome.reason)
        return seen

    @property
    def _is_deferrable(self) -> bool:
        return true_or_false("deferrable", self.deferrable)

    @property
    def max_poll_interval_seconds(self) -> float | None:
        """Longest pause between two polls; None if the pause does not grow."""
        if not self.exponential_backoff:
            return None
        return self.max_wait.total_seconds() if self.max_wait else float(self.timeout)

    def execute(self, context: Context) -> Any:
        """Wait until ready, and return what the last poll found."""
        self._poll, self._polls = None, None
        self._deadline_epoch_seconds = self._began_epoch_seconds(context) + self.timeout
        earlier = self._kept_calls(context)
        try:
            return self._execute_deferrable(context) if self._is_deferrable else self._execute_here(context)
        finally:
            if self._polls is not None:
                self._polls.close()
            self._keep_calls(context, self._report_calls(context, earlier))

    def _execute_deferrable(self, context: Context) -> Any:
        result = self._softly(self.poke, context)
        if result.is_done:
            return result.xcom_value
        trigger = self.trigger(
            deadline_epoch_seconds=self._deadline_epoch_seconds,
            first_poll_epoch_seconds=time.time() + self.poke_interval,
        )
        trigger.passed_on = {BILLABLE_CALLS: self._billable_calls, _PRICE: self._price_per_call}
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=self.timeout))
        return None

    def _execute_here(self, context: Context) -> Any:
        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            if self.never_fail:  # which the base class applies to all but its own timeout
                raise AirflowSkipException(f"Skipped, not failed: {error}") from error
            raise

    def _began_epoch_seconds(self, context: Context) -> float:
        """Return when the wait began. In reschedule mode of Airflow 3, an earlier process may have begun it."""
        ask = getattr(context["ti"], "get_first_reschedule_date", None) if self.reschedule else None
        first = ask(context) if ask and not self._is_deferrable else None
        return first.timestamp() if first else time.time()

    def _get_next_poke_interval(self, started_at: Any, run_duration: Callable[[], float], poke_count: int) -> float:
        """Return the seconds until the next poll, so that the last poll is at the deadline and not after it."""
        seconds: float = super()._get_next_poke_interval(started_at, run_duration, poke_count)
        return min(seconds, max(0.0, self.timeout - run_duration()) + _AFTER_DEADLINE_SECONDS)

    def _kept_calls(self, context: Context) -> dict[str, int]:
        """Return the billable calls of earlier polls of this try, which were other processes in reschedule mode."""
        from airflow_provider_audiences.waiting.outcomes import billable_calls_of

        store = context.get("task_state_store") if self.reschedule else None
        kept = store.get(BILLABLE_CALLS) if store else None
        is_ours = isinstance(kept, Mapping) and kept.get("try_number") == context["ti"].try_number
        return billable_calls_of(kept) if is_ours else {}

    def _keep_calls(self, context: Context, calls: Mapping[str, int]) -> None:
        store = context.get("task_state_store") if self.reschedule else None
        if store and calls:
            store.set(BILLABLE_CALLS, {"try_number": context["ti"].try_number, BILLABLE_CALLS: dict(calls)})

    @property
    def _billable_calls(self) -> dict[str, int]:
        return dict(self._poll.billable_calls) if self._poll else {}

    @property
    def _price_per_call(self) -> float | None:
        return self._poll.price_per_call if self._poll else None

    def _report_calls(self, context: Context, earlier: Mapping[str, int]) -> dict[str, int]:
        """Log, push and return how many requests of this wait may be billed, if the platform bills any."""
        calls = total_calls(earlier, self._billable_calls)
        report_billable_calls(self, context, calls, self._price_per_call)
        return calls

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Continue after the trigger has fired or failed.

        :param next_method: name of the method to call; Airflow sets it.
        :param next_kwargs: arguments of that method; Airflow sets them.
        :param context: context of the task.
        """
        return self._softly(super().resume_execution, next_method, next_kwargs, context)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """
        Continue after the trigger has fired.

        :param context: context of the task.
        :param event: payload of the trigger's event.
        :return: what the last poll found.
        """
        from airflow_provider_audiences.waiting.outcomes import WaitOutcome, billable_calls_of

        outcome = WaitOutcome.of_event(event)
        before = event.get("passed_on") if isinstance(event, Mapping) else None
        price = before.get(_PRICE) if isinstance(before, Mapping) else None
        calls = total_calls(billable_calls_of(before), outcome.billable_calls)
        report_billable_calls(self, context, calls, price if isinstance(price, int | float) else None)
        with task_errors():
            return self._softly(self._result_of, outcome)

    def _softly(self, step: Callable[..., T], *arguments: Any) -> T:
        """
        Run a step with one rule for ``soft_fail`` and ``never_fail``, in all modes and Airflow versions.

        Permanent errors and timeouts are skipped with either flag; errors that a retry may mend, with ``never_fail``
        only.
        """
        try:
            return step(*arguments)
        except AirflowSkipException:
            raise
        except Exception as error:
            final: Exception = error
            if _is_deferral_timeout(error):
                final = AirflowSensorTimeout(f"not ready within {self.timeout:g} s, and no word from the trigger")
            fails_for_good = isinstance(final, PermanentError | AirflowFailException | AirflowSensorTimeout)
            if self.never_fail or (self.soft_fail and fails_for_good):
                raise AirflowSkipException(f"Skipped, not failed: {final}") from error
            if final is error:
                raise
            raise final from error


def _is_deferral_timeout(error: Exception) -> bool:
    """Return whether the scheduler ended the deferral by its timeout. Airflow 2 says so only in the error's text."""
    return type(error).__name__ == "TaskDeferralError" and "timeout" in str(error)
