"""
Sets of any number of 128-bit keys, in files, with memory that does not grow with them.

A :class:`KeySet` holds its keys in the one order of :mod:`~airflow_provider_audiences.members.keys.key_order`, 16 bytes
a key: any slice of it can be read at any time, and sets are compared part by part. A :class:`KeySetBuilder` makes
one of keys that come in any order and more than once: they come in runs of a million, each run is ordered by part
and goes to a file, and in the end one part after the other is read from all runs, sorted, and freed of duplicates:
a key's copies are all in one part, and a part is a thousandth of the whole.

``python -m benchmarks.distinct`` compares it with a database that does the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.keys import key_order
from airflow_provider_audiences.members.keys.key_order import KEY_BYTES, Keys
from airflow_provider_audiences.members.scratch import ScratchFile
from airflow_provider_audiences.members.threads import THREADS, in_turn
from airflow_provider_audiences.members.workspace import read_all, write_all

_RUN_KEYS = 1 << 20
_MOST_KEYS_AT_ONCE = 1 << 21
"""A part may hold more only if it repeats few keys very often: they are told apart in between."""
_COMPARED_KEYS = 1 << 17
"""Enough keys to be worth a call of NumPy, few enough for the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """
    Distinct keys in a file, in order.

    :param count: how many.
    """

    count: int
    _file: IO[bytes] = field(repr=False)
    _starts: NDArray[np.int64] = field(repr=False)

    def slice(self, first: int, count: int) -> Keys:
        """
        Return some of the keys. Any thread may ask, at any time.

        :param first: number of the first one, counted from 0.
        :param count: how many, as far as there are.
        """
        count = max(0, min(count, self.count - first))
        return _read(self._file, first, count)

    def starts(self) -> NDArray[np.int64]:
        """Return the row at which each part begins, and after the last one where it ends."""
        return self._starts


def side_by_side(*sets: KeySet) -> Iterator[list[slice]]:
    """
    Cut sets into slices that can be compared: a key is in the same one of each set.

    :param sets: the sets.
    :return: for each step one slice of rows a set; together they are all of them, in order.
    """
    starts = np.stack([keys.starts() for keys in sets])
    total = starts.sum(axis=0)
    first = 0
    while first < len(total) - 1:
        end = int(np.searchsorted(total, total[first] + _COMPARED_KEYS, side="right")) - 1
        end = max(end, first + 1)
        yield [slice(int(row[first]), int(row[end])) for row in starts]
        first = end


class KeySetWriter:
    """
    Writes keys that come in order, and each once.

    :param file: for 16 bytes a key; in use as long as the set.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sizes = np.zeros(key_order.PARTS, np.int64)

    def add(self, keys: Keys, *, part: int | None = None) -> None:
        """
        Add keys after those that are there.

        :param keys: in order.
        :param part: which they all belong to, if that is known.
        """
        write_all(self._file, keys)
        if part is None:
            self._sizes += np.bincount(key_order.parts_of(keys), minlength=key_order.PARTS)
        else:
            self._sizes[part] += len(keys)

    def finish(self) -> KeySet:
        """Return the set."""
        starts = np.concatenate(([0], np.cumsum(self._sizes)))
        return KeySet(count=int(starts[-1]), _file=self._file, _starts=starts)


class KeySetBuilder:
    """
    Takes keys and tells the distinct ones; a context manager.

    :param folder: for two files of 16 bytes a key, which are in use until the block ends.
    """

    def __init__(self, folder: Path) -> None:
        self._runs_file = ScratchFile(folder, "runs")
        self._set_file = ScratchFile(folder, "keys")
        self._starts: list[NDArray[np.int64]] = []
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="audiences-staging")
        self._buffer, self._spare = np.empty((_RUN_KEYS, 2), np.uint64), np.empty((_RUN_KEYS, 2), np.uint64)
        self._filled = 0
        self._writing: Future[None] | None = None
        self.added = 0
        """Keys that were added."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._runs_file.close()
        self._set_file.close()

    def add(self, keys: Keys) -> None:
        """
        Add keys, in any order and as often as they come.

        :param keys: the keys.
        """
        self.added += len(keys)
        while len(keys):
            room = self._buffer[self._filled : self._filled + len(keys)]
            room[:], keys = keys[: len(room)], keys[len(room) :]
            self._filled += len(room)
            if self._filled == _RUN_KEYS:
                self._begin_run()

    def finish(self) -> KeySet:
        """Return the distinct keys; they can be read until the block ends."""
        writer = KeySetWriter(self._set_file)
        if self._writing is None:
            # There is only one run: its parts need not be looked for.
            writer.add(key_order.unique(self._buffer[: self._filled]))
        else:
            self._begin_run()
            self._end_run()
            self._buffer = self._spare = np.empty((0, 2), np.uint64)
            for part, keys in enumerate(in_turn(self._threads, self._distinct, range(key_order.PARTS))):
                writer.add(keys, part=part)
            self._runs_file.truncate(0)
        return writer.finish()

    def _begin_run(self) -> None:
        """Let a run be written while the next one fills."""
        self._end_run()
        self._writing = self._threads.submit(self._write_run, self._buffer[: self._filled])
        self._buffer, self._spare, self._filled = self._spare, self._buffer, 0

    def _end_run(self) -> None:
        if self._writing:
            self._writing.result()

    def _write_run(self, keys: Keys) -> None:
        parts = key_order.parts_of(keys)
        order = np.argsort(parts, kind="stable")
        write_all(self._runs_file, keys.take(order, axis=0))
        begin = self._starts[-1][-1] if self._starts else 0
        sizes = np.bincount(parts, minlength=key_order.PARTS)
        self._starts.append(np.concatenate(([begin], begin + np.cumsum(sizes))))

    def _distinct(self, part: int) -> Keys:
        found = np.empty((0, 2), np.uint64)
        waiting: list[Keys] = []
        size = 0
        for starts in self._starts:
            first, end = int(starts[part]), int(starts[part + 1])
            waiting.append(_read(self._runs_file, first, end - first))
            size += end - first
            if size >= _MOST_KEYS_AT_ONCE:
                found, waiting, size = key_order.unique(np.concatenate((found, *waiting))), [], 0
        return key_order.unique(np.concatenate((found, *waiting)))


def _read(file: IO[bytes], first: int, count: int) -> Keys:
    data = read_all(file, first * KEY_BYTES, count * KEY_BYTES)
    return np.frombuffer(data, np.uint64).reshape(count, 2)


def fingerprint_of(keys: KeySet) -> str:
    """
    Return what tells a set of keys from any other.

    :param keys: the set.
    """
    known = hashlib.sha256()
    for first in range(0, keys.count, _COMPARED_KEYS):
        known.update(keys.slice(first, _COMPARED_KEYS).tobytes())
    return known.hexdigest()
