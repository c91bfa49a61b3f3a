"""The times of a ledger's members: any part of them is what was written, and equal neighbours take few bytes."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace
from airflow_provider_audiences.sync import expiry_times
from airflow_provider_audiences.sync.expiry_times import ExpiryTimesWriter

MOST = 2**32 - 1


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with open_workspace(StagingSettings(temp_folder=tmp_path_factory.mktemp("work"))) as opened:
        yield opened


def bytes_of(folder: Path) -> int:
    """Bytes that the files of a workspace take, although they have no names."""
    found = [Path(f"/proc/self/fd/{link.name}") for link in Path("/proc/self/fd").iterdir()]
    files = [link for link in found if link.is_symlink() and str(link.readlink()).startswith(str(folder))]
    return sum(link.stat().st_size for link in files)


times = st.tuples(st.sampled_from([0, 1, MOST]), st.sampled_from([0, 7, MOST])) | st.tuples(
    st.integers(0, MOST), st.integers(0, MOST)
)
runs = st.lists(st.tuples(times, st.integers(1, 5)), max_size=8)


@settings(deadline=None, max_examples=100)
@given(runs=runs, cuts=st.lists(st.integers(0, 40), max_size=4), piece=st.integers(1, 20))
@example(runs=[((5, 6), 3)], cuts=[], piece=40)
@example(runs=[((5, 6), 9), ((5, 7), 9), ((4, 7), 1)], cuts=[4], piece=40)
@example(runs=[((number, MOST), 1) for number in range(12)], cuts=[], piece=5)
def test_any_part_is_what_was_written(
    runs: list[tuple[tuple[int, int], int]], cuts: list[int], piece: int, workspace: Workspace
) -> None:
    rows = [pair for pair, length in runs for _ in range(length)]
    both = np.array(rows, np.uint32).reshape(-1, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expiry_times, "_PIECE_ROWS", piece)
        writer = ExpiryTimesWriter(workspace)
        for first, end in pairwise([0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]):
            writer.add(both[first:end, 0], both[first:end, 1])
        written = writer.finish()
    for first in range(len(rows) + 1):
        for end in range(first, len(rows) + 1):
            part = slice(first, end)
            earliest, latest = written.rows(part)
            assert {earliest.dtype, latest.dtype} == {np.dtype(np.uint32)}
            assert list(zip(earliest.tolist(), latest.tolist(), strict=True)) == rows[part]
            assert written.earliest(part).tolist() == [pair[0] for pair in rows[part]]


def test_who_was_sent_together_takes_few_bytes(tmp_path: Path) -> None:
    batches = np.repeat(np.arange(10, dtype=np.uint32), 100_000)
    changed = batches.copy()
    changed[::50] += 1_000  # one member of fifty was sent again since
    mixed = np.random.default_rng(7).integers(0, 30, 1_000_000, np.uint32)
    sizes = []
    for earliest in (batches, changed, mixed):
        with open_workspace(StagingSettings(temp_folder=tmp_path)) as workspace:
            writer = ExpiryTimesWriter(workspace)
            writer.add(earliest, earliest + np.uint32(100))
            times = writer.finish()
            assert np.array_equal(times.earliest(slice(0, 1_000_000)), earliest)
            sizes.append(bytes_of(workspace.folder))
    assert sizes[0] < 1_000
    assert 450_000 < sizes[1] < 500_000
    assert sizes[2] == 8_000_000
