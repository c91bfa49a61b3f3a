"""
Sets of keys in files; memory use does not depend on their size.

A :class:`KeySet` holds its keys in the order of :mod:`~airflow_provider_audiences.members.keys.key_order`, normally 16
bytes each. Any slice of it can be read at any time, and sets are compared part by part.

A :class:`KeySetBuilder` makes a set of keys that come in any order, with duplicates. It collects runs of a million
keys, orders each run by part and writes it to a file. In the end it reads one part after the other from all runs, sorts
it and removes duplicates: all copies of a key are in the same part, and a part is a 4,096th of the whole, or nearly so.

``python -m benchmarks.distinct`` compares this with a database that does the same.
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

from airflow_provider_audiences.members.key_width import KEY_BYTES, WORD_BYTES
from airflow_provider_audiences.members.keys import key_order
from airflow_provider_audiences.members.keys.key_order import Keys
from airflow_provider_audiences.members.keys.stored_keys import StoredKeys
from airflow_provider_audiences.members.scratch import ScratchFile
from airflow_provider_audiences.members.threads import THREADS, in_turn
from airflow_provider_audiences.members.workspace import read_all, write_all

_RUN_KEYS = 1 << 20
_MAX_KEYS_AT_ONCE = 1 << 21
"""A part has more keys than this only if many of them are duplicates; then duplicates are removed while it is read."""
_COMPARED_KEYS = 1 << 17
"""Number of keys compared in one step: large enough for NumPy, small enough for the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """
    Distinct keys, sorted: in a file of a workspace, but for the first ones, which may be in a Parquet file.

    :param count: number of keys in the set.
    :param key_bytes: bytes of a key.
    """

    count: int
    key_bytes: int = KEY_BYTES
    _file: IO[bytes] = field(repr=False)
    _starts: NDArray[np.int64] = field(repr=False)
    _stored: StoredKeys | None = field(repr=False, default=None)

    def slice(self, first: int, count: int) -> Keys:
        """
        Return some of the keys. Any thread may call it, at any time.

        :param first: index of the first key, counted from 0.
        :param count: number of keys; fewer are returned at the end of the set.
        """
        count = max(0, min(count, self.count - first))
        stored = self._stored.count if self._stored else 0
        if self._stored is None or first >= stored:
            return _read(self._file, first - stored, count, self.key_bytes)
        keys = self._stored.read(first, min(count, stored - first))
        if len(keys) < count:
            keys = np.concatenate((keys, _read(self._file, 0, count - len(keys), self.key_bytes)))
        return keys

    def starts(self) -> NDArray[np.int64]:
        """Return the row at which each part begins, and as the last value the number of keys."""
        return self._starts


def side_by_side(*sets: KeySet) -> Iterator[list[slice]]:
    """
    Cut sets into slices that belong together: if several sets have a key, it is in the same slice of each.

    :param sets: the sets to compare.
    :return: for each step one slice of rows for each set, in order; all steps together cover all rows.
    """
    starts = np.stack([keys.starts() for keys in sets])
    for parts in groups_of_parts(starts.sum(axis=0)):
        yield [slice(int(row[parts.start]), int(row[parts.stop])) for row in starts]


def groups_of_parts(starts: NDArray[np.int64]) -> Iterator[slice]:
    """
    Yield ranges of parts that have as many keys together as are compared in one step, or one part that has more.

    :param starts: rows at which the parts begin, and as the last value the number of keys.
    """
    first = 0
    while first < len(starts) - 1:
        end = int(np.searchsorted(starts, starts[first] + _COMPARED_KEYS, side="right")) - 1
        end = max(end, first + 1)
        yield slice(first, end)
        first = end


