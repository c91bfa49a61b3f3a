"""The course of a wait, by a clock that the tests set: when it looks, when it is over, what it means for a task."""

import itertools
import logging

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.triggers.course import (
    JITTER,
    MIN_INTERVAL_SECONDS,
    Course,
    Schedule,
    billable_calls_of,
    ended_by,
    outcome_of,
)
from airflow_provider_audiences.waiting.looks import Bill, Sighting

START = 1_000_000.0


def schedule(**changes):
    defaults = {
        "poll_interval_seconds": 60.0,
        "max_poll_interval_seconds": 600.0,
        "first_look_epoch_seconds": START,
        "jitter_seed": None,
    }
    return Schedule(**(defaults | changes))


def looks(plan, now, count):
    """The moments of the first looks of a trigger that begins now, in seconds after the start."""
    waits = itertools.islice(plan.waits(now), count)
    return [moment - START for moment in itertools.accumulate(waits, initial=now)][1:]


def test_waits_double_up_to_the_most():
    assert looks(schedule(), START - 60, 7) == [0, 60, 180, 420, 900, 1500, 2100]
    assert looks(schedule(max_poll_interval_seconds=None), START, 4) == [0, 60, 120, 180]
    assert looks(schedule(max_poll_interval_seconds=30), START, 4) == [0, 60, 120, 180]


def test_without_a_first_look_it_looks_at_once():
    assert looks(schedule(first_look_epoch_seconds=0), START, 4) == [0, 60, 180, 420]


@pytest.mark.parametrize("seed", [None, "a"])
@pytest.mark.parametrize("away_until", [65, 100, 200, 3000, 86_400])
def test_a_trigger_that_begins_anew_goes_on_where_it_was(seed, away_until):
    plan = schedule(jitter_seed=seed)
    planned = [moment for moment in looks(plan, START - 60, 300) if moment >= away_until]
    assert looks(plan, START + away_until, 5) == pytest.approx(planned[:5])


def test_a_first_look_that_is_a_little_late_is_made_at_once():
    assert looks(schedule(), START + 5, 3) == [5, 65, 185]


@pytest.mark.parametrize("interval", [0, -1, 1e-9])
def test_no_wait_is_shorter_than_the_least(interval):
    plan = schedule(poll_interval_seconds=interval, max_poll_interval_seconds=None)
    assert looks(plan, START, 3) == pytest.approx([0, MIN_INTERVAL_SECONDS, 2 * MIN_INTERVAL_SECONDS])


@pytest.mark.parametrize("most", [None, 0, 600.0])
def test_looks_that_were_missed_for_years_are_not_counted_one_by_one(most):
    """At the least interval there would be billions of them: this test would not end."""
    plan = schedule(poll_interval_seconds=0, max_poll_interval_seconds=most, jitter_seed="a")
    away = 20 * 365 * 86_400
    first, second = itertools.islice(plan.waits(START + away), 2)
    longest = max(MIN_INTERVAL_SECONDS, most or 0) * (1 + JITTER)
    assert 0 <= first <= longest
    assert second == pytest.approx(longest, rel=JITTER)


def test_chance_makes_waits_longer_by_a_fifth_at_most():
    plans = [schedule(jitter_seed=str(number)) for number in range(200)]
    firsts, steps = [], []
    for plan in plans:
        first, *waits = itertools.islice(plan.waits(START), 6)
        firsts.append(first)
        steps += [wait / plain for wait, plain in zip(waits, [60, 120, 240, 480, 600], strict=True)]
    assert min(firsts) >= 0
    assert max(firsts) <= 60 * JITTER
    assert len(set(firsts)) == 200
    assert min(steps) >= 1
    assert max(steps) <= 1 + JITTER
    # Spread, not just moved: each quarter of what is possible is used.
    assert {int(first / (60 * JITTER) * 4) for first in firsts} == {0, 1, 2, 3}


def test_the_same_seed_gives_the_same_waits():
    assert looks(schedule(jitter_seed="a"), START, 9) == looks(schedule(jitter_seed="a"), START, 9)
    assert looks(schedule(jitter_seed="a"), START, 9) != looks(schedule(jitter_seed="b"), START, 9)


class _Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return _Clock()


@pytest.fixture
def course(clock):
    def make(**changes):
        defaults = {"deadline_epoch_seconds": START + 100, "max_poll_failures": 1}
        log = logging.getLogger("course")
        return Course(**({"schedule": schedule(), "log": log, "clock": clock} | defaults | changes))

    return make


WAITING = Sighting(state="waiting", reason="not yet")
BUSY = exceptions.ServerError("busy")


def test_no_wait_goes_beyond_the_deadline(course, clock):
    wait = course()
    assert wait.wait_seconds() == 0
    clock.now = START + 70
    assert wait.wait_seconds() == 30
    clock.now = START + 500
    assert wait.wait_seconds() == 0


