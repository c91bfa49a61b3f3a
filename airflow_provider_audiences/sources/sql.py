"""Reads members from a column of a query, a chunk of rows at a time, through the Airflow hook of any database."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from typing import Any

from airflow_provider_audiences.exceptions import InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.members.identifiers.patterns import ALL_IN_SERVER_REPLIES
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.redaction import (
    Redactor,
    Secret,
)
from airflow_provider_audiences.sources.types import SqlSource

# Errors of DB-API, and of drivers, that mean: the same statement would fail again.
_PERMANENT_ERRORS = frozenset(
    {"ProgrammingError", "DataError", "NotSupportedError", "IntegrityError", "TrinoUserError"}
)
_MYSQL_UNKNOWN_COLUMN = 1054
_SHOWN_LENGTH = 3
"""Shortest parameter that is masked in messages: a shorter one tells nothing, and occurs in any word."""

_E_MAIL = re.compile(r"[^\s'\"]+@[^\s'\"]+")


@contextmanager
def open_query(source: SqlSource) -> Iterator[ValuesInput]:
    """
    Run a statement, and yield the members in its rows for as long as the block lasts.

    The first rows are fetched at once, so that a wrong statement or column shows before anything else is done.

    :param source: the query, with its templates rendered.
    :raises InvalidInputError: the connection, the statement or the column is wrong.
    :raises SourceUnavailableError: the database failed, or could not be reached.
    """
    with ExitStack() as stack:
        query = _Query(source)
        stack.push(query.close)
        yield ValuesInput(chunks=query.run(), name=query.name)


class _Query:
    """One statement on one connection."""

    def __init__(self, source: SqlSource) -> None:
        _check(source)
        self._source = source
        self._connection: Any = None
        self._cursor: Any = None
        self.name = f"SqlSource of connection {source.conn_id}"
        hook, password = self._hook()
        self._redact = Redactor(Secret(password), ALL_IN_SERVER_REPLIES)
        with self._database_errors():
            self._connection = hook.get_conn()

    def _hook(self) -> tuple[Any, str]:
        from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException, BaseHook

        try:
            connection = BaseHook.get_connection(self._source.conn_id)
        except AirflowNotFoundException:
            raise InvalidInputError(f"{self.name}: there is no such connection: make it") from None
        refused = f"{self.name}: a connection of type {connection.conn_type!r} "
        try:
            hook = connection.get_hook()
        except (AirflowException, ImportError) as error:
            reason = "has no hook here" if isinstance(error, AirflowException) else f"can't be used: {error}"
            raise InvalidInputError(f"{refused}{reason}; install the provider package of its database") from None
        # A DbApiHook has both methods; the get_conn of other hooks returns no database connection.
        if not (hasattr(hook, "get_conn") and hasattr(hook, "get_records")):
            raise InvalidInputError(f"{refused}is no database: give one whose hook runs SQL")
        return hook, connection.password or ""

    def run(self) -> Iterator[Sequence[object]]:
        """Execute the statement, fetch the first rows, and return an iterator of chunks of members."""
        arguments = () if self._source.parameters is None else (self._source.parameters,)
        with self._database_errors():
            self._cursor = _server_side_cursor(self._connection)
            try:
                self._cursor.execute(self._source.sql, *arguments)
            except (TypeError, IndexError, KeyError) as error:
                # Drivers raise these for placeholders and parameters that don't fit; their text may be a parameter.
                raise InvalidInputError(
                    f"{self.name}: the driver could not put the parameters into the statement "
                    f"({type(error).__name__}): check its placeholders (a % that is none is written %%)"
                ) from None
            rows = [] if self._has_no_rows() else self._cursor.fetchmany(self._source.chunk_size)
        # psycopg2 knows the columns only after the first fetch.
        names = self._column_names()
        return self._members(rows, names, self._chosen(names))

    def _has_no_rows(self) -> bool:
        # psycopg2 can open a named cursor only for a statement with rows.
        return self._cursor.description is None and not getattr(self._cursor, "name", None)

    def _column_names(self) -> list[str]:
        if not self._cursor.description:
            raise InvalidInputError(f"{self.name}: the statement returns no rows: give a SELECT")
        return [str(column[0]) for column in self._cursor.description]

    def _chosen(self, names: Sequence[str]) -> int:
        """Return the position of the column with the members."""
        column = self._source.column
        if column is None:
            if len(names) > 1:
                raise InvalidInputError(
                    f"{self.name}: the statement returns {len(names)} columns ({', '.join(names)}): say with column= "
                    "which has the members"
                )
            return 0
        for spelling in (str, str.casefold):
            found = [position for position, name in enumerate(names) if spelling(name) == spelling(column)]
            if len(found) == 1:
                return found[0]
            if found:
                raise InvalidInputError(f"{self.name}: {len(found)} columns are named {column}: name them apart")
        raise InvalidInputError(f"{self.name}: no column {column}: the statement returns {', '.join(names)}")

    def _members(self, rows: Sequence[Any], names: Sequence[str], position: int) -> Iterator[list[object]]:
        while rows:
            # A connection may be configured to return rows as dictionaries.
            key = names[position] if isinstance(rows[0], Mapping) else position
            yield [row[key] for row in rows]
            with self._database_errors():
                rows = self._cursor.fetchmany(self._source.chunk_size)

    @contextmanager
    def _database_errors(self) -> Iterator[None]:
        """Turn a driver's errors into ours, without the parameters and members that their texts may quote."""
        try:
            yield
        except Exception as error:
            classes = {base.__name__ for base in type(error).__mro__}
            if "Error" not in classes:  # the root of DB-API's errors
                raise
            said = self._redacted(error, classes)
            if _is_permanent(error, classes):
                raise InvalidInputError(f"{self.name}: the database refused the statement: {said}") from None
            raise SourceUnavailableError(f"{self.name}: the database failed: {said}") from None

    def _redacted(self, error: Exception, classes: set[str]) -> str:
        """Return a driver's message in one line, without values, because a value may be a parameter or a person."""
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "DataError" in classes:
            text = f"{type(error).__name__}: {text.partition(':')[0]}"
        for value in sorted(_values_of(self._source.parameters), key=len, reverse=True):
            text = text.replace(value, "…")
        return self._redact(_E_MAIL.sub("…", text))

    def close(self, error_type: type[BaseException] | None, *_: object) -> None:
        """
        Close cursor and connection. After an error the statement is cancelled first, and its remaining rows are not
        fetched.

        :param error_type: type of the error that ended the block; None if there was none.
        """
        cancels = [getattr(what, "cancel", None) for what in (self._cursor, self._connection)]
        closes = [getattr(what, "close", None) for what in (self._cursor, self._connection)]
        if error_type is not None:
            # Closing a MySQL cursor reads the remaining rows, unless its connection is closed first.
            closes.reverse()
        for step in [*(cancels if error_type else ()), *closes]:
            if step is not None:
                with suppress(Exception):
                    step()


