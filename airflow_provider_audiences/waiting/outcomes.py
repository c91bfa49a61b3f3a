"""How a wait ends, in the process that waits and in the event that carries it to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.exceptions import (
    AudienceApiError,
    GroupRejectedError,
    PermanentError,
    TransientError,
)

EVENT_VERSION = 1
"""Of what a trigger yields; triggerer and worker may run different versions."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """
    The end of a wait.

    :param state: ``ready``, ``failed`` (for good), ``timeout``, or ``error`` (the next try may succeed).
    :param reason: the same in words, without advice.
    :param seen: small JSON of what was seen last.
    :param error: that ended it; None if no error did.
    :param billable_calls: its requests that the platform may bill, by call.
    """

    state: str
    reason: str
    seen: Any = None
    error: AudienceApiError | None = None
    billable_calls: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_error(cls, error: AudienceApiError, billable_calls: Mapping[str, int] | None = None) -> Outcome:
        """
        Return the end of a wait that ended in an error.

        :param error: permanent, or transient once too often.
        :param billable_calls: of the wait, by call.
        """
        state = "failed" if isinstance(error, PermanentError) else "error"
        return cls(state=state, reason=without_advice(error), error=error, billable_calls=dict(billable_calls or {}))

    @classmethod
    def of_event(cls, event: object) -> Outcome:
        """
        Return the outcome that a trigger's event tells of.

        :param event: its payload; it may be missing, or another version's: then a transient error is the outcome.
        """
        calls = billable_calls_of(event)
        if not isinstance(event, Mapping) or event.get("version") != EVENT_VERSION:
            return cls.of_error(event_not_understood(), calls)
        state, reason = str(event.get("state")), str(event.get("reason"))
        if state in {"ready", "timeout"}:
            return cls(state=state, reason=reason, seen=event.get("seen"), billable_calls=calls)
        advice = event.get("advice")
        error_type = _error_type(event.get("error_type"), GroupRejectedError if state == "failed" else TransientError)
        error = error_type(reason, advice=advice if isinstance(advice, str) else None)
        return cls(state=state, reason=reason, seen=event.get("seen"), error=error, billable_calls=calls)

    def as_event(self) -> dict[str, Any]:
        """Return the payload of an event that tells of it, as JSON."""
        return {
            "version": EVENT_VERSION,
            "state": self.state,
            "reason": self.reason,
            "advice": self.error.advice if self.error else None,
            "seen": self.seen,
            "error_type": type(self.error).__name__ if self.error else None,
            "billable_calls": dict(self.billable_calls),
        }

    def result(self, *, timeout_error: type[Exception]) -> Any:
        """
        Return what was seen when it was ready, or raise what it ended in.

        :param timeout_error: raised when the deadline came first.
        :raises GroupRejectedError: what was waited for never becomes ready.
        :raises TransientError: polls failed, or the event was not understood.
        """
        if self.state == "ready":
            return self.seen
        if self.state == "timeout":
            raise timeout_error(self.reason)
        raise self.error or GroupRejectedError(self.reason)


def event_not_understood() -> TransientError:
    """Return the error for a task that is resumed without an event of this version."""
    return TransientError(
        "the trigger ended without an event that this version understands",
        advice="The next try goes on from here; triggerer and worker should run the same version.",
    )


def billable_calls_of(told: object) -> dict[str, int]:
    """
    Return the ``billable_calls`` of what another process has told, as far as they can be understood.

    :param told: an event's payload, or another mapping.
    """
    calls = told.get("billable_calls") if isinstance(told, Mapping) else None
    if not isinstance(calls, Mapping):
        return {}
    return {str(name): count for name, count in calls.items() if isinstance(count, int)}


def without_advice(error: AudienceApiError) -> str:
    """
    Return what an error says; its advice is added where it is raised again.

    :param error: the error.
    """
    return str(error).removesuffix(f" {error.advice.rstrip('.')}.") if error.advice else str(error)


def _error_type(name: object, default: type[AudienceApiError]) -> type[AudienceApiError]:
    """Return the error of that name; the event may come from another version."""
    found = getattr(exceptions, name, None) if isinstance(name, str) else None
    return found if isinstance(found, type) and issubclass(found, AudienceApiError) else default
