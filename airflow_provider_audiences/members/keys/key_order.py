"""
The order of keys: by a hash of each key.

The order depends on the keys only, and the hash spreads them evenly over 4,096 parts, whatever they look like. So sets
of any size are cut into the same parts, and compared part by part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.key_width import WORD_BYTES

Keys = NDArray[np.uint64]
"""Rows of numbers of eight bytes each, which are the words of a key in order; all keys of a set have equally many."""

PART_BITS = 12
PARTS = 1 << PART_BITS
_HASHED_KEYS = 1 << 15
"""Number of keys hashed in one step: what a step makes stays in the processor's cache until the next one."""
_FEW = 8
"""Up to this part of the others, each key is searched for among them; beyond it, merging both takes less time."""
_MANY = 64
"""From this many keys a part on, searching for the row at which each part begins takes less time than hashing all."""


def hashes_of(keys: Keys) -> NDArray[np.uint64]:
    """
    Return a 64-bit hash of each key; keys that differ in few bytes only get different hashes, too.

    :param keys: any keys, duplicates included.
    """
    hashes = np.empty(len(keys), np.uint64)
    for first in range(0, len(keys), _HASHED_KEYS):
        step = slice(first, first + _HASHED_KEYS)
        _hash(keys[step], hashes[step])
    return hashes


def _hash(keys: Keys, mixed: NDArray[np.uint64]) -> None:
    np.multiply(keys[:, 0], np.uint64(0x9E3779B97F4A7C15), out=mixed)
    mixed ^= keys[:, 1]
    for word in range(2, keys.shape[1]):
        mixed ^= mixed >> np.uint64(32)
        mixed *= np.uint64(0x9E3779B97F4A7C15)
        mixed ^= keys[:, word]
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(29)


def parts_of(keys: Keys) -> NDArray[np.uint16]:
    """
    Return the part that each key belongs to, from 0 to 4,095. The keys of a part all precede those of the next one.

    :param keys: any keys, duplicates included.
    """
    return (hashes_of(keys) >> np.uint64(64 - PART_BITS)).astype(np.uint16)


