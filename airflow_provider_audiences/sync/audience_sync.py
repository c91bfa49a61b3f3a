"""
A sync: makes an AppLovin audience equal a source, with as few requests as it takes, from any crash.

The order of things is the promise. The plan is the difference between the source and the ledger; the guards look at
it; it is stored before its first request; each request is written down when it has landed; members are added before
any is removed; and in the end the plan goes into the ledger. Whatever a run that was cut off may have sent is in the
ledger of the next one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import (
    AudienceApiError,
    LedgerLostError,
    NotFoundError,
    PlanOutdatedError,
)
from airflow_provider_audiences.members.identifiers.advertising_id import LINE_LENGTH
from airflow_provider_audiences.members.keys.key_set import KeySet
from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.stopping import Stopped
from airflow_provider_audiences.sync.delivery.plan_delivery import PlanDelivery
from airflow_provider_audiences.sync.delivery.sending import OnProgress, Tally
from airflow_provider_audiences.sync.guards import refuse_unless_passed
from airflow_provider_audiences.sync.ledger import LATEST_EFFECT_SECONDS, Ledger
from airflow_provider_audiences.sync.marks import Marks
from airflow_provider_audiences.sync.planning import Planner, user_count
from airflow_provider_audiences.sync.report import SyncReport
from airflow_provider_audiences.sync.settings import SendSettings, SyncSettings
from airflow_provider_audiences.sync.state.audience_state import AudienceState
from airflow_provider_audiences.sync.state.head import AudienceAddress
from airflow_provider_audiences.sync.state.lease import Holder, Lease, Wait, leased
from airflow_provider_audiences.sync.state.room import SyncRoom
from airflow_provider_audiences.sync.state.stored_plans import StoredPlan

if TYPE_CHECKING:
    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.sync.plan import Plan
    from airflow_provider_audiences.sync.state.folder import StateFolder

log = logging.getLogger(__name__)

_DRIFT_LOOK_SECONDS = 10.0


@contextmanager
def open_sync(
    client: AppLovinClient,
    folder: StateFolder,
    *,
    audience_id: str,
    holder: Holder,
    send: SendSettings,
    wait: Wait | None = None,
    staging: StagingSettings | None = None,
    on_progress: OnProgress | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[AudienceSync]:
    """
    Hold an audience, and yield what syncs it.

    :param client: of the account.
    :param folder: where the audience's state lies.
    :param audience_id: the audience.
    :param holder: who syncs.
    :param send: how plans are sent.
    :param wait: called as long as another sync holds the audience; None for no wait.
    :param staging: memory and disk to use; None for the defaults.
    :param on_progress: told every few seconds, and at the end, how many IDs have landed, of how many.
    :param clock: seconds since 1970.
    :param sleep: waits.
    :raises AudienceBusyError: another sync of this audience is under way.
    """
    address = AudienceAddress(platform="applovin", host=client.host, audience_id=audience_id)
    with (
        leased(folder, holder, wait=wait, clock=clock) as lease,
        open_workspace(staging or StagingSettings()) as workspace,
    ):
        state = AudienceState(folder, address, lease=lease, workspace=workspace, clock=clock)
        yield AudienceSync(
            client,
            state,
            lease=lease,
            workspace=workspace,
            room=SyncRoom(folder, workspace),
            send=send,
            on_progress=on_progress,
            clock=clock,
            sleep=sleep,
        )


class AudienceSync:
    """
    Syncs one audience that it holds; made by :func:`open_sync`.

    :param client: of the account.
    :param state: of the audience.
    :param lease: of the audience.
    :param workspace: for what is made on the way.
    :param room: tells whether the disks have enough for that.
    :param send: how plans are sent.
    :param on_progress: told how many IDs have landed.
    :param clock: seconds since 1970.
    :param sleep: waits.
    """

    def __init__(
        self,
        client: AppLovinClient,
        state: AudienceState,
        *,
        lease: Lease,
        workspace: Workspace,
        room: SyncRoom,
        send: SendSettings,
        on_progress: OnProgress | None,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._client = client
        self._state = state
        self._lease = lease
        self._workspace = workspace
        self._room = room
        self._send = send
        self._on_progress = on_progress
        self._clock = clock
        self._sleep = sleep
        self._audience_id = state.address.audience_id
        self._planner = Planner(client, state, workspace=workspace, send=send, clock=clock)
        self._marks: Marks | None = None
        self._began = time.monotonic()
        self._requests_before = client.requests_sent

    def run(self, staged: StagedMembers, suppressed: StagedMembers | None, settings: SyncSettings) -> SyncReport:
        """
        Plan, and carry the plan out.

        :param staged: the source.
        :param suppressed: members that must not be in the audience; None for nobody.
        :param settings: how the audience is to equal its source.
        :raises GuardError: a guard stopped it; nothing was sent.
        :raises LedgerLostError: what was sent before can't be told; nothing was sent.
        :raises AudienceApiError: a request failed; the next run goes on from there.
        """
        planned = self._planner.plan(staged, suppressed, settings)
        ledger, plan, report, self._marks = planned.ledger, planned.plan, planned.report, planned.marks
        refuse_unless_passed(report.verdicts)
        whole = staged.keys if settings.mode != "append" else None
        if not plan:
            log.info("The audience equals its source, and nobody is due: there is nothing to send.")
            if not self._is_replacement_open:
                if self._marks and self._state.head:
                    self._state.mark(
                        self._marks.after(plan, ledger=ledger.keys, source=whole, workspace=self._workspace)
                    )
                return self._reconciled(report)
        stored = self._state.store_plan(plan, details=report.as_dict(), run_date=settings.run_date)
        return self._carried_out(stored, ledger, report, source=whole)

    def plan(self, staged: StagedMembers, suppressed: StagedMembers | None, settings: SyncSettings) -> SyncReport:
        """
        Make the plan and store it for :meth:`apply`; send nothing.

        :param staged: the source.
        :param suppressed: members that must not be in the audience; None for nobody.
        :param settings: how the audience is to equal its source.
        :return: a report with ``plan_id``; what a guard says is in it, and stops the plan when it is applied.
        :raises LedgerLostError: what was sent before can't be told.
        """
        planned = self._planner.plan(staged, suppressed, settings)
        report = planned.report
        stored = self._state.store_plan(planned.plan, details=report.as_dict(), run_date=settings.run_date)
        log.info("Plan %s is stored. Nothing was sent.", stored.plan_id)
        return self._timed(report.changed(plan_only=True, plan_id=stored.plan_id))

    def apply(self, plan_id: str, *, override_guards: bool) -> SyncReport:
        """
        Carry a stored plan out, exactly; or the rest of it, if an earlier try was cut off.

        :param plan_id: from the report of :meth:`plan`.
        :param override_guards: carry it out although a guard says no.
        :raises PlanOutdatedError: the ledger has moved on since it was made; nothing was sent.
        :raises LedgerLostError: what was sent before can't be told; nothing was sent.
        :raises GuardError: a guard stopped it; nothing was sent.
        """
        lost: LedgerLostError | None = None
        try:
            self._state.load()
        except LedgerLostError as error:
            lost = error
        head = self._state.head
        if head and head.finished_plan_id == plan_id:
            log.info("Plan %s was carried out to its end before.", plan_id)
            report = SyncReport.from_details({}, audience_id=self._audience_id, plan_id=plan_id)
            report = report.changed(live=head.ledger.members, batches_skipped_by_resume=head.finished_batches)
            return self._reconciled(report)
        stored = self._state.plan(plan_id)
        report = SyncReport.from_details(stored.details, audience_id=self._audience_id, plan_id=plan_id)
        is_begun = bool(head and head.plan_id == plan_id)
        if stored.begins_anew and not is_begun:
            if not lost and self._is_readable():
                raise PlanOutdatedError(f"plan {plan_id} was made without the ledger, and now it can be read again")
            self._state.forget()
        elif lost:
            raise lost
        if not override_guards and not is_begun:
            refuse_unless_passed(report.verdicts)
        if not stored.plan and not self._is_replacement_open:
            return self._reconciled(report)
        self._marks = self._state.marks()
        return self._carried_out(stored, self._state.ledger(), report)

    def _is_readable(self) -> bool:
        try:
            self._state.ledger()
        except LedgerLostError:
            return False
        return True

    @property
    def _is_replacement_open(self) -> bool:
        """Whether a replacement was begun and not finished: even a plan without requests is its end."""
        return bool(self._state.head and self._state.head.replacement)

    # Sending

    def _carried_out(
        self, stored: StoredPlan, ledger: Ledger, report: SyncReport, *, source: KeySet | None = None
    ) -> SyncReport:
        plan = stored.plan
        self._room.require(plan.changes.live)
        if plan:
            self._wait_until_settled(plan, report)
        landings = self._state.begin(stored)
        skipped = landings.batches
        rows = landings.additions.count + landings.removals.count
        tally = Tally(plan.additions.count + plan.removals.count - rows, on_progress=self._on_progress)
        delivery = PlanDelivery(self._client, self._state, self._lease, plan, self._send)
        try:
            delivery.send_all(tally, sleep=self._sleep)
        except AudienceApiError as error:
            done = skipped + tally.batches
            error.landed = f"{done} batches have landed and are written down: the next run goes on from there."
            raise
        except BaseException as error:
            done = skipped + tally.batches
            log.warning(
                "%s ended the sync: no further request begins. %d batches have landed and are written down.",
                type(error).__name__, done,
            )  # fmt: skip
            if isinstance(error, Stopped):
                error.landed = f"{done} batches have landed and are written down"
            raise
        pace = delivery.request_seconds / tally.batches if tally.batches else 0.0
        marks = self._marks and self._marks.after(plan, ledger=ledger.keys, source=source, workspace=self._workspace)
        ledger = self._state.finish(ledger, stored, seconds_per_request=pace, marks=marks)
        report = report.changed(
            plan_id=stored.plan_id,
            generation=self._state.generation,
            live=ledger.keys.count,
            batches=tally.batches,
            batches_skipped_by_resume=report.batches_skipped_by_resume + skipped,
            splits=tally.splits,
            accepted=tally.accepted,
            rejected_by_api=tally.rejected,
            miscounted_batches=tally.miscounted,
            bytes_sent=tally.sent * LINE_LENGTH,
        )
        return self._reconciled(report)

    def _wait_until_settled(self, plan: Plan, report: SyncReport) -> None:
        """Let requests of earlier plans come to their end that could undo what this plan does."""
        head = self._state.head
        seconds = head.settled_at - self._clock() if head else 0
        # Where the ledger does not say to which members it may happen, it counts what may happen at all.
        may_undo = head and (report.contradicted or (not head.is_doubt_in_ledger and head.late.may_undo(plan)))
        if seconds > 0 and may_undo:
            log.info(
                "An earlier run's last request may still take effect, and undo what this plan does: waiting %.0f s.",
                seconds,
            )
            self._sleep(min(seconds, LATEST_EFFECT_SECONDS))  # a clock may have been set back

    # Afterwards

    def _reconciled(self, report: SyncReport) -> SyncReport:
        """Compare the platform's count with the ledger's; that never fails a sync that has sent everything."""
        patience = float(self._send.drift_patience_seconds)
        try:
            while True:
                count = user_count(self._client, self._audience_id)
                drift = None if count is None else count - report.live
                limit = None if self._send.max_drift is None else self._send.max_drift * report.live
                is_far = drift is not None and limit is not None and abs(drift) > limit
                if not is_far or patience <= 0:
                    break
                wait = min(_DRIFT_LOOK_SECONDS, patience)
                patience -= wait
                self._sleep(wait)
        except AudienceApiError as error:
            if isinstance(error, NotFoundError) and not report.batches:
                raise  # it is gone; right after an upload that was accepted, the list may only lag
            log.warning("The audience's count was not learnt: %s", error)
            drift, is_far = None, False
        if is_far:
            log.warning(
                "AppLovin counts %s members in audience %s, and %s are expected. Its count may lag; if that stays so, "
                "somebody else changes this audience, or AppLovin does not take some of its IDs.",
                f"{count:,}", self._audience_id, f"{report.live:,}",
            )  # fmt: skip
        return self._timed(report.changed(drift=drift))

    def _timed(self, report: SyncReport) -> SyncReport:
        return report.changed(
            requests=self._client.requests_sent - self._requests_before,
            seconds=round(time.monotonic() - self._began, 3),
        )
