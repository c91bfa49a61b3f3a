"""Notes of an account's errors beside the ledgers, so that all tasks on all workers know of them."""

from __future__ import annotations

import logging
import math
import re
import secrets
from typing import TYPE_CHECKING

from airflow_provider_audiences.common.state import state_store
from airflow_provider_audiences.exceptions import StateUnavailableError
from airflow_provider_audiences.http.error_budget import ErrorBudget, shared_errors

if TYPE_CHECKING:
    from airflow_provider_audiences.common.connections import ConnectionReader
    from airflow_provider_audiences.sync.state.file_store import FileStore

log = logging.getLogger(__name__)

FOLDER = "accounts"
"""Below ``state_path``, beside the folders of the platforms."""

_NAME_PATTERN = re.compile(r"([0-9]{10,14})-[0-9a-f]{16}", re.ASCII)
_MOST_REMOVED = 50
"""Old notes that one look removes: others look too."""


class FolderNotes:
    """
    A small file for each error, written once, by a name that says when: nothing is read and written back.

    :param folder: of the account.
    """

    def __init__(self, folder: FileStore) -> None:
        self._folder = folder
        self._is_broken = False

    def add(self, now_epoch_seconds: float) -> str | None:
        """
        Note an error, or a request that may become one.

        :param now_epoch_seconds: when.
        :return: its name; None if it could not be noted.
        """
        name = f"{math.floor(now_epoch_seconds * 1000):013d}-{secrets.token_hex(8)}"
        try:
            self._folder.write(name, b"")
        except StateUnavailableError as error:
            self._warn(error)
            return None
        return name

    def remove(self, name: str) -> None:
        """
        Remove a note.

        :param name: of the note.
        """
        try:
            self._folder.delete(name)
        except StateUnavailableError as error:
            self._warn(error)

    def times(self, since_epoch_seconds: float) -> list[float] | None:
        """
        Return when the noted errors were; None if that can't be told.

        :param since_epoch_seconds: those before are removed.
        """
        try:
            found = [match for name in self._folder.names() if (match := _NAME_PATTERN.fullmatch(name))]
            moments = {match.group(): int(match[1]) / 1000 for match in found}
            old = [name for name, moment in moments.items() if moment < since_epoch_seconds]
            for name in old[:_MOST_REMOVED]:
                self._folder.delete(name)
        except StateUnavailableError as error:
            self._warn(error)
            return None
        return [moment for moment in moments.values() if moment >= since_epoch_seconds]

    def _warn(self, error: StateUnavailableError) -> None:
        if not self._is_broken:
            self._is_broken = True
            log.warning("Errors of this account are counted in this process only: %s", error)


def error_budget(reader: ConnectionReader, account: str, *, is_shared: bool) -> ErrorBudget:
    """
    Return the budget for an account's errors that a connection sets.

    :param reader: of the connection.
    :param account: digest of the account.
    :param is_shared: whether other processes' errors count; not in the triggerer, whose loop no store may keep.
    :raises InvalidInputError: ``max_errors`` is no number.
    """
    max_errors = reader.max_errors()
    notes = _notes(account) if is_shared and max_errors is not None else None
    return ErrorBudget(shared_errors(account), max_errors=max_errors, notes=notes)


def _notes(account: str) -> FolderNotes | None:
    try:
        return FolderNotes(state_store(FOLDER, account))
    except Exception as error:  # noqa: BLE001 - of any file system; to name what is wrong is a sync's part
        log.warning("Errors of this account are counted in this process only: %s", type(error).__name__)
        return None
