"""Keys that come in any order, and the set of them, against Python's own set."""

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from airflow_provider_audiences.members.keys import key_order, key_runs, key_set
from airflow_provider_audiences.members.keys.key_runs import KeySetBuilder
from airflow_provider_audiences.members.keys.key_set import side_by_side
from airflow_provider_audiences.members.scratch import ScratchFile

Pair = tuple[int, int]

numbers = st.integers(0, 3) | st.sampled_from([2**64 - 1, 2**63]) | st.integers(0, 2**64 - 1)
chunks_of_pairs = st.lists(st.lists(st.tuples(numbers, numbers), max_size=30), max_size=6)

HASHES: dict[str, Callable[[NDArray[np.uint64]], NDArray[np.uint64]]] = {
    "its own": key_order.hashes_of,
    "one for all": lambda keys: np.zeros(len(keys), np.uint64),
    "the last bits": lambda keys: (keys[:, 0] ^ keys[:, 1]) & np.uint64(3),
    "the largest": lambda keys: np.full(len(keys), 2**64 - 1, np.uint64),
}


def array(pairs: list[Pair]) -> NDArray[np.uint64]:
    return np.array(pairs, np.uint64).reshape(len(pairs), 2)


def pairs_of(keys: Any) -> list[Pair]:
    return [(int(high), int(low)) for high, low in keys.tolist()]


def answering(stay: list[bool]) -> Callable[[int], bool]:
    """Says which runs stay in memory; those after the last answer do not."""
    answers = iter(stay)
    return lambda _size: next(answers, False)


@pytest.mark.parametrize("name", HASHES)
@settings(deadline=None, max_examples=100)
@given(
    chunks=chunks_of_pairs,
    run=st.integers(1, 20),
    at_once=st.integers(1, 20),
    stay=st.lists(st.booleans(), max_size=20),
)
def test_against_a_set(name: str, chunks: list[list[Pair]], run: int, at_once: int, stay: list[bool]) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        for module, what, value in (
            (key_order, "PART_BITS", 2),
            (key_order, "PARTS", 4),
            (key_order, "hashes_of", HASHES[name]),
            (key_runs, "_RUN_KEYS", run),
            (key_runs, "_MAX_KEYS_AT_ONCE", at_once),
        ):
            patch.setattr(module, what, value)
        seen = []
        added = [pair for chunk in chunks for pair in chunk]
        for number, order in enumerate((chunks, [added[::-1]])):
            (place := Path(folder) / str(number)).mkdir()
            with KeySetBuilder(place, take_memory=answering(stay)) as builder:
                for chunk in order:
                    builder.add(array(chunk))
                runs = builder.finish()
                assert runs.added == len(added)
                keys = runs.as_set()
                assert runs.by_part is runs.as_set() is keys
                assert runs.count == keys.count
                found = pairs_of(keys.slice(0, len(added) + 5))
                assert len(found) == keys.count == len(set(added))
                assert set(found) == set(added)
                assert [pairs_of(keys.slice(index, 1)) for index in range(keys.count)] == [[pair] for pair in found]
                assert pairs_of(keys.slice(keys.count, 3)) == []
                assert pairs_of(keys.slice(keys.count + 3, 3)) == []
            seen.append(found)
        assert seen[0] == seen[1]


def test_arrays_are_not_kept(tmp_path: Path) -> None:
    """What adds keys may use its buffer again."""
    buffer = np.zeros((100, 2), np.uint64)
    with KeySetBuilder(tmp_path) as builder:
        for number in range(50):
            buffer[:] = number
            builder.add(buffer)
        assert sorted(pairs_of(builder.finish().as_set().slice(0, 99))) == [(number, number) for number in range(50)]