def part_sizes(keys: Keys) -> NDArray[np.int64]:
    """
    Return the number of keys in each part.

    :param keys: sorted keys.
    """
    sizes = np.zeros(PARTS, np.int64)
    if not len(keys):
        return sizes
    first, last = parts_of(keys.take([0, -1], axis=0)).tolist()
    if (last - first) * _MANY > len(keys):
        return sizes + np.bincount(parts_of(keys), minlength=PARTS)
    # There are few parts: the row at which each begins is found by halving, without a hash of each key.
    parts = np.arange(first + 1, last + 1)
    least, most = np.zeros(len(parts), np.int64), np.full(len(parts), len(keys))
    for _ in range(len(keys).bit_length()):
        middle = np.minimum((least + most) // 2, len(keys) - 1)
        is_before = (parts_of(keys.take(middle, axis=0)) < parts) & (least < most)
        least, most = np.where(is_before, middle + 1, least), np.where(is_before, most, middle)
    sizes[first : last + 1] = np.diff(least, prepend=0, append=len(keys))
    return sizes


def order_of(keys: Keys) -> NDArray[np.int64]:
    """
    Return the row numbers that sort keys, as ``numpy.argsort`` does.

    :param keys: any keys; duplicates of one become neighbours.
    """
    order, _ = _order_and_hashes(keys)
    return order


def unique(keys: Keys) -> SortedKeys:
    """
    Return the distinct keys, sorted.

    :param keys: any keys, in any order.
    """
    order, hashes = _order_and_hashes(keys)
    keys = keys.take(order, axis=0)
    differs = _differs(keys)
    found = SortedKeys(keys, hashes=hashes)
    return found if differs.all() else found.chosen(np.concatenate(([True], differs)))


def _order_and_hashes(keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return the row numbers that sort keys, and the hashes in that order."""
    mixed = hashes_of(keys)
    order = _rows_in_order(mixed)
    sorted_hashes = mixed.take(order)
    if (sorted_hashes[1:] < sorted_hashes[:-1]).any():
        order = np.argsort(mixed)
        sorted_hashes = mixed.take(order)
    is_shared = sorted_hashes[1:] == sorted_hashes[:-1]
    if is_shared.any() and (is_shared & _differs(keys.take(order, axis=0))).any():
        # Two keys have the same hash, so copies of both may be mixed: sort by the keys as well.
        order = np.lexsort((*reversed(keys.T), mixed))
    return order, sorted_hashes


def _rows_in_order(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """
    Return the row numbers that sort hashes, which is not exact: the caller has to check whether they do.

    Row numbers take the place of the last bits of each hash. NumPy sorts the numbers made so in less than half the time
    of ``argsort``. Hashes that differ in these bits only may come in the wrong order; a billion hashes always do.
    """
    row_bits = np.uint64((1 << len(hashes).bit_length()) - 1)
    numbers = hashes & ~row_bits
    numbers |= np.arange(len(hashes), dtype=np.uint64)
    numbers.sort()
    numbers &= row_bits
    return numbers.view(np.int64)


def _differs(keys: Keys) -> NDArray[np.bool_]:
    """Return for each key but the last whether it differs from the next one."""
    differs: NDArray[np.bool_] = keys[1:, 0] != keys[:-1, 0]
    for word in range(1, keys.shape[1]):
        differs |= keys[1:, word] != keys[:-1, word]
    return differs


def empty_keys(key_bytes: int) -> Keys:
    """
    Return no keys.

    :param key_bytes: bytes of a key.
    """
    return np.empty((0, key_bytes // WORD_BYTES), np.uint64)


class SortedKeys:
    """
    Distinct keys in order, which are compared with others. Their hashes are computed once, when they are first needed.

    :param keys: distinct keys, sorted.
    :param hashes: their hashes, if they are known already.
    """

    def __init__(self, keys: Keys, *, hashes: NDArray[np.uint64] | None = None) -> None:
        self.keys = keys
        self._hashes = hashes

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """A 64-bit hash of each key, in the order of the keys."""
        if self._hashes is None:
            self._hashes = hashes_of(self.keys)
        return self._hashes

    def chosen(self, is_chosen: NDArray[np.bool_]) -> SortedKeys:
        """
        Return some of the keys.

        :param is_chosen: for each key whether it is one of them.
        """
        rows = np.flatnonzero(is_chosen)  # NumPy takes rows by their numbers several times faster than by the mask
        hashes = None if self._hashes is None else self._hashes.take(rows)
        return SortedKeys(self.keys.take(rows, axis=0), hashes=hashes)

    def difference(self, others: SortedKeys) -> SortedKeys:
        """
        Return the keys that are not among others.

        :param others: the keys to leave out; few as a rule, or none.
        """
        return self.chosen(others.match(self) < 0) if len(others) else self

    def union(self, others: SortedKeys) -> SortedKeys:
        """
        Return the keys of both.

        :param others: keys, of which some may be among these.
        """
        more = others.difference(self)
        if not len(more):
            return self
        return SortedKeys(np.insert(self.keys, self.places(more), more.keys, axis=0))

    def match(self, others: SortedKeys) -> NDArray[np.int64]:
        """
        Return for each of other keys its row among these, or -1 if it is not there.

        :param others: distinct keys.
        """
        if not len(self) or not len(others):
            return np.full(len(others), -1, np.int64)
        hashes, keys, own = others.hashes, others.keys, self.keys
        rows = _places_of(hashes, self.hashes)
        rows[rows == len(own)] = 0
        found = own[:, 0].take(rows) == keys[:, 0]
        for word in range(1, keys.shape[1]):
            found &= own[:, word].take(rows) == keys[:, word]
        if found.all():
            return rows
        missed = np.flatnonzero(~found & (self.hashes.take(rows) == hashes))
        rows[~found] = -1
        if len(missed):
            # The row found has another key with the same hash.
            shared = np.flatnonzero(np.isin(self.hashes, hashes.take(missed)))
            row_of = dict(zip(map(tuple, own.take(shared, axis=0).tolist()), shared.tolist(), strict=True))
            rows[missed] = [row_of.get(tuple(key), -1) for key in keys.take(missed, axis=0).tolist()]
        return rows

    def places(self, others: SortedKeys) -> NDArray[np.int64]:
        """
        Return for each of other keys the row of these before which it has to be inserted.

        :param others: distinct keys. One that is among these has its place after itself.
        """
        hashes, own = others.hashes, self.keys
        rows = _places_of(hashes, self.hashes)
        for index in np.flatnonzero(np.searchsorted(self.hashes, hashes, side="right") > rows).tolist():
            # Keys with the same hash are sorted by the keys themselves.
            key = tuple(others.keys[index].tolist())
            while rows[index] < len(own) and self.hashes[rows[index]] == hashes[index]:
                if tuple(own[rows[index]].tolist()) > key:
                    break
                rows[index] += 1
        return rows


def _places_of(hashes: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return for each hash how many of the others, which are sorted, are smaller."""
    if len(hashes) * _FEW < len(others):
        return np.searchsorted(others, hashes)
    # Sorting two sorted arrays together is one merge of them, several times faster than a search for each hash.
    order = np.argsort(np.concatenate((hashes, others)), kind="stable")
    is_hash = np.flatnonzero(order < len(hashes))
    places = np.empty(len(hashes), np.int64)
    places[order[is_hash]] = is_hash - np.arange(len(hashes))
    return places
