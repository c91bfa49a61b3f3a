"""Base of all TaskFlow decorators of this provider: the result of a function is the ``source`` of an operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    DecoratedOperator,
    determine_kwargs,
    task_decorator_factory,
)

from airflow_provider_audiences.common.forgetting import forgetting, merged
from airflow_provider_audiences.common.given import without_none
from airflow_provider_audiences.common.hidden import ArgumentsField, hiding_decorator, revealed_argument
from airflow_provider_audiences.common.parts import Parts

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, TaskDecorator


class SourceFromFunction(DecoratedOperator):
    """Base of the decorated operators: calls the function, takes its result as ``source``, and runs the operator."""

    # Airflow stores the function's arguments as rendered fields; the fields are stored again after the task, masked.
    op_args = ArgumentsField()
    op_kwargs = ArgumentsField()
    overwrite_rtif_after_execution = True
    source: Any

    def __init__(self, *, python_callable: Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(python_callable=python_callable, kwargs_to_upstream={"source": None}, **kwargs)

    @forgetting
    def execute(self, context: Context) -> Any:
        """Call the function, then run the operator on its result."""
        with merged(context, {name: revealed_argument(value) for name, value in self.op_kwargs.items()}):
            self._call(context)
        # Not DecoratedOperator.execute, which searches the function's result for assets.
        return super(DecoratedOperator, self).execute(context)

    def _call(self, context: Context) -> None:
        op_args = [revealed_argument(value) for value in self.op_args]
        op_kwargs = determine_kwargs(self.python_callable, op_args, context)
        # The field wraps members when they are assigned: they are neither rendered nor shown.
        self.source = self.python_callable(*op_args, **op_kwargs)
        if not isinstance(self.source, Parts):  # members are data, whatever is written in them
            self.source = self.render_template(self.source, context)


def source_decorator(
    operator_class: type[SourceFromFunction],
    python_callable: Callable[..., Any] | None,
    multiple_outputs: bool | None,
    kwargs: Mapping[str, Any],
    *,
    phones: bool = False,
) -> TaskDecorator:
    """
    Return a TaskFlow decorator that runs an operator on a function's result.

    :param operator_class: operator that the decorated task runs.
    :param python_callable: the decorated function, if the decorator was used without arguments; None otherwise.
    :param multiple_outputs: also push each entry of the report as an XCom of its own; None or False for no.
    :param kwargs: arguments of the operator and of any Airflow task, except ``source``.
    :param phones: whether members are phone numbers (True) or advertising IDs (False, default).
    """
    decorator: TaskDecorator = hiding_decorator(
        task_decorator_factory(
            python_callable=python_callable,
            # Airflow's guess is what the function returns; the task returns the report.
            multiple_outputs=bool(multiple_outputs),
            decorated_operator_class=operator_class,
            **without_none(operator_class, kwargs),
        ),
        phones=phones,
    )
    return decorator
