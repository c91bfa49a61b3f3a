"""What both sensors share: a poll in the worker, and waiting in one of three modes."""

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
    conf,
)

from airflow_provider_audiences.common.billable_calls import BILLABLE_CALLS, tell_billable_calls, total_calls
from airflow_provider_audiences.common.errors import task_errors
from airflow_provider_audiences.common.given import RefusesLostArguments
from airflow_provider_audiences.common.text_templates import RendersTextAsText
from airflow_provider_audiences.exceptions import PermanentError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.triggers.polling import PollingTrigger
    from airflow_provider_audiences.waiting.outcomes import Outcome
    from airflow_provider_audiences.waiting.polls import Poll
    from airflow_provider_audiences.waiting.wait import Pause

T = TypeVar("T")

_PRICE = "price_per_call"

_AFTER_DEADLINE_SECONDS = 0.05
"""By this much the last poll in the worker is late, so that the wait is over when it fails."""

DEFAULT_DEFERRABLE = conf.getboolean("operators", "default_deferrable", fallback=False)


class PollingSensor(RefusesLostArguments, RendersTextAsText, BaseSensorOperator):
    """
    Polls until what it waits for is ready.

    In poke and reschedule mode the worker polls; with ``deferrable=True`` it polls once and leaves the rest to the
    triggerer. It is the same loop in each: in poke mode it goes on from poll to poll, the others begin it anew.

    :param deferrable: wait in the triggerer.
    :param max_poll_failures: transient failures in a row that are borne.
    """

    def __init__(self, *, deferrable: bool = DEFAULT_DEFERRABLE, max_poll_failures: int = 5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self.max_poll_failures = max_poll_failures
        self._deadline_epoch_seconds = 0.0
        self._poll: Poll | None = None
        self._polls: Generator[Pause | Outcome, None, None] | None = None

    @abstractmethod
    def trigger_of(self, **polling: Any) -> PollingTrigger:
        """
        Return the trigger that waits for what this sensor is about.

        :param polling: arguments of :class:`PollingTrigger`, all but the connection.
        :raises InvalidInputError: an argument of the sensor is wrong.
        """

    def trigger(self, *, deadline_epoch_seconds: float, first_poll_epoch_seconds: float = 0.0) -> PollingTrigger:
        """
        Return the trigger that waits.

        :param deadline_epoch_seconds: when it is to give up.
        :param first_poll_epoch_seconds: no poll before that; 0 for at once.
        """
        return self.trigger_of(
            poll_interval_seconds=self.poke_interval,
            deadline_epoch_seconds=deadline_epoch_seconds,
            max_poll_failures=self.max_poll_failures,
            max_poll_interval_seconds=self.max_poll_interval_seconds,
            first_poll_epoch_seconds=first_poll_epoch_seconds,
        )

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once, and return whether it is ready; a later poke of the same process goes on from here."""
        from airflow_provider_audiences.waiting.outcomes import Outcome

        with self.running():
            if self._polls is None:
                deadline = self._deadline_epoch_seconds or time.time() + self.timeout
                trigger = self.trigger(deadline_epoch_seconds=deadline)
                self._poll = self._poll or trigger.poll()
                self._polls = trigger.polls_here(self._poll)
            polls, self._polls = self._polls, None
            step = next(polls)
            if not isinstance(step, Outcome):
                self._polls = polls
                return PokeReturnValue(is_done=False)
            polls.close()
            # With silent_fail, Airflow pokes again after a failure: that begins anew.
            return PokeReturnValue(is_done=True, xcom_value=self._result_of(step))

    def _result_of(self, outcome: Outcome) -> Any:
        seen = outcome.result(timeout_error=AirflowSensorTimeout)
        self.log.info("%s", outcome.reason)
        return seen

    @property
    def max_poll_interval_seconds(self) -> float | None:
        """What the pause between two polls grows to; None if it does not grow."""
        if not self.exponential_backoff:
            return None
        return self.max_wait.total_seconds() if self.max_wait else float(self.timeout)

    def execute(self, context: Context) -> Any:
        """Wait until ready, and return what was seen."""
        self._poll, self._polls = None, None
        self._deadline_epoch_seconds = self._began_epoch_seconds(context) + self.timeout
        earlier = self._kept_calls(context)
        try:
            return self._execute_deferrable(context) if self.deferrable else self._execute_here(context)
        finally:
            if self._polls is not None:
                self._polls.close()
            self._keep_calls(context, self._tell_calls(context, earlier))

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
        """Return when the wait began: in reschedule mode of Airflow 3, that may be another process's poll."""
        ask = getattr(context["ti"], "get_first_reschedule_date", None) if self.reschedule else None
        first = ask(context) if ask and not self.deferrable else None
        return first.timestamp() if first else time.time()

    def _get_next_poke_interval(self, started_at: Any, run_duration: Callable[[], float], poke_count: int) -> float:
        """Return the seconds to the next poll: the last one is at the deadline, not after it."""
        seconds: float = super()._get_next_poke_interval(started_at, run_duration, poke_count)
        return min(seconds, max(0.0, self.timeout - run_duration()) + _AFTER_DEADLINE_SECONDS)

    def _kept_calls(self, context: Context) -> dict[str, int]:
        """Return what earlier polls of this try may be billed: in reschedule mode each is a process of its own."""
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

    def _tell_calls(self, context: Context, earlier: Mapping[str, int]) -> dict[str, int]:
        """Tell and return how many requests of this wait may be billed, if the platform bills any."""
        calls = total_calls(earlier, self._billable_calls)
        tell_billable_calls(self, context, calls, self._price_per_call)
        return calls

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Go on after the trigger, or after its failure.

        :param next_method: set by Airflow.
        :param next_kwargs: set by Airflow.
        :param context: of the task.
        """
        return self._softly(super().resume_execution, next_method, next_kwargs, context)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """
        Go on after the trigger.

        :param context: of the task.
        :param event: what the trigger yielded.
        :return: what was seen.
        """
        from airflow_provider_audiences.waiting.outcomes import Outcome, billable_calls_of

        outcome = Outcome.of_event(event)
        before = event.get("passed_on") if isinstance(event, Mapping) else None
        price = before.get(_PRICE) if isinstance(before, Mapping) else None
        calls = total_calls(billable_calls_of(before), outcome.billable_calls)
        tell_billable_calls(self, context, calls, price if isinstance(price, int | float) else None)
        with task_errors():
            return self._softly(self._result_of, outcome)

    def _softly(self, step: Callable[..., T], *arguments: Any) -> T:
        """
        Run a step with one set of rules for soft_fail and never_fail, whatever the mode and the Airflow version.

        What fails for good is skipped with either; what may succeed in the next try, with never_fail only.
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
    """Tell whether the scheduler ended the wait, which Airflow 2 says in words only."""
    return type(error).__name__ == "TaskDeferralError" and "timeout" in str(error)
