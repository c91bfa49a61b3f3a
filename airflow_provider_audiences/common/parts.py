"""
What several tasks hand over for one argument: a list that holds XComArgs or templates, and what a mapped task returned.

Only when its parts are there can it be told what such a list is: paths, members, or lists of them. So it stays a list
of parts until it is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_audiences.common.rendering import ResolveMixin, is_template, references_in, renderer


@dataclass(frozen=True, repr=False)
class Parts(ResolveMixin):
    """
    A list of which at least one item has to be rendered first.

    :param items: XComArgs, templates, paths, and masked members.
    :param is_rendered: whether they are what tasks handed over.
    """

    items: tuple[Any, ...]
    is_rendered: bool = False

    def iter_references(self) -> Iterator[Any]:
        """Yield the tasks whose output is used here; the name is Airflow's."""
        return references_in(self.items)

    def resolve(self, context: Any, **_: Any) -> Parts:
        """
        Return a copy with its items rendered; the name is Airflow's.

        :param context: the task's context.
        """
        render = renderer(context)
        return replace(self, items=tuple(render(item, context) for item in self.items), is_rendered=True)

    def __repr__(self) -> str:
        return f"[{', '.join(map(_shown, self.items))}]"

    def serialize(self) -> str:
        """Return what Airflow may store and show."""
        return repr(self)


def has_parts(value: object) -> bool:
    """
    Tell a list that holds something to render: an XComArg, a template, or a list with one in it.

    :param value: what was assigned to a field.
    """
    return isinstance(value, list | tuple) and any(
        is_template(item) or has_parts(item) or _is_later(item) for item in value
    )


def has_references(value: object) -> bool:
    """
    Tell a list that holds an XComArg, or a list with one in it.

    :param value: anything.
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
