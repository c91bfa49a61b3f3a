"""The outcomes of waits, and the events that carry them from a trigger to a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.exceptions import (
    AudienceError,
    PermanentError,
    TransientError,
)

EVENT_VERSION = 1
"""Version of the events' format: triggerer and worker may run different versions of this package."""


@dataclass(frozen=True, kw_only=True)
class WaitOutcome:
    """
    How a wait has ended.

    :param state: ``ready``, ``failed`` (for good), ``timeout``, or ``error`` (a later try may succeed).
    :param reason: the reason in words, without advice.
    :param seen: JSON of what the last poll showed; None if it showed nothing.
    :param error: error that ended the wait; None if no error did.
    :param billable_calls: number of the wait's requests that the platform may bill, by call.
    """

    state: str
    reason: str
    seen: Any = None
    error: AudienceError | None = None
    billable_calls: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_error(cls, error: AudienceError, billable_calls: Mapping[str, int] | None = None) -> WaitOutcome:
        """
        Return the outcome of a wait that an error has ended.

        :param error: a permanent error, or a transient one after too many failures.
        :param billable_calls: number of the wait's requests that the platform may bill, by call.
        """
        state = "failed" if isinstance(error, PermanentError) else "error"
        return cls(state=state, reason=without_advice(error), error=error, billable_calls=dict(billable_calls or {}))

    @classmethod
    def of_event(cls, event: object) -> WaitOutcome:
        """
        Return the outcome that a trigger's event carries.

        :param event: payload of the event. If it is missing, or of another version, the outcome is a transient error.
        """
        calls = billable_calls_of(event)
        if not isinstance(event, Mapping) or event.get("version") != EVENT_VERSION:
            return cls.of_error(event_not_understood(), calls)
        state, reason = str(event.get("state")), str(event.get("reason"))
        if state in {"ready", "timeout"}:
            return cls(state=state, reason=reason, seen=event.get("seen"), billable_calls=calls)
        advice = event.get("advice")
        error_type = _error_type(event.get("error_type"), PermanentError if state == "failed" else TransientError)
        asked = event.get("retry_after_seconds")
        error = error_type(
            reason,
            advice=advice if isinstance(advice, str) else None,
            retry_after_seconds=asked if isinstance(asked, int | float) else None,
        )
        return cls(state=state, reason=reason, seen=event.get("seen"), error=error, billable_calls=calls)

    def as_event(self) -> dict[str, Any]:
        """Return the payload of an event that carries this outcome, as JSON."""
        return {
            "version": EVENT_VERSION,
            "state": self.state,
            "reason": self.reason,
            "advice": self.error.advice if self.error else None,
            "seen": self.seen,
            "error_type": type(self.error).__name__ if self.error else None,
            "retry_after_seconds": self.error.retry_after_seconds if self.error else None,
            "billable_calls": dict(self.billable_calls),
        }

    def result(self, *, timeout_error: type[Exception]) -> Any:
        """
        Return what the last poll showed if the outcome is ``ready``; otherwise raise an error.

        :param timeout_error: type of the error to raise if the deadline was reached.
        :raises PermanentError: what was waited for can never become ready; the poll says which error that is.
        :raises TransientError: too many polls failed, or the event was not understood.
        """
        if self.state == "ready":
            return self.seen
        if self.state == "timeout":
            raise timeout_error(self.reason)
        raise self.error or PermanentError(self.reason)


def event_not_understood() -> TransientError:
    """Return the error for a task that is resumed without an event of this version."""
    return TransientError(
        "the trigger ended without an event that this version understands",
        advice="The next try goes on from here; triggerer and worker should run the same version.",
    )


def billable_calls_of(told: object) -> dict[str, int]:
    """
    Return the ``billable_calls`` in data of another process; empty if they can't be understood.

    :param told: payload of an event, or another mapping.
    """
    calls = told.get("billable_calls") if isinstance(told, Mapping) else None
    if not isinstance(calls, Mapping):
        return {}
    return {str(name): count for name, count in calls.items() if isinstance(count, int)}


def without_advice(error: AudienceError) -> str:
    """
    Return an error's text without its advice, which is added where the error is raised again.

    :param error: the error whose text is wanted.
    """
    return str(error).removesuffix(f" {error.advice.rstrip('.')}.") if error.advice else str(error)


def _error_type(name: object, default: type[AudienceError]) -> type[AudienceError]:
    """Return the error type of that name; the default if it is unknown, as the event may be of another version."""
    found = getattr(exceptions, name, None) if isinstance(name, str) else None
    return found if isinstance(found, type) and issubclass(found, AudienceError) else default
