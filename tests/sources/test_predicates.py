"""Conditions for partitions in SQL: databases place texts as the rule in Python does."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spelled_ids import texts

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.partition import Partition, partitions, placed_text
from airflow_provider_audiences.sources.partitions import PartitionedReading
from airflow_provider_audiences.sources.predicates import TemplatePartition, predicate
from airflow_provider_audiences.sources.types import FileSource, SqlSource

A = Partition.named("a")


@pytest.fixture(scope="module")
def placed() -> Iterator[Callable[..., Any]]:
    """Asks SQLite or DuckDB which partitions read each of some texts."""
    lite, duck = sqlite3.connect(":memory:"), duckdb.connect()
    databases: dict[str, Any] = {"sqlite": lite, "duckdb": duck}
    for database in databases.values():
        database.execute("CREATE TABLE given (n integer, idfa text)")

    def ask(dialect: str, some: Iterable[str | None], asked: Iterable[Partition]) -> dict[int, list[str]]:
        database = databases[dialect]
        database.execute("DELETE FROM given")
        rows = list(enumerate(some))
        database.executemany("INSERT INTO given VALUES (?, ?)", rows)
        found: dict[int, list[str]] = {number: [] for number, _ in rows}
        for partition in asked:
            condition = predicate("idfa", partition, dialect=dialect)
            for (number,) in database.execute(f"SELECT n FROM given WHERE {condition}").fetchall():
                found[number].append(partition.hex)
        return found

    yield ask
    lite.close()
    duck.close()


@pytest.mark.parametrize("dialect", ["sqlite", "duckdb"])
@settings(max_examples=40)
@given(some=st.lists(texts, min_size=1, max_size=10))
def test_a_database_places_texts_as_the_rule_does(placed: Callable[..., Any], dialect: str, some: list[str]) -> None:
    found = placed(dialect, some, partitions(16))
    assert found == {number: [one.hex for one in partitions(16) if one.takes(text)] for number, text in enumerate(some)}


@pytest.mark.parametrize("dialect", ["sqlite", "duckdb"])
@settings(max_examples=15)
@given(some=st.lists(texts, min_size=1, max_size=10))
def test_two_digits_too(placed: Callable[..., Any], dialect: str, some: list[str]) -> None:
    asked = {Partition.named("00"), *(Partition(hex=placed_text(text, digits=2)) for text in some)}
    found = placed(dialect, some, asked)
    assert found == {number: [one.hex for one in asked if one.takes(text)] for number, text in enumerate(some)}


@pytest.mark.parametrize("dialect", ["sqlite", "duckdb"])
def test_null_stays_out(placed: Callable[..., Any], dialect: str) -> None:
    everyone = [*partitions(1), *partitions(16), Partition.named("00")]
    assert placed(dialect, [None], everyone) == {0: []}
    assert placed(dialect, [""], everyone) == {0: ["", "0", "00"]}


def test_the_other_dialects() -> None:
    bigquery = predicate("t.idfa", A, dialect="bigquery")
    assert bigquery.startswith("(CASE WHEN SUBSTR(CAST(t.idfa AS string), 1, 1) IN ('0', '1', ")
    assert "LOWER(TRANSLATE(CAST(t.idfa AS string), " in bigquery
    assert "CAST(idfa AS varchar)" in predicate("idfa", A, dialect="snowflake")
    mysql = predicate("idfa", A, dialect="mysql")
    assert "CAST(idfa AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin" in mysql
    assert "CHAR(9 USING utf8mb4)" in mysql
    # Bytes that are no text are read by partition 0, which says whose they are.
    assert "(idfa) IS NOT NULL AND CAST(idfa AS CHAR" in predicate("idfa", Partition.named("0"), dialect="mysql")
    for dialect in ("postgresql", "mysql", "bigquery", "snowflake", "sqlite", "duckdb"):
        text = predicate("idfa", Partition.named("00"), dialect=dialect)
        assert not {"%", "?", "\\", "\n"} & set(text)  # nothing that a driver takes for a placeholder
        assert text.count("(") == text.count(")")


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, conn_type in (("WAREHOUSE", "postgres"), ("LITE", "sqlite"), ("ODD", "odbc")):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": conn_type, "host": "h"}))


def rendered(source: Any, partition: Partition = A) -> tuple[Any, bool]:
    known = TemplatePartition(partition)
    return source.resolve({"partition": known, "ds": "2026-03-01"}), known.is_used


def test_a_query_says_where_the_condition_goes(connections: None) -> None:
    sql = """SELECT idfa FROM t WHERE {{ partition.where("idfa") }} AND day = '{{ ds }}'"""
    warehouse, is_used = rendered(SqlSource("warehouse", sql))
    assert warehouse.sql == (
        f"SELECT idfa FROM t WHERE {predicate('idfa', A, dialect='postgresql')} AND day = '2026-03-01'"
    )
    assert is_used
    assert rendered(SqlSource("{{ 'lite' }}", sql))[0].sql.count(predicate("idfa", A, dialect="sqlite")) == 1
    assert rendered(SqlSource("warehouse", "SELECT 1")) == (SqlSource("warehouse", "SELECT 1"), False)
    named = """SELECT x FROM t WHERE {{ partition.where("x", dialect="snowflake") }}"""
    assert predicate("x", A, dialect="snowflake") in rendered(SqlSource("odd", named))[0].sql


def test_digits_of_a_folder() -> None:
    source, is_used = rendered(FileSource("/d/{{ ds }}/prefix={{ partition.hex }}/", column="idfa"))
    assert (source.path, is_used) == ("/d/2026-03-01/prefix=a/", True)
    assert rendered(FileSource("/d/{{ partition.number }}-{{ partition.count }}"))[0].path == "/d/10-16"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (SqlSource("odd", '{{ partition.where("x") }}'), "in the SQL of 'odbc' is not known"),
        (SqlSource("nobody", '{{ partition.where("x") }}'), "there is no such connection"),
        (SqlSource("lite", '{{ partition.where("x", dialect="oracle") }}'), "dialect must be one of bigquery, duckdb"),
        (FileSource('{{ partition.where("x") }}'), "partition.where is for the query of an SqlSource"),
    ],
)
def test_a_condition_that_can_t_be_made(connections: None, source: Any, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        rendered(source)


def test_a_query_is_narrowed_by_its_column(connections: None, caplog: pytest.LogCaptureFixture) -> None:
    reading = PartitionedReading(partition=A, placed=frozenset({"suppress"}))
    caplog.set_level("INFO")
    query = SqlSource("lite", "SELECT idfa, day FROM t -- all;\n;", column="idfa", parameters=[1])
    narrowed, is_narrowed = reading.narrowed("source", query)
    condition = predicate("idfa", A, dialect="sqlite")
    assert (
        narrowed.sql == f"SELECT idfa FROM (\nSELECT idfa, day FROM t -- all;\n\n) audience_members WHERE {condition}"
    )
    assert (narrowed.parameters, is_narrowed) == ([1], True)
    assert condition in caplog.text
    assert reading.narrowed("suppress", query) == (query, True)
    caplog.clear()
    assert reading.narrowed("source", ["a"]) == (["a"], False)
    assert "all 16 partitions read all of it" in caplog.text


@pytest.mark.parametrize("column", [None, "device id", 'a"b'])
def test_a_query_without_a_plain_column_says_what_to_do(connections: None, column: str | None) -> None:
    reading = PartitionedReading(partition=A, placed=frozenset())
    with pytest.raises(InvalidInputError, match=r"must say which column .*partition.where\(\"idfa\"\)"):
        reading.narrowed("source", SqlSource("lite", "SELECT idfa FROM t", column=column))
