"""
One column of text from tables: CSV, JSON lines, Parquet and data frames, read by DuckDB.

DuckDB only reads here; what a text means is for the rule of the members. So every column is read as text and
nothing is cast, and DuckDB's own messages, which quote the data, are not passed on.
"""

from __future__ import annotations

import glob
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import nanoarrow

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.columns import TextColumn, column_of_arrow, column_of_values
from airflow_provider_audiences.members.reading.frames import collected, python_column
from airflow_provider_audiences.members.reading.text_files import (
    compression_of,
    first_bytes,
    refuse_other_formats,
    unpacked_pieces,
)

if TYPE_CHECKING:
    from airflow_provider_audiences.members.reading.inputs import FrameInput, SourceFile, SourceTable
    from airflow_provider_audiences.members.workspace import Workspace

_EXACT_BELOW = {"FLOAT": 1 << 24, "DOUBLE": 1 << 53}
"""Up to where a column of decimals has each whole number."""

_PARQUET_MAGIC = b"PAR1"
_COPY_BYTES = 4 << 20
_HEADER_BYTES = 1 << 16
# An ID, a hash, an e-mail address; or a phone number, however it is written, while a date has eight digits.
_LIKE_A_MEMBER = re.compile(r"[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-|[0-9A-Fa-f]{32}|@|^[^A-Za-z]*([0-9][^A-Za-z]*){9}$")
_NESTED = re.compile(r"\[\d*\]$|^(STRUCT|MAP|UNION)\b")
_LINE_OF_ERROR = re.compile(r"(?:CSV Error on Line:|in line|at line) (\d+)")
_KINDS_OF_ERROR = (
    "Expected Number of Columns",
    "Value with unterminated quote",
    "Invalid unicode",
    "Invalid string encoding",
    "Maximum line size",
    "Malformed JSON",
)
_READERS = {
    # What DuckDB would guess about lines to skip and comments could cost members.
    "csv": (
        "read_csv(?, header = true, all_varchar = true, skip = 0, comment = '', quote = '\"', escape = '\"', "
        "strict_mode = true, compression = 'none', hive_partitioning = false)"
    ),
    "parquet": "read_parquet(?, binary_as_string = true, hive_partitioning = false)",
}


def columns_of_file(
    workspace: Workspace, file: SourceFile, *, file_format: str, column: str | None
) -> Iterator[TextColumn]:
    """
    Yield the members' column of a table in a file, in parts.

    :param workspace: its database does the reading, and its folder takes a copy of a file in a store meanwhile.
    :param file: the file.
    :param file_format: ``csv``, ``jsonl`` or ``parquet``.
    :param column: name of the column; None if the table has only one.
    :raises InvalidInputError: the file is damaged, or no column or several could be meant.
    """
    with file.open() as stream:
        head = first_bytes(stream)
    if (file_format == "parquet") != (head == _PARQUET_MAGIC):
        isnt = "no Parquet file (Parquet compresses itself: no .gz, no .zst)"
        raise InvalidInputError(f"{file.name} is {isnt if file_format == 'parquet' else f'Parquet, not {file_format}'}")
    with _on_this_machine(file, workspace.folder, head=head) as path, workspace.connection.cursor() as cursor:
        if path.stat().st_size:
            columns = _read(cursor, file, file_format, column, path)
            yield from _explained(workspace, columns, file.name, file_format)


def columns_of_frame(workspace: Workspace, source: FrameInput) -> Iterator[TextColumn]:
    """
    Yield the members' column of a data frame, in parts.

    :param workspace: its database does the reading.
    :param source: the data frame.
    :raises InvalidInputError: no column or several could be meant, or the frame can't be read.
    """
    frame = collected(source.frame)
    only = "keep only the one with the members"
    if column := python_column(frame):
        _chosen([(column.name, "VARCHAR")], None, "source", how=only)
        first = 1
        for values in column.chunks:
            # As in a column of numbers: whether they are members is for the rule.
            yield column_of_values(values, name="source", first_row=first, takes_numbers=True, unit="row")
            first += len(values)
        return
    with workspace.connection.cursor() as cursor:
        described = _described_frame(cursor, frame)
        if described is None:
            raise InvalidInputError(
                f"source: the {type(frame).__name__} of {type(frame).__module__.partition('.')[0]} can't be read: "
                "give a data frame of pandas or Polars, or an Arrow table"
            )
        name = _chosen(described, None, "source", how=only)
        kind = next(str(kind) for other, kind, *_ in described if str(other) == name)
        columns = _texts(cursor, f"SELECT {_as_text(_quoted(name), kind)} FROM source_frame", [])
        yield from _explained(workspace, columns, "source", "a data frame")


