"""PostgreSQL by COPY and by cursors: the same members, rejects and errors, by Airflow's own hook and a real server."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.extras import execute_values

from airflow_provider_audiences.exceptions import InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.members.columns import TextColumn
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.members.reading.chunks import MemberChunk, read_members
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.sources import SqlSource, copy_stream, postgres
from airflow_provider_audiences.sources.opening import open_source
from airflow_provider_audiences.stopping import Stopped

ID = "1e1e1e1e-abcd-4000-8000-00000000feed"
KIND = AdvertisingIds()

nasty = st.text(
    st.sampled_from("\\N.tnr\n\r\t\b\"', ;%({é手") | st.characters(exclude_characters="\0", codec="utf-8"), max_size=30
)
texts = st.none() | st.sampled_from([ID, f'"{ID}"', ID.upper(), "", "\\N", "NULL", "\\.", "{}"]) | nasty
uuids = st.none() | st.sampled_from([UUID(ID), UUID(int=0)]) | st.uuids()
rows = st.lists(st.tuples(texts, texts, uuids), min_size=1, max_size=20)


@pytest.fixture(params=["psycopg2", "psycopg"])
def warehouse(request: pytest.FixtureRequest, postgres: Any, use_driver: Callable[[str], None]) -> Any:
    use_driver(request.param)
    return postgres


@pytest.fixture
def copying(postgres: Any, use_driver: Callable[[str], None]) -> Any:
    """A connection as ``postgres``; Airflow's hook has the driver that copies."""
    use_driver("psycopg2")
    return postgres


def chunks_of(folder: Path, sql: str, **arguments: Any) -> list[MemberChunk]:
    with (
        open_source(SqlSource("warehouse", sql, **arguments)) as source,
        open_workspace(StagingSettings(temp_folder=folder)) as workspace,
    ):
        return list(read_members(source, workspace=workspace))


def read(folder: Path, sql: str, **arguments: Any) -> list[str]:
    chunks = chunks_of(folder, sql, **arguments)
    return [chunk.column.text(row).decode() for chunk in chunks for row in range(len(chunk.column))]


def parsed(chunks: list[MemberChunk]) -> tuple[list[Any], dict[str, list[str]]]:
    """What becomes of the rows: keys, and the places of rejected ones by reason."""
    results = [(chunk, KIND.parse(chunk.column)) for chunk in chunks]
    places: dict[str, list[str]] = {}
    for chunk, result in results:
        for reason, found in result.rejected.items():
            places.setdefault(reason, []).extend(map(chunk.place, found.tolist()))
    return sorted(key for _, result in results for key in result.keys.tolist()), places


def is_copied(sql: str, **arguments: Any) -> bool:
    """Whether rows come by COPY, which gives columns, and not by a cursor."""
    with open_source(SqlSource("warehouse", sql, **arguments)) as values:
        assert isinstance(values, ValuesInput)
        return isinstance(next(iter(values.chunks)), TextColumn)


def fill(database: Any, written: list[Any]) -> None:
    cursor = database.cursor()
    cursor.execute("DROP TABLE IF EXISTS people; CREATE TABLE people (n int, t text, v varchar, c char(60), u uuid)")
    values = [(n, t, v, v, u and str(u)) for n, (t, v, u) in enumerate(written)]
    execute_values(cursor, "INSERT INTO people VALUES %s", values, template="(%s, %s, %s, %s, %s::uuid)")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=rows, names=st.permutations(["n", "t", "v", "c", "u"]), block_bytes=st.sampled_from([20, 1 << 20]))
def test_copied_rows_are_those_of_the_cursor(
    warehouse: Any, tmp_path: Path, written: list[Any], names: list[str], block_bytes: int
) -> None:
    fill(warehouse, written)
    expected = {
        "t": [t or "" for t, _, _ in written],
        "v": [v or "" for _, v, _ in written],
        "c": ["" if v is None else v.ljust(60) for _, v, _ in written],
        "u": [str(u or "") for _, _, u in written],
    }
    for column, values in expected.items():
        arguments = {"sql": f"SELECT {', '.join(names)} FROM people ORDER BY n", "column": column}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(copy_stream, "_BLOCK_BYTES", block_bytes)
            chunks = chunks_of(tmp_path, **arguments)
            patch.setattr(postgres, "_FIRST_VERSION", 10**9)
            patch.setattr(postgres, "_UUID", None)
            fetched = chunks_of(tmp_path, **arguments)
        assert [chunk.column.text(row).decode() for chunk in chunks for row in range(len(chunk.column))] == values
        assert parsed(chunks) == parsed(fetched)


