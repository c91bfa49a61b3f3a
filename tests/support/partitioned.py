"""An audience in partitions in a test: each is synced by itself, and the whole is moved from one number to another."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from airflow_provider_audiences.members.partition import ALL_MEMBERS, Partition, partitions
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.sync.open_audience import OpenAudience, open_audience
from airflow_provider_audiences.sync.partitioned_state import PartitionedState
from airflow_provider_audiences.sync.state.direct_change_files import fetch_direct_changes
from airflow_provider_audiences.sync.state.file_store import FileStore, LocalFileStore
from airflow_provider_audiences.sync.state.layout import layout_of
from airflow_provider_audiences.sync.state.lease import Holder
from airflow_provider_audiences.sync.state.manifest import Manifest
from airflow_provider_audiences.sync.state.snapshot import read_snapshot
from airflow_provider_audiences.sync.state.tables import StateTables
from support.memory_destination import MemoryDestination
from support.synced import HookedFolder, SyncedAudience

MOVER = "dag/run/prepare"


@dataclass
class _OnePartition(SyncedAudience):
    """One partition, or the whole in one folder; synced as any audience is."""

    whole: FileStore | None = None
    partitions: int = 1

    @contextlib.contextmanager
    def open_audience(self, *, key: str, try_number: int = 1) -> Iterator[OpenAudience]:
        with open_audience(
            self.destination,
            self.folder,
            holder=Holder(key=key, try_number=try_number),
            clock=self.now,
            sleep=self.sleep,
            whole=self.whole,
            partitions=self.partitions,
        ) as audience:
            yield audience


@dataclass
class PartitionedAudience:
    """An audience in memory, whose state may be in any number of partitions below a path."""

    path: Path
    destination: MemoryDestination = field(default_factory=MemoryDestination)
    hook: Callable[[str, str, str], None] | None = None
    """Called before and after each call of the mover's stores: ``hook(when, method, place)``."""

    def copied_to(self, path: Path) -> PartitionedAudience:
        """Return another audience like this one, with its members and its state."""
        shutil.copytree(self.path, path)
        return PartitionedAudience(path, MemoryDestination(self.destination.platform.copied()))

    def folder_of(self, partition: Partition) -> Path:
        return self.path / f"partition-{partition.hex}" if partition.hex else self.path

    def store_of(self, partition: Partition) -> HookedFolder:
        """Return a store that tells the hook of its calls."""
        folder = HookedFolder(LocalFileStore(self.folder_of(partition)))
        place = partition.name

        def tell(when: str, method: str) -> None:
            if self.hook is not None:
                self.hook(when, method, place)

        folder.before = lambda method, _name: tell("before", method)
        folder.after = lambda method, _name: tell("after", method)
        return folder

    def at(self, partition: Partition) -> _OnePartition:
        """Return one partition, to be synced."""
        path = self.folder_of(partition)
        return _OnePartition(
            self.destination,
            self.destination,
            path,
            HookedFolder(LocalFileStore(path)),
            whole=LocalFileStore(self.path) if partition.hex else None,
            partitions=partition.count,
        )

    def state(self, *, try_number: int = 1, key: str = MOVER) -> PartitionedState:
        return PartitionedState(
            destination=cast("Any", self.destination),  # its limits are those of its platform
            store_of=self.store_of,
            holder=Holder(key=key, try_number=try_number),
            clock=self.destination.platform.now,
        )

    def require(self, count: int, *, may_move: bool = True, try_number: int = 1, **settings: Any) -> None:
        """Have the state in so many partitions, as the task prepare does."""
        settings = {"initial": "append"} | settings
        self.state(try_number=try_number).require(
            count, settings=self.at(ALL_MEMBERS).settings(**settings), is_new=False, may_move=may_move
        )

    def sync(self, ids: Iterable[str], *, count: int, suppress: Iterable[str] = (), **settings: Any) -> None:
        """Sync all partitions, one after the other."""
        ids, suppress = list(ids), list(suppress)
        settings = {"initial": "append"} | settings
        for partition in partitions(count):
            ours = [item for item in ids if item.startswith(partition.hex)]
            unwanted = [item for item in suppress if item.startswith(partition.hex)]
            self.at(partition).run(ours, suppress=unwanted, **settings)

    @property
    def members(self) -> list[str]:
        """Who lives at the platform."""
        return self.destination.platform.members()

    @property
    def count(self) -> int:
        """In how many partitions the state is."""
        return layout_of(LocalFileStore(self.path)).partitions

    def manifest(self, partition: Partition = ALL_MEMBERS) -> Manifest | None:
        return read_snapshot(LocalFileStore(self.folder_of(partition)), lambda snapshot: snapshot.manifest)

    def rows(self) -> dict[str, tuple[int, int]]:
        """Return whom the ledgers have, with their times; nobody is in two of them."""
        found: dict[str, tuple[int, int]] = {}
        for partition in partitions(self.count):
            for member, times in self._rows_of(partition).items():
                assert member.startswith(partition.hex)
                assert member not in found
                found[member] = times
        return found

    def _rows_of(self, partition: Partition) -> dict[str, tuple[int, int]]:
        manifest = self.manifest(partition)
        if manifest is None or not manifest.ledger.file:
            return {}
        with open_workspace(StagingSettings()) as workspace:
            tables = StateTables(LocalFileStore(self.folder_of(partition)), workspace, key_column="advertising_id")
            ledger = tables.ledger(manifest.ledger.file, fingerprint=manifest.ledger.fingerprint)
            rows = ledger.rows(slice(0, ledger.keys.count))
            texts = self.destination.identifier_kind.lines(rows.keys).decode().split()
            times = zip(rows.earliest_expiry.tolist(), rows.latest_expiry.tolist(), strict=True)
            return dict(zip(texts, times, strict=True))

    def direct_changes(self) -> tuple[set[str], set[str]]:
        """Return who is held back, and who was added directly, of all partitions."""
        found: tuple[set[str], set[str]] = (set(), set())
        for partition in partitions(self.count):
            if (manifest := self.manifest(partition)) is None:
                continue
            with open_workspace(StagingSettings()) as workspace:
                files = LocalFileStore(self.folder_of(partition))
                tables = StateTables(files, workspace, key_column="advertising_id")
                stored = fetch_direct_changes(tables, manifest.direct_changes, workspace)
                for texts, keys in zip(found, (stored.held_back, stored.added_directly), strict=True):
                    ours = self.destination.identifier_kind.lines(keys.slice(0, keys.count)).decode().split()
                    assert all(item.startswith(partition.hex) for item in ours)
                    texts.update(ours)
        return found
