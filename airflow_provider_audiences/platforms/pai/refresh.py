"""
A refresh of a PAI audience group: a new group is made, and when it is ready, those that it replaces are deleted.

PAI can't change a group, so a name always has a group, and two for a while. The groups that belong together have
the same name and a marker of the same owner; groups of others are never touched. By name and marker, a run also finds
what an interrupted run has left, and deletes it. Several runs may do this at the same time:
:mod:`~airflow_provider_audiences.platforms.pai.succession` has the rule that they keep to, and why it is enough.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import AudienceError, NotFoundError, PermanentError, TransientError
from airflow_provider_audiences.platforms.pai.groups import rank_of
from airflow_provider_audiences.platforms.pai.pending_refresh import PendingRefresh, RefreshResult
from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule
from airflow_provider_audiences.platforms.pai.refresh_failures import group_gone
from airflow_provider_audiences.platforms.pai.succession import Deletions, GroupSeries, content_of, has_key
from airflow_provider_audiences.sync.guards import Verdict, older_run_verdict, refuse_unless_passed
from airflow_provider_audiences.validation import exact_text, whole_number
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.platforms.pai.client import PaiClient
    from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec
    from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
    from airflow_provider_audiences.platforms.pai.marker import GroupMarker

_MAX_SEQUENCE = 999_999_999
"""What a marker has room for."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TidiedGroups:
    """
    The groups of a refresh before it begins, once those that earlier runs have left are gone.

    :param current: the newest ready group of an earlier refresh; None if there is none.
    :param is_newest: whether ``current`` is the newest of all: no group is being checked that would replace it.
    :param rejected: group that an earlier try of this refresh has made, and PAI has rejected; None if there is none.
    :param sequence: sequence number for the marker of the new group.
    :param leftovers: ids of the groups that earlier runs had left, and that were deleted.
    :param verdicts: what the guards have said.
    """

    current: AudienceGroup | None
    is_newest: bool
    rejected: AudienceGroup | None
    sequence: int
    leftovers: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


