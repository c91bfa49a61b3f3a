"""The course of a wait: when to look, what each look means for it, and when it is over. It waits for nothing itself."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.common.errors import task_errors
from airflow_provider_audiences.exceptions import (
    AudienceApiError,
    AuthenticationError,
    GroupRejectedError,
    RateLimitedError,
    TransientError,
)

if TYPE_CHECKING:
    from airflow_provider_audiences.waiting.looks import Bill, Sighting

EVENT_VERSION = 1
"""Of what a trigger yields; triggerer and worker may run different versions."""

JITTER = 0.2
"""By how much of itself a wait is longer at most, by chance."""

MIN_INTERVAL_SECONDS = 0.05
"""No wait between two looks is shorter, whatever was asked for: the loop belongs to all triggers."""

LAST_POLL_SECONDS = 3.0
"""For a look that begins at the deadline, or just before."""

_LATE_SECONDS = 10.0
"""A first look that is due this long belongs to a trigger that began late; beyond, to one that began anew."""


class Logger(Protocol):
    """The part of Airflow's loggers that is used here."""

    def info(self, msg: str, /, *arguments: object) -> object:
        """Log what is going on."""

    def warning(self, msg: str, /, *arguments: object) -> object:
        """Log what somebody should look at."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """
    When to look. It follows from these values alone, so that a trigger that begins anew goes on where it was.

    :param poll_interval_seconds: wait between the first two looks, at least :data:`MIN_INTERVAL_SECONDS`; it doubles
        from look to look.
    :param max_poll_interval_seconds: the wait grows to this; None to keep it as it is.
    :param first_look_epoch_seconds: when to look first; 0 for at once.
    :param jitter_seed: of the chance by which the waits are longer, all by the same part, so that many who began
        together don't look together; None for none.
    """

    poll_interval_seconds: float
    max_poll_interval_seconds: float | None
    first_look_epoch_seconds: float
    jitter_seed: str | None

    def waits(self, now_epoch_seconds: float) -> Iterator[float]:
        """
        Yield the seconds before each look, without an end.

        :param now_epoch_seconds: when the first wait begins.
        """
        # Chance for spreading load, not for secrets.
        stretch = 1.0 if self.jitter_seed is None else 1 + random.Random(self.jitter_seed).uniform(0, JITTER)  # noqa: S311
        plain = max(MIN_INTERVAL_SECONDS, self.poll_interval_seconds)
        interval, most = stretch * plain, stretch * max(plain, self.max_poll_interval_seconds or 0)
        due = self.first_look_epoch_seconds
        if due > 0:
            due += interval - plain
            if due + _LATE_SECONDS < now_epoch_seconds:
                # A few doublings, and then all the looks at the same distance at once: there may be millions.
                while due < now_epoch_seconds and interval < most:
                    due, interval = due + interval, min(2 * interval, most)
                due += max(0, math.ceil((now_epoch_seconds - due) / interval)) * interval
        yield max(0.0, due - now_epoch_seconds)
        while True:
            yield interval
            interval = min(2 * interval, most)


class Course:
    """
    A wait from its first look to its end.

    :param schedule: when to look.
    :param deadline_epoch_seconds: when to give up, in seconds since 1970 (UTC).
    :param max_poll_failures: transient failures in a row that are borne.
    :param log: told what changes.
    :param clock: seconds since 1970 (UTC).
    """

    def __init__(
        self,
        *,
        schedule: Schedule,
        deadline_epoch_seconds: float,
        max_poll_failures: int,
        log: Logger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._waits = schedule.waits(clock())
        self._deadline_epoch_seconds = deadline_epoch_seconds
        self._max_poll_failures = max_poll_failures
        self._log = log
        self._clock = clock
        self._failures = 0
        self._is_renewed = False
        self._warned = False
        self._told = ""

    def wait_seconds(self) -> float:
        """Return how long to wait before the next look: never beyond the deadline."""
        return max(0.0, min(next(self._waits), self._deadline_epoch_seconds - self._clock()))

    def poll_seconds(self) -> float:
        """Return how long the look that begins now may take."""
        return poll_seconds(self._deadline_epoch_seconds - self._clock())

    def cut_off(self) -> dict[str, Any]:
        """Return what the wait came to when its deadline came in the middle of a look."""
        last = f"; before that: {self._told}" if self._told else ""
        return _payload("timeout", f"still not ready at the deadline: the last look was not answered in time{last}")

    def saw(self, sighting: Sighting) -> dict[str, Any] | None:
        """
        Return what the wait came to, or None to go on.

        :param sighting: of the last look.
        """
        self._failures = 0
        self._is_renewed = False
        if sighting.state != "waiting":
            return _payload(sighting.state, sighting.reason, seen=sighting.seen)
        if sighting.unknown_status and not self._warned:
            self._log.warning("Unknown status: %s", sighting.reason)
            self._warned = True
        elif sighting.reason != self._told:
            self._log.info("%s", sighting.reason)
        self._told = sighting.reason
        return self._late(sighting.reason)

    def failed(self, error: TransientError) -> dict[str, Any] | None:
        """
        Return what the wait came to, or None to go on.

        :param error: in which the last look ended; raised if it is one too many in a row. Not at the deadline: that
            may be what has ended it.
        """
        self._failures += was_sent(error)
        late = self._late(_without_advice(error))
        if late is None and self._failures > self._max_poll_failures:
            raise error
        self._log.warning("Look %d in a row failed: %s", self._failures, error)
        return late

    def refused(self, error: AuthenticationError, *, is_renewed: bool) -> dict[str, Any] | None:
        """
        Return what the wait came to, or None to go on with the connection as it is now.

        :param error: in which the last look ended; raised if the connection is what it was, or was renewed before
            without a good look since: then it is no token that ran out.
        :param is_renewed: the connection has changed since it was fetched.
        """
        if self._is_renewed or not is_renewed:
            raise error
        self._is_renewed = True
        self._log.warning("Refused; the connection was renewed since, and is taken as it is now: %s", error)
        return self._late(_without_advice(error))

    def _late(self, reason: str) -> dict[str, Any] | None:
        if self._clock() < self._deadline_epoch_seconds:
            return None
        return _payload("timeout", f"still not ready at the deadline: {reason}")


def was_sent(error: TransientError) -> bool:
    """
    Return whether a look has failed by itself, and not because too many requests of others had.

    :param error: in which it ended.
    """
    return not (isinstance(error, RateLimitedError) and error.attempts == 0)


def poll_seconds(seconds_left: float) -> float:
    """
    Return how long a look may take: until the deadline, if that is not too short to see anything.

    :param seconds_left: until the wait's deadline.
    """
    return max(LAST_POLL_SECONDS, seconds_left)


def _payload(
    state: str, reason: str, *, seen: Any = None, error: BaseException | None = None, bill: Bill | None = None
) -> dict[str, Any]:
    return {
        "version": EVENT_VERSION,
        "state": state,
        "reason": reason,
        "advice": error.advice if isinstance(error, AudienceApiError) else None,
        "seen": seen,
        "error_type": type(error).__name__ if isinstance(error, AudienceApiError) else None,
        "billable_calls": {} if bill is None else dict(bill.calls),
    }


def ended(payload: Mapping[str, Any], bill: Bill) -> dict[str, Any]:
    """
    Return what a wait came to, with what it may be billed.

    :param payload: what it came to.
    :param bill: of its requests.
    """
    return {**payload, "billable_calls": dict(bill.calls)}


def ended_by(error: Exception, bill: Bill) -> dict[str, Any]:
    """
    Return the payload of a wait that ended in an error.

    :param error: permanent, transient once too often, or no connection of that name.
    :param bill: of its requests.
    """
    state = "failed" if isinstance(error, exceptions.PermanentError) else "error"
    return _payload(state, _without_advice(error), error=error, bill=bill)


def outcome_of(payload: object, *, timeout_error: type[Exception] = AirflowSensorTimeout) -> Any:
    """
    Return what a wait has seen, or raise what it ended in; the types are those that a task fails for good with.

    :param payload: of the trigger's event, or what ``wait_here`` returns; it may be missing, or another version's.
    :param timeout_error: raised when the deadline came first.
    :raises AirflowSensorTimeout: the deadline came first.
    :raises GroupRejectedError: what was waited for never becomes ready.
    :raises TransientError: looks failed, or the payload is not understood.
    """
    if not isinstance(payload, Mapping) or payload.get("version") != EVENT_VERSION:
        raise TransientError(
            "the trigger ended without an event that this version understands",
            advice="The next try looks again; triggerer and worker should run the same version.",
        )
    state, reason = payload.get("state"), str(payload.get("reason"))
    if state == "ready":
        return payload.get("seen")
    if state == "timeout":
        with task_errors():
            raise timeout_error(reason)
    default = GroupRejectedError if state == "failed" else TransientError
    advice = payload.get("advice")
    with task_errors():
        raise _error_type(payload.get("error_type"), default)(
            reason, advice=advice if isinstance(advice, str) else None
        )


def billable_calls_of(payload: object) -> dict[str, int]:
    """
    Return the requests of a wait that the platform may bill, by call.

    :param payload: as for :func:`outcome_of`.
    """
    calls = payload.get("billable_calls") if isinstance(payload, Mapping) else None
    if not isinstance(calls, Mapping):
        return {}
    return {str(name): count for name, count in calls.items() if isinstance(count, int)}


def _without_advice(error: Exception) -> str:
    """Return what an error says; the advice is added where it is raised again."""
    advice = error.advice if isinstance(error, AudienceApiError) else None
    return str(error).removesuffix(f" {advice.rstrip('.')}.") if advice else str(error)


def _error_type(name: object, default: type[AudienceApiError]) -> type[AudienceApiError]:
    """Return the error of that name; the event may come from another version."""
    found = getattr(exceptions, name, None) if isinstance(name, str) else None
    return found if isinstance(found, type) and issubclass(found, AudienceApiError) else default
