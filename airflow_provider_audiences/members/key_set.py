"""
The distinct ones among any number of 128-bit keys, with memory that does not grow with them.

Keys come in runs of a million. Each run is ordered by the part that its keys belong to, which a hash tells, and
goes to a file. In the end one part after the other is read from all runs, sorted, and freed of duplicates: a key's
copies are all in one part, and a part is a thousandth of the whole. What comes out is a file with 16 bytes a key,
in an order that depends on nothing but the set; so any slice of it can be read at any time.

``python -m benchmarks.distinct`` compares it with a database that does the same.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.workspace import THREADS

Keys = NDArray[np.uint64]
"""Rows of two numbers: the first and the last eight bytes of each key."""

KEY_BYTES = 16

_RUN_KEYS = 1 << 20
_PART_BITS = 10
_PARTS = 1 << _PART_BITS
_MOST_KEYS_AT_ONCE = 1 << 21
"""A part may hold more only if it repeats few keys very often: they are told apart in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """
    Distinct keys in a file.

    :param count: how many.
    """

    count: int
    _file: IO[bytes] = field(repr=False)

    def slice(self, first: int, count: int) -> Keys:
        """
        Return some of the keys. Any thread may ask, at any time.

        :param first: number of the first one, counted from 0.
        :param count: how many, as far as there are.
        """
        count = max(0, min(count, self.count - first))
        return _read(self._file, first, count)


class KeySetBuilder:
    """
    Takes keys and tells the distinct ones; a context manager.

    :param folder: for two files of 16 bytes a key, which are in use until the block ends.
    """

    def __init__(self, folder: Path) -> None:
        self._runs_file = (folder / "runs").open("wb+", buffering=0)
        self._set_file = (folder / "keys").open("wb+", buffering=0)
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
        if self._writing is None:
            # There is only one run: its parts need not be looked for.
            keys = _unique(self._buffer[: self._filled])
            _write(self._set_file, keys)
            return KeySet(count=len(keys), _file=self._set_file)
        self._begin_run()
        self._end_run()
        self._buffer = self._spare = np.empty((0, 2), np.uint64)
        count = 0
        for keys in self._in_order(_PARTS):
            _write(self._set_file, keys)
            count += len(keys)
        self._runs_file.truncate(0)
        return KeySet(count=count, _file=self._set_file)

    def _begin_run(self) -> None:
        """Let a run be written while the next one fills."""
        self._end_run()
        self._writing = self._threads.submit(self._write_run, self._buffer[: self._filled])
        self._buffer, self._spare, self._filled = self._spare, self._buffer, 0

    def _end_run(self) -> None:
        if self._writing:
            self._writing.result()

    def _write_run(self, keys: Keys) -> None:
        parts = (_mixed(keys) >> np.uint64(64 - _PART_BITS)).astype(np.uint16)
        order = np.argsort(parts, kind="stable")
        _write(self._runs_file, keys.take(order, axis=0))
        begin = self._starts[-1][-1] if self._starts else 0
        sizes = np.bincount(parts, minlength=_PARTS)
        self._starts.append(np.concatenate(([begin], begin + np.cumsum(sizes))))

    def _in_order(self, parts: int) -> Iterator[Keys]:
        """Work on a few parts at a time, and yield them one after the other."""
        running: deque[Future[Keys]] = deque()
        for part in range(parts):
            running.append(self._threads.submit(self._distinct, part))
            if len(running) > 2 * THREADS:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()

    def _distinct(self, part: int) -> Keys:
        found = np.empty((0, 2), np.uint64)
        waiting: list[Keys] = []
        size = 0
        for starts in self._starts:
            first, end = int(starts[part]), int(starts[part + 1])
            waiting.append(_read(self._runs_file, first, end - first))
            size += end - first
            if size >= _MOST_KEYS_AT_ONCE:
                found, waiting, size = _unique(np.concatenate((found, *waiting))), [], 0
        return _unique(np.concatenate((found, *waiting)))


def _write(file: IO[bytes], keys: Keys) -> None:
    data = keys.data.cast("B") if keys.size else memoryview(b"")  # an empty array has no such view
    while data:
        data = data[file.write(data) :]


def _read(file: IO[bytes], first: int, count: int) -> Keys:
    data = os.pread(file.fileno(), count * KEY_BYTES, first * KEY_BYTES)
    if len(data) != count * KEY_BYTES:
        raise OSError(errno.EIO, "a file of the staging folder was changed while it was in use")
    return np.frombuffer(data, np.uint64).reshape(count, 2)


def _mixed(keys: Keys) -> NDArray[np.uint64]:
    """Return a hash of each key; keys are often alike in their first or in their last bytes."""
    mixed = keys[:, 0] * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= keys[:, 1]
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(29)
    return mixed


def _unique(keys: Keys) -> Keys:
    """Return distinct keys in the order of their hashes."""
    mixed = _mixed(keys)
    order = np.argsort(mixed)
    mixed, keys = mixed.take(order), keys.take(order, axis=0)
    if (mixed[1:] != mixed[:-1]).all():
        return keys
    differs = _differs_from_next(keys)
    if (differs & (mixed[1:] == mixed[:-1])).any():
        # Two keys with one hash: their copies may lie in turns.
        keys = keys.take(np.lexsort((keys[:, 1], keys[:, 0], mixed)), axis=0)
        differs = _differs_from_next(keys)
    return keys.compress(np.concatenate(([True], differs)), axis=0)


def _differs_from_next(keys: Keys) -> NDArray[np.bool_]:
    high, low = keys[:, 0], keys[:, 1]
    differs: NDArray[np.bool_] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return differs
