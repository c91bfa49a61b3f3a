"""All operators and sensors of the package, and the arguments that they add to Airflow's: new ones are found."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator

import airflow_provider_audiences.operators
import airflow_provider_audiences.sensors

_PACKAGE = "airflow_provider_audiences"


def _found() -> Iterator[type[Any]]:
    for package in (airflow_provider_audiences.operators, airflow_provider_audiences.sensors):
        for module_info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if module_info.name.endswith("_base"):
                continue
            module = importlib.import_module(module_info.name)
            for name, member in vars(module).items():
                own = inspect.isclass(member) and member.__module__ == module.__name__
                if (
                    own
                    and issubclass(member, BaseOperator)
                    and not (name.startswith("_") or inspect.isabstract(member))
                ):
                    yield member


OPERATORS = list(_found())


def arguments_of(operator_class: type[Any]) -> dict[str, inspect.Parameter]:
    """The arguments that our own classes add to Airflow's, by name."""
    mro: tuple[Any, ...] = operator_class.__mro__
    ours = [base for base in mro if base.__module__.startswith(_PACKAGE) and "__init__" in vars(base)]
    return {
        name: parameter
        for base in reversed(ours)
        for name, parameter in inspect.signature(inspect.unwrap(base.__init__)).parameters.items()
        if name != "self" and parameter.kind is not parameter.VAR_KEYWORD
    }
