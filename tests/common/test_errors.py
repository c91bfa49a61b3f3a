"""In a task, what stays wrong is an error of its own type that Airflow does not retry."""

import copy
import inspect
import json
import pickle
import subprocess
import sys
import traceback
import types
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.common.errors import task_errors

TYPES = [getattr(exceptions, name) for name in exceptions.__all__]
PERMANENT = [found for found in TYPES if issubclass(found, exceptions.PermanentError)]
OTHERS = [found for found in TYPES if not issubclass(found, exceptions.PermanentError)] + [KeyError, OSError]


@pytest.mark.parametrize("error_type", PERMANENT)
def test_permanent_errors(error_type: Any) -> None:
    error = error_type("why", operation="applovin.list", http_status=404, advice="Do this.")
    text = str(error)
    with pytest.raises(error_type) as caught, task_errors(), task_errors():
        raise error
    failed: Any = caught.value
    assert isinstance(failed, AirflowFailException)
    assert str(failed) == text
    assert (vars(failed)["http_status"], vars(failed)["advice"]) == (404, "Do this.")
    assert type(failed).__name__ == error_type.__name__
    assert type(failed).__module__ == error_type.__module__
    # The error itself and its type are what they were: outside of tasks nothing changes.
    assert type(error) is error_type
    assert not issubclass(error_type, AirflowFailException)


def test_permanent_errors_say_where_they_were_raised_and_why() -> None:
    def fail() -> None:
        try:
            raise KeyError("x")
        except KeyError as error:
            raise exceptions.NotFoundError("why") from error

    with pytest.raises(exceptions.NotFoundError) as caught, task_errors():
        fail()
    said = "".join(traceback.format_exception(caught.value))
    assert [said.count(text) for text in ("NotFoundError: why", "KeyError: 'x'", "in fail")] == [1, 1, 2]


@pytest.mark.parametrize("error_type", OTHERS)
def test_other_errors_pass_as_they_are(error_type: Any) -> None:
    error = error_type("why")
    with pytest.raises(error_type) as caught, task_errors():
        raise error
    assert caught.value is error
    assert type(error) is error_type


def test_no_error_no_effect() -> None:
    with task_errors():
        value = 1
    assert value == 1


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = inspect.getdoc(exceptions)
    assert drawn
    assert all(f" {name} " in drawn or f"── {name}" in drawn or f"    {name}\n" in drawn for name in exceptions.__all__)


READ = """
import json, pickle, sys
errors = [pickle.loads(bytes.fromhex(line)) for line in sys.stdin]
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow_provider_audiences import exceptions
print(json.dumps([
    [
        type(error).__name__, str(error), vars(error), isinstance(error, AirflowFailException),
        isinstance(error, getattr(exceptions, type(error).__name__)), type(error).__module__,
        isinstance(error, ValueError),
    ]
    for error in errors
]))
"""


def _in_another_process(pickled: Any) -> Any:
    lines = "\n".join(one.hex() for one in pickled)
    done = subprocess.run(
        [sys.executable, "-c", READ], input=lines, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_errors_are_pickled_for_processes_that_have_never_seen_one() -> None:
    raised = [
        error_type(
            "why", operation="pai.create", http_status=409, api_code="Code", request_id="r-1", attempts=3,
            maybe_applied=True, too_large="maybe", retry_after_seconds=2.5, advice="Do this.",
        )
        for error_type in TYPES
    ]  # fmt: skip
    errors = []
    for error in raised:
        error.so_far = "Half of it."
        with pytest.raises(type(error)) as caught, task_errors():
            raise error
        errors.append(caught.value)
    found = _in_another_process(map(pickle.dumps, errors))
    assert found == [
        [
            error_type.__name__,
            str(error),
            vars(error),
            issubclass(error_type, exceptions.PermanentError),
            True,
            exceptions.__name__,
            issubclass(error_type, ValueError),
        ]
        for error_type, error in zip(TYPES, errors, strict=True)
    ]


def _again(error: Any, protocol: Any = pickle.DEFAULT_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own


@pytest.mark.parametrize("error_type", TYPES)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_is_pickled_and_copied(error_type: Any, protocol: int) -> None:
    error = error_type("why", advice="Do this.", attempts=2)
    for _ in range(2):
        for twin in (_again(error, protocol), copy.copy(error), copy.deepcopy(error)):
            assert type(twin) is type(error)
            assert (str(twin), twin.args, vars(twin)) == (str(error), error.args, vars(error))
        # And once more as an error of a task.
        with pytest.raises(error_type) as caught, task_errors():
            raise error
        error = caught.value


def test_errors_of_users_own_types() -> None:
    error = OwnError("why")
    with pytest.raises(OwnError) as caught, task_errors():
        raise error
    twin = _again(caught.value)
    assert isinstance(twin, OwnError)
    assert isinstance(twin, AirflowFailException)


class OwnError(exceptions.ConflictError):
    """Somebody's own."""


OwnError.__module__ = "own_errors"
sys.modules["own_errors"] = types.ModuleType("own_errors")
vars(sys.modules["own_errors"])["OwnError"] = OwnError
