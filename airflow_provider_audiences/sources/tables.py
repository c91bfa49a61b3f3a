"""Decides whether a source that is a table of Delta Lake, Iceberg or the like, or lies in one, is read or refused."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.dialect import Dialect
from airflow_provider_audiences.members.reading.inputs import FileFormat, FilesInput, SourceTable, TableInput
from airflow_provider_audiences.sources.table_errors import OTHER_WAYS
from airflow_provider_audiences.sources.table_formats import (
    DELTA,
    ICEBERG,
    S3_PROTOCOLS,
    Folders,
    FoundTable,
    LocalFolders,
    StoredFolders,
    TableFolder,
    TableSearch,
    tables_among,
)

log = logging.getLogger(__name__)

_READERS = {DELTA: "delta", ICEBERG: "iceberg"}
"""Formats that a library reads, and the module and the extra of that name."""

_WITHOUT_FOLDERS = frozenset({"http", "https"})


def tables_input(
    found: Iterable[Any],
    *,
    file_format: FileFormat | None,
    column: str | int | Sequence[str | int] | None,
    dialect: Dialect,
) -> TableInput | None:
    """
    Open the tables that the paths of a source name.

    :param found: files and tables that the paths led to.
    :param file_format: format that the source says its files have; None if it says nothing.
    :param column: column or columns with members; None for the only one.
    :param dialect: options for the form of files in the source; a table takes none of them.
    :return: None if there is no table among the paths.
    :raises InvalidInputError: there are files beside tables, or a table can't be read in its present state.
    :raises SourceUnavailableError: a table's store failed.
    """
    found = list(found)
    tables = [item for item in found if isinstance(item, TableFolder)]
    if not tables:
        return None
    shown = tables[0].shown
    if len(tables) < len(found):
        raise InvalidInputError(
            f"source has files and a table ({shown} is one of {tables[0].table_format}): give tables "
            "only, or files only"
        )
    if file_format not in {None, "parquet"}:
        raise InvalidInputError(
            f"source {shown} is a table of {tables[0].table_format}, not {file_format}: leave file_format out"
        )
    dialect.refuse_misfit("parquet", name=shown)
    columns = FilesInput(files=(), column=column, dialect=dialect).columns
    return TableInput(tables=[_opened(table) for table in tables], columns=columns, null_values=dialect.null_values)


def _opened(table: TableFolder) -> SourceTable:
    module = import_module(f"airflow_provider_audiences.sources.{_READERS[table.table_format]}")
    if table.file_system is not None and table.protocol not in S3_PROTOCOLS:
        raise InvalidInputError(
            f"source {table.shown} is a table of {table.table_format} in a store ({table.protocol}://) from which "
            f"tables are not read: local folders and S3 are; {OTHER_WAYS}"
        )
    opened: SourceTable = module.open_table(table)
    return opened


# Checks that files.py makes while it finds files


def local_table(search: TableSearch, path: os.PathLike[str]) -> TableFolder | None:
    """
    Return the table if a folder on this machine is one; otherwise None.

    :param search: search for tables, shared by all paths of the source.
    :param path: path of the folder.
    :raises InvalidInputError: tables of this format can't be read.
    """
    folder = os.path.abspath(path)  # noqa: PTH100 - a link stays a link
    return _readable(search.at(LocalFolders(), folder), str(path), path=folder)


def refuse_local_tables(search: TableSearch, path: os.PathLike[str], files: Sequence[os.PathLike[str]]) -> None:
    """
    Refuse local files that lie in a table. A file that the source names itself is read, with a warning.

    :param search: search for tables, shared by all paths of the source.
    :param path: path that the source names.
    :param files: files that were found.
    :raises InvalidInputError: a file lies in a table.
    """
    folders = LocalFolders()
    places = {os.path.abspath(file) for file in files}  # noqa: PTH100
    places |= {os.path.realpath(file) for file in files}
    tables = tables_among(sorted(places))[:1]
    for folder in sorted({os.path.dirname(place) for place in places}):  # noqa: PTH120
        tables += filter(None, [search.around(folders, folder)])
        if tables:
            break
    if tables:
        _refuse(tables[0], folders, str(path), is_named=list(map(str, files)) == [str(path)])


def stored_table(search: TableSearch, base: Any, shown: str, conn_id: str | None) -> TableFolder | None:
    """
    Return the table if a folder in a store is one; otherwise None.

    :param search: search for tables, shared by all paths of the source.
    :param base: path of the folder, as an ObjectStoragePath.
    :param shown: address of the folder without secrets, for messages.
    :param conn_id: Airflow connection of the store.
    :raises InvalidInputError: tables of this format can't be read.
    """
    if base.protocol in _WITHOUT_FOLDERS:
        return None
    found = search.at(StoredFolders(base.fs, base.protocol), base.path)
    return _readable(found, shown, path=base.path, file_system=base.fs, protocol=base.protocol, conn_id=conn_id)


def refuse_stored_tables(
    search: TableSearch,
    base: Any,
    shown: str,
    files: Iterable[str],
    *,
    listed: Iterable[str] = (),
    is_named: bool = False,
) -> None:
    """
    Refuse files of a store that lie in a table. A file that the source names itself is read, with a warning.

    :param search: search for tables, shared by all paths of the source.
    :param base: path of the source up to its first wildcard, as an ObjectStoragePath.
    :param shown: the source's address without secrets, for messages.
    :param files: files that were found.
    :param listed: everything below the path, also what the source passes over.
    :param is_named: whether the source names the file itself.
    :raises InvalidInputError: a file lies in a table.
    """
    if base.protocol in _WITHOUT_FOLDERS:
        return
    folders = StoredFolders(base.fs, base.protocol)
    files = list(files)
    where = base.path.rpartition("/")[0] if is_named else base.path
    found = search.below(folders, files, listed) or search.around(folders, where, files=files)
    if found:
        _refuse(found, folders, shown, is_named=is_named)


def _readable(found: FoundTable | None, shown: str, **where: Any) -> TableFolder | None:
    if found is None:
        return None
    if found.table_format not in _READERS:
        raise InvalidInputError(f"source {shown} is a table of {found.table_format}: {_why_and_what(found, shown)}")
    return TableFolder(table_format=found.table_format, shown=shown.rstrip("/") or shown, **where)


def _refuse(found: FoundTable, folders: Folders, shown: str, *, is_named: bool) -> None:
    table = folders.shown(found.folder)
    if is_named:
        log.warning(
            "Source %s is a file of the %s table %s. It was named, so it is read as it is, whether or not the table's "
            "current snapshot has it; rows that were deleted may be in it.", shown, found.table_format, table,
        )  # fmt: skip
        return
    raise InvalidInputError(
        f"source {shown} has files of a table of {found.table_format}, {table}: {_why_and_what(found, table)}"
    )


def _why_and_what(found: FoundTable, table: str) -> str:
    extra = _READERS.get(found.table_format)
    itself = f"give {table} itself, without a pattern (extra '{extra}'); or " if extra else ""
    return f"its files hold rows that were deleted since, and which are valid is in its log only; {itself}{OTHER_WAYS}"
