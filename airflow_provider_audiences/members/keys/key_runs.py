"""
Keys that come in any order, with duplicates, and the set of them; memory use does not depend on their number.

A :class:`KeySetBuilder` collects runs of a million keys. It orders each run by part and writes it to a file; the last
run stays in memory, and as many others as there is room for. All copies of a key are in the same part, and a part is a
4,096th of the whole, or nearly so. So a few parts after the other are read from all runs, sorted, and freed of
duplicates.

:class:`KeyRuns` do that whenever parts are read. That is enough for one comparison with other sets, and no sorted copy
has to be written for it. Whoever needs the keys more often, or by their numbers, makes a set of them.

``python -m benchmarks.distinct`` compares this with a database that does the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.key_width import KEY_BYTES, WORD_BYTES
from airflow_provider_audiences.members.keys import key_order
from airflow_provider_audiences.members.keys.key_order import Keys, SortedKeys
from airflow_provider_audiences.members.keys.key_set import (
    KeysByPart,
    KeySet,
    KeySetWriter,
    read_keys,
    side_by_side,
)
from airflow_provider_audiences.members.scratch import ScratchFile
from airflow_provider_audiences.members.threads import THREADS, in_turn
from airflow_provider_audiences.members.workspace import write_all

_ROW_BITS = 32 - key_order.PART_BITS
"""Part and row of a key in its run are sorted as one number of 32 bits."""
_RUN_KEYS = 1 << _ROW_BITS
_MAX_KEYS_AT_ONCE = 1 << 21
"""A part has more keys than this only if many of them are duplicates; then duplicates are removed while it is read."""


@dataclass(frozen=True, slots=True)
class _Run:
    """
    A run of keys, ordered by part.

    :param starts: the row at which each part begins, and as the last value the row after the run; rows are those of the
        keys, or of the file.
    :param keys: the keys; None if they are in the file.
    """

    starts: NDArray[np.int64]
    keys: Keys | None


class KeyRuns:
    """
    Keys in the order of their parts, duplicates included; :class:`KeySetBuilder` makes them.

    :param folder: folder for the file of the set, if it is made.
    :param file: the keys of all runs that are not in memory, one run after the other.
    :param runs: the runs.
    :param key_bytes: bytes of a key.
    """

    def __init__(self, folder: Path, file: IO[bytes], runs: Sequence[_Run], *, key_bytes: int) -> None:
        self.key_bytes = key_bytes
        self._folder = folder
        self._file = file
        self._runs: Sequence[_Run] | None = runs
        self._starts: NDArray[np.int64] = np.sum([run.starts - run.starts[0] for run in runs], axis=0)
        self._distinct: dict[int, tuple[int, int]] = {}  # by first row: the row after the last, and how many keys
        self._set: KeySet | None = None
        self._set_file: IO[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def added(self) -> int:
        """Number of keys that were added, duplicates included."""
        return int(self._starts[-1])

    @property
    def count(self) -> int:
        """Number of distinct keys. It costs nothing once all of them were read; before that, the set is made for it."""
        row = count = 0
        while row < self.added:
            if self._set is not None or row not in self._distinct:
                return self.as_set().count
            row, distinct = self._distinct[row]
            count += distinct
        return count

    @property
    def by_part(self) -> KeysByPart:
        """The keys for a comparison with other sets: these, or the set if it was made."""
        return self if self._set is None else self._set

    def starts(self) -> NDArray[np.int64]:
        """Return the row at which each part begins, and as the last value the number of rows, duplicates included."""
        return self._starts

    def rows(self, range_of_rows: slice) -> SortedKeys:
        """
        Return the distinct keys of some parts, which are sorted for it each time. Any thread may call it, at any time
        before the set is made.

        :param range_of_rows: range of rows of whole parts, with a start and a stop.
        """
        if self._runs is None:
            raise AssertionError("the set was made of these keys, and is what can be read")
        first, last = np.searchsorted(self._starts, (range_of_rows.start, range_of_rows.stop)).tolist()
        waiting, size = [key_order.empty_keys(self.key_bytes)], 0
        for run in self._runs:
            begin, end = int(run.starts[first]), int(run.starts[last])
            in_memory = run.keys
            waiting.append(
                read_keys(self._file, begin, end - begin, self.key_bytes) if in_memory is None else in_memory[begin:end]
            )
            size += end - begin
            if size >= _MAX_KEYS_AT_ONCE:
                waiting, size = [key_order.unique(np.concatenate(waiting)).keys], 0
        found = key_order.unique(np.concatenate(waiting))
        if range_of_rows.stop > range_of_rows.start:
            self._distinct[range_of_rows.start] = range_of_rows.stop, len(found)
        return found

    def as_set(self) -> KeySet:
        """Return the set of the distinct keys: at the first call it is made, in a file, and the runs are deleted."""
        with self._lock:
            if self._set is None:
                self._set = self._made_set()
            return self._set

    def close(self) -> None:
        """Close the file of the set, if it was made."""
        if self._set_file is not None:
            self._set_file.close()

    def _made_set(self) -> KeySet:
        self._set_file = ScratchFile(self._folder)
        writer = KeySetWriter(self._set_file, key_bytes=self.key_bytes)
        slices = (rows for (rows,) in side_by_side(self))
        with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="audiences-staging") as threads:
            for found in in_turn(threads, self.rows, slices):
                writer.add(found.keys)
        self._file.truncate(0)
        self._runs = None
        return writer.finish()


class KeySetBuilder:
    """
    Collects keys that come in any order, with duplicates; a context manager.

    :param folder: folder for the files of the keys, which exist until the block ends.
    :param key_bytes: bytes of a key; default 16.
    :param take_memory: asked for a number of bytes, says whether a run may stay in memory that has so many; None
        (default) if none may but the last one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        key_bytes: int = KEY_BYTES,
        take_memory: Callable[[int], bool] | None = None,
    ) -> None:
        self._folder = folder
        self._take_memory = take_memory
        self._file = ScratchFile(folder, "runs")
        self._rows_in_file = 0
        self._made: list[_Run] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audiences-staging")
        words = key_bytes // WORD_BYTES
        self._buffer, self._spare = np.empty((_RUN_KEYS, words), np.uint64), np.empty((_RUN_KEYS, words), np.uint64)
        self._filled = 0
        self._writing: Future[None] | None = None
        self._runs: KeyRuns | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._file.close()
        if self._runs:
            self._runs.close()

    def add(self, keys: Keys) -> None:
        """
        Add keys, in any order, duplicates included.

        :param keys: the keys to add.
        """
        self._refuse_finished()
        while len(keys):
            if self._filled == _RUN_KEYS:
                self._begin_run()
            room = self._buffer[self._filled : self._filled + len(keys)]
            room[:], keys = keys[: len(room)], keys[len(room) :]
            self._filled += len(room)

    def finish(self) -> KeyRuns:
        """Return all keys, which can be read until the block ends. None can be added any more."""
        self._refuse_finished()
        self._end_run()
        last, starts = _by_part(self._buffer[: self._filled])
        key_bytes = last.shape[1] * WORD_BYTES
        self._buffer = self._spare = key_order.empty_keys(key_bytes)
        self._runs = KeyRuns(self._folder, self._file, [*self._made, _Run(starts, last)], key_bytes=key_bytes)
        return self._runs

    def _refuse_finished(self) -> None:
        if self._runs:
            raise AssertionError("all keys were added")

    def _begin_run(self) -> None:
        """Order the full run in another thread, and write it if it may not stay, while the next one is filled."""
        self._end_run()
        self._writing = self._thread.submit(self._make_run, self._buffer[: self._filled])
        self._buffer, self._spare, self._filled = self._spare, self._buffer, 0

    def _end_run(self) -> None:
        if self._writing:
            self._writing.result()

    def _make_run(self, keys: Keys) -> None:
        keys, starts = _by_part(keys)
        if self._take_memory is not None and self._take_memory(keys.nbytes):
            self._made.append(_Run(starts, keys))
            return
        write_all(self._file, keys)
        self._made.append(_Run(starts + self._rows_in_file, None))
        self._rows_in_file += len(keys)


def _by_part(keys: Keys) -> tuple[Keys, NDArray[np.int64]]:
    """Return keys in the order of their parts, and the row at which each part begins, and the number of rows."""
    parts = key_order.parts_of(keys)
    # Part and row are put into one number: NumPy sorts those in half the time that it needs for the order of parts.
    rows = parts.astype(np.uint32) << np.uint32(_ROW_BITS)
    rows |= np.arange(len(keys), dtype=np.uint32)
    rows.sort()
    rows &= np.uint32((1 << _ROW_BITS) - 1)
    return keys.take(rows, axis=0), _starts_of(parts)


def _starts_of(parts: NDArray[np.uint16]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(np.bincount(parts, minlength=key_order.PARTS))))
