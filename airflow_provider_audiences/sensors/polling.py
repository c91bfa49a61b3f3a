"""What both sensors share: one look in the worker, and waiting in one of three modes."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
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

from airflow_provider_audiences.common.given import RefusesLostArguments
from airflow_provider_audiences.common.text_templates import RendersTextAsText
from airflow_provider_audiences.exceptions import GroupRejectedError, PermanentError, TransientError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.common.connections import ConnectionLike
    from airflow_provider_audiences.triggers.polling import PollingTrigger
    from airflow_provider_audiences.waiting.looks import Bill, Sighting, Watch

T = TypeVar("T")

BILLABLE_CALLS = "billable_calls"
"""XCom key of the requests that the platform may bill, by call."""

ESTIMATED_COST = "estimated_cost"
"""XCom key of what they may cost, if the connection has a price."""

_PRICE = "price_per_call"

_AFTER_DEADLINE_SECONDS = 0.05
"""By this much the last look in the worker is late, so that the wait is over when it fails."""

DEFAULT_DEFERRABLE = conf.getboolean("operators", "default_deferrable", fallback=False)


class PollingSensor(RefusesLostArguments, RendersTextAsText, BaseSensorOperator):
    """
    Looks until what it looks for is ready.

    In ``poke`` and ``reschedule`` mode the worker looks; with ``deferrable=True`` it looks once and leaves the
    rest to the triggerer. A transient failure of a look is borne ``max_poll_failures`` times in a row.

    :param deferrable: wait in the triggerer.
    :param max_poll_failures: transient failures in a row that are borne.
    """

    def __init__(self, *, deferrable: bool = DEFAULT_DEFERRABLE, max_poll_failures: int = 5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self.max_poll_failures = max_poll_failures
        self._failed_polls = 0
        self._warned = False
        self._watch: Watch | None = None
        self._bill: Bill | None = None
        self._price_per_call: float | None = None
        self._deadline_epoch_seconds: float | None = None

    @abstractmethod
    def trigger(self, *, deadline_epoch_seconds: float, first_look_epoch_seconds: float = 0.0) -> PollingTrigger:
        """
        Return the trigger that goes on looking.

        :param deadline_epoch_seconds: when it is to give up.
        :param first_look_epoch_seconds: no look before that.
        """

    @abstractmethod
    def fetch_connection(self) -> ConnectionLike:
        """Fetch the Airflow connection."""

    def price_of(self, client: Any) -> float | None:
        """
        Return the price of a call that the platform bills; None if it bills none, or nobody knows it.

        :param client: of the connection.
        """
        return None

    def look(self) -> Sighting:
        """Look once, as the trigger does; a later look of the same task knows what this one saw."""
        from airflow_provider_audiences.http.exchange import ending_within
        from airflow_provider_audiences.triggers.course import poll_seconds
        from airflow_provider_audiences.triggers.shared_clients import fetching
        from airflow_provider_audiences.waiting.looks import look_here

        trigger = self.trigger(deadline_epoch_seconds=0)
        if self._watch is None:
            self._watch = trigger.watch()
        if self._bill is None:
            self._bill = trigger.new_bill()
        with fetching():
            connection = self.fetch_connection()
        with ending_within(poll_seconds(self._seconds_left())), trigger.open_client(connection) as client:
            self._price_per_call = self.price_of(client)
            return look_here(self._watch(client), self._bill)

    def _seconds_left(self) -> float:
        """Return the seconds until the wait's deadline; all of them outside of a wait."""
        until = self._deadline_epoch_seconds
        return float(self.timeout) if until is None else until - time.time()

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once; true when ready."""
        from airflow_provider_audiences.triggers.course import was_sent

        with self.running():
            try:
                sighting = self.look()
            except TransientError as error:
                self._failed_polls += was_sent(error)
                # At the deadline, that may be what has ended it.
                if self._failed_polls > self.max_poll_failures and self._seconds_left() > 0:
                    raise
                self.log.warning("Look %d in a row failed: %s", self._failed_polls, error)
                return PokeReturnValue(is_done=False)
            self._failed_polls = 0
            if sighting.state == "failed":
                raise GroupRejectedError(sighting.reason)
        # When deferring, the trigger warns: it goes on from here.
        if sighting.unknown_status and not self._warned and not self.deferrable:
            self.log.warning("Unknown status: %s", sighting.reason)
            self._warned = True
        self.log.info("%s", sighting.reason)
        return PokeReturnValue(is_done=sighting.state == "ready", xcom_value=sighting.seen)

    @property
    def max_poll_interval_seconds(self) -> float | None:
        """What the wait between two looks grows to; None if it does not grow."""
        if not self.exponential_backoff:
            return None
        return self.max_wait.total_seconds() if self.max_wait else float(self.timeout)

    def execute(self, context: Context) -> Any:
        """Wait until ready, and return what was seen."""
        self._failed_polls, self._warned, self._watch, self._bill = 0, False, None, None
        self._deadline_epoch_seconds = deadline_epoch_seconds = self._began_epoch_seconds(context) + self.timeout
        if not self.deferrable:
            return self._execute_here(context)
        try:
            result = self._softly(self.poke, context)
        except BaseException:
            self._tell_bill(context)
            raise
        if result.is_done:
            self._tell_bill(context)
            return result.xcom_value
        trigger = self.trigger(
            deadline_epoch_seconds=deadline_epoch_seconds,
            first_look_epoch_seconds=time.time() + self.poke_interval,
        )
        trigger.passed_on = {BILLABLE_CALLS: self._billable_calls, _PRICE: self._price_per_call}
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=self.timeout))
        return None

    def _began_epoch_seconds(self, context: Context) -> float:
        """Return when the wait began: in reschedule mode of Airflow 3, that may be another process's look."""
        ask = getattr(context["ti"], "get_first_reschedule_date", None) if self.reschedule else None
        first = ask(context) if ask and not self.deferrable else None
        return first.timestamp() if first else time.time()

    def _get_next_poke_interval(self, started_at: Any, run_duration: Callable[[], float], poke_count: int) -> float:
        """Return the seconds to the next look: the last one is at the deadline, not after it."""
        seconds: float = super()._get_next_poke_interval(started_at, run_duration, poke_count)
        return min(seconds, max(0.0, self.timeout - run_duration()) + _AFTER_DEADLINE_SECONDS)

    def _execute_here(self, context: Context) -> Any:
        earlier = self._kept_calls(context)
        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            if self.never_fail:  # which the base class applies to all but its own timeout
                raise AirflowSkipException(f"Skipped, not failed: {error}") from error
            raise
        finally:
            self._keep_calls(context, self._tell_bill(context, earlier))

    def _kept_calls(self, context: Context) -> dict[str, int]:
        """Return what earlier looks of this try may be billed: in reschedule mode each is a process of its own."""
        from airflow_provider_audiences.triggers.course import billable_calls_of

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
        return dict(self._bill.calls) if self._bill is not None else {}

    def _tell_bill(self, context: Context, *more: Mapping[str, int]) -> dict[str, int]:
        """Log, push and return how many requests of this wait the platform may bill, if it bills any."""
        from airflow_provider_audiences.waiting.looks import estimated_cost

        calls = self._billable_calls
        for others in more:
            for name, count in others.items():
                calls[name] = calls.get(name, 0) + count
        if calls:
            told = ", ".join(f"{name} {count}" for name, count in calls.items())
            self.log.info("Calls that the platform may bill: %s.", told)
            cost = estimated_cost(calls, self._price_per_call)
            if cost is not None:
                self.log.info("Estimated cost, without free calls: %s.", f"{cost:.12g}")
            if self.do_xcom_push:
                context["ti"].xcom_push(key=BILLABLE_CALLS, value=calls)
                if cost is not None:
                    context["ti"].xcom_push(key=ESTIMATED_COST, value=cost)
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
        from airflow_provider_audiences.triggers.course import billable_calls_of

        before = event.get("passed_on") if isinstance(event, Mapping) else None
        price = before.get(_PRICE) if isinstance(before, Mapping) else None
        self._price_per_call = price if isinstance(price, int | float) else None
        self._tell_bill(context, billable_calls_of(before), billable_calls_of(event))
        return self._softly(self._complete, event)

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

    def _complete(self, event: Mapping[str, Any] | None) -> Any:
        from airflow_provider_audiences.triggers.course import outcome_of

        seen = outcome_of(event)
        self.log.info("%s", event["reason"] if event else "")
        return seen


def _is_deferral_timeout(error: Exception) -> bool:
    """Tell whether the scheduler ended the wait, which Airflow 2 says in words only."""
    return type(error).__name__ == "TaskDeferralError" and "timeout" in str(error)
