"""
Reads queries of PostgreSQL: by COPY with psycopg2, so that the server goes on while members are parsed.

With psycopg 3 the cursor is faster than COPY, which comes row by row into Python; only UUIDs come in binary form.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from airflow_provider_audiences.members.columns import TextColumn, column_of_uuids
from airflow_provider_audiences.members.reading.copied_rows import UUID_COLUMNS, columns_of_texts, columns_of_uuids
from airflow_provider_audiences.sources.copy_stream import CopyStream
from airflow_provider_audiences.sources.query_readers import CursorReader, DescribedReader, server_side_name

log = logging.getLogger(__name__)

_SAVEPOINT = "audiences_copy"
_DESCRIBE = 'FETCH FORWARD 0 FROM "{name}"'
_FIRST_VERSION = 100_000
"""The oldest server that is asked to copy: 10.0. Amazon Redshift, which has no COPY of this kind, says it is 8.0.2."""

_TEXT, _CHAR, _VARCHAR, _UUID = 25, 1042, 1043, 2950


@dataclass(frozen=True, kw_only=True)
class _Form:
    """
    How a column is copied.

    :param query: query of the column; ``{rows}`` is the user's statement.
    :param options: options of COPY.
    :param read: turns the output into columns.
    """

    query: str
    options: str
    read: Callable[[Iterable[bytes]], Iterator[TextColumn]]


_AS_TEXT = _Form(query="SELECT {column} FROM {rows}", options="FORMAT text", read=columns_of_texts)
# OFFSET 0 keeps the server from computing the column twice, because it is written twice.
_AS_UUIDS = _Form(
    query=f"SELECT {UUID_COLUMNS} FROM (SELECT {{column}} AS member FROM {{rows}} OFFSET 0) AS m",  # noqa: S608 - ours
    options="FORMAT binary",
    read=columns_of_uuids,
)
_FORMS = {_TEXT: _AS_TEXT, _CHAR: _AS_TEXT, _VARCHAR: _AS_TEXT, _UUID: _AS_UUIDS}
"""For each type, by its number in PostgreSQL, how it is copied: types of which driver and COPY give the same texts."""


class Psycopg2Reader(CursorReader):
    """
    Reads rows by COPY; by a cursor on the server where COPY could give something else, or is refused.

    The cursor is declared in any case, which runs nothing yet. So a statement that it refuses is refused, the types of
    the columns are known, and the cursor is there if the server does not copy.
    """

    def __init__(self, connection: Any, *, chunk_size: int) -> None:
        super().__init__(connection, chunk_size=chunk_size)
        self._statement: str | None = None  # what is copied; None if rows are fetched
        self._types: list[int] = []
        self._copy: CopyStream | None = None

    def execute(self, sql: str, *parameters: Any) -> None:
        """
        Declare the cursor.

        :param sql: the statement.
        :param parameters: the values for its placeholders, as one argument; none if it has no placeholders.
        """
        super().execute(sql, *parameters)
        if self._connection.server_version < _FIRST_VERSION or self._connection.encoding != "UTF8":
            return
        statement = self._cursor.mogrify(sql, *parameters).decode("utf-8").strip().rstrip(";")
        if ";" in statement:  # behind it, another statement may follow
            return
        try:
            self._run(f"SAVEPOINT {_SAVEPOINT}")
        except _refusals() as error:
            _log_refusal(error)
            self._connection.rollback()
            super().execute(sql, *parameters)
        else:
            self._statement = statement

    def column_names(self) -> list[str]:
        """Return the names of the result's columns; none if the statement returns no rows."""
        description = None
        if self._statement:
            try:
                description = self._run(_DESCRIBE.format(name=self._cursor.name))
            except _refusals() as error:
                self._go_back(error)
        if not description:
            self._statement = None
            return super().column_names()
        self._names = [column.name for column in description]
        self._types = [column.type_code for column in description]
        return self._names

    def chunks(self, position: int) -> Iterator[Sequence[object] | TextColumn]:
        """
        Yield the values of a column, in parts.

        :param position: index of the column, counted from 0.
        """
        form = _FORMS.get(self._types[position]) if self._statement else None
        if form is not None:
            self._copy = CopyStream(self._plain_cursor(), self._copy_statement(form, position))
            try:
                first = self._copy.first_block()
            except _refusals() as error:
                self._copy = None
                self._go_back(error)
            else:
                yield from form.read(self._copy.blocks(first))
                return
        yield from super().chunks(position)

    def close(self, *, failed: bool) -> None:
        """
        End a copy that was not read to its end, then close cursor and connection.

        :param failed: whether there was an error.
        """
        if self._copy is None or self._copy.close(self._connection):
            super().close(failed=failed)

    def _copy_statement(self, form: _Form, position: int) -> str:
        names = [f"c{number}" for number in range(len(self._names))]
        # The line ends keep a comment at the statement's end from hiding what follows.
        rows = f"(\n{self._statement}\n) AS r ({', '.join(names)})"
        return f"COPY ({form.query.format(column=f'r.{names[position]}', rows=rows)}) TO STDOUT ({form.options})"

    def _run(self, statement: str) -> Sequence[Any] | None:
        """Run a statement of this package, and return the columns of its result."""
        with closing(self._plain_cursor()) as cursor:
            cursor.execute(statement)
            columns: Sequence[Any] | None = cursor.description
            return columns

    def _go_back(self, error: Exception) -> None:
        """After a refusal, go on with the cursor, which was declared before the savepoint."""
        _log_refusal(error)
        self._statement = None
        self._run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")

    def _plain_cursor(self) -> Any:
        return self._connection.cursor(cursor_factory=import_module("psycopg2.extensions").cursor)

    def _new_cursor(self) -> Any:
        return self._connection.cursor(
            name=server_side_name(), cursor_factory=import_module("psycopg2.extensions").cursor
        )


def _refusals() -> tuple[type[Exception], ...]:
    """Return the errors of psycopg2 by which a server says that it does not know, or permit, a statement."""
    psycopg2 = import_module("psycopg2")
    return (psycopg2.ProgrammingError, psycopg2.NotSupportedError)


def _log_refusal(error: Exception) -> None:
    log.debug("The server did not take COPY (%s): rows are read by a cursor.", type(error).__name__)


class PsycopgReader(DescribedReader):
    """Reads rows by a cursor on the server; UUIDs as 16 bytes, since objects of them take much longer to make."""

    def chunks(self, position: int) -> Iterator[Sequence[object] | TextColumn]:
        """
        Yield the values of a column, in parts.

        :param position: index of the column, counted from 0.
        """
        if self._cursor.description[position].type_code != _UUID:
            yield from super().chunks(position)
            return
        fetch = f'FETCH FORWARD {self._chunk_size} FROM "{self._cursor.name}"'
        with self._connection.cursor(row_factory=import_module("psycopg.rows").tuple_row) as cursor:
            cursor.adapters.register_loader("uuid", import_module("psycopg.types.string").ByteaBinaryLoader)
            while rows := cursor.execute(fetch, prepare=False, binary=True).fetchall():
                yield column_of_uuids([row[position] for row in rows])

    def _new_cursor(self) -> Any:
        return self._connection.cursor(name=server_side_name(), row_factory=import_module("psycopg.rows").tuple_row)
