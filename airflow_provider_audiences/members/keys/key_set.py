"""
Sets of keys in files; memory use does not depend on their size.

A :class:`KeySet` holds its keys in the order of :mod:`~airflow_provider_audiences.members.keys.key_order`, normally 16
bytes each. Any slice of it can be read at any time, and sets are compared part by part.

Sets of keys that come in any order are made by :mod:`~airflow_provider_audiences.members.keys.key_runs`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.key_width import KEY_BYTES, WORD_BYTES
from airflow_provider_audiences.members.keys import key_order
from airflow_provider_audiences.members.keys.key_order import Keys, SortedKeys
from airflow_provider_audiences.members.keys.stored_keys import StoredKeys
from airflow_provider_audiences.members.workspace import read_all, write_all

_COMPARED_KEYS = 1 << 17
"""Number of keys compared in one step: large enough for NumPy, small enough for the processor's cache."""


class KeysByPart(Protocol):
    """Keys that can be compared with others part by part."""

    @property
    def key_bytes(self) -> int:
        """Bytes of a key."""

    def starts(self) -> NDArray[np.int64]:
        """Return the row at which each part begins, and as the last value the number of rows."""

    def rows(self, range_of_rows: slice) -> SortedKeys:
        """
        Return the distinct keys of some rows. Any thread may call it.

        :param range_of_rows: range of rows of whole parts, with a start and a stop.
        """


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

    def rows(self, range_of_rows: slice) -> SortedKeys:
        """
        Return some of the keys, to be compared with others. Any thread may call it, at any time.

        :param range_of_rows: range of rows, with a start and a stop.
        """
        return SortedKeys(self.slice(range_of_rows.start, range_of_rows.stop - range_of_rows.start))

    def slice(self, first: int, count: int) -> Keys:
        """
        Return some of the keys. Any thread may call it, at any time.

        :param first: index of the first key, counted from 0.
        :param count: number of keys; fewer are returned at the end of the set.
        """
        count = max(0, min(count, self.count - first))
        stored = self._stored.count if self._stored else 0
        if self._stored is None or first >= stored:
            return read_keys(self._file, first - stored, count, self.key_bytes)
        keys = self._stored.read(first, min(count, stored - first))
        if len(keys) < count:
            keys = np.concatenate((keys, read_keys(self._file, 0, count - len(keys), self.key_bytes)))
        return keys

    def starts(self) -> NDArray[np.int64]:
        """Return the row at which each part begins, and as the last value the number of keys."""
        return self._starts


def side_by_side(*sets: KeysByPart) -> Iterator[list[slice]]:
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


def read_keys(file: IO[bytes], first: int, count: int, key_bytes: int) -> Keys:
    """
    Read keys from a file that holds nothing else. Any thread may call it, at any time.

    :param file: the file.
    :param first: index of the first key, counted from 0.
    :param count: number of keys, all of which must be there.
    :param key_bytes: bytes of a key.
    :raises OSError: the file has fewer keys.
    """
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
