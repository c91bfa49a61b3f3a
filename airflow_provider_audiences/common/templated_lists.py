"""
Lists with items that Airflow renders when the task runs: XComArgs and templates, mixed with paths and members.

Only after rendering is it known whether such a list holds paths, members, or lists of them. So the list stays a list of
parts until it is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_audiences.common.rendering import ResolveMixin, is_template, references_in, renderer


@dataclass(frozen=True, repr=False)
class TemplatedList(ResolveMixin):
    """
    A list with at least one item that Airflow renders when the task runs.

    :param items: XComArgs, templates, paths, and masked members.
    :param is_rendered: whether the items are rendered already.
    """

    items: tuple[Any, ...]
    is_rendered: bool = False

    def iter_references(self) -> Iterator[Any]:
        """Yield the tasks whose output the items refer to. Airflow calls this method."""
        return references_in(self.items)

    def resolve(self, context: Any, **_: Any) -> TemplatedList:
        """
        Return a copy with rendered items. Airflow calls this method.

        :param context: context of the task.
        """
        render = renderer(context)
        return replace(self, items=tuple(render(item, context) for item in self.items), is_rendered=True)

    def __repr__(self) -> str:
        return f"[{', '.join(map(_shown, self.items))}]"

    def serialize(self) -> str:
        """Return the text that Airflow may store and show."""
        return repr(self)


def is_templated_list(value: object) -> bool:
    """
    Return whether a value is a list with something to render: an XComArg, a template, or such a list.

    :param value: value that is assigned to a field.
    """
    return isinstance(value, list | tuple) and any(
        is_template(item) or is_templated_list(item) or _is_later(item) for item in value
    )


def has_references(value: object) -> bool:
    """
    Return whether a value is a list with an XComArg in it, or with such a list in it.

    :param value: any value.
    """
    return isinstance(value, list | tuple) and any(_is_later(item) or has_references(item) for item in value)


def _is_later(item: object) -> bool:
    return hasattr(item, "iter_references")


def _shown(item: Any) -> str:
    if isinstance(item, list | tuple):
        return f"[{', '.join(map(_shown, item))}]"
    if type(item).__module__.partition(".")[0] == "airflow" and hasattr(item, "iter_references"):
        tasks = sorted({operator.task_id for operator, _ in item.iter_references()})
        return f"<output of {', '.join(tasks)}>" if tasks else f"<{type(item).__name__}>"
    return repr(item)
