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

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.common.errors import task_errors
from airflow_provider_audiences.exceptions import (
    AudienceApiError,
    GroupRejectedError,
    PermanentError,
    TransientError,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.triggers.polling import PollingTrigger, Sighting

T = TypeVar("T")

DEFAULT_DEFERRABLE = conf.getboolean("operators", "default_deferrable", fallback=False)


class PollingSensor(BaseSensorOperator):
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

    @abstractmethod
    def look(self) -> Sighting:
        """Look once."""

    @abstractmethod
    def trigger(self, *, deadline_epoch_seconds: float, first_look_epoch_seconds: float = 0.0) -> PollingTrigger:
        """
        Return the trigger that goes on looking.

        :param deadline_epoch_seconds: when it is to give up.
        :param first_look_epoch_seconds: no look before that.
        """

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once; true when ready."""
        with task_errors():
            try:
                sighting = self.look()
            except TransientError as error:
                self._failed_polls += 1
                if self._failed_polls > self.max_poll_failures:
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
        if not self.deferrable:
            return self._execute_here(context)
        deadline_epoch_seconds = time.time() + self.timeout
        result = self._softly(self.poke, context)
        if result.is_done:
            return result.xcom_value
        self.defer(
            trigger=self.trigger(
                deadline_epoch_seconds=deadline_epoch_seconds,
                first_look_epoch_seconds=time.time() + self.poke_interval,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )
        return None

    def _execute_here(self, context: Context) -> Any:
        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            if self.never_fail:  # which the base class applies to all but its own timeout
                raise AirflowSkipException(f"Skipped, not failed: {error}") from error
            raise

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
        from airflow_provider_audiences.triggers.polling import EVENT_VERSION

        if not isinstance(event, Mapping) or event.get("version") != EVENT_VERSION:
            raise TransientError(
                "the trigger ended without an event that this version understands",
                advice="The next try looks again; triggerer and worker should run the same version.",
            )
        state, reason = event.get("state"), str(event.get("reason"))
        if state == "ready":
            self.log.info("%s", reason)
            return event.get("seen")
        if state == "timeout":
            raise AirflowSensorTimeout(reason)
        default = GroupRejectedError if state == "failed" else TransientError
        with task_errors():
            raise _error_type(event.get("error_type"), default)(reason)


def _error_type(name: object, default: type[AudienceApiError]) -> type[AudienceApiError]:
    """Return the error of that name; the event may come from another version."""
    found = getattr(exceptions, name, None) if isinstance(name, str) else None
    return found if isinstance(found, type) and issubclass(found, AudienceApiError) else default


def _is_deferral_timeout(error: Exception) -> bool:
    """Tell whether the scheduler ended the wait, which Airflow 2 says in words only."""
    return type(error).__name__ == "TaskDeferralError" and "timeout" in str(error)
