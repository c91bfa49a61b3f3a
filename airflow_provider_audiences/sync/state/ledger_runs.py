"""Ledgers of several partitions, read together: one copied after the other, and merged part by part at reading."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.keys.key_order import order_of
from airflow_provider_audiences.members.keys.key_set import groups_of_parts, side_by_side
from airflow_provider_audiences.members.workspace import read_all, write_all
from airflow_provider_audiences.sync.ledger import LedgerRows

if TYPE_CHECKING:
    from airflow_provider_audiences.members.partition import Partition
    from airflow_provider_audiences.members.workspace import Workspace
    from airflow_provider_audiences.sync.ledger import Ledger

_TIME_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One ledger's rows in the files: whose they are, and the row at which each part of them begins."""

    partition: Partition
    starts: NDArray[np.int64]


class LedgerRuns:
    """
    The ledgers of some partitions, which together are those of an audience. The order in which they are added is that
    of their partitions, or any other.

    :param workspace: workspace in which the copies are made: three files, however many ledgers there are.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._key_bytes = workspace.key_bytes
        self._keys_file, *self._time_files = (workspace.new_file() for _ in range(3))
        self._runs: list[_Run] = []
        self.members = 0
        """How many members all ledgers have."""

    def add(self, partition: Partition, ledger: Ledger) -> None:
        """
        Copy a ledger.

        :param partition: the partition whose ledger it is.
        :param ledger: the ledger; it is not needed afterwards.
        """
        for (rows,) in side_by_side(ledger.keys):
            found = ledger.rows(rows)
            write_all(self._keys_file, found.keys)
            for file, times in zip(self._time_files, (found.earliest_expiry, found.latest_expiry), strict=True):
                write_all(file, times)
        self._runs.append(_Run(partition=partition, starts=self.members + ledger.keys.starts()))
        self.members += ledger.keys.count

    def rows_of(self, partition: Partition) -> Generator[LedgerRows]:
        """
        Yield the rows of a partition of any size, in pieces, in order.

        :param partition: the partition, which may contain those of the ledgers, or be a part of one of them.
        """
        runs = [run for run in self._runs if partition.overlaps(run.partition)]
        if not runs:
            return
        starts = np.stack([run.starts for run in runs])
        for parts in groups_of_parts((starts - starts[:, :1]).sum(axis=0)):
            rows = _together([self._read(int(run[parts.start]), int(run[parts.stop])) for run in starts])
            is_ours = partition.mask(rows.keys)
            yield rows if is_ours.all() else rows.chosen(np.flatnonzero(is_ours))

    def _read(self, first: int, end: int) -> LedgerRows:
        keys = read_all(self._keys_file, first * self._key_bytes, (end - first) * self._key_bytes)
        earliest, latest = (
            np.frombuffer(read_all(file, first * _TIME_BYTES, (end - first) * _TIME_BYTES), np.uint32)
            for file in self._time_files
        )
        words = np.frombuffer(keys, np.uint64).reshape(-1, self._key_bytes // np.dtype(np.uint64).itemsize)
        return LedgerRows(keys=words, earliest_expiry=earliest, latest_expiry=latest)


def _together(found: list[LedgerRows]) -> LedgerRows:
    """Return the rows of several ledgers, sorted; no key is in two of them."""
    if len(found) == 1:
        return found[0]
    rows = LedgerRows(
        keys=np.concatenate([one.keys for one in found]),
        earliest_expiry=np.concatenate([one.earliest_expiry for one in found]),
        latest_expiry=np.concatenate([one.latest_expiry for one in found]),
    )
    return rows.chosen(order_of(rows.keys))
