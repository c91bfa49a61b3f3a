"""
A sync: makes an audience equal its source, with few requests, and goes on after a crash at any point.

These steps, in this order, keep that promise:

1. The plan is the difference between the source and the ledger; guards check it.
2. The plan is stored before its first request.
3. Members are added before any is removed, and each request is recorded as soon as the platform has accepted it.
4. At the end, the plan is folded into a new ledger.

If a run is interrupted, the next one first folds everything that it may have sent into the ledger, and then plans.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import (
    LedgerLostError,
    PlanOutdatedError,
)
from airflow_provider_audiences.sync.delivery.plan_delivery import PlanDelivery, StateJournal, send_begun_plan
from airflow_provider_audiences.sync.delivery.progress import OnProgress, Progress
from airflow_provider_audiences.sync.direct_changes import DirectChanges
from airflow_provider_audiences.sync.drift import measured_drift
from airflow_provider_audiences.sync.expiry import Expiry, expiry_in
from airflow_provider_audiences.sync.guards import refuse_unless_passed
from airflow_provider_audiences.sync.ledger import Ledger
from airflow_provider_audiences.sync.open_audience import OpenAudience
from airflow_provider_audiences.sync.planning import Planned, Planner
from airflow_provider_audiences.sync.report import SyncReport
from airflow_provider_audiences.sync.settings import DeliverySettings, SyncSettings
from airflow_provider_audiences.sync.state.stored_plans import StoredPlan

if TYPE_CHECKING:
    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.sync.plan import Plan
    from airflow_provider_audiences.sync.run_date import RunDate

log = logging.getLogger(__name__)

_ACCEPTS_UNKNOWN_MEMBERS = "accepts_others"
"""Stored with a plan, by its name of the first versions: whether the user has accepted unknown members."""


class AudienceSync:
    """
    Syncs one audience, which this process holds.

    :param audience: the audience, with its state and its lease.
    :param delivery_settings: how plans are sent: batch size, parallel requests, drift.
    :param on_progress: called with the progress of the sending: at the beginning, every few seconds, and at the end.
    """

    def __init__(
        self, audience: OpenAudience, *, delivery_settings: DeliverySettings, on_progress: OnProgress | None = None
    ) -> None:
        self._audience = audience
        self._destination = audience.destination
        self._state = audience.state
        self._workspace = audience.workspace
        self._delivery_settings = delivery_settings
        self._on_progress = on_progress
        self._audience_id = audience.destination.address.audience_id
        self._planner = Planner(audience, delivery_settings=delivery_settings)
        self._ledger: Ledger | None = None
        self._expiry: Expiry | None = None
        self._accepts_unknown_members = False
        self._began = time.monotonic()
        self._requests_before = audience.destination.requests_sent

    def run(self, staged: StagedMembers, opt_outs: StagedMembers | None, settings: SyncSettings) -> SyncReport:
        """
        Make a plan and carry it out.

        :param staged: members of the source, staged.
        :param opt_outs: members that must not be in the audience, staged; None for none.
        :param settings: how the audience is to equal its source.
        :raises GuardError: a guard stopped the plan; nothing was sent.
        :raises LedgerLostError: the ledger is lost, and ``on_lost_ledger`` is ``fail``; nothing was sent.
        :raises AudienceError: a request failed; the next run continues from there.
        """
        planned = self._planner.plan(staged, opt_outs, settings)
        ledger, plan, report = planned.ledger, planned.plan, planned.report
        self._ledger = ledger
        self._accepts_unknown_members = settings.accepts_unknown_members
        refuse_unless_passed(report.verdicts, report=report.as_dict())
        if not plan:
            log.info("The audience equals its source, and nobody is due: there is nothing to send.")
            if not self._is_replacement_open:
                self._record_no_change(plan, ledger, planned.direct_changes, run_date=settings.run_date)
                return self._ended(report)
        stored = self._store_plan(planned, settings)
        return self._carry_out(stored, ledger, planned.direct_changes, report)

    def plan(self, staged: StagedMembers, opt_outs: StagedMembers | None, settings: SyncSettings) -> SyncReport:
        """
        Make a plan and store it for :meth:`apply`; send nothing.

        :param staged: members of the source, staged.
        :param opt_outs: members that must not be in the audience, staged; None for none.
        :param settings: how the audience is to equal its source.
        :return: a report with ``plan_id`` and the guards' verdicts; a guard that fails stops the plan when it is
            applied.
        :raises LedgerLostError: the ledger is lost, and ``on_lost_ledger`` is ``fail``.
        """
        planned = self._planner.plan(staged, opt_outs, settings)
        report = planned.report
        self._accepts_unknown_members = settings.accepts_unknown_members
        stored = self._store_plan(planned, settings)
        log.info("Plan %s is stored. Nothing was sent.", stored.plan_id)
        return self._timed(replace(report, plan_only=True, plan_id=stored.plan_id))

    def apply(self, plan_id: str, *, override_guards: bool) -> SyncReport:
        """
        Carry out a stored plan exactly, or the rest of it if an earlier try was interrupted.

        :param plan_id: the plan's id, from the report of :meth:`plan`.
        :param override_guards: carry the plan out even if a guard fails.
        :raises PlanOutdatedError: the audience's state has changed since the plan was made; nothing was sent.
        :raises LedgerLostError: the ledger is lost; nothing was sent.
        :raises GuardError: a guard stopped the plan; nothing was sent.
        """
        lost = self._load()
        manifest = self._state.manifest
        if manifest and manifest.finished_plan_id == plan_id:
            log.info("Plan %s was carried out to its end before.", plan_id)
            report = SyncReport.from_details({}, audience_id=self._audience_id, plan_id=plan_id)
            report = replace(report, live=manifest.ledger.members, batches_skipped_by_resume=manifest.finished_batches)
            return self._ended(report)
        stored, is_begun = self._stored_plan(plan_id, lost)
        report = SyncReport.from_details(stored.details, audience_id=self._audience_id, plan_id=plan_id)
        self._accepts_unknown_members = stored.details.get(_ACCEPTS_UNKNOWN_MEMBERS) is True
        if not override_guards and not is_begun:
            refuse_unless_passed(report.verdicts, report=report.as_dict())
        self._ledger = ledger = self._state.ledger()
        direct_changes = self._state.direct_changes()
        if not stored.plan and not self._is_replacement_open:
            self._record_no_change(
                stored.plan, ledger, direct_changes, run_date=stored.run_date, plan_id=stored.plan_id
            )
            return self._ended(report)
        return self._carry_out(stored, ledger, direct_changes, report)

    def _store_plan(self, planned: Planned, settings: SyncSettings) -> StoredPlan:
        details = {**planned.report.as_dict(), _ACCEPTS_UNKNOWN_MEMBERS: self._accepts_unknown_members}
        return self._state.store_plan(planned.plan, details=details, run_date=settings.run_date)

    def _load(self) -> LedgerLostError | None:
        """Read the last manifest; return the error if the ledger is lost."""
        try:
            self._audience.load_state()
        except LedgerLostError as error:
            return error
        return None

    def _stored_plan(self, plan_id: str, lost: LedgerLostError | None) -> tuple[StoredPlan, bool]:
        """
        Return a stored plan, and whether an earlier try has begun it; a plan that was made without the lost ledger
        begins with an empty one.
        """
        manifest = self._state.manifest
        stored = self._state.plan(plan_id)
        is_begun = bool(manifest and manifest.plan_id == plan_id)
        if stored.begins_anew and not is_begun:
            if not lost and self._readable_ledger() is not None:
                raise PlanOutdatedError(f"plan {plan_id} was made without the ledger, and now it can be read again")
            self._state.ignore_ledger()
        elif lost:
            raise lost
        return stored, is_begun

    def send_first_batch(self, plan_id: str) -> Progress | None:
        """
        Begin a stored plan, whose guards have passed, and send its first batch only; :meth:`apply` sends the rest.

        If the platform has accepted anything of the plan before, nothing more is sent.

        :param plan_id: the plan's id, from the report of :meth:`plan`.
        :return: what was sent; None if nothing was.
        :raises PlanOutdatedError: the audience's state has changed since the plan was made; nothing was sent.
        :raises LedgerLostError: the ledger is lost; nothing was sent.
        """
        lost = self._load()
        if self._state.manifest and self._state.manifest.finished_plan_id == plan_id:
            return None
        stored, is_begun = self._stored_plan(plan_id, lost)
        if is_begun and self._state.delivered.batches:
            return None
        self._audience.disk_space.require(stored.plan.counts.live)
        report = SyncReport.from_details(stored.details, audience_id=self._audience_id, plan_id=plan_id)
        self._audience.wait_for_late_requests(stored.plan, contradicted=report.contradicted)
        self._begin(stored, self._state.direct_changes())
        progress = Progress(
            additions=stored.plan.additions.count,
            removals=stored.plan.removals.count,
            destination=self._destination,
            on_progress=self._on_progress,
        )
        journal = StateJournal(self._state, self._audience.lease)
        PlanDelivery(self._destination, self._state, journal, stored.plan, self._delivery_settings).send_first(progress)
        return progress

    @property
    def expiry(self) -> Expiry | None:
        """When members begin to expire, after :meth:`run` or :meth:`apply`; None without a TTL, or if not known."""
        return self._expiry

    def _readable_ledger(self) -> Ledger | None:
        if self._ledger is None:
            with suppress(LedgerLostError):
                self._ledger = self._state.ledger()
        return self._ledger

    @property
    def _is_replacement_open(self) -> bool:
        """
        Whether a replacement was begun and not finished; then even a plan without requests must be carried out to
        finish it.
        """
        return bool(self._state.manifest and self._state.manifest.replacement_fingerprint)

    # Sending

    def _record_no_change(
        self,
        plan: Plan,
        ledger: Ledger,
        direct_changes: DirectChanges,
        *,
        run_date: RunDate | None,
        plan_id: str = "",
    ) -> None:
        """Note a run that had nothing to send: its dates, and whom its source releases."""
        after = direct_changes.after(plan, ledger=ledger.keys, workspace=self._workspace)
        self._state.record_no_change(run_date=run_date, direct_changes=after, plan_id=plan_id)

    def _carry_out(
        self, stored: StoredPlan, ledger: Ledger, direct_changes: DirectChanges, report: SyncReport
    ) -> SyncReport:
        plan = stored.plan
        self._audience.disk_space.require(plan.counts.live)
        self._audience.wait_for_late_requests(plan, contradicted=report.contradicted)
        self._begin(stored, direct_changes)
        sent = send_begun_plan(
            self._audience,
            plan,
            settings=self._delivery_settings,
            on_progress=self._on_progress,
            afterwards="the next run goes on from there",
        )
        direct_changes = direct_changes.after(plan, ledger=ledger.keys, workspace=self._workspace)
        new = self._state.finish(
            ledger, stored, seconds_per_request=sent.seconds_per_request, direct_changes=direct_changes
        )
        report = replace(
            report,
            plan_id=stored.plan_id,
            generation=self._state.generation,
            live=new.stored.members,
            batches_skipped_by_resume=report.batches_skipped_by_resume + sent.skipped_batches,
            **sent.progress.counts(),
        )
        return self._ended(report, expiry=new.expiry)

    def _begin(self, stored: StoredPlan, direct_changes: DirectChanges) -> None:
        released = direct_changes.released_by(stored.plan.additions, self._workspace)
        self._state.begin(stored, direct_changes=released)

    # Afterwards

    def _ended(self, report: SyncReport, *, expiry: Expiry | None = None) -> SyncReport:
        ledger, now = expiry or self._readable_ledger(), self._audience.clock()
        self._expiry = expiry_in(ledger, limits=self._destination.limits, now=now)
        return self._check_drift(replace(report, **self._expiry.report_fields()) if self._expiry else report)

    def _check_drift(self, report: SyncReport) -> SyncReport:
        """Return the report with the drift between the platform's count and the ledger's."""
        if self._audience.layout.partitions > 1:  # the platform counts all of them
            return self._timed(report)
        manifest = self._state.manifest
        drift = measured_drift(
            self._destination,
            live=report.live,
            delivery_settings=self._delivery_settings,
            sleep=self._audience.sleep,
            accepts_unknown_members=self._accepts_unknown_members
            and manifest is not None
            and manifest.has_unknown_members,
            has_sent=bool(report.batches),
        )
        return self._timed(replace(report, drift=drift))

    def _timed(self, report: SyncReport) -> SyncReport:
        return replace(
            report,
            requests=self._destination.requests_sent - self._requests_before,
            seconds=round(time.monotonic() - self._began, 3),
        )
