"""
Reading of CSV, JSON and Parquet files by DuckDB, as columns of texts.

A file is copied first if DuckDB can't read it as it is: a file in a store, a compressed one, one in another encoding,
and CSV with line ends of several kinds.
"""

from __future__ import annotations

import shutil
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.columns import TextColumn
from airflow_provider_audiences.members.reading.csv_files import csv_query, has_escaped_quotes
from airflow_provider_audiences.members.reading.encodings import line_that_is_not_utf8
from airflow_provider_audiences.members.reading.json_files import json_query
from airflow_provider_audiences.members.reading.line_ends import line_ends_differ, with_line_feeds
from airflow_provider_audiences.members.reading.parquet_files import parquet_query
from airflow_provider_audiences.members.reading.queries import path_argument
from airflow_provider_audiences.members.reading.signatures import (
    HEAD_BYTES,
    PARQUET_MAGIC,
    name_of_format,
    refuse_other_formats,
)
from airflow_provider_audiences.members.reading.tables import explained, texts_of
from airflow_provider_audiences.members.reading.text_files import (
    compression_of,
    first_bytes,
    unpacked_pieces,
)

if TYPE_CHECKING:
    import duckdb

    from airflow_provider_audiences.members.reading.dialect import Dialect
    from airflow_provider_audiences.members.reading.inputs import SourceFile
    from airflow_provider_audiences.members.workspace import Workspace

_COPY_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class TableWish:
    """
    The format of a file, and the columns to read.

    :param file_format: ``csv``, ``jsonl`` or ``parquet``.
    :param columns: columns to read: names, paths or numbers; None for the only column.
    :param dialect: form of the file, as the user gave it.
    """

    file_format: str
    columns: Sequence[str | int | None]
    dialect: Dialect


def columns_of_file(
    workspace: Workspace, file: SourceFile, wish: TableWish, *, has_tabs: bool = False
) -> Iterator[tuple[TextColumn, ...]]:
    """
    Yield the columns with members of a file, in parts; each part has one column of texts for each that is wanted.

    :param workspace: workspace whose database reads the file, and whose folder takes a copy if one is needed.
    :param file: the file to read.
    :param wish: the format, and the columns to read.
    :param has_tabs: whether the file's name says that its delimiter is a tab.
    :raises InvalidInputError: the file is damaged, or no column or several fit a name.
    """
    with _on_this_machine(file, workspace, wish) as path, workspace.connection.cursor() as cursor:
        if path.stat().st_size:
            parts = _read(cursor, path, file.name, wish, has_tabs)
            why = partial(_likely_reason, path, wish)
            yield from explained(workspace, parts, file.name, wish.file_format, why=why)


def _read(
    cursor: duckdb.DuckDBPyConnection, path: Path, name: str, wish: TableWish, has_tabs: bool
) -> Iterator[tuple[TextColumn, ...]]:
    query: str | None
    if wish.file_format == "csv":
        query = csv_query(cursor, path, wish.columns, dialect=wish.dialect, has_tabs=has_tabs, name=name)
    else:
        names = [None if column is None else str(column) for column in wish.columns]
        read = json_query if wish.file_format == "jsonl" else parquet_query
        query = read(cursor, path, names, name=name)
    if query is not None:
        yield from texts_of(cursor, query, [path_argument(path)])


def _likely_reason(path: Path, wish: TableWish) -> str:
    """Return the likely reason for which a file could not be read; some versions of DuckDB give none."""
    if wish.file_format != "parquet" and (line := line_that_is_not_utf8(path)):
        return f"; in line {line} it is not UTF-8: say in a FileSource with encoding= what it is, such as 'gbk'"
    if wish.file_format == "csv" and wish.dialect.escape is None and has_escaped_quotes(path):
        return "; quotes in it seem to be escaped by a backslash: say escape='\\\\' in a FileSource"
    return ""


@contextmanager
def _on_this_machine(file: SourceFile, workspace: Workspace, wish: TableWish) -> Iterator[Path]:
    """
    Yield a path from which DuckDB can read a file: a link to it, or a copy.

    DuckDB would take the file's own path as a pattern, and would show it in messages. A file in a store is copied, as
    DuckDB reads at several offsets at once, which Python's file systems can't. A compressed file is unpacked here, as
    DuckDB does not notice one that is cut off, and checks no checksums.
    """
    path = workspace.folder / "table"
    try:
        with file.open() as stream:
            if file.local_path and _is_read_as_it_lies(stream, file, file.local_path, wish):
                path.symlink_to(file.local_path.absolute())
            else:
                with workspace.new_copy(path.name) as copy:
                    _copy(stream, copy, file.name, wish, workspace.window_bytes)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _is_read_as_it_lies(stream: IO[bytes], file: SourceFile, local: Path, wish: TableWish) -> bool:
    """Return whether DuckDB can read a local file without a copy; the stream is at its beginning afterwards."""
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    if wish.file_format == "parquet":
        _refuse_no_parquet(head, file.name)
        return True
    if compression_of(head, name=file.name) is not None or wish.dialect.encoding is not None:
        return False
    refuse_other_formats(head, name=file.name, wanted=wish.file_format)
    if wish.file_format == "jsonl":
        return not head.startswith(BOM_UTF8)  # which some versions of DuckDB take for damage
    return not line_ends_differ(local)


def _copy(stream: IO[bytes], copy: IO[bytes], name: str, wish: TableWish, most_window_bytes: int) -> None:
    """Write a copy that DuckDB can read: unpacked, in UTF-8, and for CSV with one kind of line ends."""
    if wish.file_format == "parquet":
        head = first_bytes(stream)
        if head != PARQUET_MAGIC:
            _refuse_no_parquet(head + stream.read(HEAD_BYTES), name)
        copy.write(head)
        shutil.copyfileobj(stream, copy, _COPY_BYTES)
        return
    pieces = unpacked_pieces(
        stream,
        name=name,
        encoding=wish.dialect.encoding,
        wanted=wish.file_format,
        most_window_bytes=most_window_bytes,
    )
    first = next(pieces, b"").removeprefix(BOM_UTF8)
    pieces = chain([first], pieces)
    copy.writelines(with_line_feeds(pieces) if wish.file_format == "csv" else pieces)


def _refuse_no_parquet(head: bytes, name: str) -> None:
    if not head or head.startswith(PARQUET_MAGIC):  # a file of 0 bytes has no rows
        return
    compression = compression_of(head, name=name)
    found = name_of_format(head) if compression is None else f"{compression}: Parquet compresses itself"
    raise InvalidInputError(
        f"{name} is no Parquet file{f' (it is {found})' if found else ''}: say with a FileSource's file_format what it "
        "is; nothing was sent"
    )
