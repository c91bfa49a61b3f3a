"""
Which PAI groups follow each other, and when one of them may be deleted, while others do the same at the same time.

The groups of one name, owner and map index are a line. PAI has no lock, and a delete has no condition; several runs,
or a try that was taken for dead and the next one, may work on a line at once. What keeps them from deleting each
other's groups is one order and one rule:

*Order.* A group's rank is its created time, then its generation (in its marker: one more than the highest of the
groups that its maker saw), then its id. All of it is what the platform shows, so everybody sees the same order.

*Rule.* A group is deleted only

1. for a group of a **higher** rank that was seen **ready**: by the run that made the higher one and has waited for it,
   or by the tidying of a later run; or
2. because PAI has decided against it for good (rejected, or passed with too few people): nobody takes it for ready; or
3. by the run that made it, at that run's deadline, when it was seen not to be ready a moment ago.

A group that is still being checked is never deleted for a lower one, since its run may be alive. It goes when a higher
one is ready. So a run that finds one makes a group of its own, which is higher than all it saw.

*Never none.* Take the highest group that has ever become ready and was not deleted by 3. It was never rejected, so 2
does not apply; 1 would need a higher one that was ready. So it is there. *What a success returns* is a group that was
ready, and in the list after the run's last deletion; if it is deleted later, then by 1, and a later one is there.
*At most one extra:* two runs make two groups. The run of the higher one deletes the lower one, unless it is cut off
before that, or had ended already when the lower one came (both are of one second then): the next run deletes it. That
run makes a higher group than both, or finds the higher one ready with the members that it wants.

*A list that lags behind.* A group that it does not show yet is not deleted, and nothing is deleted for it; one's own
group is looked at by GetGroup then. A ready group that it still shows although it is gone was deleted for a higher one,
which is there: what is lower may go all the same. *A crash between two steps* leaves groups, never a gap: each deletion
is right by itself, whatever follows.

*What is left* is 3: a group that becomes ready between its run's last look and its delete at the deadline, while
another run takes it for ready in the very same moment.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import AudienceApiError, AuthenticationError
from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule
from airflow_provider_audiences.waiting.polls import PollState

if TYPE_CHECKING:
    from airflow_provider_audiences.platforms.pai.client import PaiClient
    from airflow_provider_audiences.platforms.pai.groups import AudienceGroup, Rank

log = logging.getLogger(__name__)


class GroupLine:
    """
    The groups of one name, owner and map index.

    :param client: of the account.
    :param name: of the groups.
    :param owner: digest of whom they belong to, as in their markers.
    :param map_index: of the mapped task; -1 for a task that is not mapped.
    :param rule: when a group is ready.
    """

    def __init__(self, client: PaiClient, *, name: str, owner: str, map_index: int, rule: ReadinessRule) -> None:
        self._client = client
        self._name = name
        self._owner = owner
        self._map_index = map_index
        self._rule = rule

    def listed(self, *, warn: bool = False) -> list[AudienceGroup]:
        """
        List the groups, the highest rank first, for nothing.

        :param warn: log which groups of the name belong to others.
        """
        named = [group for group in self._client.list_groups(name=self._name) if group.name == self._name]
        ours = [group for group in named if self._belongs_here(group)]
        strangers = [group.id for group in named if group not in ours]
        if strangers and warn:
            log.warning(
                "%d groups named %r were not made by this task, and stay: %s. Delete those that are not needed; or set "
                "provenance to what it was when they were made.",
                len(strangers), self._name, ", ".join(strangers),
            )  # fmt: skip
        return sorted(ours, key=lambda group: group.rank, reverse=True)

    def _belongs_here(self, group: AudienceGroup) -> bool:
        """Tell a group of this task from those of others, and of the same task's other map indexes."""
        marker = group.marker
        return marker is not None and (marker.owner, marker.map_index) == (self._owner, self._map_index)

    def is_ready(self, group: AudienceGroup) -> bool:
        """
        Return whether a group is ready.

        :param group: as listed.
        """
        return self._state(group) is PollState.READY

    def is_rejected(self, group: AudienceGroup) -> bool:
        """
        Return whether PAI rejected a group; one that passed with too few people is not rejected.

        :param group: as listed.
        """
        return group.status in self._rule.failed_in(self._client.dialect)

    def is_under_way(self, group: AudienceGroup) -> bool:
        """
        Return whether a group may become ready yet, so that the run that made it may be waiting for it.

        :param group: as listed.
        """
        return self._state(group) is PollState.WAITING

    def _state(self, group: AudienceGroup) -> PollState:
        return self._rule.assess(group, self._client.dialect).state

    def left_over(self, groups: Iterable[AudienceGroup], *, keep: int) -> list[AudienceGroup]:
        """
        Return those that nobody needs any more, whoever made them.

        :param groups: as listed.
        :param keep: how many of the ready ones stay beside the highest.
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
        self, rank: Rank, groups: Iterable[AudienceGroup], *, keep: int, call: str
    ) -> tuple[list[AudienceGroup], list[AudienceGroup]]:
        """
        Return the groups that a ready group replaces: those that go, and those that are kept, highest first.

        :param rank: of the ready group.
        :param groups: as listed.
        :param keep: how many of the ready ones stay.
        :param call: digest of the call that made the ready group: its doubles are never kept.
        """
        lower = [group for group in groups if group.rank < rank]
        kept = [group for group in lower if self.is_ready(group) and not is_of_call(group, call)][:keep]
        return [group for group in lower if group not in kept], kept


class Deletions:
    """
    Deletes one group after another, so that the caller can look again before each.

    :param client: of the account.
    """

    def __init__(self, client: PaiClient) -> None:
        self._client = client
        self._tried: set[str] = set()
        self.deleted: list[str] = []
        """Ids of those that are gone."""
        self.failure: AudienceApiError | None = None
        """Why the first of those that are still there could not be deleted."""

    def one_of(self, groups: Iterable[AudienceGroup]) -> bool:
        """
        Delete the first that was not tried yet.

        :param groups: those that may be deleted, as they were listed just now.
        :return: whether there may be another one to delete.
        """
        group = next((group for group in groups if group.id not in self._tried), None)
        if group is None or isinstance(self.failure, AuthenticationError):
            return False  # after a refusal, each further attempt would fail as well, and be billed
        self._tried.add(group.id)
        try:
            self._client.delete_group(group.id, ignore_missing=True)
        except AudienceApiError as error:
            self.failure = self.failure or error
            log.warning("The group %s could not be deleted: %s", group.id, error)
            return not isinstance(error, AuthenticationError)
        self.deleted.append(group.id)
        log.info("Deleted the group %s of %s (Status %s).", group.id, group.created_time, group.status)
        return True


def is_of_call(group: AudienceGroup, call: str) -> bool:
    """
    Return whether a group was made by a call.

    :param group: as listed.
    :param call: digest of the call.
    """
    return group.marker is not None and group.marker.call == call


def members_of(group: AudienceGroup) -> str:
    """
    Return the digest of a group's members; empty if its marker has none.

    :param group: as listed.
    """
    return group.marker.members if group.marker else ""
