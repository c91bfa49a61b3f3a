"""Reports of operators as lines for the log: what was written to first, then what has a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ALWAYS_SHOWN = frozenset({"added", "refreshed", "removed", "unchanged", "sent", "live", "drift", "amount", "requests"})
"""Counts that people look for, also where they are 0."""

_SHOWN_ELSEWHERE = frozenset({"audience_id", "group_id", "name", "verdicts"})
"""Fields that stand in the heading; verdicts are logged as soon as they are known."""


def report_lines(report: Mapping[str, Any], *, heading: str) -> list[str]:
    """
    Return a report as lines of a small table. What is empty, unknown, false or 0 is left out, but for some counts.

    :param report: the operator's report.
    :param heading: first line: what was written to.
    """
    rows = {
        name: value
        for name, value in report.items()
        if name not in _SHOWN_ELSEWHERE and (value or (name in ALWAYS_SHOWN and type(value) is int))
    }
    width = max(map(len, rows), default=0)
    return [heading, *(f"  {name:<{width}}  {shown_value(value)}" for name, value in rows.items())]


def shown_value(value: Any) -> str:
    """
    Return a value of a report as people read it: ``12,000``, ``yes``, ``a, b``, and ``-`` for nothing.

    :param value: a JSON value.
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown_value, value)) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shown_value(inner)}" for name, inner in value.items()) or "-"
    return str(value) or "-"
