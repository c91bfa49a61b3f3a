"""
Reading of data frames and tables by DuckDB as columns of texts, and the errors of everything that DuckDB reads.

DuckDB only reads; which texts are members is decided by their identifier kind. So all columns are read as text, and
messages of DuckDB, which quote the data, are not passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import duckdb
import nanoarrow

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.columns import TextColumn, column_of_arrow, column_of_values
from airflow_provider_audiences.members.failures import failure_of_disk, is_out_of_memory
from airflow_provider_audiences.members.reading.column_choice import Field, choose, fields_of
from airflow_provider_audiences.members.reading.frames import collected, python_column
from airflow_provider_audiences.members.reading.queries import literal, quoted, text_or_uuid

if TYPE_CHECKING:
    from airflow_provider_audiences.members.reading.inputs import FrameInput, SourceTable
    from airflow_provider_audiences.members.workspace import Workspace

_EXACT_BELOW = {"FLOAT": 1 << 24, "DOUBLE": 1 << 53}
"""For each floating-point type of DuckDB: each whole number below this limit is exact."""

_LINE_OF_ERROR = re.compile(r"(?:CSV Error on Line:|in line|at line) (\d+)")
_TOO_DEEP = re.compile(r"\b(depth|nested too|too deep|recursion)\b", re.IGNORECASE)
_KINDS_OF_ERROR = {
    "Expected Number of Columns": "Expected Number of Columns",
    "Value with unterminated quote": "Value with unterminated quote",
    "Invalid unicode": "Invalid unicode",
    "Invalid string encoding": "Invalid string encoding",
    "Failure in decode": "its values are binary, neither text nor 16 bytes each: cast them to text where it is written",
    "Maximum line size": "a line of it is too long",
    "maximum_object_size": "an object of it is too large",
    "Malformed JSON": "Malformed JSON: lines of one object each, or one array, are expected",
}


def columns_of_frame(workspace: Workspace, source: FrameInput) -> Iterator[TextColumn]:
    """
    Yield the column with members of a data frame, in parts.

    :param workspace: workspace whose database reads the frame.
    :param source: the data frame or array.
    :raises InvalidInputError: the frame has no column or several, or it can't be read.
    """
    frame = collected(source.frame)
    only = "keep only the one with the members"
    if column := python_column(frame):
        choose([Field(name=column.name, kind="VARCHAR")], None, source.name, how=only)
        first = 1
        for values in column.chunks:
            # As in a column of numbers: the identifier kind decides whether they are members.
            yield column_of_values(values, name=source.name, first_row=first, takes_numbers=True, unit="row")
            first += len(values)
        return
    with workspace.connection.cursor() as cursor:
        fields = _fields_of_frame(cursor, frame)
        if fields is None:
            raise InvalidInputError(
                f"{source.name}: the {type(frame).__name__} of {type(frame).__module__.partition('.')[0]} can't be "
                "read: give a data frame of pandas or Polars, or an Arrow table"
            )
        choice = choose(fields, None, source.name, how=only)
        selected = _as_text(quoted(fields[choice.index].name), choice.kind)
        rows = texts_of(cursor, f"SELECT {selected} FROM source_frame", [])
        for (texts,) in explained(workspace, rows, source.name, "a data frame"):
            yield texts


def _as_text(column: str, kind: str) -> str:
    """
    Return SQL for a column's values as text; binary values stay binary, and UUIDs are UUIDs.

    A floating-point number too large to be exact is written with an exponent: DuckDB would show digits that the number
    may not have had. So the member's identifier kind rejects it, and gives the reason.
    """
    if kind == "BLOB":
        return column
    text = text_or_uuid(column, kind)
    if kind not in _EXACT_BELOW:
        return text
    is_exact = f"abs({column}) < {_EXACT_BELOW[kind]}"
    return f"CASE WHEN isnan({column}) THEN NULL WHEN {is_exact} THEN {text} ELSE format('{{:e}}', {column}) END"


def columns_of_table(workspace: Workspace, table: SourceTable, *, column: str | None) -> Iterator[TextColumn]:
    """
    Yield the column with members of a table's current snapshot, in parts.

    :param workspace: workspace whose database turns the values into text.
    :param table: the table to read.
    :param column: name of a column, or a path with dots into structs; None for the only column.
    :raises InvalidInputError: no column or several fit the name, or the table's reader can't read it.
    :raises SourceUnavailableError: the table's store failed.
    """
    for (texts,) in explained(workspace, _rows_of_table(workspace, table, column), table.name, "a table"):
        yield texts


def _rows_of_table(workspace: Workspace, table: SourceTable, column: str | None) -> Iterator[tuple[TextColumn, ...]]:
    with workspace.connection.cursor() as cursor:
        cursor.register("source_table", table.empty)
        described = cursor.sql("SELECT * FROM source_table")
        fields = fields_of(described.columns, described.types)
        choice = choose(fields, column, table.name)
        name = fields[choice.index].name
        value = quoted(name)
        for below in choice.below:
            value = f"struct_extract({value}, {literal(below)})"
        for piece in table.read(name):
            cursor.register("source_table", piece)
            yield from texts_of(cursor, f"SELECT {_as_text(value, choice.kind)} FROM source_table", [])


def _fields_of_frame(cursor: duckdb.DuckDBPyConnection, frame: Any) -> list[Field] | None:
    """Return the columns of a data frame; None if DuckDB can't read a frame of this type."""
    try:
        cursor.register("source_frame", frame)
        described = cursor.sql("SELECT * FROM source_frame")
        return fields_of(described.columns, described.types)
    except (duckdb.Error, TypeError, RuntimeError):  # RuntimeError: for types that DuckDB's C++ does not expect
        return None


