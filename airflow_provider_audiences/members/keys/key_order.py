"""
The one order that 128-bit keys stand in: that of their hashes.

It depends on nothing but the keys, and spreads them evenly whatever they look like. So sets of any size are cut
into the same parts, and are compared part by part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
"""Rows of two numbers: the first and the last eight bytes of each key."""

KEY_BYTES = 16

_PART_BITS = 10
PARTS = 1 << _PART_BITS


def hashes_of(keys: Keys) -> NDArray[np.uint64]:
    """
    Return a hash of each key; keys are often alike in their first or in their last bytes.

    :param keys: the keys.
    """
    mixed = keys[:, 0] * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= keys[:, 1]
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(29)
    return mixed


def parts_of(keys: Keys) -> NDArray[np.uint16]:
    """
    Return the part that each key belongs to, from 0; parts stand in the order of their numbers.

    :param keys: the keys.
    """
    return (hashes_of(keys) >> np.uint64(64 - _PART_BITS)).astype(np.uint16)


def order_of(keys: Keys) -> NDArray[np.int64]:
    """
    Return which key comes first, which second, and so on.

    :param keys: distinct or not; copies of one come next to each other.
    """
    mixed = hashes_of(keys)
    order = np.argsort(mixed)
    in_turn = mixed.take(order)
    is_shared = in_turn[1:] == in_turn[:-1]
    if is_shared.any() and (is_shared & _differs(keys.take(order, axis=0))).any():
        # Two keys with one hash: their copies may lie in turns.
        order = np.lexsort((keys[:, 1], keys[:, 0], mixed))
    return order


def unique(keys: Keys) -> Keys:
    """
    Return distinct keys in order.

    :param keys: in any order.
    """
    keys = keys.take(order_of(keys), axis=0)
    differs = _differs(keys)
    return keys if differs.all() else keys.compress(np.concatenate(([True], differs)), axis=0)


def _differs(keys: Keys) -> NDArray[np.bool_]:
    """Tell the keys that differ from the next one."""
    high, low = keys[:, 0], keys[:, 1]
    differs: NDArray[np.bool_] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return differs


def match(keys: Keys, others: Keys) -> NDArray[np.int64]:
    """
    Return where each key stands among others: the row, or -1.

    :param keys: distinct.
    :param others: distinct and in order.
    """
    if not len(others):
        return np.full(len(keys), -1, np.int64)
    mixed, other_mixed = hashes_of(keys), hashes_of(others)
    rows = np.searchsorted(other_mixed, mixed)
    rows[rows == len(others)] = 0
    found = (others[:, 0].take(rows) == keys[:, 0]) & (others[:, 1].take(rows) == keys[:, 1])
    missed = np.flatnonzero(~found & (other_mixed.take(rows) == mixed))
    rows[~found] = -1
    if len(missed):
        # Another key with the same hash stood there.
        shared = np.flatnonzero(np.isin(other_mixed, mixed.take(missed)))
        row_of = dict(zip(map(tuple, others.take(shared, axis=0).tolist()), shared.tolist(), strict=True))
        rows[missed] = [row_of.get(tuple(key), -1) for key in keys.take(missed, axis=0).tolist()]
    return rows


def places(keys: Keys, others: Keys) -> NDArray[np.int64]:
    """
    Return before which of the others each key stands.

    :param keys: in order, none of them among the others.
    :param others: distinct and in order.
    """
    mixed, other_mixed = hashes_of(keys), hashes_of(others)
    rows = np.searchsorted(other_mixed, mixed)
    for index in np.flatnonzero(np.searchsorted(other_mixed, mixed, side="right") > rows).tolist():
        # Keys with the same hash stand by themselves.
        key = tuple(keys[index].tolist())
        while rows[index] < len(others) and other_mixed[rows[index]] == mixed[index]:
            if tuple(others[rows[index]].tolist()) > key:
                break
            rows[index] += 1
    return rows
