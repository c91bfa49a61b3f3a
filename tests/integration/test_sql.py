"""Members from real databases: PostgreSQL and SQLite, through Airflow's own hooks."""

import json
import sqlite3
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_audiences.exceptions import InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.members.columns import TextColumn
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.sources import SqlSource
from airflow_provider_audiences.sources.opening import open_source

ID = "1e1e1e1e-abcd-4000-8000-00000000feed"
OPEN_CURSORS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'airflow'"


def members(source: Any) -> list[Any]:
    with open_source(source) as values:
        assert isinstance(values, ValuesInput)
        return [
            [chunk.text(row).decode() for row in range(len(chunk))] if isinstance(chunk, TextColumn) else list(chunk)
            for chunk in values.chunks
        ]


def refused(source: Any, error_type: Any = InvalidInputError) -> str:
    with pytest.raises(error_type) as refusal:
        members(source)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
    return str(refusal.value)


@pytest.fixture(params=["psycopg2", "psycopg"])
def warehouse(request: pytest.FixtureRequest, postgres: Any, use_driver: Callable[[str], None]) -> Any:
    """A connection as ``postgres``; Airflow's hook has one driver and then the other."""
    use_driver(request.param)
    return postgres


@pytest.fixture(params=["psycopg2", "psycopg", "lite"])
def filled(request: pytest.FixtureRequest, use_driver: Callable[[str], None]) -> Any:
    """The id of a connection to a database with a table of people."""
    database = request.getfixturevalue("sqlite" if request.param == "lite" else "postgres")
    if request.param != "lite":
        use_driver(request.param)
    cursor = database.cursor()
    cursor.execute("CREATE TABLE people (n integer, idfa text, country text)")
    for n in range(5):
        cursor.execute(f"INSERT INTO people VALUES ({n}, 'id-{n}', {'NULL' if n == 3 else repr('de')})")
    database.commit()
    return "lite" if request.param == "lite" else "warehouse"


def test_rows_come_in_chunks(filled: Any) -> None:
    source = SqlSource(filled, "SELECT n FROM people ORDER BY n", chunk_size=2)
    assert members(source) == [[0, 1], [2, 3], [4]]
    assert members(SqlSource(filled, "SELECT idfa FROM people ORDER BY n", chunk_size=5)) == [
        [f"id-{n}" for n in range(5)]
    ]


def test_a_column_is_chosen_by_its_name(filled: Any) -> None:
    def of(column: Any, select: str = "n, idfa") -> list[Any]:
        return members(SqlSource(filled, f"SELECT {select} FROM people WHERE n = 1", column=column))

    assert of("idfa") == of("IDFA") == [["id-1"]]
    assert of("n") == [[1]]
    # The exact name goes first.
    assert of("Idfa", 'idfa, country AS "Idfa"') == [["de"]]


def test_a_column_that_is_not_there_or_not_clear_is_named(filled: Any) -> None:
    text = refused(SqlSource(filled, "SELECT n, idfa FROM people", column="gaid"))
    assert text == f"SqlSource of connection {filled}: no column gaid: the statement returns n, idfa."
    text = refused(SqlSource(filled, "SELECT n, idfa FROM people"))
    assert "returns 2 columns (n, idfa): say with column= which" in text
    text = refused(SqlSource(filled, "SELECT idfa, idfa FROM people", column="idfa"))
    assert "2 columns are named idfa" in text


def test_null_is_handed_on_and_no_rows_are_none(filled: Any) -> None:
    ((null, country),) = members(SqlSource(filled, "SELECT country FROM people WHERE n > 2 ORDER BY n"))
    assert (null or "", country) == ("", "de")
    assert members(SqlSource(filled, "SELECT idfa FROM people WHERE n > 100")) == []
    assert "no column x" in refused(SqlSource(filled, "SELECT idfa FROM people WHERE n > 100", column="x"))