def test_it_is_late_only_after_a_look_at_the_deadline(course, clock):
    wait = course()
    clock.now = START + 99
    assert wait.saw(WAITING) is None
    clock.now = START + 100
    assert wait.saw(WAITING)["state"] == "timeout"
    assert "not yet" in wait.saw(WAITING)["reason"]
    assert wait.failed(BUSY)["state"] == "timeout"
    assert wait.saw(Sighting(state="ready", reason="at last"))["state"] == "ready"


def test_failures_in_a_row_are_counted(course):
    wait = course(max_poll_failures=2)
    for _ in range(3):
        assert wait.failed(BUSY) is None
        assert wait.failed(BUSY) is None
        assert wait.saw(WAITING) is None
    wait.failed(BUSY)
    wait.failed(BUSY)
    with pytest.raises(exceptions.ServerError):
        wait.failed(BUSY)


REFUSED = exceptions.AuthenticationError("refused")


def test_a_connection_is_renewed_once_between_two_good_looks(course):
    wait = course()
    for _ in range(3):
        assert wait.refused(REFUSED, is_renewed=True) is None
        assert wait.saw(WAITING) is None
    assert wait.refused(REFUSED, is_renewed=True) is None
    assert wait.failed(BUSY) is None
    with pytest.raises(exceptions.AuthenticationError):
        wait.refused(REFUSED, is_renewed=True)


def test_a_connection_that_is_what_it_was_is_as_the_error_says(course):
    with pytest.raises(exceptions.AuthenticationError):
        course().refused(REFUSED, is_renewed=False)


def test_a_renewed_connection_does_not_move_the_deadline(course, clock):
    wait = course()
    clock.now = START + 100
    late = wait.refused(REFUSED, is_renewed=True)
    assert (late["state"], late["reason"]) == ("timeout", "still not ready at the deadline: refused.")


def test_it_tells_what_changes_and_warns_of_an_unknown_status_once(course, caplog):
    caplog.set_level(logging.INFO)
    wait = course()
    for reason in ("1 of 3", "1 of 3", "2 of 3"):
        wait.saw(Sighting(state="waiting", reason=reason))
    for reason in ("Status 7", "Status 7, still", "Status 7, still"):
        wait.saw(Sighting(state="waiting", reason=reason, unknown_status=True))
    told = [(record.levelname, record.message) for record in caplog.records]
    assert told == [
        ("INFO", "1 of 3"),
        ("INFO", "2 of 3"),
        ("WARNING", "Unknown status: Status 7"),
        ("INFO", "Status 7, still"),
    ]


# --- what a task makes of it ---


def test_a_timeout_is_the_error_that_the_task_wants():
    late = {"version": 1, "state": "timeout", "reason": "still being checked"}
    with pytest.raises(AirflowSensorTimeout, match="still being checked"):
        outcome_of(late)
    with pytest.raises(exceptions.GuardError, match="still being checked") as failure:
        outcome_of(late, timeout_error=exceptions.GuardError)
    assert isinstance(failure.value, AirflowFailException)


@pytest.mark.parametrize(
    ("error", "state", "is_final"),
    [(exceptions.NotFoundError("gone"), "failed", True), (exceptions.ServerError("down"), "error", False)],
)
def test_an_error_comes_back_as_itself(error, state, is_final):
    bill = Bill(["get"])
    payload = ended_by(error, bill)
    assert (payload["state"], payload["billable_calls"]) == (state, {"get": 0})
    with pytest.raises(type(error), match=str(error)) as failure:
        outcome_of(payload)
    assert isinstance(failure.value, AirflowFailException) is is_final


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ServerError("down", operation="pai.get", http_status=503),
        exceptions.ServerError("down", advice="Come back on Monday"),
        exceptions.NotFoundError("gone", attempts=1),
        exceptions.GroupRejectedError("bad"),
        exceptions.TransientError("no advice"),
    ],
)
def test_an_error_says_once_what_to_do(error):
    payload = ended_by(error, Bill())
    assert payload["advice"] == error.advice
    assert error.advice is None or error.advice.rstrip(".") not in payload["reason"]
    with pytest.raises(type(error)) as failure:
        outcome_of(payload)
    assert str(failure.value) == str(error)


def test_advice_of_another_version_may_be_anything():
    payload = {"version": 1, "state": "error", "reason": "down", "error_type": "ServerError"}
    for more in ({}, {"advice": 7}, {"advice": None}):
        with pytest.raises(exceptions.ServerError, match=r"^down\. Try again later"):
            outcome_of(payload | more)


@pytest.mark.parametrize(
    ("payload", "calls"),
    [
        ({"billable_calls": {"get": 3}}, {"get": 3}),
        ({"billable_calls": {"get": "many", "list": 2}}, {"list": 2}),
        ({"billable_calls": 7}, {}),
        ({}, {}),
        (None, {}),
        ("ready", {}),
    ],
)
def test_the_bill_of_a_payload_that_may_be_anything(payload, calls):
    assert billable_calls_of(payload) == calls
