"""A refresh of a PAI group under way, as it goes from the task to the trigger and back; and what it came to."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_audiences.platforms.pai.groups import AudienceGroup


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """
    What the end of a refresh came to.

    :param group: the group that is there now: the new one, or a later one of the same content that replaced it.
    :param deleted: ids of the groups that it replaced.
    :param kept: ids of earlier ones that were kept, newest first.
    """

    group: AudienceGroup
    deleted: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Refreshing:
    """
    A refresh that is under way: what has to be known when the new group is ready. Small JSON.

    :param name: of the group.
    :param group_id: of the new group; of the one that stays, if nothing has to be done.
    :param status: of that group, as it was then.
    :param amount: of that group, as it was then.
    :param owner: digest of whom it belongs to.
    :param call: digest of the call that made it.
    :param adopted: whether an earlier try had made it.
    :param unchanged: whether the group that is there has the same members, and stays.
    :param began_epoch_seconds: when the work began.
    :param members: facts about the members, for the report.
    :param map_index: of the mapped task; -1 for a task that is not mapped.
    :param verdicts: what the guards say, as small JSON.
    :param leftovers: ids of groups that earlier runs had left behind, and that are deleted.
    :param billable_calls: so far.
    :param created_time: of that group, as the platform writes it.
    :param generation: of that group.
    :param content: digest of that group's members, as in its marker; empty if it has none.
    :param file_name: of the file that it was made from, below ``stage_path``; empty if there is none.
    """

    name: str
    group_id: str
    status: int | None
    amount: int
    owner: str
    call: str
    adopted: bool
    unchanged: bool
    began_epoch_seconds: float
    members: dict[str, Any]
    map_index: int = -1
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    billable_calls: dict[str, int] = field(default_factory=dict)
    created_time: str = ""
    generation: int = 0
    content: str = ""
    file_name: str = ""

    def report(self, replaced: Replaced | None, *, cost: float | None) -> dict[str, Any]:
        """
        Return what the task tells of it.

        :param replaced: what its end came to; None if nothing had to be done.
        :param cost: what its calls may cost; None if that is not known.
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
            **self.members,
            "verdicts": self.verdicts,
            "billable_calls": self.billable_calls,
            **({} if cost is None else {"estimated_cost": cost}),
            "seconds": round(time.time() - self.began_epoch_seconds, 3),
        }
