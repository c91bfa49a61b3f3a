"""The loop of a wait, by a clock that the tests set: when it polls, when it is over, and with what outcome."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Generator
from typing import Any

import pytest

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.waiting.outcomes import WaitOutcome
from airflow_provider_audiences.waiting.polls import Poll, PollResult, PollState, Request
from airflow_provider_audiences.waiting.wait import (
    JITTER,
    LAST_POLL_SECONDS,
    MIN_INTERVAL_SECONDS,
    Connect,
    Connected,
    EndlessWait,
    Pause,
    PollSchedule,
    Step,
    Wait,
    carried_out_async,
    run_steps,
)

START = 1_000_000.0


def schedule(**changes: Any) -> PollSchedule:
    defaults = {
        "poll_interval_seconds": 60.0,
        "max_poll_interval_seconds": 600.0,
        "first_poll_epoch_seconds": START,
        "jitter_seed": None,
    }
    return PollSchedule(**(defaults | changes))


def polls(plan: PollSchedule, now: float, count: int) -> list[float]:
    """The moments of the first polls of a trigger that begins now, in seconds after the start."""
    pauses = itertools.islice(plan.pauses(now), count)
    return [moment - START for moment in itertools.accumulate(pauses, initial=now)][1:]


def test_pauses_double_up_to_the_most() -> None:
    assert polls(schedule(), START - 60, 7) == [0, 60, 180, 420, 900, 1500, 2100]
    assert polls(schedule(max_poll_interval_seconds=None), START, 4) == [0, 60, 120, 180]
    assert polls(schedule(max_poll_interval_seconds=30), START, 4) == [0, 60, 120, 180]


def test_without_a_first_poll_it_polls_at_once() -> None:
    assert polls(schedule(first_poll_epoch_seconds=0), START, 4) == [0, 60, 180, 420]


@pytest.mark.parametrize("seed", [None, "a"])
@pytest.mark.parametrize("away_until", [65, 100, 200, 3000, 86_400])
def test_a_trigger_that_begins_anew_goes_on_where_it_was(seed: str | None, away_until: float) -> None:
    plan = schedule(jitter_seed=seed)
    planned = [moment for moment in polls(plan, START - 60, 300) if moment >= away_until]
    assert polls(plan, START + away_until, 5) == pytest.approx(planned[:5])


def test_a_first_poll_that_is_a_little_late_is_made_at_once() -> None:
    assert polls(schedule(), START + 5, 3) == [5, 65, 185]


@pytest.mark.parametrize("interval", [0, -1, 1e-9])
def test_no_pause_is_shorter_than_the_least(interval: float) -> None:
    plan = schedule(poll_interval_seconds=interval, max_poll_interval_seconds=None)
    assert polls(plan, START, 3) == pytest.approx([0, MIN_INTERVAL_SECONDS, 2 * MIN_INTERVAL_SECONDS])


@pytest.mark.parametrize("most", [None, 0, 600.0])
def test_polls_that_were_missed_for_years_are_not_counted_one_by_one(most: float | None) -> None:
    """At the least interval there would be billions of them: this test would not end."""
    plan = schedule(poll_interval_seconds=0, max_poll_interval_seconds=most, jitter_seed="a")
    away = 20 * 365 * 86_400
    first, second = itertools.islice(plan.pauses(START + away), 2)
    longest = max(MIN_INTERVAL_SECONDS, most or 0) * (1 + JITTER)
    assert 0 <= first <= longest
    assert second == pytest.approx(longest, rel=JITTER)


def test_chance_makes_pauses_longer_by_a_fifth_at_most() -> None:
    plans = [schedule(jitter_seed=str(number)) for number in range(200)]
    firsts: list[float] = []
    steps: list[float] = []
    for plan in plans:
        first, *pauses = itertools.islice(plan.pauses(START), 6)
        firsts.append(first)
        steps += [pause / plain for pause, plain in zip(pauses, [60, 120, 240, 480, 600], strict=True)]
    assert min(firsts) >= 0
    assert max(firsts) <= 60 * JITTER
    assert len(set(firsts)) == 200
    assert min(steps) >= 1
    assert max(steps) <= 1 + JITTER
    # Spread, not just moved: each quarter of what is possible is used.
    assert {int(first / (60 * JITTER) * 4) for first in firsts} == {0, 1, 2, 3}


def test_the_same_seed_gives_the_same_pauses() -> None:
    assert polls(schedule(jitter_seed="a"), START, 9) == polls(schedule(jitter_seed="a"), START, 9)
    assert polls(schedule(jitter_seed="a"), START, 9) != polls(schedule(jitter_seed="b"), START, 9)


# --- the loop ---

WAITING = PollResult(state=PollState.WAITING, reason="not yet")
READY = PollResult(state=PollState.READY, reason="at last", seen={"id": "g"})
BUSY = exceptions.ServerError("busy")
REFUSED = exceptions.AuthenticationError("refused")


class ScriptedPoll(Poll):
    """Polls without requests: returns the next of a script, or raises it; the last one again and again."""

    def __init__(self, *script: PollResult | Exception) -> None:
        self.script = list(script)
        self.polled = 0

    @property
    def billable_calls(self) -> dict[str, int]:
        return {"get": self.polled}

    def __call__(self, client: Any) -> Generator[Request, Any, PollResult]:
        self.polled += 1
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        yield Request(send=lambda: client)
        if isinstance(step, Exception):
            raise step
        return step


class World:
    """Carries out steps: each connection is the next of ``digests``, and pauses move the clock."""

    def __init__(self, *, digests: str = "aaaaaaaaa") -> None:
        self.now = START
        self.digests = iter(digests)
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def carry_out(self, step: Step) -> Any:
        if isinstance(step, Connect):
            return Connected(client="client", connection_digest=next(self.digests))
        assert isinstance(step, Request)
        return step.send()

    def run(self, wait: Wait) -> WaitOutcome:
        for step in run_steps(wait.steps(), self.carry_out):
            if isinstance(step, WaitOutcome):
                return step
            self.slept.append(step.seconds)
            self.now += step.seconds
        raise AssertionError("no outcome")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def wait(world: World) -> Callable[..., Wait]:
    def make(*script: PollResult | Exception, **changes: Any) -> Wait:
        defaults: dict[str, Any] = {
            "poll": ScriptedPoll(*script),
            "schedule": schedule(),
            "deadline_epoch_seconds": START + 100,
            "max_poll_failures": 1,
            "log": logging.getLogger("wait"),
            "clock": world.clock,
        }
        return Wait(**(defaults | changes))

    return make


def test_it_polls_until_it_is_ready(world: World, wait: Callable[..., Wait]) -> None:
    outcome = world.run(wait(WAITING, WAITING, READY, deadline_epoch_seconds=START + 1000))
    assert outcome == WaitOutcome(state="ready", reason="at last", seen={"id": "g"}, billable_calls={"get": 3})
    assert world.slept == [60, 120]


def test_no_pause_goes_beyond_the_deadline_and_the_last_poll_is_at_it(world: World, wait: Callable[..., Wait]) -> None:
    outcome = world.run(wait(WAITING))
    assert world.slept == [60, 40]
    assert (outcome.state, outcome.reason) == ("timeout", "still not ready at the deadline: not yet")
    assert outcome.billable_calls == {"get": 3}


def test_what_is_ready_after_the_deadline_is_not_late(world: World, wait: Callable[..., Wait]) -> None:
    assert world.run(wait(READY, deadline_epoch_seconds=START - 100)).state == "ready"
    assert world.run(wait(WAITING, deadline_epoch_seconds=START - 100)).state == "timeout"


def test_a_poll_has_until_the_deadline_and_a_moment_at_least(world: World, wait: Callable[..., Wait]) -> None:
    for seconds, left in ((100, 100), (1, LAST_POLL_SECONDS), (-50, LAST_POLL_SECONDS)):
        waiting = wait(READY, deadline_epoch_seconds=START + seconds)
        assert isinstance(next(waiting.steps()), Connect)
        assert waiting.seconds_left() == left


def test_failures_in_a_row_are_counted(world: World, wait: Callable[..., Wait]) -> None:
    borne = [BUSY, BUSY, WAITING, BUSY, BUSY, WAITING]
    late = {"deadline_epoch_seconds": START + 10**6, "max_poll_failures": 2}
    assert world.run(wait(*borne, READY, **late)).state == "ready"
    outcome = world.run(wait(*borne, BUSY, BUSY, BUSY, **late))
    assert (outcome.state, outcome.error) == ("error", BUSY)


def test_what_was_not_sent_for_the_errors_of_others_is_no_failed_poll(world: World, wait: Callable[..., Wait]) -> None:
    held_back = exceptions.RateLimitedError("others have failed", attempts=0)
    assert (
        world.run(wait(held_back, held_back, held_back, READY, deadline_epoch_seconds=START + 10**6)).state == "ready"
    )


def test_a_failure_at_the_deadline_is_a_timeout_that_tells_what_was_seen_before(
    world: World, wait: Callable[..., Wait]
) -> None:
    outcome = world.run(wait(WAITING, WAITING, BUSY, max_poll_failures=0))
    assert outcome.state == "timeout"
    assert "busy" in outcome.reason
    assert outcome.reason.endswith("Before that: not yet")


def test_what_stays_wrong_ends_it(world: World, wait: Callable[..., Wait]) -> None:
    gone = exceptions.NotFoundError("gone")
    outcome = world.run(wait(WAITING, gone))
    assert (outcome.state, outcome.error, outcome.billable_calls) == ("failed", gone, {"get": 2})


def test_what_nobody_expects_is_raised(world: World, wait: Callable[..., Wait]) -> None:
    with pytest.raises(ZeroDivisionError):
        world.run(wait(ZeroDivisionError()))


def test_a_connection_is_renewed_once_between_two_good_polls(wait: Callable[..., Wait]) -> None:
    world = World(digests="abcdefg")
    late = {"deadline_epoch_seconds": START + 10**6}
    script = [REFUSED, WAITING, REFUSED, WAITING, REFUSED]
    assert world.run(wait(*script, READY, **late)).state == "ready"
    assert len(world.slept) == 5  # there is a pause after a refusal, too
    world = World(digests="abcdefg")
    outcome = world.run(wait(*script, BUSY, REFUSED, **late))
    assert (outcome.state, outcome.error) == ("failed", REFUSED)


def test_a_connection_that_is_what_it_was_is_as_the_error_says(world: World, wait: Callable[..., Wait]) -> None:
    outcome = world.run(wait(REFUSED))
    assert (outcome.state, outcome.error, world.slept) == ("failed", REFUSED, [])


def test_a_renewed_connection_does_not_move_the_deadline(wait: Callable[..., Wait]) -> None:
    outcome = World(digests="ab").run(wait(REFUSED, deadline_epoch_seconds=START))
    assert (outcome.state, outcome.reason) == ("timeout", "still not ready at the deadline: refused.")


def test_it_tells_what_changes_and_warns_of_an_unknown_status_once(
    world: World, wait: Callable[..., Wait], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    known = [PollResult(state=PollState.WAITING, reason=reason) for reason in ("1 of 3", "1 of 3", "2 of 3")]
    unknown = [
        PollResult(state=PollState.WAITING, reason=reason, unknown_status=True)
        for reason in ("Status 7", "Status 7, still", "Status 7, still")
    ]
    world.run(wait(*known, *unknown, READY, deadline_epoch_seconds=START + 10**6))
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "1 of 3"),
        ("INFO", "2 of 3"),
        ("WARNING", "Unknown status: Status 7"),
        ("INFO", "Status 7, still"),
    ]


def test_an_endless_wait_bears_everything_and_polls_ever_later_while_it_fails(caplog: pytest.LogCaptureFixture) -> None:
    poll = ScriptedPoll(READY, exceptions.NotFoundError("gone"), REFUSED, BUSY, WAITING, READY)
    wait = EndlessWait(
        poll=poll,
        schedule=PollSchedule(poll_interval_seconds=60, max_poll_interval_seconds=200),
        log=logging.getLogger("wait"),
        about="the groups 'VIP'",
    )
    connections = 0
    told: list[tuple[str, Any]] = []

    def carry_out(step: Step) -> Any:
        nonlocal connections
        if not isinstance(step, Connect):
            assert isinstance(step, Request)
            return step.send()
        connections += 1
        return Connected(client="client", connection_digest="a")

    for step in run_steps(wait.steps(), carry_out):
        told.append(("pause", step.seconds) if isinstance(step, Pause) else (step.state, step.seen))
        if len(told) == 8:
            break
    ready = ("ready", {"id": "g"})
    pauses = [("pause", seconds) for seconds in (60, 120, 200, 200, 60)]
    assert told == [ready, *pauses, ready, ("pause", 60)]
    # Anew after each of the three failures, and once more to see whether a refused one was renewed.
    assert connections == 1 + 3 + 1
    for error in ("gone", "refused", "busy"):
        assert f"A poll of the groups 'VIP' failed: {error}" in caplog.text


def test_both_ways_of_carrying_out_steps_are_one(world: World, wait: Callable[..., Wait]) -> None:
    """Answers are sent, errors are thrown; a pause is a step as any other in an event loop."""
    slept: list[float] = []

    async def carry_out(step: Step) -> Any:
        await asyncio.sleep(0)
        if isinstance(step, Pause):
            world.now += step.seconds
            return slept.append(step.seconds)
        if isinstance(step, Request) and len(slept) == 1:
            raise BUSY
        return world.carry_out(step)

    async def run() -> list[WaitOutcome]:
        steps = wait(WAITING, WAITING, READY, deadline_epoch_seconds=START + 1000).steps()
        return [outcome async for outcome in carried_out_async(steps, carry_out)]

    (outcome,) = asyncio.run(run())
    assert (outcome.state, slept) == ("ready", [60, 120])
