"""
The readers of a query: for each driver the way in which the rows of a statement come fastest.

Whatever the way, the members are those that the driver's cursor would give. :func:`reader_of` has the table of drivers;
a driver that is not in it is read by its cursor.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_audiences.members.columns import TextColumn

_HERE = "airflow_provider_audiences.sources"
_READERS = {
    "psycopg2": f"{_HERE}.postgres:Psycopg2Reader",
    "psycopg": f"{_HERE}.postgres:PsycopgReader",
    "pymysql": f"{_HERE}.query_readers:MySqlReader",
    "MySQLdb": f"{_HERE}.query_readers:MySqlReader",
    "adbc_driver_manager": f"{_HERE}.arrow_queries:AdbcReader",
    "snowflake": f"{_HERE}.arrow_queries:SnowflakeReader",
    "airflow.providers.google.cloud.hooks.bigquery": f"{_HERE}.arrow_queries:BigQueryReader",
    "odps": f"{_HERE}.arrow_queries:MaxComputeReader",
}
"""For each library, or package of one, that a connection's class comes from: module and class of its reader."""


class CursorReader:
    """
    Reads the rows of one statement by the driver's cursor, as every driver of DB-API can.

    :param connection: connection as the hook opened it.
    :param chunk_size: how many rows to fetch at a time.
    """

    def __init__(self, connection: Any, *, chunk_size: int) -> None:
        self._connection = connection
        self._chunk_size = chunk_size
        self._cursor: Any = None
        self._first_rows: Sequence[Any] | None = None
        self._names: list[str] = []

    def execute(self, sql: str, *parameters: Any) -> None:
        """
        Run the statement.

        :param sql: the statement.
        :param parameters: the values for its placeholders, as one argument; none if it has no placeholders.
        """
        self._cursor = self._new_cursor()
        self._cursor.execute(sql, *parameters)

    def column_names(self) -> list[str]:
        """Return the names of the result's columns; none if the statement returns no rows."""
        self._fetch_first()
        self._names = [str(column[0]) for column in self._cursor.description or ()]
        return self._names

    def chunks(self, position: int) -> Iterator[Sequence[object] | TextColumn]:
        """
        Yield the values of a column, in parts.

        :param position: index of the column, counted from 0.
        """
        self._fetch_first()
        rows = self._first_rows
        while rows:
            # A connection may be configured to return rows as dictionaries.
            key = self._names[position] if isinstance(rows[0], Mapping) else position
            yield [row[key] for row in rows]
            rows = self._cursor.fetchmany(self._chunk_size)

    def close(self, *, failed: bool) -> None:
        """
        Close cursor and connection. After an error the statement is cancelled first, and its remaining rows are not
        fetched.

        :param failed: whether there was an error.
        """
        cancels = [getattr(what, "cancel", None) for what in (self._cursor, self._connection)]
        closes = [getattr(what, "close", None) for what in (self._cursor, self._connection)]
        if failed:
            # Closing a MySQL cursor reads the remaining rows, unless its connection is closed first.
            closes.reverse()
        for step in [*(cancels if failed else ()), *closes]:
            if step is not None:
                with suppress(Exception):
                    step()

    def _new_cursor(self) -> Any:
        return self._connection.cursor()

    def _fetch_first(self) -> None:
        # psycopg2 knows the columns only after the first fetch. It opens a named cursor only for a statement with rows.
        if self._first_rows is None:
            has_rows = self._cursor.description is not None or getattr(self._cursor, "name", None)
            self._first_rows = self._cursor.fetchmany(self._chunk_size) if has_rows else []


class DescribedReader(CursorReader):
    """Base of readers whose driver knows the columns before the first row is fetched."""

    def column_names(self) -> list[str]:
        """Return the names of the result's columns; none if the statement returns no rows."""
        self._names = [str(column[0]) for column in self._cursor.description or ()]
        return self._names


class MySqlReader(CursorReader):
    """Leaves the rows on the server until they are fetched."""

    def _new_cursor(self) -> Any:
        library = next(library for library in ("pymysql", "MySQLdb") if library in set(_packages_of(self._connection)))
        return self._connection.cursor(import_module(f"{library}.cursors").SSCursor)


def reader_of(connection: Any, *, chunk_size: int) -> CursorReader:
    """
    Return the reader for the driver of a connection.

    :param connection: connection as the hook opened it.
    :param chunk_size: how many rows to fetch at a time, where rows are fetched by their number.
    """
    place = next((_READERS[package] for package in _packages_of(connection) if package in _READERS), None)
    if place is None:
        return CursorReader(connection, chunk_size=chunk_size)
    module, _, name = place.partition(":")
    reader: CursorReader = getattr(import_module(module), name)(connection, chunk_size=chunk_size)
    return reader


def server_side_name() -> str:
    """Return a new name for a cursor on the server."""
    return f"audiences_{uuid.uuid4().hex}"


def _packages_of(connection: Any) -> Iterator[str]:
    """Yield the packages that a connection's classes come from, subclasses first, and for each the inner ones first."""
    for base in type(connection).__mro__:
        package = base.__module__
        while package:
            yield package
            package = package.rpartition(".")[0]
