"""Base of all TaskFlow decorators of this provider: the result of a function is the ``source`` of an operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    DecoratedOperator,
    determine_kwargs,
    task_decorator_factory,
)

from airflow_provider_audiences.common.forgetting import forgetting, merged
from airflow_provider_audiences.common.lost_arguments import without_none
from airflow_provider_audiences.common.masked import ArgumentsField, revealed_argument
from airflow_provider_audiences.common.templated_lists import TemplatedList
from airflow_provider_audiences.operators.write_base import with_named_outlet

try:
    from airflow.sdk.bases.decorator import _TaskDecorator
except ImportError:  # Airflow 2
    from airflow.decorators.base import _TaskDecorator  # type: ignore[import-not-found,no-redef]

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
        if not isinstance(self.source, TemplatedList):  # members are data, whatever is written in them
            self.source = self.render_template(self.source, context)


class SourceTask(_TaskDecorator[..., Any, Any]):
    """A function that Airflow decorated; the arguments of mapped ones, which Airflow stores as they are, are masked."""

    @classmethod
    def of(cls, decorated: _TaskDecorator[..., Any, Any]) -> SourceTask:
        """
        Return a decorated function that masks.

        :param decorated: what Airflow's factory returned.
        """
        return cls(
            function=decorated.function,
            operator_class=decorated.operator_class,
            multiple_outputs=decorated.multiple_outputs,
            kwargs=decorated.kwargs,
        )

    def partial(self, **arguments: Any) -> Any:
        """
        Return it with some of the function's arguments.

        :param arguments: that all mapped tasks share.
        """
        return super().partial(**self._masked(arguments))

    def expand(self, **mapped: Any) -> Any:
        """
        Return the mapped task.

        :param mapped: arguments that differ from task to task, each as a list of values or as output of a task.
        """
        return super().expand(**{name: self._masked(values) for name, values in mapped.items()})

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> Any:
        """
        Return the mapped task.

        :param kwargs: the arguments of each task, as a list of mappings or as output of a task.
        :param strict: whether none of them may be an argument that all tasks share.
        """
        if isinstance(kwargs, Sequence):
            kwargs = [self._masked(arguments) for arguments in kwargs]
        return super().expand_kwargs(kwargs, strict=strict)

    def _masked(self, arguments: Any) -> Any:
        return self.operator_class.op_kwargs.masked(arguments)


def source_decorator(
    operator_class: type[SourceFromFunction],
    python_callable: Callable[..., Any] | None,
    multiple_outputs: bool | None,
    kwargs: Mapping[str, Any],
) -> TaskDecorator:
    """
    Return a TaskFlow decorator that runs an operator on a function's result.

    :param operator_class: operator that the decorated task runs.
    :param python_callable: the decorated function, if the decorator was used without arguments; None otherwise.
    :param multiple_outputs: also push each entry of the report as an XCom of its own; None or False for no.
    :param kwargs: arguments of the operator and of any Airflow task, except ``source``.
    """
    made: Any = task_decorator_factory(
        python_callable=python_callable,
        # Airflow's guess is what the function returns; the task returns the report.
        multiple_outputs=bool(multiple_outputs),
        decorated_operator_class=operator_class,
        # Airflow makes a mapped task of these as they are, without the operator's partial().
        **with_named_outlet(without_none(operator_class, kwargs)),
    )
    decorator: Any = SourceTask.of(made) if python_callable else lambda function: SourceTask.of(made(function))
    return decorator  # type: ignore[no-any-return]
