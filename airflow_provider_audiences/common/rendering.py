"""Rendering of templates and other tasks' output by Airflow, for values inside a field's value."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

try:
    from airflow.sdk.definitions._internal.mixins import ResolveMixin
except ImportError:  # Airflow 2
    from airflow.utils.mixins import ResolveMixin  # type: ignore[import-not-found,no-redef]

__all__ = ["ResolveMixin", "is_template", "references_in", "rendered_copy", "renderer"]


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

        from airflow_provider_audiences.common.text_templates import TextTemplatesMixin

        class Renders(TextTemplatesMixin, BaseOperator):
            """An operator that only renders."""

        task = Renders(task_id="renders_templates")
    render: Callable[[Any, Any], Any] = task.render_template
    return render


def rendered_copy(task: Any, context: Any, names: Collection[str]) -> Any:
    """
    Return a copy of a task as it is in its DAG file, with some of its arguments rendered.

    For callbacks that Airflow runs without having run the task. Other arguments, such as members, are not rendered;
    a mapped task gets all of its mapped arguments.

    :param task: operator of the DAG file, mapped or not.
    :param context: context of the task.
    :param names: names of the arguments; those that are no template fields are left as they are.
    :raises Exception: whatever a template, or an argument that another task's output gives, raises.
    """
    from airflow.providers.common.compat.sdk import BaseOperator

    # Values that come from other tasks are data: Airflow knows by their ids that they must not be rendered.
    seen_oids: set[int] = set()
    if isinstance(task, BaseOperator):
        copied = copy.copy(task)
    else:
        arguments, seen_oids = _mapped_arguments(task, context)
        copied = task.unmap(arguments)
    fields = [name for name in copied.template_fields if name in names]
    copied._do_render_template_fields(  # noqa: SLF001 - operators and mapped ones render by it, in all versions
        copied, fields, context, copied.get_template_env(), seen_oids
    )
    return copied


def _mapped_arguments(task: Any, context: Any) -> tuple[Any, set[int]]:
    found: tuple[Any, set[int]]
    try:
        from airflow.sdk.definitions.mappedoperator import MappedOperator  # noqa: F401 - only Airflow 3 has it
    except ImportError:
        from airflow.utils.session import create_session

        with create_session() as session:
            found = task._expand_mapped_kwargs(context, session, include_xcom=True)  # noqa: SLF001
    else:
        found = task._expand_mapped_kwargs(context)  # noqa: SLF001 - as Airflow's own rendering of mapped tasks does
    return found
