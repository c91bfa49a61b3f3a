"""Planning: makes a plan from an audience's state and a staged source, and lets the guards check it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import GuardError, LedgerLostError, NotFoundError
from airflow_provider_audiences.members.keys.key_set import fingerprint_of
from airflow_provider_audiences.members.keys.key_sets import empty_key_set, intersection
from airflow_provider_audiences.sync.guards import log_verdicts, older_run_verdict, suppress_verdict
from airflow_provider_audiences.sync.plan import Plan, PlanRules, make_plan
from airflow_provider_audiences.sync.report import SyncReport
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.members.keys.key_set import KeysByPart, KeySet
    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.sync.destination import Destination
    from airflow_provider_audiences.sync.direct_changes import DirectChanges
    from airflow_provider_audiences.sync.ledger import Ledger
    from airflow_provider_audiences.sync.open_audience import OpenAudience
    from airflow_provider_audiences.sync.settings import DeliverySettings, SyncSettings

log = logging.getLogger(__name__)

_GUESSED_SECONDS_PER_REQUEST = 1.0


@dataclass(frozen=True, kw_only=True)
class Planned:
    """
    A plan, and what it was made from.

    :param ledger: the ledger that the plan was compared with.
    :param plan: the plan, not stored yet.
    :param report: counts of the plan, and the guards' verdicts.
    :param direct_changes: members removed or added directly.
    """

    ledger: Ledger
    plan: Plan
    report: SyncReport
    direct_changes: DirectChanges


@dataclass(frozen=True, kw_only=True)
class _Start:
    """
    What is known of an audience when planning begins.

    :param ledger: the ledger, with what an interrupted run may have sent.
    :param direct_changes: members removed or added directly.
    :param skipped_batches: number of an interrupted run's requests that are in the ledger.
    :param replaces: whether the plan must replace the audience's whole content.
    :param has_unknown_members: whether the audience may have members that the ledger lacks.
    """

    ledger: Ledger
    direct_changes: DirectChanges
    skipped_batches: int
    replaces: bool
    has_unknown_members: bool


@dataclass(frozen=True, kw_only=True)
class _UnknownMembers:
    """
    Members that an audience may have and the ledger lacks.

    :param are_replaced: whether the plan replaces the whole content, and them with it.
    :param may_exist: whether there may be any.
    """

    are_replaced: bool
    may_exist: bool


class Planner:
    """
    Makes plans for one audience, which this process holds.

    :param audience: the audience, with its state and its lease.
    :param delivery_settings: how plans are sent, for the number of requests.
    """

    def __init__(self, audience: OpenAudience, *, delivery_settings: DeliverySettings) -> None:
        self._destination = audience.destination
        self._state = audience.state
        self._workspace = audience.workspace
        self._clock = audience.clock
        self._delivery_settings = delivery_settings
        self._is_new = audience.is_new
        self._layout = audience.layout
        self._load = audience.load_state
        self._audience_id = audience.destination.address.audience_id

    def plan(self, staged: StagedMembers, opt_outs: StagedMembers | None, settings: SyncSettings) -> Planned:
        """
        Make a plan, and send nothing. What an interrupted run may have sent is folded into the ledger first.

        :param staged: members of the source, staged.
        :param opt_outs: members that must not be in the audience, staged; None for none.
        :param settings: how the audience is to equal its source.
        :raises GuardError: the audience has members that no ledger knows, and ``initial`` is ``fail``.
        :raises LedgerLostError: the ledger is lost, and ``on_lost_ledger`` is ``fail``.
        """
        if self._layout.partitions == 1:  # a partition may have nobody; who judges all of them sums up
            staged.refuse_without_members()
        start = self._load_state(settings)
        plan = self._make_plan(start, staged.keys_by_part, opt_outs.keys if opt_outs else None, settings)
        manifest = self._state.manifest
        report = SyncReport.of_plan(
            plan,
            audience_id=self._audience_id,
            generation=self._state.generation,
            mode=settings.mode,
            staged=staged,
            opt_outs=opt_outs,
            requests=plan.requests(self._delivery_settings.batch_size),
            max_member_bytes=self._destination.max_member_bytes,
        )
        verdicts = [
            *settings.guards.verdicts(
                plan.counts,
                suppress_members=opt_outs.members if opt_outs else 0,
                replaced_members=self._replaced_members(plan),
            ),
            suppress_verdict(opt_outs),
            older_run_verdict(
                settings.run_date,
                manifest.run_date if manifest else None,
                is_allowed=settings.allow_older_run,
                changes_nothing=not plan,
            ),
        ]
        report = replace(
            report,
            expected_seconds=self._expected_seconds(plan),
            verdicts=verdicts,
            batches_skipped_by_resume=start.skipped_batches,
        )
        for line in report.plan_lines():
            log.info("%s", line)
        log_verdicts(report.verdicts)
        return Planned(ledger=start.ledger, plan=plan, report=report, direct_changes=start.direct_changes)

    def _replaced_members(self, plan: Plan) -> int | None:
        """
        Return how many members a plan replaces of whom some may be in no ledger; None if the ledger knows all of them,
        or nobody counts them.
        """
        manifest = self._state.manifest
        knows_all = manifest is not None and manifest.is_content_known and not manifest.has_unknown_members
        return self._member_count if plan.replaces and not knows_all else None

    @cached_property
    def _member_count(self) -> int | None:
        """What the platform counts before anything is sent; it is asked once."""
        return member_count_of(self._destination)

    def _make_plan(
        self,
        start: _Start,
        source: KeysByPart,
        opt_outs: KeySet | None,
        settings: SyncSettings,
    ) -> Plan:
        """Make the plan; or the rest of a replacement that was begun before, and whose first request was accepted."""
        opt_outs = empty_key_set(self._workspace) if opt_outs is None else opt_outs
        direct_changes = start.direct_changes
        held_back = None
        if direct_changes.held_back.count and settings.mode != "append":  # its source may lack who is wanted
            held_back = intersection(direct_changes.held_back, source, self._workspace)
        manifest = self._state.manifest
        removed_before = manifest.removed_opt_outs_fingerprint if manifest else None
        now = self._clock()
        rules = PlanRules(
            now=now,
            due_before=now + settings.refresh_before_seconds,
            ttl_seconds=settings.ttl_seconds,
            replaces=start.replaces,
            removes=settings.mode != "append",
            has_unknown_members=start.has_unknown_members,
            removes_all_opt_outs=start.has_unknown_members and removed_before != fingerprint_of(opt_outs),
            removes_all_held_back=self._state.is_ledger_ignored,
            releases_held_back=settings.release_held_back,
        )
        plan = make_plan(
            source, opt_outs, start.ledger, rules=rules, workspace=self._workspace, direct_changes=direct_changes
        )
        is_begun = start.replaces and manifest is not None and manifest.is_content_known
        if is_begun and manifest and manifest.replacement_fingerprint == fingerprint_of(plan.additions):
            rules = replace(rules, replaces=False, has_unknown_members=False, removes_all_opt_outs=False)
            plan = make_plan(
                source, opt_outs, start.ledger, rules=rules, workspace=self._workspace, direct_changes=direct_changes
            )
        return replace(plan, held_back=held_back)

    def _expected_seconds(self, plan: Plan) -> float:
        """Return how long sending takes, by the last plan's pace."""
        rounds = -(-plan.requests(self._delivery_settings.batch_size) // self._delivery_settings.max_parallel_requests)
        known_pace = self._state.manifest.seconds_per_request if self._state.manifest else 0
        return round(rounds * (known_pace or _GUESSED_SECONDS_PER_REQUEST), 1)

    def _load_state(self, settings: SyncSettings) -> _Start:
        """Load the audience's state, and fold what an interrupted run may have sent into the ledger."""
        skipped = 0
        must_replace = False
        has_unknown_members = True
        try:
            self._load()
            ledger = self._state.ledger()
            manifest = self._state.manifest
            if manifest and manifest.delivered:
                skipped = manifest.delivered.batches
                log.info("An earlier run was cut off after %s, not to be sent again.", counted(skipped, "request"))
            ledger = self._state.fold_unfinished_plan(ledger)
            direct_changes = self._state.direct_changes()
        except LedgerLostError as error:
            if settings.on_lost_ledger == "fail":
                raise
            log.warning("%s on_lost_ledger=%r.", error, settings.on_lost_ledger)
            self._state.ignore_ledger()
            ledger, direct_changes, skipped = self._state.ledger(), self._state.direct_changes(), 0
            must_replace = settings.on_lost_ledger == "replace"
        else:
            manifest = self._state.manifest
            if manifest is None and self._layout.partitions > 1:
                has_unknown_members = self._layout.has_unknown_members
            elif manifest is None or not manifest.is_content_known:
                unknown = self._unknown_members(settings)
                must_replace, has_unknown_members = unknown.are_replaced, unknown.may_exist
            else:
                has_unknown_members = manifest.has_unknown_members
        return _Start(
            ledger=ledger,
            direct_changes=direct_changes,
            skipped_batches=skipped,
            replaces=must_replace or settings.mode == "replace",
            has_unknown_members=has_unknown_members,
        )

    def _unknown_members(self, settings: SyncSettings) -> _UnknownMembers:
        """
        Decide what to do about members of an audience that has no ledger.

        :raises GuardError: there may be some, and ``initial`` is ``fail``.
        """
        # If there is a manifest, a replacement was begun, and none of its requests was surely accepted.
        is_begun = self._state.manifest is not None
        if settings.mode == "replace":
            return _UnknownMembers(are_replaced=True, may_exist=True)
        if is_begun and settings.on_lost_ledger == "rebuild":
            return _UnknownMembers(are_replaced=False, may_exist=True)
        if settings.mode == "append":
            # This sync leaves unknown members in the audience, except those who have opted out.
            return _UnknownMembers(are_replaced=False, may_exist=not self._is_new)
        if is_begun and "replace" in {settings.initial, settings.on_lost_ledger}:
            return _UnknownMembers(are_replaced=True, may_exist=True)
        count = self._member_count
        if count == 0:
            # The platform's count may lag: members that were added a moment ago may not be in it yet.
            return _UnknownMembers(are_replaced=False, may_exist=not self._is_new)
        if settings.initial == "fail":
            known = "only a replacement that was never accepted" if is_begun else "no ledger that says who they are"
            raise unknown_members_error(self._audience_id, count, place=self._state.name, known=known)
        if settings.initial == "replace":
            holds = _holds(count)
            log.warning("Audience %s holds %s, and the source replaces all that is there.", self._audience_id, holds)
        return _UnknownMembers(are_replaced=settings.initial == "replace", may_exist=True)


def member_count_of(destination: Destination) -> int | None:
    """
    Return how many members a platform counts before anything is sent; None if it does not count.

    :param destination: the audience.
    :raises NotFoundError: there is no such audience; nothing was sent.
    """
    try:
        return destination.member_count()
    except NotFoundError as error:
        error.so_far = "Nothing was sent"
        raise


def unknown_members_error(audience_id: str, count: int | None, *, place: str, known: str) -> GuardError:
    """
    Return the error of a first sync of an audience that has members already.

    :param audience_id: id of the audience.
    :param count: how many the platform counts; None if it does not say.
    :param place: where the ledger was looked for.
    :param known: what is there instead.
    """
    error = GuardError(
        f"audience {audience_id} holds {_holds(count)}, and {place} has {known}; nothing was sent",
        advice="If a sync of this audience has run before, make sure that this worker sees the same "
        "[audiences] state_path. Else give initial='append' to leave them there, or initial='replace' to make "
        "the source the only content.",
    )
    error.guard = "initial"
    return error


def _holds(count: int | None) -> str:
    return "an unknown number of members" if count is None else counted(count, "member")