def test_runs_that_stay_in_memory_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_runs, "_RUN_KEYS", 1_000)
    keys = np.random.default_rng(5).integers(0, 2**64, (10_000, 2), np.uint64)
    asked: list[int] = []

    def take(size: int) -> bool:
        asked.append(size)
        return len(asked) % 2 == 0

    with KeySetBuilder(tmp_path, take_memory=take) as builder:
        builder.add(keys)
        runs = builder.finish()
        assert asked == [16_000] * 9  # the last run stays anyway
        assert (tmp_path / "runs").stat().st_size == 5 * 16_000
        (rows,) = zip(*side_by_side(runs), strict=True)
        found = np.concatenate([runs.rows(part).keys for part in rows])
        assert sorted(pairs_of(found)) == sorted(pairs_of(keys))
        assert runs.count == 10_000


@pytest.mark.parametrize("stride", [1, 2**32, 2**57])
@pytest.mark.parametrize("half", [0, 1])
def test_keys_that_are_much_alike(stride: int, half: int, tmp_path: Path) -> None:
    """As in made-up IDs: counters in one half, nothing in the other. They must spread over the parts all the same."""
    count = 120 if stride > 2**33 else 300_000
    keys = np.zeros((count, 2), np.uint64)
    keys[:, half] = np.arange(count, dtype=np.uint64) * np.uint64(stride)
    with KeySetBuilder(tmp_path) as builder:
        builder.add(keys)
        builder.add(keys[::-1])
        runs = builder.finish()
        found = runs.as_set()
        assert (found.count, runs.added) == (count, 2 * count)
        assert set(pairs_of(found.slice(0, count))) == set(pairs_of(keys))
    if count > 1000:
        largest = np.bincount(key_order.parts_of(keys)).max()
        assert largest < 10 * count / key_order.PARTS


def test_threads_read_what_they_ask_for(tmp_path: Path) -> None:
    keys = np.random.default_rng(3).integers(0, 2**64, (200_000, 2), np.uint64)
    with KeySetBuilder(tmp_path) as builder:
        builder.add(keys)
        found = builder.finish().as_set()
        whole = found.slice(0, found.count).tolist()
        firsts = list(range(0, 200_000, 997)) * 3
        with ThreadPoolExecutor(8) as pool:
            parts = pool.map(lambda first: found.slice(first, 1500).tolist(), firsts)
            assert all(part == whole[first : first + 1500] for first, part in zip(firsts, parts, strict=True))


class Stingy:
    """A file that takes a little at a time, as a disk does that is nearly full."""

    def __init__(self, file: Any, most: int | None) -> None:
        self._file, self._most = file, most

    def write(self, data: Any) -> int:
        if self._most is None:
            raise OSError(28, "No space left on device")
        return self._file.write(data[: self._most])  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_short_writes_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(number, number * 7) for number in range(5_000)]
    monkeypatch.setattr(key_runs, "_RUN_KEYS", 700)
    with KeySetBuilder(tmp_path) as builder:
        builder._file = Stingy(builder._file, 1_000)  # type: ignore[assignment]
        monkeypatch.setattr(key_runs, "ScratchFile", lambda *where: Stingy(ScratchFile(*where), 7))
        builder.add(array(pairs))
        assert sorted(pairs_of(builder.finish().as_set().slice(0, 9_999))) == pairs


@pytest.mark.parametrize("is_full_early", [True, False])
def test_a_full_disk_is_an_error(is_full_early: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_runs, "_RUN_KEYS", 1)
    with KeySetBuilder(tmp_path) as builder:
        if is_full_early:
            builder._file = Stingy(builder._file, None)  # type: ignore[assignment]
        else:
            monkeypatch.setattr(key_runs, "ScratchFile", lambda *where: Stingy(ScratchFile(*where), None))
        builder.add(array([(1, 2), (3, 4)]))
        with pytest.raises(OSError, match="No space"):
            builder.finish().as_set()


