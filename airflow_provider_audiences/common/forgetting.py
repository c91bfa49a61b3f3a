"""
What an error of a task may take with it: no member, and no secret.

A traceback keeps the frames that the error has passed, and formatters that show local variables (those of Airflow with
``DEV`` set, of rich, of error trackers) read them. So the frames are emptied when the error leaves the operator, and
what Airflow's own frames hold, the operator and the context, has members behind a mask only.
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
    Make a method that Airflow calls one that leaves no local variables behind when it fails.

    :param method: of an operator or a sensor.
    """

    @wraps(method)
    def forgets(self: Any, *args: Any, **kwargs: Any) -> Any:
        _mask_arguments(self)
        with forgetting_locals():
            return method(self, *args, **kwargs)

    return forgets


def _mask_arguments(operator: Any) -> None:
    """Mask the arguments that Airflow keeps as the DAG file gave them; other copies of the operator share theirs."""
    attributes = vars(operator)
    attributes[_INIT_KWARGS] = masked_arguments(type(operator), attributes.get(_INIT_KWARGS, {}))


class ForgetsLocals:
    """For operators and sensors: an error that leaves them has passed empty frames only."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in _ENTRIES:
            if name in vars(cls):
                setattr(cls, name, forgetting(vars(cls)[name]))


@contextmanager
def merged(context: Any, arguments: Mapping[str, Any]) -> Iterator[None]:
    """
    Let the context have a function's arguments in it, as Airflow does, but not for longer than the block.

    :param context: of the task; Airflow's frames hold it.
    :param arguments: by name; members may be among them.
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
