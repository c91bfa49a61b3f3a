"""What a task that writes has done, in numbers: for metrics, lineage, and the history of an audience."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.delivery.progress import Progress

_REFUSED = ("malformed", "zeroed", "rejected_by_api")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """
    The numbers of one try of a task. None stands for what is not known.

    :param sent: members that this try sent and the platform took, to be added or to stay for longer.
    :param removed: members that this try sent to be removed, and the platform took.
    :param refused: texts of the source that are no members, and members that the platform rejected.
    :param requests: requests that were sent; of PAI, those that it may bill.
    :param live: members that are there afterwards.
    :param drift: the platform's count minus ``live``.
    """

    sent: int | None = None
    removed: int | None = None
    refused: int | None = None
    requests: int | None = None
    live: int | None = None
    drift: int | None = None

    @classmethod
    def of(
        cls,
        report: Mapping[str, Any] | None,
        *,
        operation: str,
        live: int | None = None,
        requests: int | None = None,
        sends: bool = False,
        progress: Progress | None = None,
    ) -> Counts:
        """
        Return the numbers of a try.

        :param report: the operator's report; None if the try has failed.
        :param operation: what the operator does, as in an event.
        :param live: members that are there, where the report does not say; None if it is not known.
        :param requests: requests that were sent, where the report does not say; None if it is not known.
        :param sends: whether members are sent in batches; otherwise a group is made.
        :param progress: progress of the sending; None if nothing was sent in batches.
        """
        has_succeeded = report is not None
        report = report or {}
        sent: int | None
        removed: int | None
        if progress:
            sent, removed = progress.added, progress.removed
        else:
            sent, removed = (0, 0) if sends else (_members_of_group(report), None)
        if progress and not has_succeeded:
            refused: int | None = progress.rejected
        else:
            found = [report[name] for name in _REFUSED if isinstance(report.get(name), int)]
            refused = sum(found) if found else None
        return cls(
            sent=sent,
            removed=removed,
            refused=refused,
            requests=requests_of(report, otherwise=requests) if has_succeeded else requests,
            live=live_after(report, operation=operation, otherwise=live) if has_succeeded else None,
            drift=report.get("drift"),
        )


def live_after(report: Mapping[str, Any], *, operation: str, otherwise: int | None) -> int | None:
    """
    Return how many members are there after a write; None if it is not known.

    :param report: the operator's report.
    :param operation: what the operator does, as in an event.
    :param otherwise: the number, where the report does not say; None if it is not known.
    """
    if operation == "delete":
        otherwise = 0
    elif operation == "update":
        otherwise = report.get("sent")
    live: int | None = report.get("live", report.get("amount", otherwise))
    return live


def requests_of(report: Mapping[str, Any], *, otherwise: int | None = None) -> int | None:
    """
    Return how many requests a report tells of; of PAI, those that it may bill.

    :param report: the operator's report.
    :param otherwise: the number, where the report does not say; None (default) if it is not known.
    """
    calls = report.get("billable_calls")
    requests: int | None = report.get("requests", sum(calls.values()) if isinstance(calls, Mapping) else otherwise)
    return requests


def _members_of_group(report: Mapping[str, Any]) -> int | None:
    """Return how many members were sent for a new group; None if PAI reads them by itself, or made no group."""
    members = report.get("members")
    return None if not isinstance(members, int) else 0 if report.get("unchanged") is True else members