@pytest.mark.parametrize("is_set", [True, False])
def test_a_file_that_was_cut_is_noticed(is_set: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_runs, "_RUN_KEYS", 60)
    with KeySetBuilder(tmp_path) as builder:
        builder.add(array([(number, 0) for number in range(100)]))
        runs = builder.finish()
        keys = runs.as_set() if is_set else runs
        file = runs._set_file if is_set else builder._file
        assert file is not None
        os.truncate(file.fileno(), 100)
        with pytest.raises(OSError, match="was changed"):
            keys.rows(slice(0, 100))


def written(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@settings(deadline=None, max_examples=200)
@given(
    chunks=chunks_of_pairs,
    run=st.integers(1, 20),
    at_once=st.integers(1, 20),
    others=st.lists(st.lists(st.tuples(numbers, numbers), max_size=20), max_size=3),
    compared=st.integers(1, 20),
)
def test_one_comparison_needs_no_set(
    chunks: list[list[Pair]], run: int, at_once: int, others: list[list[Pair]], compared: int
) -> None:
    """Runs are read beside any sets, in any steps, and again; then their number is known, and nothing was written."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder, ExitStack() as stack:
        for module, what, value in (
            (key_order, "PART_BITS", 2),
            (key_order, "PARTS", 4),
            (key_runs, "_RUN_KEYS", run),
            (key_runs, "_MAX_KEYS_AT_ONCE", at_once),
            (key_set, "_COMPARED_KEYS", compared),
        ):
            patch.setattr(module, what, value)
        added = [pair for chunk in chunks for pair in chunk]

        def builder_of(pairs: list[Pair], name: str) -> KeySetBuilder:
            (place := Path(folder) / name).mkdir()
            builder = stack.enter_context(KeySetBuilder(place))
            builder.add(array(pairs))
            return builder

        sets = [builder_of(pairs, str(number)).finish().as_set() for number, pairs in enumerate(others)]
        expected = pairs_of(builder_of(added, "set").finish().as_set().slice(0, len(added)))
        runs = builder_of(added, "runs").finish()
        before = written(Path(folder) / "runs")
        for beside in (sets, [], sets[:1]):
            found = [pairs_of(runs.rows(rows).keys) for rows, *_ in side_by_side(runs.by_part, *beside)]
            assert [pair for part in found for pair in part] == expected
            assert runs.count == len(expected)
            assert runs.by_part is runs, "no set was made"
        assert written(Path(folder) / "runs") == before == 16 * max(0, (len(added) - 1) // run * run)


def test_the_number_is_known_however_little_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_runs, "_RUN_KEYS", 60)
    with KeySetBuilder(tmp_path) as builder:
        builder.add(array([(number % 90, 0) for number in range(200)]))
        runs = builder.finish()
        runs.rows(slice(0, int(runs.starts()[1000])))
        assert runs.count == 90
        assert runs.by_part is runs.as_set()
        with pytest.raises(AssertionError, match="the set was made"):
            runs.rows(slice(0, 200))


def test_nothing_is_nothing(tmp_path: Path) -> None:
    with KeySetBuilder(tmp_path) as builder:
        runs = builder.finish()
        assert (runs.added, runs.count, len(runs.rows(slice(0, 0)))) == (0, 0, 0)
        assert runs.as_set().count == 0


def test_nothing_is_added_after_the_end(tmp_path: Path) -> None:
    with KeySetBuilder(tmp_path) as builder:
        builder.add(array([(1, 2)]))
        runs = builder.finish()
        with pytest.raises(AssertionError, match="all keys were added"):
            builder.add(array([(3, 4)]))
        with pytest.raises(AssertionError, match="all keys were added"):
            builder.finish()
        assert runs.count == 1


def test_a_failure_in_the_block_leaves_no_thread(tmp_path: Path) -> None:
    import threading

    def work() -> None:
        with KeySetBuilder(tmp_path) as builder:
            for chunk in itertools.repeat(np.ones((1 << 20, 2), np.uint64), 3):
                builder.add(chunk)
            raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        work()
    assert set(threading.enumerate()) == before
