"""How a wait ends: as an event that crosses processes, and as what a task makes of it."""

import json
from typing import Any

import pytest

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.waiting.outcomes import WaitOutcome, billable_calls_of

EVENT_KEYS = {"version", "state", "reason", "advice", "seen", "error_type", "retry_after_seconds", "billable_calls"}


def across(outcome: WaitOutcome) -> WaitOutcome:
    """What another process makes of it."""
    event = outcome.as_event()
    assert set(event) == EVENT_KEYS
    return WaitOutcome.of_event(json.loads(json.dumps(event)))


def test_what_was_seen_crosses_processes() -> None:
    ready = WaitOutcome(state="ready", reason="at last", seen={"id": "g"}, billable_calls={"get": 3})
    assert across(ready) == ready
    assert across(ready).result(timeout_error=TimeoutError) == {"id": "g"}


def test_a_timeout_is_the_error_that_the_task_wants() -> None:
    late = WaitOutcome(state="timeout", reason="still being checked")
    for outcome in (late, across(late)):
        with pytest.raises(exceptions.GuardError, match="still being checked"):
            outcome.result(timeout_error=exceptions.GuardError)


def test_what_failed_without_an_error_is_permanent() -> None:
    failed = WaitOutcome(state="failed", reason="too small", seen={"id": "g"})
    for outcome in (failed, across(failed)):
        with pytest.raises(exceptions.PermanentError, match="too small"):
            outcome.result(timeout_error=TimeoutError)


def test_a_poll_says_which_error_a_failure_is() -> None:
    failed = WaitOutcome(state="failed", reason="too small", error=exceptions.GroupRejectedError("too small"))
    for outcome in (failed, across(failed)):
        with pytest.raises(exceptions.GroupRejectedError, match="too small"):
            outcome.result(timeout_error=TimeoutError)


@pytest.mark.parametrize(
    ("error", "state"), [(exceptions.NotFoundError("gone"), "failed"), (exceptions.ServerError("down"), "error")]
)
def test_an_error_comes_back_as_itself(error: exceptions.AudienceError, state: str) -> None:
    outcome = WaitOutcome.of_error(error, {"get": 0})
    assert (outcome.state, outcome.billable_calls) == (state, {"get": 0})
    with pytest.raises(type(error)) as failure:
        outcome.result(timeout_error=TimeoutError)
    assert failure.value is error
    with pytest.raises(type(error), match=str(error)):
        across(outcome).result(timeout_error=TimeoutError)


def test_the_time_to_come_back_crosses_processes() -> None:
    asked = exceptions.RateLimitedError("later", retry_after_seconds=90.5)
    error = across(WaitOutcome.of_error(asked)).error
    assert error is not None
    assert error.retry_after_seconds == 90.5


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
def test_an_error_says_once_what_to_do(error: exceptions.AudienceError) -> None:
    event = WaitOutcome.of_error(error).as_event()
    assert event["advice"] == error.advice
    assert error.advice is None or error.advice.rstrip(".") not in event["reason"]
    with pytest.raises(type(error)) as failure:
        WaitOutcome.of_event(event).result(timeout_error=TimeoutError)
    assert str(failure.value) == str(error)


def test_advice_of_another_version_may_be_anything() -> None:
    event = {"version": 1, "state": "error", "reason": "down", "error_type": "ServerError"}
    more: dict[str, Any]
    for more in ({}, {"advice": 7}, {"advice": None}):
        with pytest.raises(exceptions.ServerError, match=r"^down\. Try again later"):
            WaitOutcome.of_event(event | more).result(timeout_error=TimeoutError)


@pytest.mark.parametrize(
    ("told", "calls"),
    [
        ({"billable_calls": {"get": 3}}, {"get": 3}),
        ({"billable_calls": {"get": "many", "list": 2}}, {"list": 2}),
        ({"billable_calls": 7}, {}),
        ({}, {}),
        (None, {}),
        ("ready", {}),
    ],
)
def test_billable_calls_may_be_told_by_anything(told: object, calls: dict[str, int]) -> None:
    assert billable_calls_of(told) == calls
    assert WaitOutcome.of_event(told).billable_calls == calls
