"""What editors and type checkers know of an operator's arguments: all of them, as the constructors take them."""

import importlib
import inspect
from typing import Any, Required, get_args, get_origin, get_type_hints

import pytest
from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator

from airflow_provider_audiences.get_provider_info import get_provider_info
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator


def _public_classes() -> list[type[Any]]:
    info = get_provider_info()
    modules = [
        importlib.import_module(name)
        for kind in ("operators", "sensors")
        for entry in info[kind]
        for name in entry["python-modules"]
    ]
    return [
        member
        for module in modules
        for member in vars(module).values()
        if inspect.isclass(member) and issubclass(member, BaseOperator) and member.__module__ == module.__name__
    ]


CLASSES = _public_classes()
ONLY_IN_OTHER_VERSIONS = {"retry_policy", "render_template_as_native_obj", "task_concurrency"}
"""Arguments of tasks that this version of Airflow may not have."""


def parameters_of(one: type[Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(inspect.unwrap(vars(one)["__init__"])).parameters
    return {
        name: parameter
        for name, parameter in parameters.items()
        if name != "self" and parameter.kind is not parameter.VAR_KEYWORD
    }


def handed_on(one: type[Any]) -> Any:
    """Return the typed dictionary of the arguments that a class hands on to its bases."""
    return get_args(get_type_hints(vars(one)["__init__"])["kwargs"])[0]


def taken_by_bases(one: type[Any]) -> dict[str, inspect.Parameter]:
    """Return the arguments that the bases of a class take and the class does not name itself."""
    found: dict[str, inspect.Parameter] = {}
    for base in reversed(one.__mro__[1:]):
        if "__init__" in vars(base) and issubclass(base, BaseOperator):
            found |= parameters_of(base)
    return {name: parameter for name, parameter in found.items() if name not in parameters_of(one)}


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: one.__name__)
def test_all_arguments_are_known(one: type[Any]) -> None:
    known = set(handed_on(one).__annotations__)
    taken = set(taken_by_bases(one))
    if one.__name__ == "PaiGroupSensor":
        taken -= {"exponential_backoff", "max_wait"}  # it says itself how pauses grow
    assert taken <= known
    assert known - taken <= ONLY_IN_OTHER_VERSIONS
    assert not known & set(parameters_of(one))


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: one.__name__)
def test_required_arguments_are_required(one: type[Any]) -> None:
    without_default = {
        name for name, parameter in taken_by_bases(one).items() if parameter.default is inspect.Parameter.empty
    }
    types = get_type_hints(handed_on(one), include_extras=True)
    required = {name for name, found in types.items() if get_origin(found) is Required}
    assert required == without_default - {"batch_size"}  # each platform's mixin has a default for that


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: one.__name__)
def test_types_are_those_of_the_constructors(one: type[Any]) -> None:
    airflow_bases = (BaseOperator, BaseSensorOperator)
    of_airflow = {name for base in airflow_bases for name in parameters_of(base)}
    types = get_type_hints(handed_on(one))
    checked = 0
    for base in one.__mro__[1:]:
        if "__init__" not in vars(base) or not base.__module__.startswith("airflow_provider_audiences"):
            continue
        hints = get_type_hints(inspect.unwrap(vars(base)["__init__"]))
        for name in set(parameters_of(base)) & set(types) - of_airflow:
            assert types[name] in (Any, hints[name]), name
            checked += 1
    assert checked


def test_a_wrong_argument_is_seen_before_the_dag_is_parsed() -> None:
    """Whoever checks types sees it: an unused ignore would be an error of mypy."""
    with pytest.raises(Exception, match="sorce"):
        AppLovinSyncAudienceOperator(task_id="t", audience_id="a", source="/x", sorce="/x")  # type: ignore[call-arg]
    with pytest.raises(Exception, match="source"):
        AppLovinSyncAudienceOperator(task_id="t", audience_id="a")  # type: ignore[call-arg]
