"""When a failed task is tried again on Airflow 3.3 and newer: not before the platform allows a request."""

import datetime as dt
import pickle
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from support.operators import OPERATORS, arguments_of

pytest.importorskip("airflow.sdk.definitions.retry_policy", reason="this Airflow has no retry policies")

from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowException,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    task,
)

from airflow_provider_audiences.common.retry_policy import MAX_DELAY, AudienceRetryPolicy
from airflow_provider_audiences.exceptions import (
    AudienceBusyError,
    AudienceError,
    ConnectionFailedError,
    GuardError,
    RateLimitedError,
    ServerError,
)
from airflow_provider_audiences.http.error_budget import AccountErrors, ErrorBudget
from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator

OWN = ExceptionRetryPolicy(rules=[RetryRule(exception=RateLimitedError, action=RetryAction.FAIL)])
MINUTE = timedelta(minutes=1)
BACKOFF = {"retry_delay": MINUTE, "retry_exponential_backoff": 2.0}


def decided(error: BaseException, *, try_number: int = 1, **arguments: Any) -> Any:
    """What is decided for a task with these arguments; by default, it waits for nothing by itself."""
    context: Any = {"task": SimpleNamespace(**{"retry_delay": timedelta(0)} | arguments)}
    return AudienceRetryPolicy().evaluate(error, try_number=try_number, max_tries=3, context=context)


def test_the_next_try_waits_as_long_as_the_platform_asks() -> None:
    for error_type in (RateLimitedError, ServerError, ConnectionFailedError):
        decision = decided(error_type("later", retry_after_seconds=90))
        assert (decision.action, decision.retry_delay) == (RetryAction.RETRY, timedelta(seconds=91))
        assert decision.reason == f"{error_type.__name__}: the next request is allowed in 90 s"


def test_the_next_try_waits_until_the_accounts_errors_allow_it() -> None:
    errors = AccountErrors(clock=lambda: 1_000.0)
    errors.times.extend([900.0, 950.0])
    budget = ErrorBudget(errors, max_errors=2)
    with (
        pytest.raises(RateLimitedError) as stopped,
        budget.admit("applovin.list", waits_for_others=False, is_wanted=lambda: True, pause=lambda _: None),
    ):
        pass
    assert decided(stopped.value).retry_delay == timedelta(seconds=201)


@pytest.mark.parametrize(
    ("arguments", "try_number", "expected"),
    [
        ({"retry_delay": 5 * MINUTE}, 1, None),
        ({"retry_delay": MINUTE}, 1, timedelta(seconds=101)),
        (BACKOFF, 2, None),
        (BACKOFF | {"max_retry_delay": MINUTE}, 9, timedelta(seconds=101)),
        (BACKOFF, 5_000, None),
    ],
)
def test_a_longer_delay_of_the_task_stays(arguments: Any, try_number: int, expected: timedelta | None) -> None:
    decision = decided(RateLimitedError("later", retry_after_seconds=100), try_number=try_number, **arguments)
    assert decision.retry_delay == expected
    assert (decision.action is RetryAction.DEFAULT) is (expected is None)


@pytest.mark.parametrize("seconds", [86_400, 10**9, 1e300, float("inf")])
def test_no_wait_is_longer_than_a_day(seconds: float) -> None:
    assert decided(RateLimitedError("later", retry_after_seconds=seconds)).retry_delay == MAX_DELAY


@pytest.mark.parametrize(
    "error",
    [
        ServerError("down"),
        RateLimitedError("now", retry_after_seconds=0),
        AudienceBusyError("busy"),
        KeyError("of the user's"),
    ],
)
def test_airflow_decides_by_itself_about_the_others(error: BaseException) -> None:
    assert decided(error).action is RetryAction.DEFAULT


def test_what_can_not_succeed_is_not_tried_again() -> None:
    assert decided(GuardError("too much")).action is RetryAction.FAIL
    wrapped = AirflowException("of the user's")
    wrapped.__cause__ = GuardError("too much")
    assert decided(wrapped).action is RetryAction.FAIL


def test_a_context_is_not_needed() -> None:
    error: AudienceError = RateLimitedError("later", retry_after_seconds=5)
    assert AudienceRetryPolicy().evaluate(error, 1, 3).retry_delay == timedelta(seconds=6)


@pytest.mark.parametrize("operator_class", OPERATORS, ids=lambda found: found.__name__)
def test_every_operator_has_the_policy_unless_the_user_has_another(operator_class: Any) -> None:
    given = {name: "x" for name, one in arguments_of(operator_class).items() if one.default is one.empty}
    made = operator_class(task_id="task", **given)
    assert isinstance(made.retry_policy, AudienceRetryPolicy)
    assert isinstance(pickle.loads(pickle.dumps(made.retry_policy)), AudienceRetryPolicy)  # noqa: S301 - our own
    assert operator_class(task_id="task", retry_policy=OWN, **given).retry_policy is OWN
    with DAG("d", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC), default_args={"retry_policy": OWN}):
        assert operator_class(task_id="task", **given).retry_policy is OWN


def test_mapped_and_decorated_tasks_have_the_policy_too() -> None:
    shared = {"task_id": "append", "audience_id": "a"}
    mapped: Any = AppLovinAppendUsersOperator.partial(**shared).expand(source=[["x"]])
    assert isinstance(mapped.unmap({"source": ["x"]}).retry_policy, AudienceRetryPolicy)
    own: Any = AppLovinAppendUsersOperator.partial(**shared, retry_policy=OWN).expand(source=[["x"]])
    assert own.unmap({"source": ["x"]}).retry_policy is OWN

    def people(number: int = 0) -> list[str]:
        return [str(number)]

    decorator: Any = task.applovin_append_users(audience_id="a")
    with DAG("d", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)):
        assert isinstance(decorator(people)().operator.retry_policy, AudienceRetryPolicy)
        several = decorator(people).expand(number=[1]).operator
    assert isinstance(several.unmap({"op_kwargs": {"number": 1}}).retry_policy, AudienceRetryPolicy)
