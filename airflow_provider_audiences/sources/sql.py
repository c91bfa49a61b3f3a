"""Reads members from a column of a query, a chunk of rows at a time, through the Airflow hook of any database."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.members.identifiers.patterns import ALL_IN_SERVER_REPLIES
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.redaction import Redactor, Secret
from airflow_provider_audiences.sources.connecting import connection_of
from airflow_provider_audiences.sources.maxcompute import MAXCOMPUTE, maxcompute_connection
from airflow_provider_audiences.sources.predicates import dialect_of, predicate
from airflow_provider_audiences.sources.query_readers import CursorReader, reader_of

if TYPE_CHECKING:
    from airflow_provider_audiences.members.columns import TextColumn
    from airflow_provider_audiences.members.partition import Partition

log = logging.getLogger(__name__)

_PERMANENT_ERRORS = {
    "Error": {"ProgrammingError", "DataError", "NotSupportedError", "IntegrityError", "TrinoUserError"},
    "GoogleAPIError": {"BadRequest", "Forbidden", "NotFound", "Unauthorized"},
    "BaseODPSError": {"AuthorizationRequired", "NoPermission", "NoSuchObject", "ParseError", "SignatureNotMatch"},
    "ArrowException": set(),
    "OSError": set(),
}
"""
For each root of drivers' errors (of DB-API, Google, pyodps, pyarrow, the network): those that mean that the statement
would fail again.
"""

_MAXCOMPUTE_SQL = "ODPS-013"
"""How MaxCompute's codes of errors in a statement begin."""

_MYSQL_UNKNOWN_COLUMN = 1054
_SHOWN_LENGTH = 3
"""Shortest parameter that is masked in messages: a shorter one tells nothing, and occurs in any word."""

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_E_MAIL = re.compile(r"[^\s'\"]+@[^\s'\"]+")


@contextmanager
def open_query(
    sql: str,
    *,
    conn_id: str,
    column: str | None,
    parameters: Sequence[Any] | Mapping[str, Any] | None,
    chunk_size: int,
) -> Iterator[ValuesInput]:
    """
    Run a statement, and yield the members in its rows for as long as the block lasts.

    The first rows are fetched at once, so that a wrong statement or column shows before anything else is done.

    :param sql: one SELECT.
    :param conn_id: Airflow connection of the database.
    :param column: name of the column with the members, in any case; None if there is only one.
    :param parameters: values for the statement's placeholders, in the driver's own style; None for no placeholders.
    :param chunk_size: how many rows to fetch at a time, where rows are fetched by a cursor.
    :raises InvalidInputError: the connection, the statement or the column is wrong.
    :raises SourceUnavailableError: the database failed, or could not be reached.
    """
    with ExitStack() as stack:
        query = _Query(sql=sql, conn_id=conn_id, column=column, parameters=parameters, chunk_size=chunk_size)
        stack.push(query.close)
        yield ValuesInput(chunks=query.run(), name=query.name)


def narrowed_sql(sql: str, *, partition: Partition, conn_id: str, column: str | None, argument: str) -> str:
    """
    Return a query's statement with one condition more, so that it returns the texts of one partition only.

    :param sql: one SELECT.
    :param partition: the partition.
    :param conn_id: Airflow connection of the database, whose type tells the dialect.
    :param column: name of the column with the members.
    :param argument: name of the operator's argument with the query, for messages.
    :raises InvalidInputError: the condition has no plain column name, or the database's SQL is not known.
    """
    if not isinstance(column, str) or not _PLAIN_NAME.match(column):
        raise InvalidInputError(
            f"{argument}: the query of {partition} must say which column its predicate is about; nothing was sent",
            advice="Give column= with a plain name; or put the predicate where it belongs in the query: "
            'WHERE {{ partition.where("idfa") }}.',
        )
    condition = predicate(column, partition, dialect=dialect_of(conn_id))
    log.info("The query of %s for %s has this condition more: %s", argument, partition, condition)
    query = sql.strip().rstrip(";")
    # The end of line is for a comment at the end of the query.
    return f"SELECT {column} FROM (\n{query}\n) audience_members WHERE {condition}"  # noqa: S608 - the user's own


