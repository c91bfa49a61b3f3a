"""In a task, what stays wrong is an error of its own type that Airflow does not retry."""

import inspect

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.common.errors import task_errors

TYPES = [getattr(exceptions, name) for name in exceptions.__all__]
PERMANENT = [found for found in TYPES if issubclass(found, exceptions.PermanentError)]
OTHERS = [found for found in TYPES if not issubclass(found, exceptions.PermanentError)] + [KeyError, OSError]


@pytest.mark.parametrize("error_type", PERMANENT)
def test_permanent_errors(error_type):
    error = error_type("why", operation="applovin.list", http_status=404, advice="Do this.")
    text = str(error)
    with pytest.raises(error_type) as caught, task_errors(), task_errors():
        raise error
    assert caught.value is error
    assert isinstance(caught.value, AirflowFailException)
    assert str(error) == text
    assert (error.http_status, error.advice) == (404, "Do this.")
    assert type(error).__name__ == error_type.__name__
    assert type(error).__module__ == error_type.__module__
    # The type itself is what it was: outside of tasks nothing changes.
    assert not issubclass(error_type, AirflowFailException)


@pytest.mark.parametrize("error_type", OTHERS)
def test_other_errors_pass_as_they_are(error_type):
    error = error_type("why")
    with pytest.raises(error_type) as caught, task_errors():
        raise error
    assert caught.value is error
    assert type(error) is error_type


def test_no_error_no_effect():
    with task_errors():
        value = 1
    assert value == 1


def test_the_drawn_tree_is_the_real_one():
    drawn = inspect.getdoc(exceptions)
    assert all(f" {name} " in drawn or f"── {name}" in drawn or f"    {name}\n" in drawn for name in exceptions.__all__)
