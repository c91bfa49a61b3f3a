"""Opens the files of an Iceberg table through Airflow's file system, with the keys of its connection."""

from __future__ import annotations

from typing import Any, NoReturn

from fsspec.implementations.local import LocalFileSystem
from pyiceberg.io import FileIO, InputStream
from pyiceberg.io.fsspec import FsspecInputFile

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.sources.table_formats import S3_PROTOCOLS, TableFolder


class TableIO(FileIO):
    """
    File access for pyiceberg that opens the addresses in a table's metadata, for reading only.

    :param folder: folder of the table.
    """

    def __init__(self, folder: TableFolder) -> None:
        super().__init__({})
        self._folder = folder

    def new_input(self, location: str) -> FsspecInputFile:
        """
        Return a file for reading. pyiceberg calls this.

        :param location: address of the file, as the table's metadata has it.
        :raises InvalidInputError: the file lies outside the table's store.
        """
        scheme, separator, path = location.partition(":")
        has_scheme = separator == ":" and "/" not in scheme
        if self._folder.file_system is None and (not has_scheme or scheme == "file"):
            # Hadoop writes file:/path, others file:///path.
            return FsspecInputFile(path.removeprefix("//") if has_scheme else location, LocalFileSystem())
        if self._folder.file_system is not None and has_scheme and scheme in S3_PROTOCOLS:
            return _StoredFile(path.removeprefix("//"), self._folder.file_system)
        raise InvalidInputError(
            f"source {self._folder.shown} is an Iceberg table whose files lie elsewhere "
            f"({location.rpartition('/')[0]}): give the address that they have, or query it with SqlSource"
        )

    def new_output(self, location: str) -> NoReturn:
        """Refuse to write, should pyiceberg ask for it."""
        raise NotImplementedError(location)

    def delete(self, location: Any) -> NoReturn:
        """Refuse to delete, should pyiceberg ask for it."""
        raise NotImplementedError(location)


class _StoredFile(FsspecInputFile):
    def open(self, seekable: bool = True) -> InputStream:
        # Arrow asks for just what it needs; a cache would fetch what lies between, too.
        stream: InputStream = self._fs.open(self.location, "rb", cache_type="none")
        return stream