class KeySetWriter:
    """
    Writes a set of keys that are sorted and distinct already.

    :param file: an empty file for the keys; it must stay open as long as the set is used.
    :param key_bytes: bytes of a key if none is added; otherwise they are those of the keys added. Default 16.
    :param stored: the first keys that are added, if they lie in another file already, so that they are not written;
        None for none.
    """

    def __init__(self, file: IO[bytes], *, key_bytes: int = KEY_BYTES, stored: StoredKeys | None = None) -> None:
        self._file = file
        self._stored = stored
        self._unwritten = stored.count if stored else 0
        self._key_bytes = key_bytes
        self._sizes = np.zeros(key_order.PARTS, np.int64)

    def add(self, keys: Keys) -> None:
        """
        Append keys, which must come after all those added before.

        :param keys: distinct keys, sorted.
        """
        if len(keys):
            self._key_bytes = keys.shape[1] * WORD_BYTES
        written = keys[self._unwritten :]
        self._unwritten -= len(keys) - len(written)
        write_all(self._file, written)
        self._sizes += key_order.part_sizes(keys)

    def finish(self) -> KeySet:
        """Return the set of all keys that were added."""
        starts = np.concatenate(([0], np.cumsum(self._sizes)))
        return KeySet(
            count=int(starts[-1]), key_bytes=self._key_bytes, _file=self._file, _starts=starts, _stored=self._stored
        )


class KeySetBuilder:
    """
    Makes a set of keys that come in any order, with duplicates; a context manager.

    :param folder: folder for two files of the keys, which exist until the block ends.
    :param key_bytes: bytes of a key; default 16.
    """

    def __init__(self, folder: Path, *, key_bytes: int = KEY_BYTES) -> None:
        self._key_bytes = key_bytes
        self._runs_file = ScratchFile(folder, "runs")
        self._set_file = ScratchFile(folder, "keys")
        self._starts: list[NDArray[np.int64]] = []
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="audiences-staging")
        words = key_bytes // WORD_BYTES
        self._buffer, self._spare = np.empty((_RUN_KEYS, words), np.uint64), np.empty((_RUN_KEYS, words), np.uint64)
        self._filled = 0
        self._writing: Future[None] | None = None
        self.added = 0
        """Number of keys that were added, duplicates included."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._runs_file.close()
        self._set_file.close()

    def add(self, keys: Keys) -> None:
        """
        Add keys, in any order, duplicates included.

        :param keys: the keys to add.
        """
        self.added += len(keys)
        while len(keys):
            room = self._buffer[self._filled : self._filled + len(keys)]
            room[:], keys = keys[: len(room)], keys[len(room) :]
            self._filled += len(room)
            if self._filled == _RUN_KEYS:
                self._begin_run()

    def finish(self) -> KeySet:
        """Return the set of distinct keys, which can be read until the block ends."""
        writer = KeySetWriter(self._set_file, key_bytes=self._key_bytes)
        if self._writing is None:
            # There is only one run, still in memory: it need not be written and read by part.
            writer.add(key_order.unique(self._buffer[: self._filled]))
        else:
            self._begin_run()
            self._end_run()
            self._buffer = self._spare = key_order.empty_keys(self._key_bytes)
            parts = groups_of_parts(np.sum(self._starts, axis=0))
            for keys in in_turn(self._threads, self._distinct, parts):
                writer.add(keys)
            self._runs_file.truncate(0)
        return writer.finish()

    def _begin_run(self) -> None:
        """Write the full run in another thread, while the next one is filled."""
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

    def _distinct(self, parts: slice) -> Keys:
        found = key_order.empty_keys(self._key_bytes)
        waiting: list[Keys] = []
        size = 0
        for starts in self._starts:
            first, end = int(starts[parts.start]), int(starts[parts.stop])
            waiting.append(_read(self._runs_file, first, end - first, self._key_bytes))
            size += end - first
            if size >= _MAX_KEYS_AT_ONCE:
                found, waiting, size = key_order.unique(np.concatenate((found, *waiting))), [], 0
        return key_order.unique(np.concatenate((found, *waiting)))


def _read(file: IO[bytes], first: int, count: int, key_bytes: int) -> Keys:
    data = read_all(file, first * key_bytes, count * key_bytes)
    return np.frombuffer(data, np.uint64).reshape(count, key_bytes // WORD_BYTES)


def fingerprint_of(keys: KeySet) -> str:
    """
    Return the SHA-256 of a set's keys as hex; equal sets have equal fingerprints.

    :param keys: the set.
    """
    digest = hashlib.sha256()
    for first in range(0, keys.count, _COMPARED_KEYS):
        digest.update(keys.slice(first, _COMPARED_KEYS).tobytes())
    return digest.hexdigest()
