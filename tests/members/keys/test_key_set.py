"""Distinct keys on disk against Python's own set."""

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from airflow_provider_audiences.members.keys import key_order, key_set
from airflow_provider_audiences.members.keys.key_set import KeySetBuilder

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


@pytest.mark.parametrize("name", HASHES)
@settings(deadline=None, max_examples=100)
@given(chunks=chunks_of_pairs, run=st.integers(1, 20), at_once=st.integers(1, 20))
def test_against_a_set(name: str, chunks: list[list[Pair]], run: int, at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        for module, what, value in (
            (key_order, "_PART_BITS", 2),
            (key_order, "PARTS", 4),
            (key_order, "hashes_of", HASHES[name]),
            (key_set, "_RUN_KEYS", run),
            (key_set, "_MAX_KEYS_AT_ONCE", at_once),
        ):
            patch.setattr(module, what, value)
        seen = []
        added = [pair for chunk in chunks for pair in chunk]
        for number, order in enumerate((chunks, [added[::-1]])):
            (place := Path(folder) / str(number)).mkdir()
            with KeySetBuilder(place) as builder:
                for chunk in order:
                    builder.add(array(chunk))
                assert builder.added == len(added)
                keys = builder.finish()
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
        assert sorted(pairs_of(builder.finish().slice(0, 99))) == [(number, number) for number in range(50)]


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
        found = builder.finish()
        assert (found.count, builder.added) == (count, 2 * count)
        assert set(pairs_of(found.slice(0, count))) == set(pairs_of(keys))
    if count > 1000:
        largest = np.bincount(key_order.parts_of(keys)).max()
        assert largest < 10 * count / key_order.PARTS


def test_threads_read_what_they_ask_for(tmp_path: Path) -> None:
    keys = np.random.default_rng(3).integers(0, 2**64, (200_000, 2), np.uint64)
    with KeySetBuilder(tmp_path) as builder:
        builder.add(keys)
        found = builder.finish()
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


def test_short_writes_lose_nothing(tmp_path: Path) -> None:
    pairs = [(number, number * 7) for number in range(5_000)]
    with KeySetBuilder(tmp_path) as builder:
        builder._runs_file = Stingy(builder._runs_file, 1_000)  # type: ignore[assignment]
        builder._set_file = Stingy(builder._set_file, 7)  # type: ignore[assignment]
        builder.add(array(pairs))
        assert sorted(pairs_of(builder.finish().slice(0, 9_999))) == pairs


@pytest.mark.parametrize("file", ["_runs_file", "_set_file"])
def test_a_full_disk_is_an_error(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_set, "_RUN_KEYS", 1)
    with KeySetBuilder(tmp_path) as builder:
        setattr(builder, file, Stingy(getattr(builder, file), None))
        builder.add(array([(1, 2)]))
        with pytest.raises(OSError, match="No space"):
            builder.finish()


def test_a_file_that_was_cut_is_noticed(tmp_path: Path) -> None:
    with KeySetBuilder(tmp_path) as builder:
        builder.add(array([(number, 0) for number in range(100)]))
        keys = builder.finish()
        (largest,) = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_size)[-1:]
        os.truncate(largest, 100)
        with pytest.raises(OSError, match="was changed"):
            keys.slice(0, 100)


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
