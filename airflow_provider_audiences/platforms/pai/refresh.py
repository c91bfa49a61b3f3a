"""
A refresh of a PAI audience group: a new group is made, and when it is ready, those that it replaces are deleted.

PAI can't change a group. So whoever uses a name finds a group there at any time, and for a while two. The groups that
belong together have the same name and a marker of the same owner; groups of others are never touched. Whatever a run
that was cut off leaves behind, the next one finds by that, and deletes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import AudienceApiError, AuthenticationError, PermanentError
from airflow_provider_audiences.platforms.pai.dialects import STATUS_CHECKING
from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule, ReadinessState
from airflow_provider_audiences.validation import exact_text, whole_number

if TYPE_CHECKING:
    from airflow_provider_audiences.platforms.pai.client import PaiClient
    from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec
    from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
    from airflow_provider_audiences.platforms.pai.marker import GroupMarker

log = logging.getLogger(__name__)


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
    :param leftovers: ids of groups that earlier runs had left behind, and that are deleted.
    :param billable_calls: so far.
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
    leftovers: list[str] = field(default_factory=list)
    billable_calls: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """
    What the end of a refresh came to.

    :param group: the new group.
    :param deleted: ids of the groups that it replaced.
    :param kept: ids of earlier ones that were kept, newest first.
    """

    group: AudienceGroup
    deleted: tuple[str, ...]
    kept: tuple[str, ...]


class GroupRefresh:
    """
    Replaces the groups of one name and owner by a new one.

    :param client: of the account.
    :param name: of the groups.
    :param owner: digest of whom they belong to, as in their markers.
    :param call: digest of this very call, as in the new group's marker.
    :param rule: when a group is ready.
    :param keep_previous: how many of the replaced groups stay, newest first.
    :raises InvalidInputError: the name is empty, or ``keep_previous`` is no whole number.
    """

    def __init__(
        self, client: PaiClient, *, name: str, owner: str, call: str, rule: ReadinessRule, keep_previous: int = 0
    ) -> None:
        self._client = client
        self._name = exact_text("name", name)  # white space at its ends is a part of the group's name too
        self._owner = owner
        self._call = call
        self._rule = rule
        self._keep = whole_number("keep_previous", keep_previous, at_least=0)
        self._leftovers: tuple[str, ...] = ()
        self._rejected: AudienceGroup | None = None

    def tidy(self) -> AudienceGroup | None:
        """
        Delete what earlier runs left behind: groups that nobody can use, and those that a ready one has replaced.

        :return: the newest ready group of an earlier run; None if there is none.
        :raises PermanentError: groups may not be deleted with these credentials.
        """
        groups = self._groups(warn=True)
        self._rejected = next(
            (group for group in groups if self._is_mine(group) and group.status in self._rule.failed_statuses), None
        )
        others = [group for group in groups if not self._is_mine(group)]
        ready = [group for group in others if self._is_ready(group)]
        current = ready[0] if ready else None
        # While there is a ready one, all that is not ready is left over; else a group that only passed may be in use.
        kept = ready[: 1 + self._keep]
        leftovers = [group for group in others if (group not in kept if current else self._is_of_no_use(group))]
        if leftovers:
            log.info("An earlier run left %d groups behind.", len(leftovers))
        self._leftovers, failure = self._delete(leftovers)
        if isinstance(failure, PermanentError):
            # Who may not delete must not make a further group either: there would be one more in each run.
            failure.landed = "No new group was made, since those that it would replace can't be deleted"
            failure.advice = "Let the credentials delete groups, or delete those that the log names by hand."
            raise failure
        return current  # what can't be deleted just now is tried again in the end

    def begin(
        self,
        spec: GroupSpec,
        marker: GroupMarker,
        *,
        began_epoch_seconds: float,
        members: Mapping[str, Any] | None = None,
    ) -> Refreshing:
        """
        Make the new group, or take the one that an earlier try of this call has made.

        :param spec: of the group.
        :param marker: of this call.
        :param began_epoch_seconds: when the work began.
        :param members: facts about the members, for the report.
        """
        if self._rejected:
            # This very call has its answer already: asking again would be billed again.
            return self._refreshing(self._rejected, began_epoch_seconds, members, adopted=True)
        created = self._client.create_group(spec, marker=marker)
        return self._refreshing(created.group, began_epoch_seconds, members, adopted=created.adopted)

    def keep(
        self, group: AudienceGroup, *, began_epoch_seconds: float, members: Mapping[str, Any] | None = None
    ) -> Refreshing:
        """
        Leave everything as it is: a group has the same members already.

        :param group: the group.
        :param began_epoch_seconds: when the work began.
        :param members: facts about the members, for the report.
        """
        return self._refreshing(group, began_epoch_seconds, members, unchanged=True)

    def _refreshing(
        self,
        group: AudienceGroup,
        began_epoch_seconds: float,
        members: Mapping[str, Any] | None,
        *,
        adopted: bool = False,
        unchanged: bool = False,
    ) -> Refreshing:
        return Refreshing(
            name=self._name,
            group_id=group.id,
            status=group.status,
            amount=group.amount,
            owner=self._owner,
            call=self._call,
            adopted=adopted,
            unchanged=unchanged,
            began_epoch_seconds=began_epoch_seconds,
            members=dict(members or {}),
            leftovers=list(self._leftovers),
        )

    def finish(self, group_id: str) -> Replaced:
        """
        Delete what the new group replaces.

        :param group_id: of the new group, which is ready.
        :raises AudienceApiError: a group could not be deleted; the others are.
        """
        groups = self._groups()
        new = next((group for group in groups if group.id == group_id), None) or self._client.get_group(group_id)
        # A group that is younger belongs to a later run, unless it is a double of this one.
        replaced = [
            group
            for group in groups
            if group.id != new.id and (group.created_time <= new.created_time or self._is_mine(group))
        ]
        kept = [group for group in replaced if self._is_ready(group) and not self._is_mine(group)][: self._keep]
        deleted, failure = self._delete([group for group in replaced if group not in kept])
        if failure:
            when = "run" if isinstance(failure, PermanentError) else "try"
            failure.landed = f"The new group {new.id} is ready; the next {when} deletes what it replaces"
            raise failure
        return Replaced(group=new, deleted=deleted, kept=tuple(group.id for group in kept))

    def give_up(self, group_id: str) -> bool:
        """
        Delete a new group that did not become ready; a failure is logged, since there is a worse one to tell of.

        :param group_id: the group.
        :return: whether it is gone.
        """
        try:
            self._client.delete_group(group_id, ignore_missing=True)
        except AudienceApiError as error:
            log.warning("The group %s could not be deleted; the next run does it: %s", group_id, error)
            return False
        log.info("Deleted the group %s, which did not become ready.", group_id)
        return True

    def _groups(self, *, warn: bool = False) -> list[AudienceGroup]:
        """Return the groups of this name and owner, newest first."""
        named = [group for group in self._client.list_groups(name=self._name) if group.name == self._name]
        ours = [group for group in named if group.marker and group.marker.owner == self._owner]
        strangers = [group.id for group in named if group not in ours]
        if strangers and warn:
            log.warning(
                "%d groups named %r were not made by this task, and stay: %s. Delete those that are not needed; or set "
                "provenance to what it was when they were made.",
                len(strangers), self._name, ", ".join(strangers),
            )  # fmt: skip
        return sorted(ours, key=lambda group: (group.created_time, group.id), reverse=True)

    def _is_mine(self, group: AudienceGroup) -> bool:
        return group.marker is not None and group.marker.call == self._call

    def _is_ready(self, group: AudienceGroup) -> bool:
        return self._rule.assess(group).state is ReadinessState.READY

    def _is_of_no_use(self, group: AudienceGroup) -> bool:
        """Tell a group that was rejected, or is being checked, from one that passed, whatever its size."""
        return group.status in self._rule.failed_statuses or (group.status == STATUS_CHECKING and not group.amount)

    def _delete(self, groups: Iterable[AudienceGroup]) -> tuple[tuple[str, ...], AudienceApiError | None]:
        """Delete as many as can be; return their ids, and the first failure."""
        deleted: list[str] = []
        failure: AudienceApiError | None = None
        for group in groups:
            try:
                self._client.delete_group(group.id, ignore_missing=True)
            except AudienceApiError as error:
                failure = failure or error
                log.warning("The group %s could not be deleted: %s", group.id, error)
                if isinstance(error, AuthenticationError):
                    break  # each further attempt would fail as well, and be billed
            else:
                deleted.append(group.id)
                log.info("Deleted the group %s of %s (Status %s).", group.id, group.created_time, group.status)
        return tuple(deleted), failure
