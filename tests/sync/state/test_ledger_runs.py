"""Ledgers of partitions that are read together: each member once, with its times, in order, in the right partition."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.members.keys import key_order, key_set
from airflow_provider_audiences.members.keys.key_order import order_of
from airflow_provider_audiences.members.partition import PARTITION_COUNTS, Partition, partitions
from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace
from airflow_provider_audiences.sync.ledger import Ledger, LedgerRows, LedgerWriter
from airflow_provider_audiences.sync.state.ledger_runs import LedgerRuns

Members = dict[tuple[int, int], tuple[int, int]]
"""Two words of a member's key: its two times."""

words = st.integers(0, 2**64 - 1)
times = st.integers(0, 2**32 - 1)
members_of_any = st.dictionaries(st.tuples(words, words), st.tuples(times, times), max_size=60)


@pytest.fixture(autouse=True)
def few_rows_at_once() -> Iterator[None]:
    """So that few members take several pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_order, "PART_BITS", 3)
        patch.setattr(key_order, "PARTS", 8)
        patch.setattr(key_set, "_COMPARED_KEYS", 4)
        yield


def in_partition(members: Members, partition: Partition) -> Members:
    digits = len(partition.hex)
    return {key: value for key, value in members.items() if f"{key[0]:016x}"[:digits] == partition.hex}


def ledger_of(members: Members, workspace: Workspace) -> Ledger:
    keys = np.array(list(members), np.uint64).reshape(-1, 2)
    both = np.array(list(members.values()), np.uint32).reshape(-1, 2)
    writer = LedgerWriter(workspace)
    rows = LedgerRows(keys=keys, earliest_expiry=both[:, 0], latest_expiry=both[:, 1])
    writer.add(rows.chosen(order_of(keys)))
    return writer.finish()


def as_members(rows: LedgerRows) -> Members:
    keys = [(int(first), int(second)) for first, second in rows.keys]
    both = zip(rows.earliest_expiry.tolist(), rows.latest_expiry.tolist(), strict=True)
    return dict(zip(keys, both, strict=True))


@settings(deadline=None)
# Pieces in which one of the ledgers has no member.
@example(members={(word, n): (0, 0) for word in (0, 1 << 56) for n in range(3)}, count=256, to=1)
@given(members=members_of_any, count=st.sampled_from(PARTITION_COUNTS), to=st.sampled_from(PARTITION_COUNTS))
def test_any_number_of_partitions_from_any_other(members: Members, count: int, to: int) -> None:
    with open_workspace(StagingSettings()) as workspace:
        runs = LedgerRuns(workspace)
        for partition in partitions(count):
            if some := in_partition(members, partition):  # a partition may have no ledger
                runs.add(partition, ledger_of(some, workspace))
        assert runs.members == len(members)
        for partition in partitions(to):
            wanted = in_partition(members, partition)
            pieces = list(runs.rows_of(partition))
            assert sum(len(piece.keys) for piece in pieces) == len(wanted)
            found = LedgerRows(
                keys=np.concatenate([np.empty((0, 2), np.uint64), *(piece.keys for piece in pieces)]),
                earliest_expiry=np.concatenate([np.empty(0, np.uint32), *(one.earliest_expiry for one in pieces)]),
                latest_expiry=np.concatenate([np.empty(0, np.uint32), *(one.latest_expiry for one in pieces)]),
            )
            assert as_members(found) == wanted
            # The order is that of a ledger that was written at once.
            assert (order_of(found.keys) == np.arange(len(found.keys))).all()
