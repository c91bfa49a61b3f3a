"""The files of members that were removed or added by hand."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import LedgerLostError
from airflow_provider_audiences.members.keys.key_set import KeySet, fingerprint_of
from airflow_provider_audiences.members.keys.key_sets import empty_key_set
from airflow_provider_audiences.sync.manual_changes import ManualChanges
from airflow_provider_audiences.sync.state.manifest import KeyFile, ManualChangeFiles

if TYPE_CHECKING:
    from airflow_provider_audiences.members.workspace import Workspace
    from airflow_provider_audiences.sync.state.tables import StateTables

log = logging.getLogger(__name__)

_HELD_BACK = "held"
_ADDED_BY_HAND = "hand"


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
        held_back=_store(tables, _HELD_BACK, manual_changes.held_back, before.held_back),
        by_hand=_store(tables, _ADDED_BY_HAND, manual_changes.added_by_hand, before.by_hand),
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


def find_held_back(tables: StateTables, names: Iterable[str], workspace: Workspace) -> ManualChanges:
    """
    Return all members that any file of a state says are held back, for a state whose manifest is lost. Some of them may
    have been released since, or their removal may never have begun. Who was added by hand is not looked for: without a
    ledger, nobody can be removed.

    :param tables: fetches the files.
    :param names: names of all files of the state.
    :param workspace: workspace in which the set is made.
    """
    found = ManualChanges.none(workspace)
    for name in names:
        if name.startswith(f"{_HELD_BACK}-") and name.endswith(".parquet"):
            try:
                found = found.with_removed(tables.keys(name, fingerprint=None), workspace)
            except LedgerLostError as error:
                log.warning("Some of those who were removed by hand are not known any more: %s", error.message)
    return found


def _store(tables: StateTables, name: str, keys: KeySet, before: KeyFile) -> KeyFile:
    if not keys.count:
        return KeyFile()
    fingerprint = fingerprint_of(keys)
    if fingerprint == before.fingerprint:
        return before
    file = f"{name}-{secrets.token_hex(8)}.parquet"
    tables.store_keys(file, keys)
    return KeyFile(file=file, fingerprint=fingerprint)


def _fetch(tables: StateTables, stored: KeyFile, workspace: Workspace) -> KeySet:
    if not stored.file:
        return empty_key_set(workspace)
    return tables.keys(stored.file, fingerprint=stored.fingerprint)
