"""The state of a refresh of a PAI group, which the task hands to the trigger and gets back; and its result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from airflow_provider_audiences.platforms.pai.groups import AudienceGroup


_STORED_KEY = "call"
"""Name of the idempotency key in rows of waits that began with an earlier version; they are read on."""


@dataclass(frozen=True, kw_only=True)
class RefreshResult:
    """
    The result of a finished refresh.

    :param group: the group in use now: the new one, or a later one that has already replaced it.
    :param deleted: ids of the replaced groups that were deleted.
    :param kept: ids of earlier groups that were kept, newest first.
    """

    group: AudienceGroup
    deleted: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PendingRefresh:
    """
    A refresh that waits for its new group: the facts needed to finish it, as JSON fields.

    "The group" is the new one; if nothing has changed, it is the group that stays.

    :param name: name of the group.
    :param group_id: id of the group.
    :param status: status of the group when it was made or found.
    :param amount: number of people in the group when it was made or found.
    :param owner: digest of the provenance key, as in markers.
    :param idempotency_key: key of the group asked for, as in markers.
    :param adopted: whether an earlier try has made the group.
    :param unchanged: whether an existing group has the same members, and stays.
    :param began_epoch_seconds: start of the work, in seconds since 1970 (UTC).
    :param member_counts: counts of the members, for the report.
    :param map_index: index of the mapped task; -1 for a task that is not mapped.
    :param verdicts: verdicts of the guards, as JSON.
    :param leftovers: ids of groups that earlier runs had left, and that this run has deleted.
    :param billable_calls: number of billable calls so far, by call.
    :param created_time: created time of the group, as the platform writes it.
    :param sequence: sequence number in the group's marker.
    :param content: digest of the group's content, as in its marker; empty if the marker has none.
    :param file_name: name of the file that the group is made from, below ``stage_path``; empty if there is none.
    """

    name: str
    group_id: str
    status: int | None
    amount: int
    owner: str
    idempotency_key: str
    adopted: bool
    unchanged: bool
    began_epoch_seconds: float
    member_counts: dict[str, Any]
    map_index: int = -1
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    billable_calls: dict[str, int] = field(default_factory=dict)
    created_time: str = ""
    sequence: int = 0
    content: str = ""
    file_name: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the refresh as JSON."""
        content = asdict(self)
        content[_STORED_KEY] = content.pop("idempotency_key")
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """
        Return the refresh that :meth:`as_json` has returned as JSON.

        :param content: the JSON, as a dictionary.
        """
        values = dict(content)
        return cls(idempotency_key=values.pop(_STORED_KEY), **values)

    def report(self, replaced: RefreshResult | None, *, cost: float | None) -> dict[str, Any]:
        """
        Return the report that the task returns.

        :param replaced: result of the refresh; None if no group had to be replaced.
        :param cost: estimated cost of the billable calls, in the currency of the price; None if it is not known.
        """
        return {
            "group_id": self.group_id,
            "name": self.name,
            "status": replaced.group.status if replaced else self.status,
            "amount": replaced.group.amount if replaced else self.amount,
            "unchanged": self.unchanged,
            "adopted": self.adopted,
            "replaced_group_ids": list(replaced.deleted) if replaced else [],
            "kept_group_ids": list(replaced.kept) if replaced else [],
            "leftover_group_ids": list(self.leftovers),
            **self.member_counts,
            "verdicts": self.verdicts,
            "billable_calls": self.billable_calls,
            **({} if cost is None else {"estimated_cost": cost}),
            "seconds": round(time.time() - self.began_epoch_seconds, 3),
        }
