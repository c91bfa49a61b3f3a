"""
The order of keys: by a hash of each key.

The order depends on the keys only, and the hash spreads them evenly over 1,024 parts, whatever they look like. So sets
of any size are cut into the same parts, and compared part by part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
"""Rows of numbers of eight bytes each, which are the words of a key in order; all keys of a set have equally many."""

WORD_BYTES = 8
KEY_BYTES = 16
"""Bytes of a key, unless its identifier kind needs more; a multiple of eight, and at least 16."""

_PART_BITS = 10
PARTS = 1 << _PART_BITS


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
    Return the part that each key belongs to, from 0 to 1,023. The keys of a part all precede those of the next one.

    :param keys: any keys, duplicates included.
    """
    return (hashes_of(keys) >> np.uint64(64 - _PART_BITS)).astype(np.uint16)


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


def match(keys: Keys, others: Keys) -> NDArray[np.int64]:
    """
    Return for each key its row among other keys, or -1 if it is not there.

    :param keys: distinct keys, in any order.
    :param others: distinct keys, sorted.
    """
    if not len(others):
        return np.full(len(keys), -1, np.int64)
    mixed, other_mixed = hashes_of(keys), hashes_of(others)
    rows = np.searchsorted(other_mixed, mixed)
    rows[rows == len(others)] = 0
    found = others[:, 0].take(rows) == keys[:, 0]
    for word in range(1, keys.shape[1]):
        found &= others[:, word].take(rows) == keys[:, word]
    missed = np.flatnonzero(~found & (other_mixed.take(rows) == mixed))
    rows[~found] = -1
    if len(missed):
        # The row found has another key with the same hash.
        shared = np.flatnonzero(np.isin(other_mixed, mixed.take(missed)))
        row_of = dict(zip(map(tuple, others.take(shared, axis=0).tolist()), shared.tolist(), strict=True))
        rows[missed] = [row_of.get(tuple(key), -1) for key in keys.take(missed, axis=0).tolist()]
    return rows


def places(keys: Keys, others: Keys) -> NDArray[np.int64]:
    """
    Return for each key the row of the other keys before which it has to be inserted.

    :param keys: sorted keys, none of them among the others.
    :param others: distinct keys, sorted.
    """
    mixed, other_mixed = hashes_of(keys), hashes_of(others)
    rows = np.searchsorted(other_mixed, mixed)
    for index in np.flatnonzero(np.searchsorted(other_mixed, mixed, side="right") > rows).tolist():
        # Keys with the same hash are sorted by the keys themselves.
        key = tuple(keys[index].tolist())
        while rows[index] < len(others) and other_mixed[rows[index]] == mixed[index]:
            if tuple(others[rows[index]].tolist()) > key:
                break
            rows[index] += 1
    return rows
