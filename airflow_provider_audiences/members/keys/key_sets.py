"""
Set operations on sets of keys: union, intersection, difference.

A result may be one of the given sets itself; otherwise it lies in a new file of the workspace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_audiences.members.keys.key_set import KeysByPart, KeySet, KeySetWriter, side_by_side

if TYPE_CHECKING:
    from airflow_provider_audiences.members.workspace import Workspace


def empty_key_set(workspace: Workspace) -> KeySet:
    """
    Return an empty set.

    :param workspace: workspace in which the set's file is made.
    """
    return KeySetWriter(workspace.new_file(), key_bytes=workspace.key_bytes).finish()


def intersection(keys: KeySet, others: KeysByPart, workspace: Workspace) -> KeySet:
    """
    Return the intersection: the keys that are in both sets.

    :param keys: one of the two sets.
    :param others: the other set.
    :param workspace: workspace in which the new set's file is made.
    """
    return _chosen(keys, others, workspace, are_others=True) if keys.count else keys


def difference(keys: KeySet, others: KeySet, workspace: Workspace) -> KeySet:
    """
    Return the difference: the keys of the first set that are not in the second.

    :param keys: the set to take keys from.
    :param others: the keys to leave out.
    :param workspace: workspace in which the new set's file is made.
    """
    return _chosen(keys, others, workspace, are_others=False) if keys.count and others.count else keys


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
        writer.add(keys.rows(in_keys).union(others.rows(in_others)).keys)
    return writer.finish()


def _chosen(keys: KeySet, others: KeysByPart, workspace: Workspace, *, are_others: bool) -> KeySet:
    writer = KeySetWriter(workspace.new_file(), key_bytes=keys.key_bytes)
    for in_keys, in_others in side_by_side(keys, others):
        some = keys.rows(in_keys)
        writer.add(some.chosen((others.rows(in_others).match(some) >= 0) == are_others).keys)
    return writer.finish()
