"""The readers of a query: which one a driver gets, and what the plain one makes of a database that Python brings."""

import sqlite3
import sys
import types
from collections.abc import Iterator
from typing import Any, cast

import pytest

from airflow_provider_audiences.sources.arrow_queries import AdbcReader
from airflow_provider_audiences.sources.postgres import Psycopg2Reader, PsycopgReader
from airflow_provider_audiences.sources.query_readers import (
    CursorReader,
    DescribedReader,
    MySqlReader,
    reader_of,
    server_side_name,
)


def connection_of(module: str, *, base: type[Any] = object) -> Any:
    """Return a connection whose class is in a module of that name."""
    return type("Connection", (base,), {"__module__": module})()


@pytest.mark.parametrize(
    ("module", "reader"),
    [
        ("psycopg2.extensions", Psycopg2Reader),
        ("psycopg2", Psycopg2Reader),
        ("psycopg", PsycopgReader),
        ("psycopg.connection", PsycopgReader),
        ("pymysql.connections", MySqlReader),
        ("MySQLdb.connections", MySqlReader),
        ("adbc_driver_manager.dbapi", AdbcReader),
        ("sqlite3", CursorReader),
        ("psycopg2x.extensions", CursorReader),
        ("my.psycopg2", CursorReader),
    ],
)
def test_the_reader_of_a_driver(module: str, reader: type[Any]) -> None:
    assert type(reader_of(connection_of(module), chunk_size=7)) is reader


def test_a_subclass_of_a_drivers_connection_is_read_like_it() -> None:
    base = type(connection_of("psycopg2.extensions"))
    assert type(reader_of(connection_of("my.company", base=base), chunk_size=7)) is Psycopg2Reader


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE members (day INTEGER, idfa TEXT)")
    connection.executemany("INSERT INTO members VALUES (?, ?)", [(number, f"m{number}") for number in range(10)])
    yield connection
    connection.close()


@pytest.mark.parametrize("kind", [CursorReader, DescribedReader])
@pytest.mark.parametrize(("chunk_size", "sizes"), [(3, [3, 3, 3, 1]), (5, [5, 5]), (10, [10]), (99, [10])])
def test_rows_come_in_chunks(
    database: sqlite3.Connection, kind: type[CursorReader], chunk_size: int, sizes: list[int]
) -> None:
    reader = kind(database, chunk_size=chunk_size)
    reader.execute("SELECT day, idfa FROM members ORDER BY day")
    assert reader.column_names() == ["day", "idfa"]
    chunks = [list(cast("list[str]", chunk)) for chunk in reader.chunks(1)]
    assert [len(chunk) for chunk in chunks] == sizes
    assert [value for chunk in chunks for value in chunk] == [f"m{number}" for number in range(10)]


@pytest.mark.parametrize("kind", [CursorReader, DescribedReader])
def test_parameters_and_an_empty_result(database: sqlite3.Connection, kind: type[CursorReader]) -> None:
    reader = kind(database, chunk_size=3)
    reader.execute("SELECT idfa FROM members WHERE day > ?", (99,))
    assert reader.column_names() == ["idfa"]
    assert list(reader.chunks(0)) == []


@pytest.mark.parametrize("kind", [CursorReader, DescribedReader])
def test_a_statement_without_rows_has_no_columns(database: sqlite3.Connection, kind: type[CursorReader]) -> None:
    reader = kind(database, chunk_size=3)
    reader.execute("DELETE FROM members")
    assert reader.column_names() == []


class Mapped(dict[str, Any]):
    """A row that a cursor with a row factory returns."""


def test_rows_may_be_mappings(database: sqlite3.Connection) -> None:
    database.row_factory = lambda cursor, row: Mapped(
        zip((column[0] for column in cursor.description), row, strict=True)
    )
    reader = CursorReader(database, chunk_size=4)
    reader.execute("SELECT day, idfa FROM members WHERE day < 2 ORDER BY day")
    reader.column_names()
    assert list(reader.chunks(1)) == [["m0", "m1"]]


@pytest.mark.parametrize("failed", [False, True])
def test_cursor_and_connection_are_closed(database: sqlite3.Connection, failed: bool) -> None:
    reader = CursorReader(database, chunk_size=3)
    reader.execute("SELECT idfa FROM members")
    reader.column_names()
    reader.close(failed=failed)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")


def test_a_close_that_fails_hides_no_earlier_error() -> None:
    def fail() -> None:
        raise RuntimeError

    reader = CursorReader(types.SimpleNamespace(cancel=fail, close=fail), chunk_size=3)
    reader.close(failed=True)


def test_mysql_asks_for_the_cursor_of_its_own_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both libraries may be installed."""
    for library in ("pymysql", "MySQLdb"):
        cursors = types.ModuleType(f"{library}.cursors")
        vars(cursors)["SSCursor"] = library
        monkeypatch.setitem(sys.modules, library, types.ModuleType(library))
        monkeypatch.setitem(sys.modules, f"{library}.cursors", cursors)
    for library in ("pymysql", "MySQLdb"):
        connection = connection_of(f"{library}.connections")
        asked: list[str] = []
        type(connection).cursor = lambda _self, kind, asked=asked: (
            asked.append(kind) or types.SimpleNamespace(execute=lambda _sql: None)
        )
        reader_of(connection, chunk_size=3).execute("SELECT 1")
        assert asked == [library]


def test_names_of_cursors_are_all_new() -> None:
    names = {server_side_name() for _ in range(100)}
    assert len(names) == 100
    assert all(name.isidentifier() and len(name) < 64 for name in names)
