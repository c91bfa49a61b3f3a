"""Room on the disk for the end of a sync: checked before the first request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import StateUnavailableError
from airflow_provider_audiences.members.scratch import free_bytes
from airflow_provider_audiences.sync.state.file_store import LocalFileStore
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.members.workspace import Workspace
    from airflow_provider_audiences.sync.state.file_store import FileStore


class DiskSpace:
    """
    Checks the room for a new ledger: on the state's disk; or in the temporary folder, for an object store.

    A ledger is written once, to the folder that it stays in. For an object store it is made in the temporary folder,
    and copied from there. Its times take next to nothing.

    :param files: the file store of the state; the room in an object store is not checked.
    :param workspace: workspace in which the ledger is made for an object store.
    """

    def __init__(self, files: FileStore, workspace: Workspace) -> None:
        self._workspace = workspace
        # Object stores don't tell their free room.
        self._path = _existing(Path(files.name)) if isinstance(files, LocalFileStore) else None

    def require(self, members: int) -> None:
        """
        Raise an error if there is too little room for a new ledger.

        :param members: number of members of the new ledger.
        :raises WorkspaceUnavailableError: the temporary folder has too little room.
        :raises StateUnavailableError: the disk of the state has too little room.
        """
        what = f"a ledger of {counted(members, 'member')}"
        needed = members * self._workspace.key_bytes
        if self._path is None:
            self._workspace.require(needed, what)
            return
        free = free_bytes(self._path)
        if free is not None and free < needed:
            raise StateUnavailableError(
                f"{self._path} has {free / 10**6:,.0f} MB free, and {what} takes about {needed / 10**6:,.0f} MB there; "
                "nothing was sent",
                advice="Make room there, or move [audiences] state_path with all that it holds to a larger disk.",
            )


def _existing(path: Path) -> Path:
    """Return the folder, or the nearest folder above it that exists: the folder is made with its first file."""
    return next(folder for folder in (path, *path.parents) if folder.exists())
