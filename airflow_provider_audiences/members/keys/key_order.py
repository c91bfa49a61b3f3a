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

_PART_BITS = 12
PARTS = 1 << _PART_BITS
_FEW = 8
"""Keys are few if there are so many times more of the others."""
_MANY = 64
"""Parts have many keys if they have so many on average."""


def hashes_of(keys: Keys) -> NDArray[np.uint64]:
    """
    Return a 64-bit hash of each key; keys that differ in few bytes only get different hashes, too.

    :param keys: any keys, duplicates included.
    """
    mixed = keys[:, 0] * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= keys[:, 1]
    for word in range(2, keys.shape[1]):
        mixed ^= mixed >> np.uint64(32)
        mixed *= np.uint64(0x9E3779B97F4A7C15)
        mixed ^= keys[:, word]
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(29)
    return mixed


def parts_of(keys: Keys) -> NDArray[np.uint16]:
    """
    Return the part that each key belongs to, from 0 to 4,095. The keys of a part all precede those of the next one.

    :param keys: any keys, duplicates included.
    """
    return (hashes_of(keys) >> np.uint64(64 - _PART_BITS)).astype(np.uint16)


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
    mixed = hashes_of(keys)
    order = np.argsort(mixed)
    in_turn = mixed.take(order)
    is_shared = in_turn[1:] == in_turn[:-1]
    if is_shared.any() and (is_shared & _differs(keys.take(order, axis=0))).any():
        # Two keys have the same hash, so copies of both may be mixed: sort by the keys as well.
        order = np.lexsort((*reversed(keys.T), mixed))
    return order


def unique(keys: Keys) -> Keys:
    """
    Return the distinct keys, sorted.

    :param keys: any keys, in any order.
    """
    keys = keys.take(order_of(keys), axis=0)
    differs = _differs(keys)
    return keys if differs.all() else keys.compress(np.concatenate(([True], differs)), axis=0)


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
    Distinct keys in order, in which others are looked for. Their hashes are computed once, however often that is.

    :param keys: distinct keys, sorted.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._hashes = hashes_of(keys)

    def match(self, keys: Keys) -> NDArray[np.int64]:
        """
        Return for each of other keys its row among these, or -1 if it is not there.

        :param keys: distinct keys, in any order.
        """
        if not len(self._keys) or not len(keys):
            return np.full(len(keys), -1, np.int64)
        mixed, own_mixed, own = hashes_of(keys), self._hashes, self._keys
        rows = _places_of(mixed, own_mixed)
        rows[rows == len(own)] = 0
        found = own[:, 0].take(rows) == keys[:, 0]
        for word in range(1, keys.shape[1]):
            found &= own[:, word].take(rows) == keys[:, word]
        if found.all():
            return rows
        missed = np.flatnonzero(~found & (own_mixed.take(rows) == mixed))
        rows[~found] = -1
        if len(missed):
            # The row found has another key with the same hash.
            shared = np.flatnonzero(np.isin(own_mixed, mixed.take(missed)))
            row_of = dict(zip(map(tuple, own.take(shared, axis=0).tolist()), shared.tolist(), strict=True))
            rows[missed] = [row_of.get(tuple(key), -1) for key in keys.take(missed, axis=0).tolist()]
        return rows

    def places(self, keys: Keys) -> NDArray[np.int64]:
        """
        Return for each of other keys the row of these before which it has to be inserted.

        :param keys: sorted keys. One that is among these has its place after itself.
        """
        mixed, own_mixed, own = hashes_of(keys), self._hashes, self._keys
        rows = _places_of(mixed, own_mixed)
        for index in np.flatnonzero(np.searchsorted(own_mixed, mixed, side="right") > rows).tolist():
            # Keys with the same hash are sorted by the keys themselves.
            key = tuple(keys[index].tolist())
            while rows[index] < len(own) and own_mixed[rows[index]] == mixed[index]:
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


def match(keys: Keys, others: Keys) -> NDArray[np.int64]:
    """
    Return for each key its row among other keys, or -1 if it is not there.

    :param keys: distinct keys, in any order.
    :param others: distinct keys, sorted.
    """
    return SortedKeys(others).match(keys) if len(keys) else np.empty(0, np.int64)


def places(keys: Keys, others: Keys) -> NDArray[np.int64]:
    """
    Return for each key the row of the other keys before which it has to be inserted.

    :param keys: sorted keys, none of them among the others.
    :param others: distinct keys, sorted.
    """
    return SortedKeys(others).places(keys)
