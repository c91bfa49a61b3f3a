"""The keys of a set that are in one partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter, side_by_side

if TYPE_CHECKING:
    from airflow_provider_audiences.members.partition import Partition
    from airflow_provider_audiences.members.workspace import Workspace


def in_partition(keys: KeySet, partition: Partition, workspace: Workspace) -> KeySet:
    """
    Return the keys that are in a partition.

    :param keys: the set to take keys from.
    :param partition: the partition.
    :param workspace: workspace in which the new set's file is made.
    """
    found = KeySetWriter(workspace.new_file(), key_bytes=keys.key_bytes)
    for (rows,) in side_by_side(keys):
        some = keys.rows(rows)
        found.add(some.chosen(partition.mask(some.keys)).keys)
    return found.finish()