def _values_of(parameters: Any) -> Iterator[str]:
    if isinstance(parameters, Mapping):
        parameters = list(parameters.values())
    if isinstance(parameters, list | tuple | set):
        for item in parameters:
            yield from _values_of(item)
    elif parameters is not None and len(str(parameters)) >= _SHOWN_LENGTH:
        yield str(parameters)


def _check(source: SqlSource) -> None:
    if not isinstance(source.sql, str) or not source.sql.strip():
        raise InvalidInputError("SqlSource: sql must be one statement, as text")
    if source.sql.strip().endswith(".sql"):
        raise InvalidInputError(
            f"SqlSource: the file {source.sql.strip()} was not loaded: it is looked for in the DAG's folder and its "
            "template_searchpath, when a task's templates are rendered"
        )
    if source.column is not None and not isinstance(source.column, str):
        raise InvalidInputError(f"SqlSource: column must be the name of one, not {type(source.column).__name__}")
    if isinstance(source.chunk_size, bool) or not isinstance(source.chunk_size, int) or source.chunk_size < 1:
        raise InvalidInputError("SqlSource: chunk_size must be a whole number of rows, at least 1")


def _is_permanent(error: Exception, classes: set[str]) -> bool:
    # SQLite and MySQL raise OperationalError for wrong statements too.
    return (
        not _PERMANENT_ERRORS.isdisjoint(classes)
        or getattr(error, "sqlite_errorname", None) == "SQLITE_ERROR"
        or error.args[:1] == (_MYSQL_UNKNOWN_COLUMN,)
    )


def _server_side_cursor(connection: Any) -> Any:
    """Return a cursor that keeps the rows on the server where the driver has one; otherwise a plain cursor."""
    libraries = {base.__module__.partition(".")[0] for base in type(connection).__mro__}
    name = f"audiences_{uuid.uuid4().hex}"
    if "psycopg2" in libraries:
        return connection.cursor(name=name, cursor_factory=import_module("psycopg2.extensions").cursor)
    if "psycopg" in libraries:
        return connection.cursor(name=name, row_factory=import_module("psycopg.rows").tuple_row)
    for library in ("pymysql", "MySQLdb"):
        if library in libraries:
            return connection.cursor(import_module(f"{library}.cursors").SSCursor)
    return connection.cursor()
