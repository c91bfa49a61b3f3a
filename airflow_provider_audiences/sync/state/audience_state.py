"""
The state of one audience, changed in an order in which a crash at any point loses nothing.

A plan is stored before its first request, delivered rows are recorded after each request, and at the end the plan is
folded into a new ledger. Each step ends with a new manifest. Files that the last manifest does not name are leftovers.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import LedgerLostError, PlanOutdatedError, StateUnavailableError
from airflow_provider_audiences.sync.direct_changes import DirectChanges
from airflow_provider_audiences.sync.ledger import Ledger, LedgerWriter
from airflow_provider_audiences.sync.plan import PhaseName, Plan
from airflow_provider_audiences.sync.run_date import RunDate
from airflow_provider_audiences.sync.state import transitions
from airflow_provider_audiences.sync.state.delivered import Delivered
from airflow_provider_audiences.sync.state.direct_change_files import DirectChangeStore
from airflow_provider_audiences.sync.state.fold import fold
from airflow_provider_audiences.sync.state.late import LateEffect
from airflow_provider_audiences.sync.state.manifest import DirectChangeFiles, Manifest, no_ledger_error
from airflow_provider_audiences.sync.state.manifests import ManifestChain
from airflow_provider_audiences.sync.state.stored_plans import StoredPlan, StoredPlans
from airflow_provider_audiences.sync.state.tables import EMPTY_LEDGER, NewLedger, StateTables, ledger_file

if TYPE_CHECKING:
    from airflow_provider_audiences.members.keys.key_set import KeySet
    from airflow_provider_audiences.members.workspace import Workspace
    from airflow_provider_audiences.sync.destination import AudienceAddress, DeliveryLimits
    from airflow_provider_audiences.sync.state.file_store import FileStore
    from airflow_provider_audiences.sync.state.lease import Lease

log = logging.getLogger(__name__)


class AudienceState:
    """
    Reads and changes the state of one audience; only for the process that holds its lease.

    :param files: the file store of the state.
    :param address: identifies the audience among all platforms.
    :param lease: lease of the audience, held by this process.
    :param limits: what the platform accepts; they say how late requests may take effect.
    :param key_column: name of the column of members in stored tables.
    :param workspace: workspace for fetched files and new sets.
    :param clock: returns seconds since 1970 (UTC).
    """

    def __init__(
        self,
        files: FileStore,
        address: AudienceAddress,
        *,
        lease: Lease,
        limits: DeliveryLimits,
        key_column: str,
        workspace: Workspace,
        clock: Callable[[], float],
    ) -> None:
        self.name = files.name
        """Address of the state that may be shown."""
        self.address = address
        self._late_effect = LateEffect(limits, clock=clock)
        self._workspace = workspace
        self._tables = StateTables(files, workspace, key_column=key_column)
        self._plans = StoredPlans(files, self._tables)
        self._direct_changes = DirectChangeStore(files, self._tables, workspace)
        self._manifests = ManifestChain(files, lease)
        self._clock = clock
        self._lock = threading.Lock()
        self._first_generation = 0
        self._late_until = 0
        self._kept_direct_changes = DirectChangeFiles()
        self.is_ledger_ignored = False
        """Whether the stored ledger is lost and must not be used."""
        self.manifest: Manifest | None = None
        """The last manifest; None if nothing was ever sent, or after :meth:`ignore_ledger`."""

    @property
    def delivered(self) -> Delivered:
        """What is delivered of the plan that was begun."""
        return self._require_begun()[1]

    @property
    def generation(self) -> int:
        """Number of the ledger, which grows by one with each plan that is folded into it."""
        return self.manifest.generation if self.manifest else self._first_generation

    @property
    def late_until(self) -> int:
        """Until this time a request of an earlier plan may still take effect; seconds since 1970 (UTC)."""
        return self.manifest.late_until if self.manifest else self._late_until

    def load(self) -> None:
        """
        Read the last manifest, and take over from earlier processes: they can't change the state any more.

        :raises LedgerLostError: the manifest is damaged, missing although there is a ledger, or another audience's.
        :raises AudienceBusyError: a later sync has taken over.
        """
        with self._unless_overtaken():
            self.manifest = self._manifests.load(self.address)
        if self.manifest is not None and self.manifest.delivered is not None:
            self._late_effect.take_over()

    @property
    def late_effect_seconds(self) -> int:
        """Longest time from now that requests of the plan that was begun may still take effect, if none is sent."""
        return self._late_effect.seconds

    def ignore_ledger(self) -> None:
        """Ignore the stored ledger from now on, and begin with an empty one; those removed directly stay held back."""
        if self.manifest is None or self.manifest.delivered is not None:
            # Requests of a plan that nobody will fold, or of one that nobody knows, may still be on their way.
            self._late_effect.take_over()
            self._late_until = math.ceil(self._clock()) + self.late_effect_seconds
        else:
            self._late_until = self.manifest.late_until
        self._first_generation = self.generation + 1
        with self._unless_overtaken():
            self._kept_direct_changes = self.manifest.direct_changes if self.manifest else self._direct_changes.found()
        self.is_ledger_ignored = True
        self.manifest = None

    def ledger(self) -> Ledger:
        """
        Return the ledger as it was before the current plan was begun.

        :raises LedgerLostError: its file is damaged or missing, or the audience is kept by changes that are handed in.
        """
        if self.manifest and not self.manifest.keeps_ledger:
            raise no_ledger_error(self.name)
        if self.manifest is None or not self.manifest.ledger.file:
            return LedgerWriter(self._workspace).finish()
        with self._unless_overtaken():
            return self._tables.ledger(self.manifest.ledger.file, fingerprint=self.manifest.ledger.fingerprint)

    def direct_changes(self) -> DirectChanges:
        """
        Return the members removed or added directly.

        :raises LedgerLostError: a file is damaged or missing; not after :meth:`ignore_ledger`: then there are none.
        """
        stored = self.manifest.direct_changes if self.manifest else self._kept_direct_changes
        try:
            with self._unless_overtaken():
                return self._direct_changes.fetch(stored)
        except LedgerLostError as error:
            if not self.is_ledger_ignored:
                raise
            log.warning("Who was removed or added directly is not known any more: %s", error.message)
            self._kept_direct_changes = DirectChangeFiles()
            return DirectChanges.none(self._workspace)

    def record_no_change(self, *, run_date: RunDate | None, direct_changes: DirectChanges, plan_id: str = "") -> None:
        """
        Note that a run found the audience equal to its source, so that no older run undoes what it found. Nothing is
        written if that adds nothing to what is known, since it would make stored plans outdated.

        :param run_date: dates of the run; None if it has none.
        :param direct_changes: members removed or added directly from now on.
        :param plan_id: id of the stored plan that has nothing to send; empty (default) for none.
        """
        if self.manifest is None:
            return  # nothing was ever sent
        manifest = self._with_direct_changes(self.manifest, direct_changes)
        manifest = transitions.after_no_change(self.manifest, manifest, run_date=run_date, plan_id=plan_id)
        if manifest != self.manifest:
            self._commit(manifest)
        self._direct_changes.delete_unrecorded()

    def note_removal(self, keys: KeySet) -> None:
        """
        Note that members are about to be removed directly although the ledger is lost, so that they stay held back when
        it is found again, or begun anew. Call it after :meth:`load`, even if that raised LedgerLostError.

        :param keys: the members.
        """
        if self.manifest is None or self.manifest.keeps_ledger:
            with self._unless_overtaken():
                self._direct_changes.store_unrecorded(keys)

    def fold_unfinished_plan(self, ledger: Ledger) -> Ledger:
        """
        Give up an unfinished plan of an earlier run: fold what it may have sent into a new ledger.

        :param ledger: the ledger, as :meth:`ledger` returned it.
        :return: the new ledger; the given one if there is no unfinished plan.
        :raises LedgerLostError: the plan is damaged or missing.
        """
        if self.manifest is None or self.manifest.delivered is None:
            return ledger
        with self._unless_overtaken():
            file = self._plans.find(self.manifest.plan_id)
            if file is None:
                raise LedgerLostError(f"{self.name} has no plan {self.manifest.plan_id}, which was being carried out")
            self._fold(ledger, self._plans.fetch(file).plan, self.manifest)
        return self.ledger()

    def store_plan(self, plan: Plan, *, details: dict[str, Any], run_date: RunDate | None = None) -> StoredPlan:
        """
        Store a plan for the present ledger; nothing is begun.

        :param plan: the plan to store.
        :param details: JSON that is stored with the plan.
        :param run_date: dates of the run that makes the plan; None if it has none.
        """
        with self._unless_overtaken():
            return self._plans.store(
                plan,
                generation=self.generation,
                begins_anew=self.is_ledger_ignored,
                state_id=self._manifests.state_id,
                details=details,
                run_date=run_date,
            )

    def plan(self, plan_id: str) -> StoredPlan:
        """
        Return a stored plan that was begun, or that may be begun, as the state has not changed since it was made.

        Call it after :meth:`load`, even if that raised LedgerLostError.

        :param plan_id: id of the plan.
        :raises PlanOutdatedError: the state has changed since, or there is no such plan.
        :raises LedgerLostError: the plan was begun, and its files are damaged.
        """
        is_begun = bool(self.manifest and self.manifest.plan_id == plan_id)
        try:
            with self._unless_overtaken():
                file = self._plans.find(plan_id)
                if file is None:
                    raise PlanOutdatedError(
                        f"{self.name} has no plan {plan_id}: another sync has run since, and took it away"
                    )
                if not is_begun and file.state_id != self._manifests.state_id:
                    raise PlanOutdatedError(
                        f"plan {plan_id} was made for generation {file.generation} of the ledger, and another sync "
                        "has run since"
                    )
                return self._plans.fetch(file)
        except LedgerLostError as error:
            if is_begun:
                raise
            raise PlanOutdatedError(error.message) from None

    def begin(
        self,
        stored: StoredPlan,
        *,
        direct_changes: DirectChanges | None = None,
        is_direct: bool = False,
        changes_fingerprint: str | None = None,
    ) -> Delivered:
        """
        Commit to a plan: from now on, all of it counts as possibly sent.

        :param stored: the plan, as it was stored.
        :param direct_changes: members removed or added directly from now on; None for no change.
        :param is_direct: whether the plan is a direct change itself; default False, for the plan of a sync.
        :param changes_fingerprint: fingerprint of changes that were handed in, if the plan was made of them: the
            audience has no ledger from now on. None for a plan that was made by the ledger.
        :return: what an earlier try has delivered of the plan.
        """
        manifest = self.manifest or transitions.first_manifest(
            self.address, stored, direct_changes=self._kept_direct_changes, late_until=self._late_until
        )
        if manifest.plan_id == stored.plan_id and manifest.delivered:
            self._commit(transitions.after_begin_again(manifest, manifest.delivered, stored.plan))
            return self.delivered
        if direct_changes is not None:
            manifest = self._with_direct_changes(manifest, direct_changes)
        if changes_fingerprint is not None:
            manifest = replace(manifest, ledger=EMPTY_LEDGER, changes_fingerprint=changes_fingerprint)
        self._commit(transitions.after_begin(manifest, stored, is_direct=is_direct, now=self._clock()))
        if direct_changes is not None:
            self._direct_changes.delete_unrecorded()
        return self.delivered

    def record_delivered(
        self, phase: PhaseName, first: int, end: int, *, seconds: float, is_repeated: bool, is_replacement: bool = False
    ) -> None:
        """
        Record delivered rows of the plan. Any thread may call it; when it returns, they are on the disk.

        :param phase: name of the phase: ``additions`` or ``removals``.
        :param first: first row of the range.
        :param end: row after the last one of the range.
        :param seconds: seconds since the request was sent.
        :param is_repeated: whether the request may have been sent more than once.
        :param is_replacement: whether the request replaced the audience's content.
        """
        now = self._clock()
        with self._lock:
            manifest, delivered = self._require_begun()
            rows = delivered.additions if phase == "additions" else delivered.removals
            rows.add(first, end, began=now - seconds, ended=now)
            delivered = replace(
                delivered,
                batches=delivered.batches + 1,
                is_repeated=delivered.is_repeated or is_repeated,
                is_replacement_repeated=delivered.is_replacement_repeated or (is_replacement and is_repeated),
            )
            is_known = manifest.is_content_known or is_replacement
            self._commit(replace(manifest, delivered=delivered, is_content_known=is_known))

    def finish(
        self,
        ledger: Ledger,
        stored: StoredPlan,
        *,
        seconds_per_request: float,
        direct_changes: DirectChanges | None = None,
    ) -> NewLedger:
        """
        Fold a plan that is delivered completely into a new ledger.

        :param ledger: the ledger that the plan was made for.
        :param stored: the plan that was begun.
        :param seconds_per_request: average time of the plan's requests, for the next plan's forecast.
        :param direct_changes: members removed or added directly from now on; None for no change.
        :return: what is known of the new ledger.
        """
        manifest, delivered = self._require_begun()
        if direct_changes is not None:
            manifest = self._with_direct_changes(manifest, direct_changes)
        finished = transitions.after_delivery(manifest, delivered, stored, seconds_per_request=seconds_per_request)
        with self._unless_overtaken():
            new = self._fold(ledger, stored.plan, finished)
        if direct_changes is not None:
            self._direct_changes.delete_unrecorded()
        return new

    def end_changes(self, plan: Plan, *, seconds_per_request: float | None) -> None:
        """
        Finish a plan that was made of changes that were handed in, or give it up; no ledger notes what was sent.

        :param plan: the plan that was begun.
        :param seconds_per_request: average time of the plan's requests, if all of it is delivered; None if it is given
            up.
        """
        manifest, _ = self._require_begun()
        ended = transitions.after_changes(
            manifest,
            plan,
            now=self._clock(),
            late_effect_seconds=self.late_effect_seconds,
            seconds_per_request=seconds_per_request,
        )
        with self._unless_overtaken():
            self._manifests.commit_and_clean(ended, used=ended.files)
        self.manifest = ended

    def _require_begun(self) -> tuple[Manifest, Delivered]:
        if self.manifest is None or self.manifest.delivered is None:
            raise AssertionError("no plan was begun")
        return self.manifest, self.manifest.delivered

    def _fold(self, ledger: Ledger, plan: Plan, manifest: Manifest) -> NewLedger:
        delivered = manifest.delivered or Delivered(begun_at=0)
        now, late_effect_seconds = self._clock(), self.late_effect_seconds
        late_until = manifest.late_until
        rows = fold(ledger, plan, delivered, now=now, late_effect_seconds=late_effect_seconds, late_until=late_until)
        new = self._tables.store_ledger(ledger_file(manifest.generation + 1), rows, now=now)
        manifest = transitions.after_fold(manifest, plan, new.stored, now=now, late_effect_seconds=late_effect_seconds)
        self._manifests.commit_and_clean(manifest, used=manifest.files)
        self.manifest = manifest
        return new

    def _with_direct_changes(self, manifest: Manifest, direct_changes: DirectChanges) -> Manifest:
        with self._unless_overtaken():
            stored = self._direct_changes.store(direct_changes, before=manifest.direct_changes)
        return replace(manifest, direct_changes=stored)

    def _commit(self, manifest: Manifest) -> None:
        with self._unless_overtaken():
            self._manifests.commit(manifest)
        self.manifest = manifest

    @contextmanager
    def _unless_overtaken(self) -> Iterator[None]:
        """
        Raise AudienceBusyError instead of other errors if a later sync has taken over: it deletes files that this one
        needs.
        """
        try:
            yield
        except (LedgerLostError, PlanOutdatedError, StateUnavailableError):
            with suppress(StateUnavailableError):
                self._manifests.ensure_current()
            raise
