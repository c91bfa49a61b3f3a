"""The loop of a wait, as a generator of steps that the caller carries out. It never sleeps or sends a request."""

from __future__ import annotations

import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_provider_audiences.exceptions import (
    AudienceError,
    AuthenticationError,
    RateLimitedError,
    TransientError,
)
from airflow_provider_audiences.waiting.outcomes import WaitOutcome, without_advice
from airflow_provider_audiences.waiting.polls import Poll, PollResult, PollState, Request

JITTER = 0.2
"""Most that pauses are lengthened by chance, as a share of their length."""

MIN_INTERVAL_SECONDS = 0.05
"""Shortest pause between two polls, whatever the user asked for: all triggers share one event loop."""

LAST_POLL_SECONDS = 3.0
"""Time for a poll that begins at the deadline or just before."""

_LATE_SECONDS = 10.0
"""If the first poll is overdue by up to this time, the trigger began late; by more, it was restarted."""


@dataclass(frozen=True)
class Connect:
    """Step: read the connection and open a new client; the answer is a :class:`Connected`."""


@dataclass(frozen=True, kw_only=True)
class Pause:
    """
    Step: sleep before the next poll.

    :param seconds: length of the pause.
    """

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Connected:
    """
    An open client.

    :param client: client for the polls. It sends each request only once, as the next poll is the repetition.
    :param connection_digest: digest of the connection, to notice a changed connection.
    """

    client: Any
    connection_digest: str


Step = Connect | Request | Pause | WaitOutcome
Steps = Generator[Step, Any, None]


class Logger(Protocol):
    """The part of Airflow's loggers that is used here."""

    def info(self, msg: str, /, *arguments: object) -> object:
        """Log the progress of the wait."""

    def warning(self, msg: str, /, *arguments: object) -> object:
        """Log a problem."""


@dataclass(frozen=True, kw_only=True)
class PollSchedule:
    """
    When to poll.

    All times follow from these values alone; so a restarted trigger continues the schedule.

    :param poll_interval_seconds: pause between the first two polls, at least :data:`MIN_INTERVAL_SECONDS`; pauses
        double from poll to poll.
    :param max_poll_interval_seconds: longest pause; None for pauses that don't grow.
    :param first_poll_epoch_seconds: time of the first poll, in seconds since 1970 (UTC); 0 for at once.
    :param jitter_seed: text that decides by how much all pauses are lengthened, so that waits that began together don't
        poll together; None for no lengthening.
    """

    poll_interval_seconds: float
    max_poll_interval_seconds: float | None = None
    first_poll_epoch_seconds: float = 0.0
    jitter_seed: str | None = None

    def pauses(self, now_epoch_seconds: float) -> Iterator[float]:
        """
        Yield the pause before each poll in seconds, without an end.

        :param now_epoch_seconds: present time, in seconds since 1970 (UTC).
        """
        # The random numbers spread load; they keep no secret.
        stretch = 1.0 if self.jitter_seed is None else 1 + random.Random(self.jitter_seed).uniform(0, JITTER)  # noqa: S311
        plain = max(MIN_INTERVAL_SECONDS, self.poll_interval_seconds)
        interval, most = stretch * plain, stretch * max(plain, self.max_poll_interval_seconds or 0)
        due = self.first_poll_epoch_seconds
        if due > 0:
            due += interval - plain
            if due + _LATE_SECONDS < now_epoch_seconds:
                # A few steps while pauses double; then all missed polls in one step, as there may be millions.
                while due < now_epoch_seconds and interval < most:
                    due, interval = due + interval, min(2 * interval, most)
                due += max(0, math.ceil((now_epoch_seconds - due) / interval)) * interval
        yield max(0.0, due - now_epoch_seconds)
        while True:
            yield interval
            interval = min(2 * interval, most)


