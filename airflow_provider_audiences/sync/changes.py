"""
Changes that are handed in: who is to be added, refreshed and removed, as queries in a warehouse have worked it out.

No ledger is kept of them. The changes are stored as a plan before the first request, and each request is recorded, so
that the next try of the same task sends only the rest. Whoever hands changes in must remember what may have been sent:
the changes after an interrupted plan have to decide about each of its members anew, and are refused if they do not.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_audiences.exceptions import (
    AudienceError,
    ConflictError,
    InvalidInputError,
    LedgerLostError,
    NotFoundError,
    PlanOutdatedError,
)
from airflow_provider_audiences.members.keys.key_set import KeySet, fingerprint_of
from airflow_provider_audiences.members.keys.key_sets import difference, empty_key_set, intersection, union
from airflow_provider_audiences.sync.delivery.plan_delivery import send_begun_plan
from airflow_provider_audiences.sync.guards import Guards, log_verdicts, older_run_verdict, refuse_unless_passed
from airflow_provider_audiences.sync.plan import Plan, PlanCounts
from airflow_provider_audiences.sync.report import ChangesReport
from airflow_provider_audiences.validation import one_of, true_or_false, whole_number, whole_seconds
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.sync.delivery.progress import OnProgress
    from airflow_provider_audiences.sync.destination import DeliveryLimits
    from airflow_provider_audiences.sync.open_audience import OpenAudience
    from airflow_provider_audiences.sync.run_date import RunDate
    from airflow_provider_audiences.sync.settings import DeliverySettings
    from airflow_provider_audiences.sync.state.manifest import Manifest
    from airflow_provider_audiences.sync.state.stored_plans import StoredPlan

log = logging.getLogger(__name__)

OnLedger = Literal["fail", "forget"]

_LOST = (
    "Your own tables say who may be in the audience: delete this folder, and hand in the changes of a new run. If the "
    "audience was kept by syncs, restore the folder from a backup."
)
_NOT_DECIDED = (
    "Whoever was attempted and not committed belongs into the difference, as in the SQL of docs/changes.md. If nobody "
    "knows any more who that was: the plan's files, plan-…-additions.parquet and plan-…-removals.parquet, say it."
)


@dataclass(frozen=True, kw_only=True)
class ChangesSettings:
    """
    Settings that decide which changes are sent; :meth:`checked` makes them from a user's arguments.

    :param ttl_seconds: how long members stay after they were sent, in seconds.
    :param guards: limits of what the changes may do, by the platform's count of members.
    :param on_ledger: what to do if syncs have kept the audience so far: ``fail``, or ``forget`` their ledger.
    :param expected_changes: how many members the changes must have together; None for any number.
    :param run_date: dates of the run; None if it has none.
    :param allow_older_run: whether the run may undo changes of a newer run.
    """

    ttl_seconds: int
    guards: Guards
    on_ledger: OnLedger
    expected_changes: int | None = None
    run_date: RunDate | None = None
    allow_older_run: bool = False

    @classmethod
    def checked(
        cls,
        *,
        limits: DeliveryLimits,
        ttl_seconds: Any,
        guards: Guards,
        on_ledger: Any,
        expected_changes: Any,
        run_date: RunDate | None,
        allow_older_run: Any,
    ) -> ChangesSettings:
        """
        Return the settings of a user's arguments after checking them.

        :param limits: what the platform accepts.
        :param ttl_seconds: seconds, at least 1, or a timedelta; None for the platform's default.
        :param guards: limits of what the changes may do.
        :param on_ledger: ``fail`` or ``forget``.
        :param expected_changes: whole number, at least 0, also as text; None for any number.
        :param run_date: dates of the run; None if it has none.
        :param allow_older_run: True or False, also as text.
        :raises InvalidInputError: an argument is not of that form.
        """
        expected = expected_changes
        return cls(
            ttl_seconds=limits.ttl_seconds
            if ttl_seconds is None
            else whole_seconds("ttl_seconds", ttl_seconds, at_least=1),
            guards=guards,
            on_ledger=one_of("on_ledger", on_ledger, ("fail", "forget")),  # type: ignore[arg-type] # it is one of them
            expected_changes=None if expected is None else whole_number("expected_changes", expected, at_least=0),
            run_date=run_date,
            allow_older_run=true_or_false("allow_older_run", allow_older_run),
        )


@dataclass(frozen=True, kw_only=True)
class StagedChanges:
    """
    Changes that are handed in, staged; None for a part that was not given.

    :param added: members to add.
    :param refreshed: members of the audience to send again, so that they stay for longer.
    :param removed: members to remove.
    """

    added: StagedMembers | None = None
    refreshed: StagedMembers | None = None
    removed: StagedMembers | None = None

    @property
    def given(self) -> dict[str, StagedMembers]:
        """The parts that were given, by name."""
        parts = {"added": self.added, "refreshed": self.refreshed, "removed": self.removed}
        return {name: staged for name, staged in parts.items() if staged is not None}

    def count(self, name: str) -> int:
        """
        Return the number of distinct members of a part.

        :param name: name of the part.
        """
        staged = self.given.get(name)
        return staged.members if staged else 0


class ChangesDelivery:
    """
    Sends changes to one audience, which this process holds.

    :param audience: the audience, with its state and its lease.
    :param delivery_settings: batch size and parallel requests.
    :param run_key: identifies the task and its run; the same for all tries.
    :param on_progress: called with the progress of the sending: at the beginning, every few seconds, and at the end.
    """

    def __init__(
        self,
        audience: OpenAudience,
        *,
        delivery_settings: DeliverySettings,
        run_key: str,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._audience = audience
        self._destination = audience.destination
        self._state = audience.state
        self._workspace = audience.workspace
        self._delivery_settings = delivery_settings
        self._run_key = run_key
        self._on_progress = on_progress
        self._began = time.monotonic()
        self._requests_before = audience.destination.requests_sent

    def run(self, staged: StagedChanges, settings: ChangesSettings) -> ChangesReport:
        """
        Send changes, or what an earlier try of the same task has left of the same changes.

        :param staged: the changes, staged.
        :param settings: TTL, guards, and what may be forgotten.
        :raises InvalidInputError: the changes contradict each other, or have not as many members as expected, or do not
            decide about members of a plan that was begun and not finished; nothing was sent.
        :raises ConflictError: syncs keep the audience, or hold back somebody who is to be added; nothing was sent.
        :raises GuardError: a guard stopped the changes; nothing was sent.
        :raises LedgerLostError: the stored state is damaged; nothing was sent.
        :raises AudienceError: a request failed; the next try continues.
        """
        plan = self._plan(staged, settings)
        report = ChangesReport.of_changes(
            {name: staged.count(name) for name in ("added", "refreshed", "removed")},
            audience_id=self._destination.address.audience_id,
            text_counts=[part.text_counts() for part in staged.given.values()],
            plan=plan,
            requests=plan.requests(self._delivery_settings.batch_size),
            max_member_bytes=self._destination.max_member_bytes,
        )
        log.info("%s", report.plan_line())
        fingerprint = self._fingerprint(plan)
        manifest, begun = self._loaded(plan, settings.on_ledger)
        if manifest and manifest.changes_fingerprint == fingerprint:
            if begun:
                log.info("An earlier try has begun these changes; the rest of them is sent.")
                return self._carry_out(begun, fingerprint, report)
            log.info("An earlier try has sent all of these changes; nothing is sent again.")
            report = replace(report, plan_id=manifest.finished_plan_id)
            return self._ended(replace(report, batches_skipped_by_resume=manifest.finished_batches))
        if begun:
            self._refuse_undecided(begun, plan)
        report = self._guarded(report, plan, manifest, settings)
        if not plan:
            log.info("There are no changes: nothing is sent.")
            if manifest and manifest.keeps_ledger:
                log.warning("The ledger is kept until a run has changes: on_ledger='forget' has to stay until then.")
            return self._ended(report)
        if begun:
            log.info("Plan %s was not finished. The new changes decide about each of its members.", begun.plan_id)
            self._state.end_changes(begun.plan, seconds_per_request=None)
        stored = self._state.store_plan(plan, details=report.as_dict(), run_date=settings.run_date)
        return self._carry_out(stored, fingerprint, report)

    def _loaded(self, plan: Plan, on_ledger: OnLedger) -> tuple[Manifest | None, StoredPlan | None]:
        """Read the state; return the last manifest, and the plan that was begun and not finished."""
        try:
            self._audience.load_state()
            manifest = self._state.manifest
            if manifest and manifest.keeps_ledger:
                self._refuse_ledger(manifest, plan, on_ledger)
            if manifest is None or manifest.delivered is None:
                return manifest, None
            return manifest, self._state.plan(manifest.plan_id)
        except (LedgerLostError, PlanOutdatedError) as error:
            raise LedgerLostError(error.message, advice=_LOST) from None

    def _plan(self, staged: StagedChanges, settings: ChangesSettings) -> Plan:
        none = empty_key_set(self._workspace)
        keys = {name: part.keys for name, part in staged.given.items()}
        for first, second in combinations(keys, 2):
            in_both = intersection(keys[first], keys[second], self._workspace).count
            if in_both:
                raise InvalidInputError(
                    f"{counted(in_both, 'member is', 'members are')} both in {first} and in {second}; nothing was sent",
                    advice="A member may be in one of them only. Two spellings of one ID, such as by letter case, "
                    "are one member: let the query write all IDs in one way.",
                )
        members = sum(part.members for part in staged.given.values())
        if settings.expected_changes not in {None, members}:
            raise InvalidInputError(
                f"the changes have {counted(members, 'member')} together, and expected_changes is "
                f"{settings.expected_changes:,}; nothing was sent",
                advice="Check that the queries read what the run has written, and that each ID is written in one way.",
            )
        added, refreshed = keys.get("added", none), keys.get("refreshed", none)
        return Plan(
            replaces=False,
            ttl_seconds=settings.ttl_seconds,
            additions=union(added, refreshed, self._workspace),
            removals=keys.get("removed", none),
            counts=PlanCounts(added=added.count, refreshed=refreshed.count, removed=staged.count("removed")),
            has_unknown_members=True,
        )

    def _fingerprint(self, plan: Plan) -> str:
        parts = [self._run_key, plan.ttl_seconds, fingerprint_of(plan.additions), fingerprint_of(plan.removals)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _refuse_ledger(self, manifest: Manifest, plan: Plan, on_ledger: OnLedger) -> None:
        """Raise an error unless the ledger may be forgotten, and the members held back with it."""
        is_begun = manifest.delivered is not None
        if on_ledger == "forget" and not is_begun:
            held_back = intersection(plan.additions, self._state.direct_changes().held_back, self._workspace).count
            if held_back:
                raise ConflictError(
                    f"{counted(held_back, 'member was', 'members were')} removed directly, and would be added again: "
                    f"nothing holds them back once the ledger of {self._state.name} is forgotten; nothing was sent",
                    advice=f"Take all members of {manifest.direct_changes.held_back.file}, below state_path, out of "
                    "what is wanted, for good. Whoever may come back: add them directly before you change over.",
                )
            return
        interrupted = ", and its last sync was interrupted" if is_begun else ""
        raise ConflictError(
            f"syncs keep this audience: {self._state.name} has a ledger of "
            f"{counted(manifest.ledger.members, 'member')}{interrupted}; nothing was sent",
            advice="Hand changes in for an audience that no sync keeps. To change over: let a sync end, load its "
            "ledger into your table of committed members (docs/changes.md), and give on_ledger='forget' once.",
        )

    def _refuse_undecided(self, begun: StoredPlan, plan: Plan) -> None:
        """Raise an error unless the new changes have each member of a plan that was begun and not finished."""
        decided = union(plan.additions, plan.removals, self._workspace)
        sent: list[KeySet] = [begun.plan.additions, begun.plan.removals]
        count = sum(difference(keys, decided, self._workspace).count if keys.count else 0 for keys in sent)
        if count:
            raise InvalidInputError(
                f"plan {begun.plan_id} of an earlier run was begun and not finished, and these changes leave out "
                f"{counted(count, 'member')} of it: nobody would know any more whether they are in the audience; "
                "nothing was sent",
                advice=_NOT_DECIDED,
            )

    def _guarded(
        self, report: ChangesReport, plan: Plan, manifest: Manifest | None, settings: ChangesSettings
    ) -> ChangesReport:
        """Return the report with the guards' verdicts, all of which let the changes pass."""
        try:
            before = self._destination.member_count()
        except NotFoundError as error:
            error.so_far = "Nothing was sent"
            raise
        verdicts = [
            *settings.guards.verdicts_by_count(plan.counts, before),
            older_run_verdict(
                settings.run_date,
                manifest.run_date if manifest else None,
                is_allowed=settings.allow_older_run,
                changes_nothing=not plan,
            ),
        ]
        log_verdicts(verdicts)
        report = replace(report, members_before=before, live=before, verdicts=verdicts)
        refuse_unless_passed(verdicts, report=report.as_dict())
        return report

    def _carry_out(self, stored: StoredPlan, fingerprint: str, report: ChangesReport) -> ChangesReport:
        plan = stored.plan
        self._audience.wait_for_late_requests(plan, contradicted=None)
        before = self._state.manifest
        self._state.begin(stored, changes_fingerprint=fingerprint)
        if before and before.keeps_ledger:
            log.warning("The ledger of %s is forgotten: from now on, changes that are handed in keep it.",
                        counted(before.ledger.members, "member"))  # fmt: skip
        sent = send_begun_plan(
            self._audience,
            plan,
            settings=self._delivery_settings,
            on_progress=self._on_progress,
            afterwards="the task's next try goes on from there; the changes of another run have to decide about all of "
            "these members anew",
        )
        self._state.end_changes(plan, seconds_per_request=sent.seconds_per_request)
        report = replace(
            report, plan_id=stored.plan_id, batches_skipped_by_resume=sent.skipped_batches, **sent.progress.counts()
        )
        return self._ended(report)

    def _ended(self, report: ChangesReport) -> ChangesReport:
        if report.batches or report.live is None:
            try:
                report = replace(report, live=self._destination.member_count())
            except AudienceError as error:
                log.warning("The audience's count was not learnt: %s", error)
                report = replace(report, live=None)
        return replace(
            report,
            requests=self._destination.requests_sent - self._requests_before,
            seconds=round(time.monotonic() - self._began, 3),
        )
