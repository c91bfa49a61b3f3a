"""
Errors of tasks without members and secrets in their tracebacks.

A traceback refers to the frames that its error has passed. Some formatters show the local variables of these frames:
Airflow's own with ``DEV`` set, rich, and error trackers. So the frames are emptied when an error leaves an operator.
Airflow's own frames can't be emptied. They hold the operator and the context, and in those, members are always masked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

from airflow.providers.common.compat.sdk import context_merge

from airflow_provider_audiences.common.masked import masked_arguments
from airflow_provider_audiences.redaction import forgetting_locals

_ENTRIES = ("execute", "execute_complete")
_INIT_KWARGS = "_BaseOperator__init_kwargs"


def forgetting(method: Callable[..., Any]) -> Callable[..., Any]:
    """
    Return a method that does the same, and whose errors have no local variables in their frames.

    :param method: method of an operator or sensor that Airflow calls.
    """

    @wraps(method)
    def forgets(self: Any, *args: Any, **kwargs: Any) -> Any:
        _mask_arguments(self)
        with forgetting_locals():
            return method(self, *args, **kwargs)

    return forgets


def _mask_arguments(operator: Any) -> None:
    """
    Mask the members among the arguments that Airflow keeps on the operator as the DAG file gave them.

    The operator gets a masked copy of them, as other copies of the operator share the original.
    """
    attributes = vars(operator)
    attributes[_INIT_KWARGS] = masked_arguments(type(operator), attributes.get(_INIT_KWARGS, {}))


class ForgottenLocalsMixin:
    """Base of operators and sensors whose errors have no local variables in their frames."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in _ENTRIES:
            if name in vars(cls):
                setattr(cls, name, forgetting(vars(cls)[name]))


@contextmanager
def merged(context: Any, arguments: Mapping[str, Any]) -> Iterator[None]:
    """
    Add a function's arguments to the context, as Airflow does, and remove them when the block ends.

    :param context: context of the task; Airflow's frames refer to it.
    :param arguments: arguments by name; there may be members among them.
    """
    before = {name: context[name] for name in arguments if name in context}
    context_merge(context, arguments)
    try:
        yield
    finally:
        for name in arguments:
            if name in before:
                context[name] = before[name]
            else:
                del context[name]