class GroupRefresh:
    """
    Replaces the groups of one name and owner with a new one.

    :param client: client of the groups' account.
    :param name: exact name of the groups.
    :param owner: digest of the provenance key, as in markers.
    :param idempotency_key: key of the new group, as in its marker.
    :param map_index: index of the mapped task, which has groups of its own; -1 for a task that is not mapped.
    :param rule: decides when a group is ready.
    :param keep_previous: number of replaced ready groups to keep, newest first; default 0.
    :raises InvalidInputError: the name is empty, or ``keep_previous`` is not a whole number of at least 0.
    """

    def __init__(
        self,
        client: PaiClient,
        *,
        name: str,
        owner: str,
        idempotency_key: str,
        map_index: int,
        rule: ReadinessRule,
        keep_previous: int = 0,
    ) -> None:
        self._client = client
        self._name = exact_text("name", name)  # white space at its ends is a part of the group's name too
        self._owner = owner
        self._idempotency_key = idempotency_key
        self._map_index = map_index
        self._keep = whole_number("keep_previous", keep_previous, at_least=0)
        self._series = GroupSeries(client, name=self._name, owner=owner, map_index=map_index, rule=rule)

    def tidy(self, marker: GroupMarker, *, allow_older_run: bool = False) -> TidiedGroups:
        """
        Delete groups that earlier runs have left: rejected ones, and those that a ready group has replaced.

        :param marker: marker of the new group.
        :param allow_older_run: whether to go on even if a run with a newer logical date has made a group.
        :return: what is there now, as :meth:`begin` and :meth:`keep` need it.
        :raises GuardError: a newer run has made a group, with other members; nothing was deleted.
        :raises PermanentError: the credentials may not delete groups; no new group was made.
        """
        groups = self._series.listed(warn=True)
        found = self._found(groups)
        in_use = [group for group in self._with_other_keys(groups) if not self._series.is_rejected(group)]
        is_same = found.is_newest and found.current is not None and marker.same_content(found.current.marker)
        verdict = _checked_run_date(marker, in_use, is_allowed=allow_older_run or is_same)
        deletions = Deletions(self._client)
        while deletions.delete_next(self._series.left_over(self._with_other_keys(groups), keep=self._keep)):
            groups = self._series.listed()
            found = self._found(groups, sequence=found.sequence)
        if deletions.deleted:
            log.info("An earlier run left %s behind.", counted(len(deletions.deleted), "group"))
        failure = deletions.failure
        if isinstance(failure, PermanentError):
            # Who may not delete must not make a further group either: there would be one more in each run.
            failure.so_far = "No new group was made, since those that it would replace can't be deleted"
            failure.advice = "Let the credentials delete groups, or delete those that the log names by hand."
            raise failure
        # What can't be deleted just now is tried again in the end.
        return replace(found, leftovers=tuple(deletions.deleted), verdicts=(verdict,))

    def _with_other_keys(self, groups: Sequence[AudienceGroup]) -> list[AudienceGroup]:
        return [group for group in groups if not has_key(group, self._idempotency_key)]

    def _found(self, groups: Sequence[AudienceGroup], *, sequence: int = 0) -> TidiedGroups:
        """Return what a list of groups says; ``sequence`` is what an earlier list has said."""
        mine = [group for group in groups if has_key(group, self._idempotency_key)]
        current = next((group for group in self._with_other_keys(groups) if self._series.is_ready(group)), None)
        last = next(
            (group for group in groups if self._series.is_ready(group) or self._series.is_under_way(group)), None
        )
        seen = [1 + group.marker.sequence for group in groups if group.marker]
        return TidiedGroups(
            current=current,
            is_newest=current is not None and current == last,
            rejected=mine[0] if mine and all(map(self._series.is_rejected, mine)) else None,
            sequence=min(max([sequence, *seen]), _MAX_SEQUENCE),
        )

    def begin(
        self,
        spec: GroupSpec,
        marker: GroupMarker,
        tidied: TidiedGroups,
        *,
        began_epoch_seconds: float,
        verdicts: Iterable[Verdict] = (),
        member_counts: Mapping[str, Any] | None = None,
        file_name: str = "",
    ) -> PendingRefresh:
        """
        Make the new group, or adopt the one that an earlier try has made, even if PAI has rejected it.

        :param spec: parameters of the group.
        :param marker: marker of the new group.
        :param tidied: what :meth:`tidy` has returned.
        :param began_epoch_seconds: when the work began, in seconds since 1970 (UTC).
        :param verdicts: what further guards have said.
        :param member_counts: counts of the members, for the report.
        :param file_name: name of the file that the group is made from, below ``stage_path``; empty if there is none.
        """
        if tidied.rejected:
            # An earlier try has the answer already: asking again would be billed again.
            group, adopted = tidied.rejected, True
        else:
            created = self._client.create_group(spec, marker=replace(marker, sequence=tidied.sequence))
            group, adopted = created.group, created.adopted
        tidied = replace(tidied, verdicts=(*tidied.verdicts, *verdicts))
        pending = self._pending(group, tidied, began_epoch_seconds, member_counts)
        return replace(pending, adopted=adopted, file_name=file_name)

    def keep(
        self,
        group: AudienceGroup,
        tidied: TidiedGroups,
        *,
        began_epoch_seconds: float,
        member_counts: Mapping[str, Any] | None = None,
    ) -> PendingRefresh:
        """
        Keep an existing group, as it has the same members already; nothing is requested.

        :param group: the existing group, which is ready.
        :param tidied: what :meth:`tidy` has returned.
        :param began_epoch_seconds: when the work began, in seconds since 1970 (UTC).
        :param member_counts: counts of the members, for the report.
        """
        return replace(self._pending(group, tidied, began_epoch_seconds, member_counts), unchanged=True)

    def _pending(
        self,
        group: AudienceGroup,
        tidied: TidiedGroups,
        began_epoch_seconds: float,
        member_counts: Mapping[str, Any] | None,
    ) -> PendingRefresh:
        return PendingRefresh(
            name=self._name,
            group_id=group.id,
            status=group.status,
            amount=group.amount,
            owner=self._owner,
            idempotency_key=self._idempotency_key,
            adopted=False,
            unchanged=False,
            began_epoch_seconds=began_epoch_seconds,
            member_counts=dict(member_counts or {}),
            map_index=self._map_index,
            verdicts=[verdict.as_dict() for verdict in tidied.verdicts],
            leftovers=list(tidied.leftovers),
            created_time=group.created_time,
            sequence=group.marker.sequence if group.marker else 0,
            content=content_of(group),
        )

    def finish(self, pending: PendingRefresh, *, is_gone: bool = False) -> RefreshResult:
        """
        Delete the groups that the new group replaces.

        Groups are listed before each deletion and after the last one; so the returned group exists at that time.

        :param pending: the refresh, whose group is ready.
        :param is_gone: whether PAI did not find the new group; then only a group that has replaced it is returned.
        :raises TransientError: the new group is gone, and no group with the same members has replaced it.
        :raises AudienceError: a group could not be deleted; the others were.
        """
        deletions = Deletions(self._client)
        while True:
            groups = self._series.listed()
            new = self._current_group(pending, groups, is_gone=is_gone)
            gone, kept = self._series.replaced_by(
                new.rank, groups, keep=self._keep, idempotency_key=self._idempotency_key
            )
            if not deletions.delete_next(gone):
                break
        failure = deletions.failure
        if failure:
            when = "run" if isinstance(failure, PermanentError) else "try"
            failure.so_far = f"The new group {new.id} is ready; the next {when} deletes what it replaces"
            raise failure
        return RefreshResult(group=new, deleted=tuple(deletions.deleted), kept=tuple(group.id for group in kept))

    def _current_group(
        self, pending: PendingRefresh, groups: Sequence[AudienceGroup], *, is_gone: bool
    ) -> AudienceGroup:
        """
        Return the group that this refresh has led to: the new one, or a ready one that has replaced it.

        One call may have made several groups, by a late request or by two tries at once. Then each try must take the
        last one: otherwise, one try would delete the group that the other has taken.
        """
        group_id = pending.group_id
        own = next((group for group in groups if group.id == group_id), None)
        rank = own.rank if own else rank_of(pending.created_time, pending.sequence, group_id)
        later = [group for group in groups if group.rank > rank and not self._series.is_rejected(group)]
        ready = [group for group in later if self._series.is_ready(group)]
        duplicate = next((group for group in ready if has_key(group, self._idempotency_key)), None)
        if duplicate:
            return duplicate
        if own and not is_gone:
            return own
        try:
            own = self._client.get_group(group_id)  # the list may not show it yet
        except NotFoundError as error:
            successor = next((group for group in ready if pending.content == content_of(group) != ""), None)
            if successor is None:
                raise group_gone(group_id, later_id=later[0].id if later else None) from error
        else:
            if is_gone and not self._series.is_ready(own):
                raise TransientError(f"PAI did not find the new group {group_id} while it was waited for, and does now")
            return own
        log.info("The group %s was replaced by %s, which has the same members.", group_id, successor.id)
        return successor

    def is_ready(self, group_id: str) -> bool:
        """
        Return whether a group is ready by now; False if the groups can't be listed.

        :param group_id: id of a group that was not ready a moment ago.
        """
        try:
            return any(group.id == group_id and self._series.is_ready(group) for group in self._series.listed())
        except AudienceError as error:
            log.warning("It can't be told whether the group %s is ready by now: %s", group_id, error)
            return False

    def is_alone(self, group_id: str) -> bool:
        """
        Return whether no other run may be waiting for a group; False if the groups can't be listed.

        :param group_id: id of this run's own group.
        """
        try:
            return not any(group.id != group_id and self._series.is_under_way(group) for group in self._series.listed())
        except AudienceError as error:
            log.warning("It can't be told whether another run is under way: %s", error)
            return False

    def delete_unready(self, group_id: str) -> bool:
        """
        Delete a new group that did not become ready. A failure is only logged, as the caller raises the error of the
        wait.

        :param group_id: id of the new group.
        :return: whether the group is gone.
        """
        try:
            self._client.delete_group(group_id, ignore_missing=True)
        except AudienceError as error:
            log.warning("The group %s could not be deleted; the next run does it: %s", group_id, error)
            return False
        log.info("Deleted the group %s, which did not become ready.", group_id)
        return True


def _checked_run_date(marker: GroupMarker, groups: Iterable[AudienceGroup], *, is_allowed: bool) -> Verdict:
    """Stop a run that is older than the one that made the newest group; return the verdict."""
    made = next((group.marker for group in groups if group.marker), None)
    verdict = older_run_verdict(
        marker.run_date, made.run_date if made else None, is_allowed=is_allowed, changes_nothing=False
    )
    refuse_unless_passed([verdict], not_done="no group was made")
    return verdict