def texts_of(cursor: duckdb.DuckDBPyConnection, query: str, arguments: list[str]) -> Iterator[tuple[TextColumn, ...]]:
    """
    Yield the result of a query as columns of texts, in parts.

    :param cursor: DuckDB cursor that runs the query.
    :param query: SQL that selects columns of text, binary values or UUIDs.
    :param arguments: values for the query's placeholders.
    """
    relation = cursor.sql(query, params=arguments) if arguments else cursor.sql(query)
    with nanoarrow.c_array_stream(relation) as stream:
        for batch in stream:
            columns = [column_of_arrow(batch.child(number)) for number in range(batch.n_children)]
            yield from zip(*(column.pieces() for column in columns), strict=True)


def explained(
    workspace: Workspace,
    parts: Iterable[tuple[TextColumn, ...]],
    name: str,
    file_format: str,
    *,
    why: Callable[[], str] = str,
) -> Iterator[tuple[TextColumn, ...]]:
    """
    Yield parts of a table; errors of DuckDB become errors without its messages, which quote the data.

    :param workspace: workspace whose database reads; it is closed after internal errors of DuckDB.
    :param parts: the parts as they are read.
    :param name: name of the file, for messages.
    :param file_format: format that the file is read as, for messages.
    :param why: returns a likely reason for the message, or an empty text; called only after an error.
    :raises InvalidInputError: DuckDB can't read the data, or not within the memory limit.
    :raises WorkspaceUnavailableError: the temporary folder is full.
    """
    try:
        yield from parts
    # nanoarrow raises RuntimeError; a damaged column name raises UnicodeDecodeError.
    except (duckdb.Error, RuntimeError, UnicodeDecodeError) as error:
        failure: Exception = failure_of_disk(error, workspace.place) or _failure(error, name, file_format, why)
        if isinstance(error, duckdb.InternalException | duckdb.FatalException) or "INTERNAL Error" in str(error):
            workspace.close_database()  # after an internal error, DuckDB refuses all further work
    else:
        return
    # Not in the handler: there DuckDB's error would be attached to this one.
    raise failure


def too_deep(name: str, file_format: str) -> InvalidInputError:
    """
    Return the error for values that are nested too deeply.

    :param name: name of the file, for messages.
    :param file_format: format that the file is read as, for messages.
    """
    return InvalidInputError(
        f"{name} can't be read as {file_format}: its values lie in too many others, one in the other; nothing was sent",
        advice="Write the members into a column of their own.",
    )


def _failure(error: Exception, name: str, file_format: str, why: Callable[[], str]) -> InvalidInputError:
    if is_out_of_memory(error):
        return InvalidInputError(
            f"{name} can't be read as {file_format} within [audiences] memory_limit: it has a value, a row, or a group "
            "of rows that is too large; nothing was sent",
            advice="Look whether it is the right file and column. If so, write it anew with smaller values, fewer "
            "columns and smaller groups of rows, or raise memory_limit.",
        )
    text = str(error)
    if isinstance(error, RecursionError) or _TOO_DEEP.search(text):
        return too_deep(name, file_format)
    line = _LINE_OF_ERROR.search(text)
    kind = next(
        (said for kind, said in _KINDS_OF_ERROR.items() if kind in text), "its data is damaged or of another format"
    )
    place = f", near line {line[1]}" if line else ""
    return InvalidInputError(
        f"{name}{place}: it can't be read as {file_format} ({kind}{why()}); nothing was sent",
        advice="Mend the source, or say with a FileSource's file_format what it is.",
    )
