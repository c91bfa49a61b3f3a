"""What hands templates and other tasks' output on to Airflow: for values that hold them, not only for fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

try:
    from airflow.sdk.definitions._internal.mixins import ResolveMixin
except ImportError:  # Airflow 2
    from airflow.utils.mixins import ResolveMixin  # type: ignore[import-not-found,no-redef]

__all__ = ["ResolveMixin", "is_template", "references_in", "renderer"]


def is_template(value: object) -> bool:
    """
    Tell text that Airflow renders.

    :param value: anything.
    """
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def references_in(values: Iterable[Any]) -> Iterator[Any]:
    """
    Yield the tasks whose output is used, as Airflow asks for them.

    :param values: XComArgs, and lists and descriptions that hold some.
    """
    from airflow.providers.common.compat.sdk import XComArg

    return XComArg.iter_xcom_references(list(values))


def renderer(context: Any) -> Callable[[Any, Any], Any]:
    """
    Return what renders a value as the task does: with its DAG's macros, files and native types.

    :param context: the task's context.
    """
    task = context.get("task")
    if task is None:
        # A context that someone made for a test.
        from airflow.providers.common.compat.sdk import BaseOperator

        from airflow_provider_audiences.common.text_templates import RendersTextAsText

        class Renders(RendersTextAsText, BaseOperator):
            """A task that does nothing else."""

        task = Renders(task_id="renders_templates")
    render: Callable[[Any, Any], Any] = task.render_template
    return render