@pytest.mark.parametrize(
    "select",
    [
        "'a'",
        "'a'::varchar(3)",
        f"'{ID}'::uuid",
        "'x' AS a, 'y' AS a, 'z' AS m",
        "null",
        "m FROM (VALUES ('a')) AS v (m)",
    ],
)
@pytest.mark.parametrize(
    "form", ["SELECT {}", "(SELECT {})", "SELECT {} ORDER BY 1 -- last\n;", "WITH w AS (SELECT 1) SELECT {} -- no end"]
)
def test_statements_that_are_copied(copying: Any, tmp_path: Path, select: str, form: str) -> None:
    column = "m" if " m" in select else None
    sql = form.format(select)
    assert is_copied(sql, column=column)
    expected = {"'x' AS a, 'y' AS a, 'z' AS m": "z", "null": "", f"'{ID}'::uuid": ID}.get(select, "a")
    assert read(tmp_path, sql, column=column) == [expected]


@pytest.mark.parametrize(
    ("sql", "arguments", "expected"),
    [
        ("SELECT 1 AS n, 'a' AS m", {"column": "n"}, None),
        ("SELECT '2026-11-20'::date", {}, None),
        ("SELECT decode('ff', 'hex')", {}, None),
        ("SELECT '{a}'::text[]", {}, None),
        ("SELECT 'a;b'", {}, ["a;b"]),
        ("SELECT 'a'; SELECT 'b'", {}, ["a"]),
        ("SELECT %s", {"parameters": ["a;b"]}, ["a;b"]),
    ],
)
def test_statements_that_are_fetched(
    copying: Any, tmp_path: Path, sql: str, arguments: dict[str, Any], expected: list[str] | None
) -> None:
    assert not is_copied(sql, **arguments)
    if expected is not None:
        assert read(tmp_path, sql, **arguments) == expected


@pytest.mark.parametrize("text", ["a", 'it\'s "50 %"', "\\N", "手", "%s %(x)s %%", "x'; DROP TABLE people --"[:3]])
def test_parameters_are_put_in_by_the_driver(warehouse: Any, tmp_path: Path, text: str) -> None:
    assert read(tmp_path, "SELECT %s::text", parameters=[text]) == [text]
    assert read(tmp_path, "SELECT %(t)s::text || '%%'", parameters={"t": text}) == [f"{text}%"]
    assert read(tmp_path, "SELECT '%s %% %(x)s'::text") == ["%s %% %(x)s"]