def test_parameters_are_the_drivers(filled: Any) -> None:
    if filled == "warehouse":
        assert members(SqlSource(filled, "SELECT idfa FROM people WHERE n = %s", parameters=[2])) == [["id-2"]]
        assert members(SqlSource(filled, "SELECT idfa FROM people WHERE n = %(n)s", parameters={"n": 2})) == [["id-2"]]
        # Without parameters a % is only a %.
        assert members(SqlSource(filled, "SELECT idfa FROM people WHERE idfa LIKE '%2'")) == [["id-2"]]
    else:
        assert members(SqlSource(filled, "SELECT idfa FROM people WHERE n = ?", parameters=(2,))) == [["id-2"]]
        assert members(SqlSource(filled, "SELECT idfa FROM people WHERE n = :n", parameters={"n": 2})) == [["id-2"]]


@pytest.mark.parametrize("parameters", [[ID], [ID, ID, ID], {"x": ID}])
def test_parameters_that_do_not_fit_are_refused_and_not_shown(
    filled: Any, parameters: list[str] | dict[str, Any]
) -> None:
    mark = "%s" if filled == "warehouse" else "?"
    text = refused(SqlSource(filled, f"SELECT idfa FROM people WHERE n = {mark} AND n = {mark}", parameters=parameters))
    assert "parameters" in text or "the database refused" in text
    assert ID not in text


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT idfa FROM nobody", "nobody"),
        ("SELECT gaid FROM people", "gaid"),
        ("SELEKT idfa FROM people", "SELEKT"),
        ("SELECT nofunction(idfa) FROM people", "nofunction"),
    ],
)
def test_a_wrong_statement_is_permanent_and_said(filled: Any, sql: str, said: str) -> None:
    text = refused(SqlSource(filled, sql))
    assert text.startswith(f"SqlSource of connection {filled}: the database refused the statement: ")
    assert said in text
    assert "\n" not in text


def test_a_statement_that_fails_on_the_way_is_permanent_too(warehouse: Any) -> None:
    source = SqlSource("warehouse", "SELECT 1 / (3 - n) FROM generate_series(1, 5) AS n", chunk_size=1)
    assert "division by zero" in refused(source)


def test_what_the_database_quotes_is_not_shown(warehouse: Any) -> None:
    for quoted in (ID, "13912345678", "sesame-key"):
        text = refused(SqlSource("warehouse", f'SELECT 1 FROM "{quoted}"'))
        assert quoted not in text
        assert 'relation "***" does not exist' in text


def test_a_statement_without_rows_is_refused(warehouse: Any, sqlite: sqlite3.Connection) -> None:
    sqlite.execute("CREATE TABLE t (x)")
    assert "returns no rows: give a SELECT" in refused(SqlSource("lite", "INSERT INTO t VALUES (1)"))
    assert sqlite.execute("SELECT count(*) FROM t").fetchone() == (0,)
    warehouse.cursor().execute("CREATE TABLE t (x integer)")
    assert 'syntax error at or near "INSERT"' in refused(SqlSource("warehouse", "INSERT INTO t VALUES (1)"))


@pytest.mark.parametrize("sql", ["", "  ", None, 7, ["SELECT 1"]])
def test_what_is_no_statement_is_refused(sql: Any) -> None:
    assert "sql must be one statement" in refused(SqlSource("warehouse", sql))


@pytest.mark.parametrize("chunk_size", [0, -1, 1.5, "9", True, None])
def test_a_chunk_has_rows(chunk_size: Any) -> None:
    assert "chunk_size must be" in refused(SqlSource("warehouse", "SELECT 1", chunk_size=chunk_size))


def test_a_file_that_nobody_rendered_is_named() -> None:
    assert "the file ids.sql was not loaded" in refused(SqlSource("warehouse", "ids.sql"))


def test_values_are_what_the_driver_makes_of_them(warehouse: Any) -> None:
    assert members(SqlSource("warehouse", f"SELECT '{ID}'::uuid")) == [[ID]]
    ((moment,),) = members(SqlSource("warehouse", "SELECT '2026-11-20'::date"))
    assert moment == date(2026, 11, 20)