def _as_text(column: str, kind: str) -> str:
    """
    Return an expression for a column's values as text, or as they are if they are binary.

    Of a decimal that is not exact any more DuckDB shows the digits that it might have had: it is written with an
    exponent, so that the rule of the members refuses it with the reason.
    """
    if kind == "BLOB":
        return column
    text = f"CAST({column} AS VARCHAR)"
    if kind not in _EXACT_BELOW:
        return text
    is_exact = f"abs({column}) < {_EXACT_BELOW[kind]}"
    return f"CASE WHEN isnan({column}) THEN NULL WHEN {is_exact} THEN {text} ELSE format('{{:e}}', {column}) END"


def columns_of_table(workspace: Workspace, table: SourceTable, *, column: str | None) -> Iterator[TextColumn]:
    """
    Yield the members' column of a table's current snapshot, in parts.

    :param workspace: its database turns the values into text.
    :param table: the table.
    :param column: name of the column; None if the table has only one.
    :raises InvalidInputError: no column or several could be meant, or what reads the table refuses it.
    :raises SourceUnavailableError: the table's store failed.
    """
    with workspace.connection.cursor() as cursor:
        cursor.register("source_table", table.empty)
        described = cursor.execute("DESCRIBE SELECT * FROM source_table").fetchall()
        name = _chosen(described, column, table.name)
        selected = _as_text(_quoted(name), {str(found): str(kind) for found, kind, *_ in described}[name])
        for piece in table.read(name):
            cursor.register("source_table", piece)
            columns = _texts(cursor, f"SELECT {selected} FROM source_table", [])
            yield from _explained(workspace, columns, table.name, "a table")


def _described_frame(cursor: duckdb.DuckDBPyConnection, frame: Any) -> Sequence[tuple[Any, ...]] | None:
    """Return the columns of a data frame; None if DuckDB knows no such type."""
    try:
        cursor.register("source_frame", frame)
        return cursor.execute("DESCRIBE SELECT * FROM source_frame").fetchall()
    except (duckdb.Error, TypeError, RuntimeError):  # the latter for what its C++ did not expect
        return None


def _read(
    cursor: duckdb.DuckDBPyConnection, file: SourceFile, file_format: str, column: str | None, path: Path
) -> Iterator[TextColumn]:
    arguments = [glob.escape(str(path))]
    if file_format == "jsonl":
        # All lines are sampled: of keys that first come late it would know nothing, and their members would be lost.
        reader = (
            "read_json(?, format = 'newline_delimited', compression = 'uncompressed', map_inference_threshold = -1, "
            "sample_size = -1"
        )
        described = cursor.execute(f"DESCRIBE SELECT * FROM {reader})", arguments).fetchall()
        name = _chosen(described, column, file.name)
        # Types are guessed from the first lines: as text, nothing that comes later can fail to fit.
        reader += f", columns = {{{_quoted(name)}: 'VARCHAR'}})"
    else:
        reader = _READERS[file_format]
        described = cursor.execute(f"DESCRIBE SELECT * FROM {reader}", arguments).fetchall()
        name = _chosen(described, column, file.name)
        if file_format == "csv":
            _refuse_repeated(name, path, file.name)
    yield from _texts(cursor, f"SELECT CAST({_quoted(name)} AS VARCHAR) FROM {reader}", arguments)


def _texts(cursor: duckdb.DuckDBPyConnection, query: str, arguments: list[str]) -> Iterator[TextColumn]:
    relation = cursor.sql(query, params=arguments) if arguments else cursor.sql(query)
    with nanoarrow.c_array_stream(relation) as stream:
        for batch in stream:
            yield from column_of_arrow(batch.child(0)).pieces()