def test_the_users_own_session_is_the_one_that_copies(
    copying: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_WAREHOUSE"])
    connection["extra"]["options"] = "-c search_path=lake -c default_transaction_read_only=on"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    cursor = copying.cursor()
    cursor.execute("DROP SCHEMA IF EXISTS lake CASCADE; CREATE SCHEMA lake")
    cursor.execute("CREATE TABLE lake.people (t text); INSERT INTO lake.people VALUES ('a')")
    cursor.execute("CREATE VIEW lake.seen AS SELECT t FROM lake.people")
    assert is_copied("SELECT t FROM seen")
    assert read(tmp_path, "SELECT t FROM seen") == ["a"]


@pytest.mark.parametrize(
    ("extra", "expected"), [({"client_encoding": "latin1"}, False), ({"cursor": "dictcursor"}, True)]
)
def test_settings_of_the_connection(
    copying: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: dict[str, str], expected: bool
) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_WAREHOUSE"])
    connection["extra"] |= extra
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    assert is_copied("SELECT 'é'::text") == expected
    assert read(tmp_path, "SELECT 'é'::text") == ["é"]


def test_a_role_sees_the_rows_that_it_may_see(copying: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(copying, [("mine", "", None), ("theirs", "", None)])
    cursor = copying.cursor()
    cursor.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA public TO reader")
    cursor.execute("GRANT SELECT (n, t) ON people TO reader; ALTER TABLE people ENABLE ROW LEVEL SECURITY")
    cursor.execute("CREATE POLICY own ON people FOR SELECT TO reader USING (t = 'mine')")
    connection = json.loads(os.environ["AIRFLOW_CONN_WAREHOUSE"]) | {"login": "reader"}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    assert is_copied("SELECT t FROM people")
    assert read(tmp_path, "SELECT t FROM people") == ["mine"]
    with pytest.raises(InvalidInputError, match="permission denied for table people"):
        read(tmp_path, "SELECT u FROM people")
    cursor.execute("DROP TABLE people; DROP OWNED BY reader; DROP ROLE reader")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_SAVEPOINT", "no such statement"),
        ("_DESCRIBE", "no such statement"),
        ("_FORMS", {25: replace(postgres._AS_TEXT, options="no such option")}),
        ("_FIRST_VERSION", 10**9),
    ],
)
def test_what_the_server_does_not_take_is_fetched(
    copying: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    fill(copying, [(text, text, None) for text in "abc"])
    monkeypatch.setattr(postgres, name, value)
    assert not is_copied("SELECT t FROM people")
    assert read(tmp_path, "SELECT t FROM people ORDER BY n") == ["a", "b", "c"]
    assert read(tmp_path, "SELECT n, t FROM people ORDER BY n", column="t", chunk_size=1) == ["a", "b", "c"]
    with pytest.raises(InvalidInputError, match="no column x: the statement returns n, t"):
        read(tmp_path, "SELECT n, t FROM people", column="x")


@pytest.mark.parametrize("rows", [1, 200_000])
def test_a_statement_that_fails_on_the_way(warehouse: Any, tmp_path: Path, rows: int) -> None:
    sql = f"SELECT ('a' || 1 / ({rows} - n))::text FROM generate_series(1, {rows}) AS n"
    with pytest.raises(InvalidInputError) as failure:
        read(tmp_path, sql)
    assert str(failure.value).endswith("refused the statement: DivisionByZero: division by zero.")
    assert_nothing_runs(warehouse)


def test_a_server_that_goes_away(warehouse: Any) -> None:
    def end(number: int) -> None:
        if number == 1:
            warehouse.cursor().execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'airflow'"
            )

    with pytest.raises(SourceUnavailableError, match="the database failed: "):
        read_all("SELECT n::text FROM generate_series(1, 9000000) AS n", end)
    assert_nothing_runs(warehouse)


@pytest.mark.parametrize("sql", ["SELECT n::text FROM generate_series(1, 90000000) AS n", "SELECT pg_sleep(60)::text"])
def test_a_task_that_is_stopped_ends_its_statement(warehouse: Any, sql: str) -> None:
    """As by Airflow's signal: an error in the thread that reads, also while it waits for the first row."""

    def stop(*_: object) -> None:
        raise Stopped

    previous = signal.signal(signal.SIGALRM, stop)
    started = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.7)
        with pytest.raises(Stopped):
            read_all(sql)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert time.monotonic() - started < 20
    assert_nothing_runs(warehouse)


def read_all(sql: str, seen: Callable[[int], object] = id) -> None:
    """Read a query, and say after each chunk which it was."""
    with open_source(SqlSource("warehouse", sql)) as values:
        assert isinstance(values, ValuesInput)
        for number, _ in enumerate(values.chunks):
            seen(number)


def assert_nothing_runs(database: Any) -> None:
    """The statement is over, its connection closed, and the thread that copied gone."""
    cursor = database.cursor()
    for _ in range(100):
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'airflow'")
        if cursor.fetchone() == (0,):
            break
        cursor.execute("SELECT pg_sleep(0.05)")
    else:
        raise AssertionError("a connection is still open")
    assert not [thread for thread in threading.enumerate() if thread.name == "audiences-copy"]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "audiences-copy"]