class Wait:
    """
    A wait, from its first poll to its end.

    :param poll: what to poll.
    :param schedule: when to poll.
    :param deadline_epoch_seconds: when to give up, in seconds since 1970 (UTC).
    :param max_poll_failures: most transient failures in a row that don't end the wait.
    :param log: logger for changes and failures.
    :param clock: returns seconds since 1970 (UTC).
    """

    _is_endless = False

    def __init__(
        self,
        *,
        poll: Poll,
        schedule: PollSchedule,
        deadline_epoch_seconds: float,
        max_poll_failures: float,
        log: Logger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._poll = poll
        self._schedule = schedule
        self._deadline_epoch_seconds = deadline_epoch_seconds
        self._max_poll_failures = max_poll_failures
        self._log = log
        self._clock = clock
        self._pauses = schedule.pauses(clock())
        self._round_ends_at = 0.0
        self._connected: Connected | None = None
        self._is_due = False
        self._is_renewed = False
        self._failures = 0
        self._warned = False
        self._last_reason = ""

    def steps(self) -> Steps:
        """Yield the steps of the wait; the last one is its outcome."""
        while True:
            outcome = yield from self._round()
            if outcome is not None:
                yield outcome
                if not self._is_endless:
                    return
            seconds = max(0.0, min(next(self._pauses), self._deadline_epoch_seconds - self._clock()))
            if seconds:
                yield Pause(seconds=seconds)

    def seconds_left(self) -> float:
        """
        Return how long the present step may take: until the deadline, but at least :data:`LAST_POLL_SECONDS` from its
        start.
        """
        return self._round_ends_at - self._clock()

    def _round(self) -> Generator[Step, Any, WaitOutcome | None]:
        """Poll once. The first round only connects, so that a wrong connection shows before the first pause."""
        now = self._clock()
        self._round_ends_at = max(now + LAST_POLL_SECONDS, self._deadline_epoch_seconds)
        try:
            if self._connected is None:
                self._connected = yield Connect()
            if not self._is_due:
                return None
            result = yield from self._polled(self._connected)
        except AudienceError as error:
            return self._on_error(error)
        else:
            return self._on_result(result)
        finally:
            self._is_due = True

    def _polled(self, connected: Connected) -> Generator[Step, Any, PollResult]:
        try:
            result = yield from self._poll(connected.client)
        except AuthenticationError as refusal:
            # A token in a connection may expire during a wait. If the connection was changed since, the next poll uses
            # it; but only once between two successful polls, as a second refusal has another cause.
            self._connected = None
            self._connected = yield Connect()
            if self._is_renewed or self._connected.connection_digest == connected.connection_digest:
                raise
            self._is_renewed = True
            self._log.warning("Refused; the connection was renewed since, and is taken as it is now: %s", refusal)
            self._last_reason = without_advice(refusal)
            return PollResult(state=PollState.WAITING, reason=self._last_reason)
        self._is_renewed, self._failures = False, 0
        return result

    def _on_result(self, result: PollResult) -> WaitOutcome | None:
        if result.state is not PollState.WAITING:
            return self._outcome(result.state.value, result.reason, seen=result.seen)
        if result.unknown_status and not self._warned:
            self._log.warning("Unknown status: %s", result.reason)
            self._warned = True
        elif result.reason != self._last_reason:
            self._log.info("%s", result.reason)
        self._last_reason = result.reason
        return self._at_deadline(result.reason)

    def _on_error(self, error: AudienceError) -> WaitOutcome | None:
        if not isinstance(error, TransientError):
            return WaitOutcome.of_error(error, self._poll.billable_calls)
        # A request that was not sent, as the account had too many failures, is no failed poll.
        self._failures += not (isinstance(error, RateLimitedError) and error.attempts == 0)
        before = f" Before that: {self._last_reason}" if self._last_reason else ""
        # At the deadline, the timeout itself may have caused the error.
        timeout = self._at_deadline(without_advice(error) + before)
        if timeout is None and self._failures > self._max_poll_failures:
            return WaitOutcome.of_error(error, self._poll.billable_calls)
        self._log.warning("Poll %d in a row failed: %s", self._failures, error)
        return timeout

    def _at_deadline(self, reason: str) -> WaitOutcome | None:
        if self._clock() < self._deadline_epoch_seconds:
            return None
        return self._outcome("timeout", f"still not ready at the deadline: {reason}")

    def _outcome(self, state: str, reason: str, *, seen: Any = None) -> WaitOutcome:
        error = self._poll.failure_type(reason) if state == "failed" else None
        return WaitOutcome(
            state=state, reason=reason, seen=seen, error=error, billable_calls=dict(self._poll.billable_calls)
        )


class EndlessWait(Wait):
    """
    A wait that never ends: each ready result is an outcome, and failed polls are repeated, less and less often.

    :param poll: what to poll.
    :param schedule: pauses after failures; after a success, the pause is its shortest one again.
    :param log: logger for failures.
    :param about: what is polled, in words for the log.
    """

    _is_endless = True

    def __init__(self, *, poll: Poll, schedule: PollSchedule, log: Logger, about: str) -> None:
        super().__init__(
            poll=poll, schedule=schedule, deadline_epoch_seconds=math.inf, max_poll_failures=math.inf, log=log
        )
        self._about = about

    def _on_result(self, result: PollResult) -> WaitOutcome | None:
        self._pauses = self._schedule.pauses(self._clock())
        next(self._pauses)
        return super()._on_result(result)

    def _on_error(self, error: AudienceError) -> WaitOutcome | None:
        # Connect again after each failure, as the connection may have been mended.
        self._connected = None
        self._log.warning("A poll of %s failed: %s", self._about, error)
        return None


def run_steps(steps: Steps, carry_out: Callable[[Step], Any]) -> Iterator[Pause | WaitOutcome]:
    """
    Carry out a wait's steps in this thread. Yield its pauses, for the caller to sleep, and its outcome.

    :param steps: steps of the wait.
    :param carry_out: carries out any other step, and returns its answer.
    """
    step = _next(steps)
    while step is not None:
        if isinstance(step, Pause | WaitOutcome):
            yield step
            step = _next(steps)
            continue
        try:
            answer = carry_out(step)
        except Exception as error:  # noqa: BLE001 - the steps decide what it means
            step = _next(steps, error=error)
        else:
            step = _next(steps, answer)


async def carried_out_async(steps: Steps, carry_out: Callable[[Step], Awaitable[Any]]) -> AsyncIterator[WaitOutcome]:
    """
    Carry out a wait's steps in this event loop, pauses included. Yield its outcomes.

    :param steps: steps of the wait.
    :param carry_out: carries out any step but an outcome, and returns its answer.
    """
    step = _next(steps)
    while step is not None:
        if isinstance(step, WaitOutcome):
            yield step
            step = _next(steps)
            continue
        try:
            answer = await carry_out(step)
        except Exception as error:  # noqa: BLE001 - the steps decide what it means
            step = _next(steps, error=error)
        else:
            step = _next(steps, answer)


def _next(steps: Steps, answer: Any = None, *, error: Exception | None = None) -> Step | None:
    """Send the answer or error of the present step, and return the next step; None after the last."""
    try:
        return steps.send(answer) if error is None else steps.throw(error)
    except StopIteration:
        return None
