"""Disk that the end of a sync takes: it is there before the first request, as far as anybody can tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import StateUnavailableError
from airflow_provider_audiences.members.scratch import free_bytes
from airflow_provider_audiences.sync.state.file_store import LocalFileStore

if TYPE_CHECKING:
    from airflow_provider_audiences.members.workspace import Workspace
    from airflow_provider_audiences.sync.state.file_store import FileStore

_LEDGER_BYTES = 24
_TABLE_BYTES = 16
"""Of a member: a key and two times; and in Parquet, where times take next to nothing."""

_FOLD_BYTES = _LEDGER_BYTES + 2 * _TABLE_BYTES
"""Of a member in the temporary folder: the new ledger, its keys as Parquet takes them, and the Parquet file."""


class SyncRoom:
    """
    Room for the new ledger, in the temporary folder and where the state lies.

    :param folder: where the state lies.
    :param workspace: where the ledger is made.
    """

    def __init__(self, folder: FileStore, workspace: Workspace) -> None:
        self._workspace = workspace
        # What a store has is not known.
        self._path = _existing(Path(folder.name)) if isinstance(folder, LocalFileStore) else None

    def require(self, members: int) -> None:
        """
        Refuse to begin what could not be brought to its end.

        :param members: of the new ledger.
        :raises WorkspaceUnavailableError: the temporary folder has too little room.
        :raises StateUnavailableError: the disk of the state has too little room.
        """
        what = f"a ledger of {members:,} members"
        here, there = members * _FOLD_BYTES, members * _TABLE_BYTES
        if self._path is None:
            self._workspace.require(here, what)
            return
        is_one_disk = self._path.stat().st_dev == self._workspace.folder.stat().st_dev
        self._workspace.require(here + there * is_one_disk, what)
        free = free_bytes(self._path)
        if free is not None and free < there:
            raise StateUnavailableError(
                f"{self._path} has {free / 10**6:,.0f} MB free, and {what} takes about {there / 10**6:,.0f} MB there; "
                "nothing was sent",
                advice="Make room there, or move [audiences] state_path with all that it holds to a larger disk.",
            )


def _existing(path: Path) -> Path:
    """Return the folder itself, or the first one above it that is there: it is made when it is first written to."""
    return next(folder for folder in (path, *path.parents) if folder.exists())
