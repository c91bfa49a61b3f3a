"""The files of members that were removed or added by hand."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from airflow_provider_audiences.members.keys.key_set import KeySet, fingerprint_of
from airflow_provider_audiences.members.keys.key_sets import empty_key_set
from airflow_provider_audiences.sync.manual_changes import ManualChanges
from airflow_provider_audiences.sync.state.manifest import ManualChangeFiles, StoredKeys

if TYPE_CHECKING:
    from airflow_provider_audiences.members.workspace import Workspace
    from airflow_provider_audiences.sync.state.tables import StateTables


def store_manual_changes(
    tables: StateTables, manual_changes: ManualChanges, *, before: ManualChangeFiles
) -> ManualChangeFiles:
    """
    Store members that were removed or added by hand, in new files where they have changed.

    :param tables: stores the files.
    :param manual_changes: the members.
    :param before: the files of the last manifest.
    """
    return ManualChangeFiles(
        held_back=_store(tables, "held", manual_changes.held_back, before.held_back),
        by_hand=_store(tables, "hand", manual_changes.added_by_hand, before.by_hand),
    )


def fetch_manual_changes(tables: StateTables, files: ManualChangeFiles, workspace: Workspace) -> ManualChanges:
    """
    Return the members that were removed or added by hand.

    :param tables: fetches the files.
    :param files: the files, as a manifest names them.
    :param workspace: workspace for empty sets.
    :raises LedgerLostError: a file is damaged or missing.
    """
    held_back, by_hand = (_fetch(tables, stored, workspace) for stored in (files.held_back, files.by_hand))
    return ManualChanges(held_back=held_back, added_by_hand=by_hand)


def _store(tables: StateTables, name: str, keys: KeySet, before: StoredKeys) -> StoredKeys:
    if not keys.count:
        return StoredKeys()
    fingerprint = fingerprint_of(keys)
    if fingerprint == before.fingerprint:
        return before
    file = f"{name}-{secrets.token_hex(8)}.parquet"
    tables.store_keys(file, keys)
    return StoredKeys(file=file, fingerprint=fingerprint)


def _fetch(tables: StateTables, stored: StoredKeys, workspace: Workspace) -> KeySet:
    if not stored.file:
        return empty_key_set(workspace)
    return tables.keys(stored.file, fingerprint=stored.fingerprint)
