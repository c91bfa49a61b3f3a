"""The files of members that were removed or added directly."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import LedgerLostError, StateUnavailableError
from airflow_provider_audiences.members.keys.key_set import KeySet, fingerprint_of
from airflow_provider_audiences.members.keys.key_sets import empty_key_set
from airflow_provider_audiences.sync.direct_changes import DirectChanges
from airflow_provider_audiences.sync.state.manifest import DirectChangeFiles, KeyFile

if TYPE_CHECKING:
    from airflow_provider_audiences.members.workspace import Workspace
    from airflow_provider_audiences.sync.state.file_store import FileStore
    from airflow_provider_audiences.sync.state.tables import StateTables

log = logging.getLogger(__name__)

_HELD_BACK = "held"
_ADDED_DIRECTLY = "hand"
_UNRECORDED = f"{_HELD_BACK}-unrecorded"
"""Of members whose removal no manifest notes: the ledger was lost when they were removed."""


def store_direct_changes(
    tables: StateTables, direct_changes: DirectChanges, *, before: DirectChangeFiles
) -> DirectChangeFiles:
    """
    Store members that were removed or added directly, in new files where they have changed.

    :param tables: stores the files.
    :param direct_changes: the members.
    :param before: the files of the last manifest.
    """
    return DirectChangeFiles(
        held_back=_store(tables, _HELD_BACK, direct_changes.held_back, before.held_back),
        added_directly=_store(tables, _ADDED_DIRECTLY, direct_changes.added_directly, before.added_directly),
    )


def fetch_direct_changes(tables: StateTables, files: DirectChangeFiles, workspace: Workspace) -> DirectChanges:
    """
    Return the members that were removed or added directly.

    :param tables: fetches the files.
    :param files: the files, as a manifest names them.
    :param workspace: workspace for empty sets.
    :raises LedgerLostError: a file is damaged or missing.
    """
    held_back, added_directly = (
        _fetch(tables, stored, workspace) for stored in (files.held_back, files.added_directly)
    )
    return DirectChanges(held_back=held_back, added_directly=added_directly)


def is_unrecorded(name: str) -> bool:
    """
    Return whether a file is one of :meth:`DirectChangeStore.store_unrecorded`.

    :param name: name of the file.
    """
    return name.startswith(f"{_UNRECORDED}-")


def delete_unrecorded(files: FileStore, names: Iterable[str]) -> None:
    """
    Delete the files of unrecorded removals: a manifest notes them now. If the store fails, they are left.

    :param files: the file store of the state.
    :param names: names of files, of which only those of unrecorded removals are deleted.
    """
    try:
        for name in filter(is_unrecorded, names):
            files.delete(name)
    except StateUnavailableError as error:
        log.warning("Files that are not needed any more were left: %s", error)


class DirectChangeStore:
    """
    Stores who was removed or added directly in an audience's state, and finds them again.

    :param files: the file store of the state.
    :param tables: stores and fetches its files.
    :param workspace: workspace for fetched files and new sets.
    """

    def __init__(self, files: FileStore, tables: StateTables, workspace: Workspace) -> None:
        self._files = files
        self._tables = tables
        self._workspace = workspace
        self._unrecorded: list[str] = []

    def fetch(self, stored: DirectChangeFiles) -> DirectChanges:
        """
        Return the changes that a manifest names, and the removals that none could note.

        :param stored: the files that the manifest names.
        :raises LedgerLostError: one of these is damaged or missing.
        """
        changes = fetch_direct_changes(self._tables, stored, self._workspace)
        self._unrecorded = list(filter(is_unrecorded, self._files.names()))
        if not self._unrecorded:
            return changes
        return changes.with_removed(
            find_held_back(self._tables, self._unrecorded, self._workspace).held_back, self._workspace
        )

    def store(self, changes: DirectChanges, *, before: DirectChangeFiles) -> DirectChangeFiles:
        """
        Store the changes, in new files where they differ from those before.

        :param changes: the changes.
        :param before: the files of the last manifest.
        """
        return store_direct_changes(self._tables, changes, before=before)

    def found(self) -> DirectChangeFiles:
        """Return whom any file of the state says to be held back, when no manifest names them."""
        held_back = find_held_back(self._tables, self._files.names(), self._workspace)
        return self.store(held_back, before=DirectChangeFiles())

    def store_unrecorded(self, keys: KeySet) -> None:
        """
        Store members who are about to be removed directly while no manifest can note it, as the ledger is lost.

        :param keys: the members.
        """
        if keys.count:
            self._tables.store_keys(f"{_UNRECORDED}-{secrets.token_hex(8)}.parquet", keys)

    def delete_unrecorded(self) -> None:
        """Delete the files of the unrecorded removals that :meth:`fetch` has returned: a manifest notes them now."""
        delete_unrecorded(self._files, self._unrecorded)
        self._unrecorded = []


def find_held_back(tables: StateTables, names: Iterable[str], workspace: Workspace) -> DirectChanges:
    """
    Return all members that any file of a state says are held back, for a state whose manifest is lost. Some of them may
    have been released since, or their removal may never have begun. Who was added directly is not looked for: without a
    ledger, nobody can be removed.

    :param tables: fetches the files.
    :param names: names of all files of the state.
    :param workspace: workspace in which the set is made.
    """
    found = DirectChanges.none(workspace)
    for name in names:
        if name.startswith(f"{_HELD_BACK}-") and name.endswith(".parquet"):
            try:
                found = found.with_removed(tables.keys(name, fingerprint=None), workspace)
            except LedgerLostError as error:
                log.warning("Some of those who were removed directly are not known any more: %s", error.message)
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