def _chosen(
    described: Sequence[tuple[Any, ...]], wanted: str | None, where: str, *, how: str = "say which one with column="
) -> str:
    """Return the column to read; DuckDB describes each by its name, its type and more."""
    types = {str(name): str(kind) for name, kind, *_ in described}
    if any(_LIKE_A_MEMBER.search(name) for name in types):
        raise InvalidInputError(
            f"{where} has a member where the names of its columns should be: add a header line, or give it as "
            "file_format='text' in a FileSource if it has one member a line"
        )
    if len(types) == 1 and any(mark in name for name in types for mark in ",;|\t"):
        (name,) = types
        raise InvalidInputError(f"{where} has a header of several columns ({name!r}) and lines that differ from it")
    names = ", ".join(map(repr, types))
    if wanted is None:
        if len(types) != 1:
            raise InvalidInputError(f"{where} has {len(types)} columns ({names}): {how}")
        (name,) = types
    else:
        found = [name for name in types if name == wanted] or [name for name in types if name.lower() == wanted.lower()]
        if len(found) != 1:
            raise InvalidInputError(f"{where} has no column {wanted!r}; it has {names or 'none'}")
        (name,) = found
    # DuckDB renames what differs in case only, and would read one of them for the other.
    if any(other != f"{name}_1" and other.lower() == f"{name}_1".lower() for other in types):
        raise InvalidInputError(f"{where} has several columns {name!r} that differ in case only: name one otherwise")
    if _NESTED.search(types[name]):
        # Its whole type would name the fields within, which may be members.
        kind = types[name].partition("(")[0] if types[name].endswith(")") else "a list"
        raise InvalidInputError(f"{where}: the column {name!r} holds {kind}, not one member a row")
    return name


def _refuse_repeated(name: str, path: Path, where: str) -> None:
    """Refuse a header that has a name twice: DuckDB reads the first, and calls the other one ``name_1``."""
    with path.open("rb") as stream:
        header = stream.readline(_HEADER_BYTES).decode("utf-8", errors="replace")
    if len(re.findall(rf"(?<!\w){re.escape(name)}(?!\w)", header)) > 1:
        raise InvalidInputError(f"{where} has several columns {name!r}: name them apart")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _on_this_machine(file: SourceFile, folder: Path, *, head: bytes) -> Iterator[Path]:
    """
    Yield a path of ours for a file: its own would be a pattern to DuckDB, which would also show it.

    A table in a store is copied first: DuckDB reads several places at once, which file systems in Python can't.
    A compressed one is unpacked by us: DuckDB takes one that breaks off for whole, and checks no sums.
    """
    path = folder / "table"
    is_packed = compression_of(head, name=file.name) is not None
    is_parquet = head == _PARQUET_MAGIC  # which compresses itself
    try:
        if file.local_path and not is_packed:
            if not is_parquet:
                refuse_other_formats(head, name=file.name)
            path.symlink_to(file.local_path.absolute())
        else:
            with file.open() as stream, path.open("wb") as copy:
                if is_parquet:
                    shutil.copyfileobj(stream, copy, _COPY_BYTES)
                else:
                    copy.writelines(unpacked_pieces(stream, name=file.name))
        yield path
    finally:
        path.unlink(missing_ok=True)


def _explained(
    workspace: Workspace, columns: Iterable[TextColumn], name: str, file_format: str
) -> Iterator[TextColumn]:
    """Say what is wrong with a table in words of ours: DuckDB would quote the line."""
    try:
        yield from columns
    except duckdb.OutOfMemoryException:
        raise
    except (duckdb.Error, RuntimeError) as error:  # nanoarrow's own error, which it does not name, is the latter
        failure = _failure(str(error), name, file_format)
        if isinstance(error, duckdb.InternalException | duckdb.FatalException):
            workspace.close_database()  # damage may take it by surprise, and then it does nothing any more
    else:
        return
    # Not in the handler: there the error of DuckDB would stay with ours.
    raise failure


def _failure(text: str, name: str, file_format: str) -> InvalidInputError:
    line = _LINE_OF_ERROR.search(text)
    kind = next((kind for kind in _KINDS_OF_ERROR if kind in text), "its data is damaged or of another format")
    place = f", near line {line[1]}" if line else ""
    return InvalidInputError(
        f"{name}{place}: it can't be read as {file_format} ({kind}); nothing was sent",
        advice="Mend the source, or say with a FileSource's file_format what it is.",
    )
