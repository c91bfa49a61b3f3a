"""What can be made of two sets of keys: all of both, what they share, what only one has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_audiences.members.keys import key_order
from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter, side_by_side

if TYPE_CHECKING:
    from airflow_provider_audiences.members.workspace import Workspace


def nobody(workspace: Workspace) -> KeySet:
    """
    Return a set without keys.

    :param workspace: has its file.
    """
    return KeySetWriter(workspace.new_file()).finish()


def within(keys: KeySet, others: KeySet, workspace: Workspace) -> KeySet:
    """
    Return the keys that are in both sets.

    :param keys: a set.
    :param others: another.
    :param workspace: for the new set.
    """
    return _chosen(keys, others, workspace, are_others=True)


def without(keys: KeySet, others: KeySet, workspace: Workspace) -> KeySet:
    """
    Return the keys that are in the first set and not in the second.

    :param keys: the first set.
    :param others: the second.
    :param workspace: for the new set.
    """
    return _chosen(keys, others, workspace, are_others=False)


def union(keys: KeySet, others: KeySet, workspace: Workspace) -> KeySet:
    """
    Return the keys that are in one of the sets, or in both.

    :param keys: a set.
    :param others: another.
    :param workspace: for the new set.
    """
    if not keys.count or not others.count:
        return keys if keys.count else others
    found = KeySetWriter(workspace.new_file())
    for in_keys, in_others in side_by_side(keys, others):
        some = keys.slice(in_keys.start, in_keys.stop - in_keys.start)
        more = others.slice(in_others.start, in_others.stop - in_others.start)
        new = more[key_order.match(more, some) < 0]
        found.add(np.insert(some, key_order.places(new, some), new, axis=0))
    return found.finish()


def _chosen(keys: KeySet, others: KeySet, workspace: Workspace, *, are_others: bool) -> KeySet:
    if not keys.count or (not others.count and not are_others):
        return keys
    found = KeySetWriter(workspace.new_file())
    for in_keys, in_others in side_by_side(keys, others):
        some = keys.slice(in_keys.start, in_keys.stop - in_keys.start)
        more = others.slice(in_others.start, in_others.stop - in_others.start)
        found.add(some[(key_order.match(some, more) >= 0) == are_others])
    return found.finish()
