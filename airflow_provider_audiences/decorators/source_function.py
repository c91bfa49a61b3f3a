"""What all TaskFlow decorators share: a function whose result is a source."""

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
    """Base of the decorated operators: the function is called first, and what it returns is the source."""

    # Airflow stores the arguments of a function; what it returns is known, and shown with care, after the task.
    op_args = ArgumentsField()
    op_kwargs = ArgumentsField()
    overwrite_rtif_after_execution = True
    source: Any

    def __init__(self, *, python_callable: Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(python_callable=python_callable, kwargs_to_upstream={"source": None}, **kwargs)

    @forgetting
    def execute(self, context: Context) -> Any:
        """Call the function, then do what the operator does."""
        with merged(context, {name: revealed_argument(value) for name, value in self.op_kwargs.items()}):
            self._call(context)
        # Not DecoratedOperator's: it looks through what a function returns for assets.
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
    Make a decorator.

    :param operator_class: does what the decorated task does.
    :param python_callable: the decorated function.
    :param multiple_outputs: push the report's entries as XComs of their own.
    :param kwargs: the operator's arguments, but for ``source``.
    :param phones: whether the members are phone numbers.
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
