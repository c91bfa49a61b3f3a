"""Notes of an account's errors, stored beside the ledgers so that all tasks on all workers see them."""

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
"""Folder of the notes below ``state_path``, beside the folders of the platforms."""

_NAME_PATTERN = re.compile(r"([0-9]{10,14})-[0-9a-f]{16}", re.ASCII)
_MAX_REMOVED = 50
"""Most old notes that one read removes; later reads remove the others."""


class FolderNotes:
    """
    Notes of errors as empty files, one for each error. The file's name tells the time of the error.

    No file is ever changed, so processes can't overwrite each other's notes.

    :param files: the file store of the account's notes.
    """

    def __init__(self, files: FileStore) -> None:
        self._files = files
        self._is_broken = False

    def add(self, now_epoch_seconds: float) -> str | None:
        """
        Note an error, or a request about to be sent, which may fail.

        :param now_epoch_seconds: time of the error or request, in seconds since 1970 (UTC).
        :return: name of the note; None if it could not be written.
        """
        name = f"{math.floor(now_epoch_seconds * 1000):013d}-{secrets.token_hex(8)}"
        try:
            self._files.write(name, b"")
        except StateUnavailableError as error:
            self._warn(error)
            return None
        return name

    def remove(self, name: str) -> None:
        """
        Remove a note.

        :param name: name of the note, as :meth:`add` has returned it.
        """
        try:
            self._files.delete(name)
        except StateUnavailableError as error:
            self._warn(error)

    def times(self, since_epoch_seconds: float) -> list[float] | None:
        """
        Return the times of the noted errors, in seconds since 1970 (UTC); None if the notes can't be read.

        :param since_epoch_seconds: start of the period, in seconds since 1970 (UTC); older notes are deleted.
        """
        try:
            found = [match for name in self._files.names() if (match := _NAME_PATTERN.fullmatch(name))]
            moments = {match.group(): int(match[1]) / 1000 for match in found}
            old = [name for name, moment in moments.items() if moment < since_epoch_seconds]
            for name in old[:_MAX_REMOVED]:
                self._files.delete(name)
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
    Return an account's error budget with the limit that the connection sets.

    :param reader: reader of the connection.
    :param account: digest of the account.
    :param is_shared: whether other processes' errors count. False in the triggerer, as reading the notes would block
        its event loop.
    :raises InvalidInputError: ``max_errors`` in the connection is not a whole number of at least 0.
    """
    max_errors = reader.max_errors()
    notes = _notes(account) if is_shared and max_errors is not None else None
    return ErrorBudget(shared_errors(account), max_errors=max_errors, notes=notes)


def _notes(account: str) -> FolderNotes | None:
    try:
        return FolderNotes(state_store(FOLDER, account))
    except Exception as error:  # noqa: BLE001 - file systems raise anything; a sync explains what is wrong
        log.warning("Errors of this account are counted in this process only: %s", type(error).__name__)
        return None
