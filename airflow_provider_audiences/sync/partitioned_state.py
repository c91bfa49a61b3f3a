"""
The state of an audience in partitions: begun, and moved from one number of partitions to another.

A move has an order in which a crash at any point loses nothing:

1.  The audience's own manifest says that the state is being moved. From then on no task begins to sync any of it, and
    one that has begun is waited for, or overtaken.
2.  The ledgers of all old partitions are copied together, and the states of the new ones are written.
3.  The audience's own manifest names the new number. This commit is the move. Until then the old states are as they
    were, so a move that was cut off is made anew, or given up.
4.  The old states are emptied, or the new ones if the move is given up.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import AudienceError, ConflictError, LedgerLostError
from airflow_provider_audiences.members.partition import ALL_MEMBERS, PARTITION_COUNTS, Partition
from airflow_provider_audiences.members.partition import partitions as all_partitions
from airflow_provider_audiences.members.partition_keys import in_partition
from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace
from airflow_provider_audiences.sync.direct_changes import DirectChanges, DirectChangesBuilder
from airflow_provider_audiences.sync.planning import member_count_of, unknown_members_error
from airflow_provider_audiences.sync.state.direct_change_files import (
    DirectChangeStore,
    delete_unrecorded,
    find_held_back,
    store_direct_changes,
)
from airflow_provider_audiences.sync.state.disk_space import DiskSpace
from airflow_provider_audiences.sync.state.layout import (
    layout_of,
    partitions_in_words,
    require_layout,
    require_manifest,
)
from airflow_provider_audiences.sync.state.lease import Holder, OnBusy, leased
from airflow_provider_audiences.sync.state.ledger_runs import LedgerRuns
from airflow_provider_audiences.sync.state.manifest import DirectChangeFiles, Layout, Manifest
from airflow_provider_audiences.sync.state.manifests import ManifestChain
from airflow_provider_audiences.sync.state.tables import StateTables, ledger_file
from airflow_provider_audiences.sync.state.transitions import after_move
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.destination import Destination
    from airflow_provider_audiences.sync.settings import SyncSettings
    from airflow_provider_audiences.sync.state.file_store import FileStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Held:
    """A state that this process holds."""

    files: FileStore
    chain: ManifestChain


@dataclass(frozen=True, kw_only=True)
class _Moved:
    """What is moved: all members with their times, and what the manifests say of all."""

    ledgers: LedgerRuns
    direct_changes: DirectChanges
    manifest: Manifest


@dataclass(frozen=True, kw_only=True)
class PartitionedState:
    """
    The state of an audience in any number of partitions, as one task changes it.

    :param destination: the audience at its platform.
    :param store_of: returns the file store of a partition's state; for all members, that of the audience's own folder.
    :param holder: identifies the task.
    :param on_busy: called again and again while another process holds a state; None to raise the error at once.
    :param staging: memory and disk to use.
    :param clock: returns seconds since 1970 (UTC).
    """

    destination: Destination
    store_of: Callable[[Partition], FileStore]
    holder: Holder
    on_busy: OnBusy | None = None
    staging: StagingSettings = field(default_factory=StagingSettings)
    clock: Callable[[], float] = time.time

    def require(self, partitions: int, *, settings: SyncSettings, is_new: bool, may_move: bool) -> None:
        """
        Make sure that the state is in so many partitions; if there is none yet, decide about members that no ledger
        knows.

        :param partitions: how many partitions: 1, 16 or 256.
        :param settings: how the audience is to equal its source.
        :param is_new: whether the audience was created just now, so that nobody can be in it.
        :param may_move: whether a state in another number of partitions is moved.
        :raises ConflictError: the state is in another number of partitions, or is being moved, and ``may_move`` is
            false; or a plan is begun, so that it can't be moved.
        :raises GuardError: the audience has members that no ledger knows, and ``initial`` is ``fail``.
        :raises LedgerLostError: a part of the state is lost, and ``on_lost_ledger`` is ``fail``.
        :raises AudienceBusyError: another process holds a state.
        """
        if self._is_settled(partitions, settings, may_move=may_move):
            return
        with self._held(ALL_MEMBERS) as whole:
            try:
                manifest = self._load(whole, partitions)
            except LedgerLostError as error:
                if settings.on_lost_ledger == "fail":
                    raise
                log.warning("%s on_lost_ledger=%r.", error, settings.on_lost_ledger)
                self._empty_all(partitions)
                self._begin(whole, partitions, has_unknown_members=True)
                return
            if manifest is None:
                self._begin(whole, partitions, has_unknown_members=self._has_unknown_members(settings, is_new=is_new))
                return
            if not may_move:
                require_layout(manifest.layout, partitions, place=whole.files.name)
                return
            if manifest.layout.moves_to not in {0, partitions}:
                manifest = self._give_up(whole, manifest)
            manifest = self._without_leftovers(whole, manifest)
            if manifest.layout.partitions != partitions:
                manifest = self._without_leftovers(whole, self._move(whole, manifest, partitions))
            self._complete(whole, manifest)

    def _is_settled(self, partitions: int, settings: SyncSettings, *, may_move: bool) -> bool:
        """Whether there is nothing to do, as far as can be seen without the lease."""
        files = self.store_of(ALL_MEMBERS)
        try:
            layout = layout_of(files, self.destination.address)
        except LedgerLostError:
            if settings.on_lost_ledger == "fail":
                raise
            return partitions == 1  # a sync of the whole does without the ledger by itself
        is_complete = not layout.leftovers and (layout.has_all_manifests or partitions == 1)
        return (layout.partitions, layout.moves_to) == (partitions, 0) and (is_complete or not may_move)

    def _load(self, whole: _Held, partitions: int) -> Manifest | None:
        """Take over, and return the whole's manifest; None if there is no state yet."""
        manifest = whole.chain.load(self.destination.address)
        if manifest is None:
            for partition in all_partitions(partitions):
                files = self.store_of(partition)
                if any(name.startswith("head-") for name in files.names()):
                    raise LedgerLostError(f"{whole.files.name} has no manifest (head-*.json), and {files.name} has one")
        return manifest

    def _has_unknown_members(self, settings: SyncSettings, *, is_new: bool) -> bool:
        # As a sync of the whole decides; but nothing may be replaced.
        if is_new:
            return False
        count = member_count_of(self.destination)
        if settings.mode != "append" and settings.initial == "fail" and count != 0:
            raise unknown_members_error(
                self.destination.address.audience_id,
                count,
                place=self.store_of(ALL_MEMBERS).name,
                known="no ledger that says who they are",
            )
        return True

    def _begin(self, whole: _Held, partitions: int, *, has_unknown_members: bool) -> None:
        layout = Layout(partitions=partitions, has_unknown_members=has_unknown_members)
        new = replace(self._empty_manifest(has_unknown_members=has_unknown_members), layout=layout)
        whole.chain.commit_and_clean(new, used=new.files)  # of a lost state, files may lie here
        delete_unrecorded(whole.files, whole.files.names())
        log.info("From now on, the state of this audience is in %s.", counted(partitions, "partition"))
        self._complete(whole, new)

    def _complete(self, whole: _Held, manifest: Manifest) -> None:
        """Write a manifest for each partition that has none yet, and note that all have one."""
        layout = manifest.layout
        if layout.partitions == 1 or layout.has_all_manifests:
            return
        for partition in all_partitions(layout.partitions):
            # A partition that is lost already is left to its own sync, which says so.
            with self._held(partition) as new, suppress(LedgerLostError):
                if new.chain.load(self.destination.address) is None:
                    new.chain.commit(self._empty_manifest(has_unknown_members=layout.has_unknown_members))
        whole.chain.commit(replace(manifest, layout=replace(layout, has_all_manifests=True)))

    def _move(self, whole: _Held, manifest: Manifest, partitions: int) -> Manifest:
        """Move the state; return the whole's new manifest."""
        before = manifest.layout
        if before.partitions == 1:
            _refuse_unfinished(manifest, before, place=whole.files.name)  # before a commit outdates stored plans
        log.info(
            "Moving the state of this audience from %s to %s.",
            partitions_in_words(before.partitions),
            partitions_in_words(partitions),
        )
        manifest = replace(manifest, layout=replace(before, moves_to=partitions))
        whole.chain.commit(manifest)
        leftovers = before.partitions if before.partitions > 1 else 0
        with self._workspace() as workspace, DirectChangesBuilder(workspace) as direct_changes:
            try:
                moved = self._read(whole, manifest, direct_changes, workspace)
                DiskSpace(whole.files, workspace).require(moved.ledgers.members)
                if partitions == 1:
                    new = self._stored(whole, moved, ALL_MEMBERS, workspace)
                    new = replace(new, layout=Layout(leftovers=leftovers))
                else:
                    for partition in all_partitions(partitions):
                        self._write(moved, partition, workspace)
                    has_unknown_members = before.has_unknown_members or moved.manifest.has_unknown_members
                    layout = Layout(
                        partitions=partitions,
                        has_unknown_members=has_unknown_members,
                        leftovers=leftovers,
                        has_all_manifests=True,
                    )
                    new = replace(self._empty_manifest(has_unknown_members=has_unknown_members), layout=layout)
            except BaseException:
                with suppress(AudienceError):  # otherwise the next task that may move the state decides
                    self._give_up(whole, manifest)
                raise
            new = replace(new, generation=max(manifest.generation, moved.manifest.generation) + 1)
            whole.chain.commit_and_clean(new, used=new.files)
            delete_unrecorded(whole.files, whole.files.names())
        log.info("%s moved; nothing was sent.", counted(moved.ledgers.members, "member was", "members were"))
        return new

    def _read(
        self, whole: _Held, manifest: Manifest, direct_changes: DirectChangesBuilder, workspace: Workspace
    ) -> _Moved:
        """Copy the ledgers of all old partitions."""
        found: list[Manifest] = []
        ledgers = LedgerRuns(workspace)
        for partition in all_partitions(manifest.layout.partitions):
            with self._held(partition, whole) as source, workspace.nested() as scratch:
                stored = manifest if source is whole else source.chain.load(self.destination.address)
                require_manifest(stored, manifest.layout, place=source.files.name)
                if stored is None:
                    continue
                _refuse_unfinished(stored, manifest.layout, place=source.files.name)
                tables = self._tables(source.files, scratch)
                found.append(stored)
                if stored.ledger.file:
                    ledgers.add(partition, tables.ledger(stored.ledger.file, fingerprint=stored.ledger.fingerprint))
                direct_changes.add(DirectChangeStore(source.files, tables, scratch).fetch(stored.direct_changes))
        together = after_move(
            found,
            address=self.destination.address,
            has_unknown_members=manifest.layout.has_unknown_members,
            now=self.clock(),
        )
        return _Moved(ledgers=ledgers, direct_changes=direct_changes.finish(), manifest=together)

    def _write(self, moved: _Moved, partition: Partition, workspace: Workspace) -> None:
        """Write the state of a new partition over whatever is there."""
        with self._held(partition) as target:
            with suppress(LedgerLostError):
                target.chain.load(self.destination.address)
            new = self._stored(target, moved, partition, workspace)
            target.chain.commit_and_clean(new, used=new.files)

    def _stored(self, target: _Held, moved: _Moved, partition: Partition, workspace: Workspace) -> Manifest:
        """Store a partition's share in files that no manifest names yet; return the manifest that names them."""
        rows = moved.ledgers.rows_of(partition)
        generation = moved.manifest.generation + 1
        new = self._tables(target.files, workspace).store_ledger(ledger_file(generation), rows, now=self.clock())
        share = self._stored_share(target, moved.direct_changes, partition, workspace)
        return replace(moved.manifest, generation=generation, ledger=new.stored, direct_changes=share)

    def _stored_share(
        self, target: _Held, direct_changes: DirectChanges, partition: Partition, workspace: Workspace
    ) -> DirectChangeFiles:
        """Store a partition's share of the direct changes."""
        with workspace.nested() as scratch:  # its files are closed before those of the next partition are made
            share = DirectChanges(
                held_back=in_partition(direct_changes.held_back, partition, scratch),
                added_directly=in_partition(direct_changes.added_directly, partition, scratch),
            )
            return store_direct_changes(self._tables(target.files, scratch), share, before=DirectChangeFiles())

    def _give_up(self, whole: _Held, manifest: Manifest) -> Manifest:
        """Let the state stay as it was before a move; return the whole's new manifest."""
        moves_to = manifest.layout.moves_to
        log.info("The move to %s is given up.", partitions_in_words(moves_to))
        layout = replace(manifest.layout, moves_to=0, leftovers=moves_to if moves_to > 1 else 0)
        manifest = replace(manifest, layout=layout)
        if layout.partitions > 1:
            whole.chain.commit_and_clean(manifest, used=manifest.files)  # of the move, a ledger may lie here
        else:
            whole.chain.commit(manifest)  # its plans stay, of which one may be begun
        return manifest

    def _without_leftovers(self, whole: _Held, manifest: Manifest) -> Manifest:
        """Empty the partitions that are not used any more; return the whole's new manifest."""
        if not manifest.layout.leftovers:
            return manifest
        for partition in all_partitions(manifest.layout.leftovers):
            self._empty(partition)
        manifest = replace(manifest, layout=replace(manifest.layout, leftovers=0))
        whole.chain.commit(manifest)
        return manifest

    def _empty_all(self, partitions: int) -> None:
        """
        Empty partitions, when it is not known how many there were. Who was removed directly stays held back, and
        requests may still be under way.
        """
        with self._workspace() as workspace, DirectChangesBuilder(workspace) as found:
            for partition in chain.from_iterable(map(all_partitions, PARTITION_COUNTS)):
                files = self.store_of(partition)
                if names := files.names():
                    with workspace.nested() as scratch:
                        found.add(find_held_back(self._tables(files, scratch), names, scratch))
            kept = found.finish()
            for partition in all_partitions(partitions):
                self._empty(partition, keeps=kept, workspace=workspace)

    def _empty(
        self, partition: Partition, *, keeps: DirectChanges | None = None, workspace: Workspace | None = None
    ) -> None:
        """
        Delete a partition's members from the stores; its manifests stay, so that no process that was overtaken can add
        one.

        :param partition: the partition.
        :param keeps: direct changes, of any partition, that are kept if a lost state begins anew; None for a state
            whose content is elsewhere.
        :param workspace: the workspace that those are in.
        """
        if keeps is None and not self.store_of(partition).names():
            return
        with self._held(partition) as old:
            with suppress(LedgerLostError):
                old.chain.load(self.destination.address)
            new = self._empty_manifest(has_unknown_members=True)
            if keeps is not None and workspace is not None:
                late_until = math.ceil(self.clock()) + self.destination.limits.orphan_effect_seconds
                share = self._stored_share(old, keeps, partition, workspace)
                new = replace(new, direct_changes=share, late_until=late_until, is_doubt_in_ledger=False)
            old.chain.commit_and_clean(new, used=new.files)

    def _empty_manifest(self, *, has_unknown_members: bool) -> Manifest:
        return after_move(
            (), address=self.destination.address, has_unknown_members=has_unknown_members, now=self.clock()
        )

    @contextmanager
    def _held(self, partition: Partition, whole: _Held | None = None) -> Iterator[_Held]:
        """Hold a state as long as the block lasts; ``whole`` is held already."""
        if whole is not None and partition == ALL_MEMBERS:
            yield whole
            return
        files = self.store_of(partition)
        with leased(files, self.holder, on_busy=self.on_busy, clock=self.clock) as lease:
            yield _Held(files=files, chain=ManifestChain(files, lease))

    def _tables(self, files: FileStore, workspace: Workspace) -> StateTables:
        return StateTables(files, workspace, key_column=self.destination.identifier_kind.column)

    @contextmanager
    def _workspace(self) -> Iterator[Workspace]:
        with open_workspace(self.staging, key_bytes=self.destination.identifier_kind.key_bytes) as workspace:
            yield workspace


def _refuse_unfinished(manifest: Manifest, layout: Layout, *, place: str) -> None:
    """Refuse to move a state that says less than who is in the audience."""
    if manifest.delivered is not None or not manifest.is_content_known:
        raise ConflictError(
            f"{place}: a plan was begun and is not finished, so the state can't be moved to other partitions; nothing "
            "was moved or sent",
            advice="Let a run end first that syncs the audience as before, "
            f"with {partitions_in_words(layout.partitions)}: clear its failed tasks, or start it again.",
        )
    if not manifest.keeps_ledger:
        raise ConflictError(
            f"{place}: this audience is kept by changes that are handed in, so there is no ledger that could be moved "
            "to partitions; nothing was moved or sent",
            advice="Hand changes in, as before.",
        )
