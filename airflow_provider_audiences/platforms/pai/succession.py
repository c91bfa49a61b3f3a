"""
Which PAI groups succeed each other, and when one may be deleted while other runs do the same at the same time.

The groups of one name, owner and map index form a line. PAI has no locks, and a delete has no condition; and several
runs, or a try that was taken for dead and the next one, may work on a line at once. An order and a rule keep them from
deleting each other's groups:

*Order.* A group's rank is its created time, then its sequence (in its marker: one more than the highest sequence
that its maker has seen), then its id. The platform shows all three, so the order is the same for everybody.

*Rule.* A group is deleted only

1. because a group of a **higher** rank was seen **ready**: by the run that made that group and has waited for it, or
   by the tidying of a later run; or
2. because PAI has decided against it for good (rejected, or passed with too few people): nobody takes it for ready; or
3. by the run that made it, at that run's deadline, if it was not ready a moment ago.

A group that is still being checked is never deleted for a lower one, since the run that made it may be alive; it is
deleted when a higher one is ready. So a run that finds such a group makes one of its own, which has a higher rank than
all that it saw.

*There is always a group.* Take the highest group that has ever become ready and was not deleted by 3. It was never
rejected, so 2 does not apply; and 1 would need a higher group that was ready. So it exists. *The group that a run
returns* was ready, and was in the list after the run's last deletion; if it is deleted later, then by 1, and a later
group exists. *At most one group too many:* two runs make two groups. The run of the higher one deletes the lower one,
unless it is interrupted before that, or had ended when the lower one appeared (which needs both in the same second);
then the next run deletes it. That run makes a higher group than both, or finds the higher one ready with the members
that it wants.

*A list that lags behind.* A group that is not listed yet is not deleted, and nothing is deleted because of it; a run
finds its own group by GetGroup then. A ready group that is still listed although it is gone was deleted because of a
higher one, which exists; so the lower ones may be deleted all the same. *A crash between two steps* leaves groups too
many, but never none: each deletion is right by itself, whatever follows.

*One gap remains*, in 3: a group may become ready between its run's last poll and its deletion at the deadline, while
another run takes it for ready in that moment.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import AudienceError, AuthenticationError
from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule
from airflow_provider_audiences.waiting.polls import PollState
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.platforms.pai.client import PaiClient
    from airflow_provider_audiences.platforms.pai.groups import AudienceGroup, Rank

log = logging.getLogger(__name__)


class GroupSeries:
    """
    The groups of one name, owner and map index, which succeed each other.

    :param client: client of the groups' account.
    :param name: exact name of the groups.
    :param owner: digest of the provenance key, as in markers.
    :param map_index: index of the mapped task; -1 for a task that is not mapped.
    :param rule: decides when a group is ready.
    """

    def __init__(self, client: PaiClient, *, name: str, owner: str, map_index: int, rule: ReadinessRule) -> None:
        self._client = client
        self._name = name
        self._owner = owner
        self._map_index = map_index
        self._rule = rule

    def listed(self, *, warn: bool = False) -> list[AudienceGroup]:
        """
        Return the groups, the highest rank first. Listing them is free.

        :param warn: whether to log the groups of the same name that belong to others.
        """
        named = [group for group in self._client.list_groups(name=self._name) if group.name == self._name]
        ours = [group for group in named if self._belongs_here(group)]
        others = [group.id for group in named if group not in ours]
        if others and warn:
            log.warning(
                "%s: %s. Delete those that are not needed; or set provenance to what it was when they were made.",
                counted(
                    len(others),
                    f"group named {self._name!r} was not made by this task, and stays",
                    f"groups named {self._name!r} were not made by this task, and stay",
                ),
                ", ".join(others),
            )  # fmt: skip
        return sorted(ours, key=lambda group: group.rank, reverse=True)

    def _belongs_here(self, group: AudienceGroup) -> bool:
        """Return whether a group belongs to this owner and map index."""
        marker = group.marker
        return marker is not None and (marker.owner, marker.map_index) == (self._owner, self._map_index)

    def is_ready(self, group: AudienceGroup) -> bool:
        """
        Return whether a group is ready.

        :param group: a listed group.
        """
        return self._state(group) is PollState.READY

    def is_rejected(self, group: AudienceGroup) -> bool:
        """
        Return whether PAI rejected a group; a group that passed with too few people is not rejected.

        :param group: a listed group.
        """
        return group.status in self._rule.failed_in(self._client.dialect)

    def is_under_way(self, group: AudienceGroup) -> bool:
        """
        Return whether a group may still become ready; then the run that has made it may be waiting for it.

        :param group: a listed group.
        """
        return self._state(group) is PollState.WAITING

    def _state(self, group: AudienceGroup) -> PollState:
        return self._rule.assess(group, self._client.dialect).state

    def left_over(self, groups: Iterable[AudienceGroup], *, keep: int) -> list[AudienceGroup]:
        """
        Return the groups that nobody needs any more, whoever has made them.

        :param groups: listed groups, the highest rank first.
        :param keep: number of ready groups to keep besides the highest.
        """
        groups = list(groups)
        ready = [group for group in groups if self.is_ready(group)]
        if not ready:
            # A group that only passed may be in use, whatever its size.
            return [group for group in groups if self.is_rejected(group)]
        kept = ready[: 1 + keep]
        return [
            group
            for group in groups
            if group not in kept and (group.rank < ready[0].rank or not self.is_under_way(group))
        ]

    def replaced_by(
        self, rank: Rank, groups: Iterable[AudienceGroup], *, keep: int, idempotency_key: str
    ) -> tuple[list[AudienceGroup], list[AudienceGroup]]:
        """
        Return the groups that a ready group replaces, the highest first: those to delete, and those to keep.

        :param rank: rank of the ready group.
        :param groups: listed groups, the highest rank first.
        :param keep: number of replaced ready groups to keep.
        :param idempotency_key: key of the ready group, as in its marker; other groups with this key are not kept.
        """
        lower = [group for group in groups if group.rank < rank]
        kept = [group for group in lower if self.is_ready(group) and not has_key(group, idempotency_key)][:keep]
        return [group for group in lower if group not in kept], kept


class Deletions:
    """
    Deletes groups one by one, so that the caller can list them again before each.

    :param client: client of the groups' account.
    """

    def __init__(self, client: PaiClient) -> None:
        self._client = client
        self._tried: set[str] = set()
        self.deleted: list[str] = []
        """Ids of groups that were deleted."""
        self.failure: AudienceError | None = None
        """Error of the first group that could not be deleted; None if there was none."""

    def delete_next(self, groups: Iterable[AudienceGroup]) -> bool:
        """
        Delete the first group that was not tried yet.

        :param groups: groups that may be deleted, listed just now.
        :return: whether to list the groups again and go on: False if none was left, or the credentials were refused.
        """
        group = next((group for group in groups if group.id not in self._tried), None)
        if group is None or isinstance(self.failure, AuthenticationError):
            return False  # after a refusal, each further attempt would fail as well, and be billed
        self._tried.add(group.id)
        try:
            self._client.delete_group(group.id, ignore_missing=True)
        except AudienceError as error:
            self.failure = self.failure or error
            log.warning("The group %s could not be deleted: %s", group.id, error)
            return not isinstance(error, AuthenticationError)
        self.deleted.append(group.id)
        log.info("Deleted the group %s of %s (Status %s).", group.id, group.created_time, group.status)
        return True


def has_key(group: AudienceGroup, idempotency_key: str) -> bool:
    """
    Return whether a group's marker has an idempotency key.

    :param group: a listed group.
    :param idempotency_key: the key, as in markers.
    """
    return group.marker is not None and group.marker.idempotency_key == idempotency_key


def content_of(group: AudienceGroup) -> str:
    """
    Return the digest of a group's content; empty if its marker has none.

    :param group: a listed group.
    """
    return group.marker.content if group.marker else ""
