"""Reading an audience's state without holding its lease: a summary by the manifest, or all counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_audiences.exceptions import LedgerLostError
from airflow_provider_audiences.members.keys.key_set import side_by_side
from airflow_provider_audiences.sync.expiry import expiry_of
from airflow_provider_audiences.sync.state.lease import claims
from airflow_provider_audiences.sync.state.snapshot import StateSnapshot, read_snapshot
from airflow_provider_audiences.sync.state.stored_plans import StoredPlans, plan_ids
from airflow_provider_audiences.sync.state.summary import AudienceDetails, AudienceSummary, LedgerCounts, PlanSummary
from airflow_provider_audiences.sync.state.tables import StateTables

if TYPE_CHECKING:
    from airflow_provider_audiences.members.workspace import Workspace
    from airflow_provider_audiences.sync.destination import AudienceAddress
    from airflow_provider_audiences.sync.ledger import Ledger
    from airflow_provider_audiences.sync.state.file_store import FileStore
    from airflow_provider_audiences.sync.state.lease import Claim
    from airflow_provider_audiences.sync.state.manifest import KeyFile


class StateReader:
    """
    Reads one audience's state; changes nothing, and may be used while a sync runs.

    :param files: the file store of the state.
    :param address: the audience that the state must be about; None for any.
    :param clock: returns seconds since 1970 (UTC).
    """

    def __init__(
        self, files: FileStore, *, address: AudienceAddress | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._files = files
        self._address = address
        self._clock = clock

    def summary(self) -> AudienceSummary:
        """
        Return what the last manifest says; a damaged one is told in the summary.

        :raises StateUnavailableError: the store failed.
        """
        try:
            return read_snapshot(self._files, self._summary, address=self._address)
        except LedgerLostError as error:
            claim = self._claim(self._files.names())
            return AudienceSummary(where=self._files.name, manifest=None, claim=claim, problem=error.message)

    def details(self, workspace: Workspace) -> AudienceDetails:
        """
        Return all counts; reads the files of the ledger and of direct changes, and checks their fingerprints.

        :param workspace: workspace for copies on this machine.
        :raises LedgerLostError: a file is damaged or missing.
        :raises StateUnavailableError: the store failed.
        """
        tables = StateTables(self._files, workspace, key_column="")  # a name for writing only
        return read_snapshot(self._files, lambda snapshot: self._details(snapshot, tables), address=self._address)

    def _summary(self, snapshot: StateSnapshot) -> AudienceSummary:
        return AudienceSummary(where=self._files.name, manifest=snapshot.manifest, claim=self._claim(snapshot.names))

    def _claim(self, names: Collection[str]) -> Claim | None:
        now = self._clock()
        all_claims = (claim for _, claim in claims(self._files, names))
        return next((claim for claim in all_claims if claim and claim.is_held and not claim.is_over(now)), None)

    def _details(self, snapshot: StateSnapshot, tables: StateTables) -> AudienceDetails:
        manifest = snapshot.manifest

        def count(stored: KeyFile) -> int:
            return tables.keys(stored.file, fingerprint=stored.fingerprint).count if stored.file else 0

        ledger = LedgerCounts()
        if manifest and manifest.ledger.file:
            stored = tables.ledger(manifest.ledger.file, fingerprint=manifest.ledger.fingerprint)
            ledger = ledger_counts(stored, now=self._clock())
        plans = StoredPlans(self._files, tables)
        return AudienceDetails(
            summary=self._summary(snapshot),
            ledger=ledger,
            held_back=count(manifest.direct_changes.held_back) if manifest else 0,
            added_directly=count(manifest.direct_changes.added_directly) if manifest else 0,
            plans=tuple(_plan_summary(plan_id, snapshot, plans) for plan_id in plan_ids(snapshot.names)),
        )


def _plan_summary(plan_id: str, snapshot: StateSnapshot, plans: StoredPlans) -> PlanSummary:
    manifest = snapshot.manifest
    is_begun = manifest is not None and manifest.plan_id == plan_id
    try:
        file = plans.find(plan_id)
    except LedgerLostError:
        return PlanSummary(plan_id=plan_id, status="damaged")
    if file is None:
        raise LedgerLostError(f"plan {plan_id} is missing")
    details = file.content["details"]
    delivered = manifest.delivered if manifest and is_begun else None
    return PlanSummary(
        plan_id=plan_id,
        status="begun" if is_begun else "waiting" if file.state_id == snapshot.state_id else "outdated",
        generation=file.generation,
        added=details.get("added", 0),
        refreshed=details.get("refreshed", 0),
        removed=details.get("removed", 0),
        delivered=delivered.additions.count + delivered.removals.count if delivered else 0,
        stopped_by=tuple(verdict["guard"] for verdict in details.get("verdicts", ()) if not verdict["passed"]),
    )


def ledger_counts(ledger: Ledger, *, now: float) -> LedgerCounts:
    """
    Count the members of a ledger.

    :param ledger: the ledger, in files of a workspace.
    :param now: seconds since 1970 (UTC).
    """
    live = maybe_live = expired = 0
    for (rows,) in side_by_side(ledger.keys):
        columns = ledger.rows(rows)
        is_expired = columns.latest_expiry <= now
        is_live = columns.earliest_expiry > now
        expired += int(np.count_nonzero(is_expired))
        live += int(np.count_nonzero(is_live))
        maybe_live += int(np.count_nonzero(~is_expired & ~is_live))
    return LedgerCounts(live=live, maybe_live=maybe_live, expired=expired, expiry=expiry_of(ledger, now=now))