@pytest.mark.parametrize("cursor", ["dictcursor", "namedtuplecursor"])
def test_the_connections_own_kind_of_cursor_does_not_matter(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch, cursor: str
) -> None:
    import os

    connection = json.loads(os.environ["AIRFLOW_CONN_WAREHOUSE"])
    connection["extra"]["cursor"] = cursor
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    assert members(SqlSource("warehouse", "SELECT 1 AS n, 'x' AS idfa", column="idfa")) == [["x"]]


def test_rows_wait_on_the_server(warehouse: Any) -> None:
    # Each row takes a hundredth of a second to make: all would take hours. Each is long, so that a few fill a block.
    sql = (
        "SELECT rpad(n::text, 200000, '.') || coalesce(pg_sleep(0.01)::text, '') FROM generate_series(1, 1000000) AS n"
    )
    with open_source(SqlSource("warehouse", sql, chunk_size=10)) as values:
        assert isinstance(values, ValuesInput)
        chunks = iter(values.chunks)
        next(chunks), next(chunks)
        watch = warehouse.cursor()
        watch.execute(OPEN_CURSORS)
        assert watch.fetchone() == (1,)
    watch.execute(OPEN_CURSORS)
    assert _gone(watch)


def _gone(watch: Any) -> bool:
    for _ in range(100):
        watch.execute(OPEN_CURSORS)
        if watch.fetchone() == (0,):
            return True
        watch.execute("SELECT pg_sleep(0.05)")
    return False


def test_a_failure_on_the_way_closes_the_connection(warehouse: Any) -> None:
    source = SqlSource("warehouse", "SELECT n FROM generate_series(1, 1000000) AS n", chunk_size=10)

    def fail(values: Any) -> None:
        next(iter(values.chunks))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), open_source(source) as values:
        fail(values)
    assert _gone(warehouse.cursor())
    refused(SqlSource("warehouse", "SELECT 1, 2"))
    assert _gone(warehouse.cursor())


def test_a_server_that_goes_away_may_come_back(warehouse: Any) -> None:
    source = SqlSource("warehouse", "SELECT n FROM generate_series(1, 1000000) AS n", chunk_size=10)

    def read(values: Any) -> None:
        for number, _ in enumerate(values.chunks):
            if number == 3:
                warehouse.cursor().execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'airflow'"
                )

    with pytest.raises(SourceUnavailableError) as failure, open_source(source) as values:
        read(values)
    assert str(failure.value).startswith("SqlSource of connection warehouse: the database failed: ")
    assert str(failure.value).endswith("Check the source's connection and its database, then try again.")


def test_a_server_that_is_not_there_may_come_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    connection = {"conn_type": "postgres", "host": str(tmp_path), "login": "me", "password": "sesame-key"}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    text = refused(SqlSource("warehouse", "SELECT 1"), SourceUnavailableError)
    assert "sesame" not in text


def test_a_locked_database_may_come_free(
    sqlite: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sqlite.execute("CREATE TABLE t (x)")
    sqlite.execute("BEGIN EXCLUSIVE")
    connection = {"conn_type": "sqlite", "host": str(tmp_path / "members.sqlite"), "extra": {"timeout": "0"}}
    monkeypatch.setenv("AIRFLOW_CONN_LITE", json.dumps(connection))
    assert "database is locked" in refused(SqlSource("lite", "SELECT x FROM t"), SourceUnavailableError)


@pytest.mark.parametrize("conn_type", ["aws", "http", "nobodys"])
def test_a_connection_that_is_no_database_is_named(monkeypatch: pytest.MonkeyPatch, conn_type: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_X", json.dumps({"conn_type": conn_type, "password": "sesame"}))
    text = refused(SqlSource("x", "SELECT 1"))
    assert f"SqlSource of connection x: a connection of type '{conn_type}' " in text
    assert "sesame" not in text
