"""Rendering of templates and other tasks' output by Airflow, for values inside a field's value."""

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
    Return whether a value is text that Airflow renders.

    :param value: any value.
    """
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def references_in(values: Iterable[Any]) -> Iterator[Any]:
    """
    Yield the tasks whose output is used in values, in the form that Airflow expects.

    :param values: XComArgs, and lists and other objects that hold some.
    """
    from airflow.providers.common.compat.sdk import XComArg

    return XComArg.iter_xcom_references(list(values))


def renderer(context: Any) -> Callable[[Any, Any], Any]:
    """
    Return a function that renders a value as the task does, with its DAG's macros, files and native types.

    :param context: context of the task; the function takes it as its second argument.
    """
    task = context.get("task")
    if task is None:
        # Only contexts made for tests have no task.
        from airflow.providers.common.compat.sdk import BaseOperator

        from airflow_provider_audiences.common.text_templates import RendersTextAsText

        class Renders(RendersTextAsText, BaseOperator):
            """An operator that only renders."""

        task = Renders(task_id="renders_templates")
    render: Callable[[Any, Any], Any] = task.render_template
    return render
