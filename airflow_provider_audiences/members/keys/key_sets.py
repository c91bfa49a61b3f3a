"""
Set operations on sets of keys: union, intersection, difference.

A result may be one of the given sets itself; otherwise it lies in a new file of the workspace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_audiences.members.keys import key_order
from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter, side_by_side

if TYPE_CHECKING:
    from airflow_provider_audiences.members.workspace import Workspace


def empty_key_set(workspace: Workspace) -> KeySet:
    """
    Return an empty set.

    :param workspace: workspace in which the set's file is made.
    """
    return KeySetWriter(workspace.new_file(), key_bytes=workspace.key_bytes).finish()


def intersection(keys: KeySet, others: KeySet, workspace: Workspace) -> KeySet:
    """
    Return the intersection: the keys that are in both sets.

    :param keys: one of the two sets.
    :param others: the other set.
    :param workspace: workspace in which the new set's file is made.
    """
    return _chosen(keys, others, workspace, are_others=True)


def difference(keys: KeySet, others: KeySet, workspace: Workspace) -> KeySet:
    """
    Return the difference: the keys of the first set that are not in the second.

    :param keys: the set to take keys from.
    :param others: the keys to leave out.
    :param workspace: workspace in which the new set's file is made.
    """
    return _chosen(keys, others, workspace, are_others=False)


def union(keys: KeySet, others: KeySet, workspace: Workspace) -> KeySet:
    """
    Return the union: the keys that are in one of the sets or in both.

    :param keys: one of the two sets.
    :param others: the other set.
    :param workspace: workspace in which the new set's file is made.
    """
    if not keys.count or not others.count:
        return keys if keys.count else others
    writer = KeySetWriter(workspace.new_file(), key_bytes=keys.key_bytes)
    for in_keys, in_others in side_by_side(keys, others):
        some = keys.slice(in_keys.start, in_keys.stop - in_keys.start)
        more = others.slice(in_others.start, in_others.stop - in_others.start)
        new = more[key_order.match(more, some) < 0]
        writer.add(np.insert(some, key_order.places(new, some), new, axis=0))
    return writer.finish()


def _chosen(keys: KeySet, others: KeySet, workspace: Workspace, *, are_others: bool) -> KeySet:
    if not keys.count or (not others.count and not are_others):
        return keys
    writer = KeySetWriter(workspace.new_file(), key_bytes=keys.key_bytes)
    for in_keys, in_others in side_by_side(keys, others):
        some = keys.slice(in_keys.start, in_keys.stop - in_keys.start)
        more = others.slice(in_others.start, in_others.stop - in_others.start)
        writer.add(some[(key_order.match(some, more) >= 0) == are_others])
    return writer.finish()
