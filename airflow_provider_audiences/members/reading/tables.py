"""
One column of text from data frames, read by DuckDB; and what all that DuckDB reads has in common.

DuckDB only reads here; what a text means is for the rule of the members. So every column is read as text and
nothing is cast, and DuckDB's own messages, which quote the data, are not passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import duckdb
import nanoarrow

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.columns import TextColumn, column_of_arrow
from airflow_provider_audiences.members.reading.column_choice import Field, choose, fields_of
from airflow_provider_audiences.members.reading.queries import quoted

if TYPE_CHECKING:
    from airflow_provider_audiences.members.reading.inputs import FrameInput
    from airflow_provider_audiences.members.workspace import Workspace

_LINE_OF_ERROR = re.compile(r"(?:CSV Error on Line:|in line|at line) (\d+)")
_KINDS_OF_ERROR = {
    "Expected Number of Columns": "Expected Number of Columns",
    "Value with unterminated quote": "Value with unterminated quote",
    "Invalid unicode": "Invalid unicode",
    "Invalid string encoding": "Invalid string encoding",
    "Failure in decode": "its values are binary, neither text nor 16 bytes each: cast them to text where it is written",
    "Maximum line size": "Maximum line size",
    "Malformed JSON": "Malformed JSON: lines of one object each, or one array, are expected",
}


def columns_of_frame(workspace: Workspace, source: FrameInput) -> Iterator[TextColumn]:
    """
    Yield the members' column of a data frame, in parts.

    :param workspace: its database does the reading.
    :param source: the data frame.
    :raises InvalidInputError: no column or several could be meant, or DuckDB can't read the frame.
    """
    frame = source.frame
    for method in ("collect", "to_frame"):  # a lazy frame, a series
        frame = getattr(frame, method)() if hasattr(frame, method) else frame
    with workspace.connection.cursor() as cursor:
        fields = _fields_of_frame(cursor, frame)
        if fields is None:
            raise InvalidInputError(
                f"source: the {type(frame).__name__} of {type(frame).__module__.partition('.')[0]} can't be read: "
                "give a data frame of pandas or Polars, or an Arrow table"
            )
        name = fields[choose(fields, None, "source", how="keep only the one with the members").index].name
        rows = texts_of(cursor, f"SELECT CAST({quoted(name)} AS VARCHAR) FROM source_frame", [])
        for (column,) in explained(workspace, rows, "source", "a data frame"):
            yield column


def _fields_of_frame(cursor: duckdb.DuckDBPyConnection, frame: Any) -> list[Field] | None:
    """Return the columns of a data frame; None if DuckDB knows no such type."""
    try:
        cursor.register("source_frame", frame)
        described = cursor.sql("SELECT * FROM source_frame")
        return fields_of(described.columns, described.types)
    except (duckdb.Error, TypeError):
        return None


def texts_of(cursor: duckdb.DuckDBPyConnection, query: str, arguments: list[str]) -> Iterator[tuple[TextColumn, ...]]:
    """
    Yield the columns of a query, in parts.

    :param cursor: runs it.
    :param query: of columns of text.
    :param arguments: for its placeholders.
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
    Say what is wrong with a table in words of ours: DuckDB would quote the line.

    :param workspace: its database is closed if the damage took it by surprise.
    :param parts: what is read.
    :param name: of the file, for messages.
    :param file_format: what it is read as.
    :param why: returns a likely reason, if there is one; called when reading has failed.
    :raises InvalidInputError: DuckDB can't read it.
    """
    try:
        yield from parts
    except duckdb.OutOfMemoryException:
        raise
    except (duckdb.Error, RuntimeError) as error:  # nanoarrow's own error, which it does not name, is the latter
        failure = _failure(str(error), name, file_format, why())
        if isinstance(error, duckdb.InternalException | duckdb.FatalException) or "INTERNAL Error" in str(error):
            workspace.close_database()  # damage may take it by surprise, and then it does nothing any more
    else:
        return
    # Not in the handler: there the error of DuckDB would stay with ours.
    raise failure


def _failure(text: str, name: str, file_format: str, reason: str) -> InvalidInputError:
    line = _LINE_OF_ERROR.search(text)
    kind = next(
        (said for kind, said in _KINDS_OF_ERROR.items() if kind in text), "its data is damaged or of another format"
    )
    place = f", near line {line[1]}" if line else ""
    return InvalidInputError(
        f"{name}{place}: it can't be read as {file_format} ({kind}{reason}); nothing was sent",
        advice="Mend the source, or say with a FileSource's file_format what it is.",
    )
