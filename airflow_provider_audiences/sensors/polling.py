"""What both sensors share: one look in the worker, and waiting in one of three modes."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
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

_EVENT_VERSION = 1
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
    def trigger(self, *, deadline_epoch_seconds: float) -> PollingTrigger:
        """
        Return the trigger that goes on looking.

        :param deadline_epoch_seconds: when it is to give up.
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
        if sighting.unknown_status and not self._warned:
            self.log.warning("Unknown status: %s", sighting.reason)
            self._warned = True
        self.log.info("%s", sighting.reason)
        return PokeReturnValue(is_done=sighting.state == "ready", xcom_value=sighting.seen)

    def execute(self, context: Context) -> Any:
        """Wait until ready, and return what was seen."""
        if not self.deferrable:
            return super().execute(context)
        deadline_epoch_seconds = time.time() + self.timeout
        result = self._softly(self.poke, context)
        if result.is_done:
            return result.xcom_value
        self.defer(
            trigger=self.trigger(deadline_epoch_seconds=deadline_epoch_seconds),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )
        return None

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """
        Go on after the trigger.

        :param context: of the task.
        :param event: what the trigger yielded.
        :return: what was seen.
        """
        return self._softly(self._complete, event)

    def _softly(self, step: Any, argument: Any) -> Any:
        """Run a step that the base class does not guard, with its rules for soft_fail and never_fail."""
        try:
            return step(argument)
        except (PermanentError, AirflowSensorTimeout) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"Skipped, not failed: {error}") from error
            raise
        except AudienceApiError as error:
            if self.never_fail:
                raise AirflowSkipException(f"Skipped, not failed: {error}") from error
            raise

    def _complete(self, event: Mapping[str, Any] | None) -> Any:
        if not isinstance(event, Mapping) or event.get("version") != _EVENT_VERSION:
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
        error_type = getattr(exceptions, str(event.get("error_type")), None)
        with task_errors():
            if state == "failed":
                raise (error_type or GroupRejectedError)(reason)
            raise (error_type or TransientError)(reason)