class _Query:
    """One statement on one connection."""

    def __init__(self, *, sql: Any, conn_id: str, column: Any, parameters: Any, chunk_size: Any) -> None:
        _check(sql, column, chunk_size)
        self._sql: str = sql
        self._conn_id = conn_id
        self._column: str | None = column
        self._parameters = parameters
        self._reader: CursorReader | None = None
        self.name = f"SqlSource of connection {conn_id}"
        self._redact = Redactor(None, ALL_IN_SERVER_REPLIES)
        connect = self._connect()
        with self._database_errors():
            self._reader = reader_of(connect(), chunk_size=chunk_size)

    def _connect(self) -> Callable[[], Any]:
        """Return what opens the database connection."""
        from airflow.providers.common.compat.sdk import AirflowException

        connection = connection_of(self._conn_id)
        refused = f"{self.name}: a connection of type {connection.conn_type!r} "
        try:
            hook = connection.get_hook()
        except (AirflowException, ImportError) as error:
            reason = "has no hook here" if isinstance(error, AirflowException) else f"can't be used: {error}"
            raise InvalidInputError(f"{refused}{reason}; install the provider package of its database") from None
        self._redact.learn(Secret(connection.password or ""))
        if connection.conn_type == MAXCOMPUTE:
            self._redact.learn(Secret(connection.extra_dejson.get("access_key_secret") or ""))
            return partial(maxcompute_connection, hook, self.name)
        # A DbApiHook has both methods; the get_conn of other hooks returns no database connection.
        if not (hasattr(hook, "get_conn") and hasattr(hook, "get_records")):
            raise InvalidInputError(f"{refused}is no database: give one whose hook runs SQL")
        connect: Callable[[], Any] = hook.get_conn
        return connect

    def run(self) -> Iterator[Sequence[object] | TextColumn]:
        """Execute the statement, fetch the first rows, and return an iterator of chunks of members."""
        reader: CursorReader = self._reader  # type: ignore[assignment] # it was made
        arguments = () if self._parameters is None else (self._parameters,)
        with self._database_errors():
            try:
                reader.execute(self._sql, *arguments)
            except (TypeError, IndexError, KeyError) as error:
                # Drivers raise these for placeholders and parameters that don't fit; their text may be a parameter.
                raise InvalidInputError(
                    f"{self.name}: the driver could not put the parameters into the statement "
                    f"({type(error).__name__}): check its placeholders (a % that is none is written %%)"
                ) from None
            names = reader.column_names()
        if not names:
            raise InvalidInputError(f"{self.name}: the statement returns no rows: give a SELECT")
        chunks = self._fetched(reader.chunks(self._chosen(names)))
        return chain(list(islice(chunks, 1)), chunks)

    def _chosen(self, names: Sequence[str]) -> int:
        """Return the position of the column with the members."""
        column = self._column
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

    def _fetched(self, chunks: Iterator[Sequence[object] | TextColumn]) -> Iterator[Sequence[object] | TextColumn]:
        while True:
            with self._database_errors():
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    @contextmanager
    def _database_errors(self) -> Iterator[None]:
        """Turn a driver's errors into ours, without the parameters and members that their texts may quote."""
        try:
            yield
        except Exception as error:
            classes = {base.__name__ for base in type(error).__mro__}
            root = next((root for root in _PERMANENT_ERRORS if root in classes), None)
            if root is None:
                raise
            said = self._redacted(error, classes)
            if not _PERMANENT_ERRORS[root].isdisjoint(classes) or _is_permanent(error):
                raise InvalidInputError(f"{self.name}: the database refused the statement: {said}") from None
            raise SourceUnavailableError(f"{self.name}: the database failed: {said}") from None

    def _redacted(self, error: Exception, classes: set[str]) -> str:
        """Return a driver's message in one line, without values, because a value may be a parameter or a person."""
        whole = str(error.args[0] if error.args and "BaseODPSError" in classes else error)  # which tells ids first
        text = (whole.strip().splitlines() or [type(error).__name__])[0]
        if "DataError" in classes:
            text = f"{type(error).__name__}: {text.partition(':')[0]}"
        for value in sorted(_values_of(self._parameters), key=len, reverse=True):
            text = text.replace(value, "…")
        return self._redact(_E_MAIL.sub("…", text))

    def close(self, error_type: type[BaseException] | None, *_: object) -> None:
        """
        Close cursor and connection. After an error the statement is cancelled first, and its remaining rows are not
        fetched.

        :param error_type: type of the error that ended the block; None if there was none.
        """
        if self._reader is not None:
            self._reader.close(failed=error_type is not None)


def _values_of(parameters: Any) -> Iterator[str]:
    if isinstance(parameters, Mapping):
        parameters = list(parameters.values())
    if isinstance(parameters, list | tuple | set):
        for item in parameters:
            yield from _values_of(item)
    elif parameters is not None and len(str(parameters)) >= _SHOWN_LENGTH:
        yield str(parameters)


def _check(sql: Any, column: Any, chunk_size: Any) -> None:
    if not isinstance(sql, str) or not sql.strip():
        raise InvalidInputError("SqlSource: sql must be one statement, as text")
    if sql.strip().endswith(".sql"):
        raise InvalidInputError(
            f"SqlSource: the file {sql.strip()} was not loaded: it is looked for in the DAG's folder and its "
            "template_searchpath, when a task's templates are rendered"
        )
    if column is not None and not isinstance(column, str):
        raise InvalidInputError(f"SqlSource: column must be the name of one, not {type(column).__name__}")
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1:
        raise InvalidInputError("SqlSource: chunk_size must be a whole number of rows, at least 1")


def _is_permanent(error: Exception) -> bool:
    # SQLite, MySQL and MaxCompute raise errors of wide meaning for wrong statements too.
    return (
        str(getattr(error, "code", None)).startswith(_MAXCOMPUTE_SQL)
        or getattr(error, "sqlite_errorname", None) == "SQLITE_ERROR"
        or error.args[:1] == (_MYSQL_UNKNOWN_COLUMN,)
    )
