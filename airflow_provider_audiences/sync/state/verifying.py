"""Verifying an audience's state: whether each file that it needs is there, and is what was written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import LedgerLostError
from airflow_provider_audiences.sync.state.snapshot import StateSnapshot, read_snapshot
from airflow_provider_audiences.sync.state.stored_plans import PlanFile, StoredPlans, member_files, plan_ids
from airflow_provider_audiences.sync.state.summary import FileCheck, FileStatus
from airflow_provider_audiences.sync.state.tables import StateTables

if TYPE_CHECKING:
    from airflow_provider_audiences.members.workspace import Workspace
    from airflow_provider_audiences.sync.destination import AudienceAddress
    from airflow_provider_audiences.sync.state.file_store import FileStore

_MANIFEST = "manifest"


class StateVerifier:
    """
    Verifies one audience's state; changes nothing, and may be used while a sync runs.

    :param files: the file store of the state.
    :param workspace: workspace for copies on this machine.
    :param address: the audience that the state must be about; None for any.
    :param on_file: called with the name of each file before it is read.
    """

    def __init__(
        self,
        files: FileStore,
        workspace: Workspace,
        *,
        address: AudienceAddress | None = None,
        on_file: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._files = files
        self._address = address
        self._on_file = on_file
        self._tables = StateTables(files, workspace, key_column="")  # a name for writing only
        self._plans = StoredPlans(files, self._tables)

    def verify(self) -> list[FileCheck]:
        """
        Check the last manifest, all files that it names, and stored plans that were begun or may be applied.

        :return: the results, the manifest first; only that one if the manifest is missing or damaged.
        :raises StateUnavailableError: the store failed.
        """
        try:
            return read_snapshot(
                self._files,
                self._checks,
                address=self._address,
                is_whole=lambda checks: all(check.status == "ok" for check in checks),
            )
        except LedgerLostError as error:
            return [FileCheck(name=_MANIFEST, holds=_MANIFEST, status="damaged", problem=error.message)]

    def _checks(self, snapshot: StateSnapshot) -> list[FileCheck]:
        checks = [FileCheck(name=_MANIFEST, holds=_MANIFEST, status="ok")]
        manifest = snapshot.manifest
        if manifest:
            ledger, direct_changes = manifest.ledger, manifest.direct_changes
            checks += self._check(
                ledger.file,
                "ledger",
                lambda: self._tables.ledger(ledger.file, fingerprint=ledger.fingerprint).keys.count,
            )
            checks += self._check_keys(
                direct_changes.held_back.file, "members held back", direct_changes.held_back.fingerprint
            )
            checks += self._check_keys(
                direct_changes.added_directly.file, "members added directly", direct_changes.added_directly.fingerprint
            )
        begun = manifest.plan_id if manifest else ""
        for plan_id in sorted({*plan_ids(snapshot.names), begun} - {""}):
            checks += self._check_plan(plan_id, snapshot, is_begun=plan_id == begun)
        return checks

    def _check_plan(self, plan_id: str, snapshot: StateSnapshot, *, is_begun: bool) -> list[FileCheck]:
        """Check a plan, unless it is outdated: such a plan is never used again, and the next sync deletes it."""
        name, holds = f"plan-{plan_id}.json", "plan that was begun" if is_begun else "stored plan"
        plan: PlanFile | None = None
        try:
            plan = self._plans.find(plan_id)
        except LedgerLostError as error:
            return [FileCheck(name=name, holds=holds, status="damaged", problem=error.message)]
        if plan is None:
            problem = f"{self._files.name}/{name} is missing"
            return [FileCheck(name=name, holds=holds, status="missing", problem=problem)]
        if not is_begun and plan.state_id != snapshot.state_id:
            return []
        checks = [FileCheck(name=name, holds=holds, status="ok")]
        for file, fingerprint in member_files(plan):
            checks += self._check_keys(file, holds, fingerprint)
        return checks

    def _check_keys(self, name: str, holds: str, fingerprint: str) -> list[FileCheck]:
        return self._check(name, holds, lambda: self._tables.keys(name, fingerprint=fingerprint).count)

    def _check(self, name: str, holds: str, count: Callable[[], int]) -> list[FileCheck]:
        """Return the result of reading a file to its end; nothing if the name is empty."""
        if not name:
            return []
        self._on_file(name)
        try:
            return [FileCheck(name=name, holds=holds, status="ok", members=count())]
        except LedgerLostError as error:
            status: FileStatus = "damaged" if name in self._files.names() else "missing"
            return [FileCheck(name=name, holds=holds, status=status, problem=error.message)]
