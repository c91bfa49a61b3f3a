"""
Direct changes (update, append, removal) of an audience that is also synced: they are recorded in its ledger.

Such a change is carried out as a stored plan. So after any failure, the next sync knows who may be in the audience.
Later syncs respect the change, even if its outcome is not known: members removed directly are not added again, and
members added directly are not removed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import LedgerLostError, StateUnavailableError
from airflow_provider_audiences.members.keys.key_sets import empty_key_set
from airflow_provider_audiences.sync.delivery.direct_delivery import DeliveryMode, DirectDelivery
from airflow_provider_audiences.sync.delivery.plan_delivery import StateJournal
from airflow_provider_audiences.sync.expiry import Expiry, expiry_in
from airflow_provider_audiences.sync.open_audience import OpenAudience
from airflow_provider_audiences.sync.plan import Plan, PlanCounts
from airflow_provider_audiences.sync.report import DirectDeliveryReport

if TYPE_CHECKING:
    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.sync.delivery.progress import OnProgress
    from airflow_provider_audiences.sync.direct_changes import DirectChanges

log = logging.getLogger(__name__)


class RecordedDelivery:
    """
    Changes one audience, which this process holds.

    :param audience: the audience, with its state and its lease.
    """

    def __init__(self, audience: OpenAudience) -> None:
        self._audience = audience
        self._state = audience.state
        self._workspace = audience.workspace
        self._live: int | None = None
        self._expiry: Expiry | None = None

    @property
    def live(self) -> int | None:
        """Number of members after :meth:`run`, by the ledger that notes the change; None if none does."""
        return self._live

    @property
    def expiry(self) -> Expiry | None:
        """When members begin to expire, after :meth:`run`; None without a TTL, or if no ledger notes the change."""
        return self._expiry

    def run(
        self,
        delivery: DirectDelivery,
        staged: StagedMembers,
        *,
        on_progress: OnProgress | None = None,
        before_unrecorded: Callable[[], None] = lambda: None,
    ) -> DirectDeliveryReport:
        """
        Send a staged set, and record it in the ledger, if the audience has one.

        :param delivery: mode (update, append or removal) and how the set is sent.
        :param staged: the set to add or remove.
        :param on_progress: called with the progress: at the beginning, every few seconds, and at the end.
        :param before_unrecorded: called before the set is sent although no ledger notes it; default nothing.
        :raises InvalidInputError: the set must not be sent, such as an empty one that would replace all; nothing was
            sent.
        :raises AudienceError: a request failed, and no further one was begun.
        """
        delivery.check_members(staged)
        try:
            self._audience.load_state()
            ledger = self._state.fold_unfinished_plan(self._state.ledger())
            direct_changes = self._state.direct_changes()
        except LedgerLostError as error:
            # A lost ledger must not keep a removal from being sent. All members count as unknown from now on, those who
            # are added too.
            log.warning("This is sent, and no ledger notes it: %s", error)
            if delivery.mode is DeliveryMode.REMOVE:
                self._note_removal(staged)
            return self._unrecorded(delivery, staged, on_progress, before_unrecorded)
        if self._state.manifest is None:
            return self._unrecorded(delivery, staged, on_progress, before_unrecorded)
        plan = self._plan(delivery, staged)
        self._audience.wait_for_late_requests(plan, contradicted=None)
        stored = self._state.store_plan(plan, details={"direct": delivery.mode.value})
        after = self._after_delivery(direct_changes, delivery, staged)
        self._state.begin(stored, direct_changes=after, is_direct=True)
        journal = StateJournal(self._state, self._audience.lease)
        report = delivery.run(
            self._audience.destination, staged, on_progress=on_progress, journal=journal, sleep=self._audience.sleep
        )
        pace = journal.request_seconds / report.batches if report.batches else 0.0
        new = self._state.finish(ledger, stored, seconds_per_request=pace)
        self._live = new.stored.members
        self._expiry = expiry_in(new.expiry, limits=self._audience.destination.limits, now=self._audience.clock())
        return report

    def _unrecorded(
        self,
        delivery: DirectDelivery,
        staged: StagedMembers,
        on_progress: OnProgress | None,
        before: Callable[[], None],
    ) -> DirectDeliveryReport:
        before()
        return delivery.run(self._audience.destination, staged, on_progress=on_progress, sleep=self._audience.sleep)

    def _note_removal(self, staged: StagedMembers) -> None:
        try:
            self._state.note_removal(staged.keys)
        except StateUnavailableError as error:
            log.warning("A later sync adds these members again if its source has them: %s", error)

    def _plan(self, delivery: DirectDelivery, staged: StagedMembers) -> Plan:
        manifest = self._state.manifest
        is_removal = delivery.mode is DeliveryMode.REMOVE
        replaces = delivery.mode is DeliveryMode.REPLACE
        none = empty_key_set(self._workspace)
        return Plan(
            replaces=replaces,
            ttl_seconds=delivery.ttl_seconds or self._audience.destination.limits.ttl_seconds,
            additions=none if is_removal else staged.keys,
            removals=staged.keys if is_removal else none,
            # Each of them may be in the audience already, so that its TTL begins again.
            counts=PlanCounts(refreshed=0 if is_removal else staged.members),
            has_unknown_members=bool(manifest and manifest.has_unknown_members and not replaces),
            removed_opt_outs_fingerprint=manifest.removed_opt_outs_fingerprint if manifest and not replaces else "",
        )

    def _after_delivery(
        self, direct_changes: DirectChanges, delivery: DirectDelivery, staged: StagedMembers
    ) -> DirectChanges:
        if delivery.mode is DeliveryMode.REMOVE:
            return direct_changes.with_removed(staged.keys, self._workspace)
        return direct_changes.with_added(staged.keys, self._workspace, replaces=delivery.mode is DeliveryMode.REPLACE)
