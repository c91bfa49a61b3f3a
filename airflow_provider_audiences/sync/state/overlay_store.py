"""A file store over another one: what is written stays on this machine, and the store below never changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_audiences.sync.state.file_store import LocalFileStore

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.state.file_store import FileStore


class OverlayFileStore:
    """
    The files that another store had at one moment, with changes that only this object sees.

    :param below: the store that is read; never written to.
    :param folder: folder on this machine for what is written; made with the first file.
    :param hides: whether a name of the store below is left out.
    """

    def __init__(self, below: FileStore, folder: Path, *, hides: Callable[[str], bool]) -> None:
        self.name = below.name
        self._below = below
        self._own = LocalFileStore(folder)
        self._names_below = {name for name in below.names() if not hides(name)}

    def names(self) -> list[str]:
        """Return the names of all files: those below at the beginning, and those written or deleted since."""
        return [*self._names_below, *self._own.names()]

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return self._store_of(name).read(name)

    def write(self, name: str, content: bytes) -> None:
        """Write a file on this machine."""
        self._own.write(name, content)
        self._names_below.discard(name)

    def create(self, name: str, content: bytes) -> None:
        """Create a file on this machine; a name of the store below exists already."""
        if name in self._names_below:
            raise FileExistsError(name)
        self._own.create(name, content)

    def fetch(self, name: str, path: Path) -> None:
        """Make a file's content available at a path of this machine, which does not exist yet."""
        self._store_of(name).fetch(name, path)

    def store(self, name: str, write: Callable[[Path], object], *, scratch: Path) -> None:
        """Make a large file on this machine."""
        self._own.store(name, write, scratch=scratch)
        self._names_below.discard(name)

    def delete(self, name: str) -> None:
        """Delete a file, for this object only."""
        self._own.delete(name)
        self._names_below.discard(name)

    def _store_of(self, name: str) -> FileStore:
        return self._below if name in self._names_below else self._own
