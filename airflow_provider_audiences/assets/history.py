"""The history of an audience: a point for each successful write, as small JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from typing import Any

from airflow_provider_audiences.common.counts import live_after, requests_of

MAX_POINTS = 400
MAX_BYTES = 64_000
"""Most bytes of a history as JSON: above 64 KB, Airflow warns."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """
    The audience after one write. None stands for what is not known.

    :param at: seconds since 1970 (UTC).
    :param live: members that are there.
    :param added: members that were sent and had not been there; of an append, all that were sent.
    :param removed: members that were removed.
    :param refreshed: members that were sent again before they expire.
    :param suppressed: members of the source that were left out because of ``suppress``.
    :param drift: the platform's count minus ``live``.
    :param requests: requests that were sent; of PAI, those that it may bill.
    """

    at: int
    live: int | None
    added: int | None
    removed: int | None
    refreshed: int | None
    suppressed: int | None
    drift: int | None
    requests: int | None

    @classmethod
    def of(cls, report: Mapping[str, Any], *, at: int, operation: str, live: int | None) -> Point:
        """
        Return the point of a report.

        :param report: report of an operator, of any kind.
        :param at: seconds since 1970 (UTC).
        :param operation: what the operator does, as in an event.
        :param live: members that are there, where the report does not say; None if it is not known.
        """
        sent = report.get("sent")
        return cls(
            at=at,
            live=live_after(report, operation=operation, otherwise=live),
            added=report.get("added", sent if operation == "append" else None),
            removed=report.get("removed", sent if operation == "remove" else None),
            refreshed=report.get("refreshed"),
            suppressed=report.get("suppressed"),
            drift=report.get("drift"),
            requests=requests_of(report),
        )


NAMES = [field.name for field in fields(Point)]


def extended(before: Any, point: Point) -> dict[str, Any]:
    """
    Return a history with one more point; the oldest ones go.

    :param before: the history so far, as it was stored; None, or what is no history, for none.
    :param point: the new point.
    """
    kept = [*_rows_of(before), list(astuple(point))][-MAX_POINTS:]
    while len(json.dumps(kept)) > MAX_BYTES:
        kept = kept[len(kept) // 10 + 1 :]
    return {"fields": NAMES, "points": kept}


def _rows_of(history: Any) -> list[list[Any]]:
    """Return the points of a history with the fields of today, whatever fields the version had that stored it."""
    names, points = (history.get("fields"), history.get("points")) if isinstance(history, Mapping) else (None, None)
    if not isinstance(names, list) or not isinstance(points, list):
        return []
    if names == NAMES:
        return points
    by_name = [dict(zip(names, values, strict=False)) for values in points if isinstance(values, list)]
    return [[point.get(name) for name in NAMES] for point in by_name if isinstance(point.get("at"), int)]
