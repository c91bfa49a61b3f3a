"""
Changes by hand (update, append, removal) of an audience that is also synced: they are recorded in its ledger.

Such a change is carried out as a stored plan. So after any failure, the next sync knows who may be in the audience.
Later syncs respect the change, even if its outcome is not known: members removed by hand are not added again, and
members added by hand are not removed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import LedgerLostError
from airflow_provider_audiences.members.keys.key_sets import nobody
from airflow_provider_audiences.sync.delivery.plan_delivery import StateJournal
from airflow_provider_audiences.sync.delivery.upload import Delivery, DeliveryMode
from airflow_provider_audiences.sync.held import HeldAudience
from airflow_provider_audiences.sync.plan import Changes, Plan
from airflow_provider_audiences.sync.report import UploadReport

if TYPE_CHECKING:
    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.sync.delivery.progress import OnProgress
    from airflow_provider_audiences.sync.marks import Marks

log = logging.getLogger(__name__)


class ByHand:
    """
    Changes one audience, which this process holds.

    :param held: the audience, with its state and its lease.
    """

    def __init__(self, held: HeldAudience) -> None:
        self._held = held
        self._state = held.state
        self._workspace = held.workspace

    def run(self, delivery: Delivery, staged: StagedMembers, *, on_progress: OnProgress | None = None) -> UploadReport:
        """
        Send a staged set, and record it in the ledger, if the audience has one.

        :param delivery: mode (update, append or removal) and how the set is sent.
        :param staged: the set to add or remove.
        :param on_progress: called every few seconds, and at the end, with the number of members delivered and the
            total.
        :raises InvalidInputError: the set must not be sent, such as an empty one that would replace all; nothing was
            sent.
        :raises AudienceApiError: a request failed, and no further one was begun.
        """
        delivery.check_members(staged)
        try:
            self._state.load()
            ledger = self._state.recovered(self._state.ledger())
            marks = self._state.marks()
        except LedgerLostError as error:
            # A lost ledger must not keep a removal from being sent.
            log.warning("This is sent, and no ledger notes it: %s", error)
            return delivery.run(self._held.destination, staged, on_progress=on_progress, sleep=self._held.sleep)
        if self._state.manifest is None:
            return delivery.run(self._held.destination, staged, on_progress=on_progress, sleep=self._held.sleep)
        plan = self._plan(delivery, staged)
        if self._state.manifest.late.may_undo(plan):
            self._held.settle()
        stored = self._state.store_plan(plan, details={"by_hand": delivery.mode.value})
        self._state.begin(stored, marks=self._marked(marks, delivery, staged))
        journal = StateJournal(self._state, self._held.lease)
        report = delivery.run(
            self._held.destination, staged, on_progress=on_progress, journal=journal, sleep=self._held.sleep
        )
        pace = journal.request_seconds / report.batches if report.batches else 0.0
        self._state.finish(ledger, stored, seconds_per_request=pace)
        return report

    def _plan(self, delivery: Delivery, staged: StagedMembers) -> Plan:
        manifest = self._state.manifest
        is_removal = delivery.mode is DeliveryMode.REMOVE
        replaces = delivery.mode is DeliveryMode.REPLACE
        none = nobody(self._workspace)
        return Plan(
            replaces=replaces,
            ttl_seconds=delivery.ttl_seconds or self._held.destination.limits.ttl_seconds,
            additions=none if is_removal else staged.keys,
            removals=staged.keys if is_removal else none,
            # Each of them may be in the audience already, so that its TTL begins again.
            changes=Changes(refreshed=0 if is_removal else staged.members),
            has_strangers=bool(manifest and manifest.has_strangers and not replaces),
            purged=manifest.purged if manifest and not replaces else "",
        )

    def _marked(self, marks: Marks, delivery: Delivery, staged: StagedMembers) -> Marks:
        if delivery.mode is DeliveryMode.REMOVE:
            return marks.with_removed(staged.keys, self._workspace)
        return marks.with_added(staged.keys, self._workspace, replaces=delivery.mode is DeliveryMode.REPLACE)
