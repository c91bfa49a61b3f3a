"""Queries by ADBC's own driver for PostgreSQL, as a user's hook may give one: Arrow gives what its cursor gives."""

import types
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_audiences.exceptions import InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.members.columns import TextColumn, column_of_values
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.sources import SqlSource, query_readers
from airflow_provider_audiences.sources.opening import open_source

ID = "1e1e1e1e-abcd-4000-8000-00000000feed"


@pytest.fixture
def adbc(postgres: Any, postgres_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A connection as ``postgres``; Airflow's connection ``x`` has a hook that opens ADBC's."""
    from adbc_driver_postgresql import dbapi

    uri = f"postgresql:///postgres?host={postgres_server}&user=postgres&application_name=airflow"
    hook = types.SimpleNamespace(get_conn=lambda: dbapi.connect(uri), get_records=None)
    connection = types.SimpleNamespace(conn_type="x", password=None, get_hook=lambda: hook)
    monkeypatch.setattr(BaseHook, "get_connection", lambda _conn_id: connection)
    return postgres


def texts_of(chunks: list[Any]) -> list[bytes]:
    columns = [column_of_values(chunk, name="x", first_row=1) for chunk in chunks]
    return [column.text(row) for column in columns for row in range(len(column))]


def chunks_of(sql: str, **arguments: Any) -> list[Any]:
    with open_source(SqlSource("x", sql, **arguments)) as values:
        assert isinstance(values, ValuesInput)
        return list(values.chunks)


@pytest.mark.parametrize(
    "values",
    [
        "('a'), (null), (''), ('\\N'), (E'a\\nb'), ('手')",
        f"('{ID}'::uuid), (null), ('00000000-0000-0000-0000-000000000000')",
        "(E'\\\\xff00'::bytea), (null)",
        "(1), (null), (3)",
    ],
)
def test_batches_give_what_the_cursor_gives(adbc: Any, monkeypatch: pytest.MonkeyPatch, values: str) -> None:
    sql = f"SELECT 'x' AS other, m FROM (VALUES {values}) AS v (m)"
    by_batches = chunks_of(sql, column="M")
    monkeypatch.setattr(query_readers, "_READERS", {})
    if values.startswith("(1)"):
        assert by_batches == chunks_of(sql, column="m") == [[1, None, 3]]
    else:
        assert all(isinstance(chunk, TextColumn) for chunk in by_batches)
        assert texts_of(by_batches) == texts_of(chunks_of(sql, column="M"))


def test_many_rows_and_none(adbc: Any) -> None:
    chunks = chunks_of("SELECT n::text FROM generate_series(1, 100000) AS n")
    assert sum(map(len, chunks)) == 100_000
    assert chunks_of("SELECT 'a' WHERE false") == []


def test_errors_are_ours(adbc: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"refused the statement: .*nobody"):
        chunks_of("SELECT x FROM nobody")
    with pytest.raises(InvalidInputError, match="no column x: the statement returns a"):
        chunks_of("SELECT 'a' AS a", column="x")
    with pytest.raises(SourceUnavailableError, match=r"the database failed: .*division by zero"):
        chunks_of("SELECT ('a' || 1 / (200000 - n))::text FROM generate_series(1, 200000) AS n")
