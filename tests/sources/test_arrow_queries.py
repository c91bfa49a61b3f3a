"""Queries by Arrow batches where the services are not here: Snowflake and BigQuery, by canned results of pyarrow."""

import sys
import types
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_audiences.exceptions import InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.members.columns import TextColumn
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.sources import SqlSource
from airflow_provider_audiences.sources.opening import open_source

ROWS: list[tuple[int, str | None]] = [(1, "a"), (2, None), (3, "手")]
TABLE = pa.table({"n": [n for n, _ in ROWS], "idfa": [text for _, text in ROWS]})
BIGQUERY = "airflow.providers.google.cloud.hooks.bigquery"


class Error(Exception):
    """The root of a driver's errors, as DB-API names it."""


class NotSupportedError(Error):
    pass


class GoogleAPIError(Exception):
    """The root of the errors of Google's clients."""


class Forbidden(GoogleAPIError):  # noqa: N818 - its own name
    pass


class ServiceUnavailable(GoogleAPIError):  # noqa: N818 - the same
    pass


class Cursor:
    """A cursor that has its rows both as values and as Arrow."""

    def __init__(self, description: list[tuple[Any, ...]], refuses: type[Exception] | None = None) -> None:
        self.description, self.refuses = description, refuses
        self.rows: list[Any] = list(ROWS)
        self.closed = False
        self.hook = self
        self.project_id, self.location, self.job_id = "p", "eu", "j1"

    def execute(self, _sql: str) -> None:
        pass

    def fetchmany(self, size: int) -> list[Any]:
        rows, self.rows = self.rows[:size], self.rows[size:]
        return rows

    def fetch_arrow_batches(self) -> Iterator[Any]:
        if self.refuses:
            raise self.refuses("not in Arrow's format")
        yield from (TABLE.slice(0, 2), TABLE.slice(2))

    def close(self) -> None:
        self.closed = True

    # Airflow's hook of BigQuery, its client, a job of it, and the job's rows

    def get_client(self, *, project_id: str, location: str) -> "Cursor":
        assert (project_id, location) == ("p", "eu")
        return self

    def get_job(self, job_id: str, *, location: str) -> "Cursor":
        assert (job_id, location) == ("j1", "eu")
        return self

    def result(self) -> "Cursor":
        return self

    def get_credentials(self) -> str:
        return "credentials"

    def to_arrow_iterable(self, *, bqstorage_client: Any) -> Iterator[Any]:
        assert bqstorage_client.credentials == "credentials"
        return iter([batch for table in self.fetch_arrow_batches() for batch in table.to_batches()])


@pytest.fixture
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the connection ``x`` one of a driver with this cursor: ``service(library, cursor)``."""
    modules: dict[str, dict[str, Any]] = {
        "snowflake": {},
        "snowflake.connector": {},
        "snowflake.connector.errors": {
            "NotSupportedError": NotSupportedError,
            "MissingDependencyError": type("MissingDependencyError", (Error,), {}),
        },
        "google": {},
        "google.api_core": {},
        "google.api_core.exceptions": {"Forbidden": Forbidden},
        "google.cloud": {},
        "google.cloud.bigquery_storage": {"BigQueryReadClient": types.SimpleNamespace},
    }
    for name, members in modules.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)

    def service(library: str, cursor: Cursor) -> None:
        driver = type("Connection", (), {"__module__": library, "cursor": lambda _self: cursor})()
        hook = types.SimpleNamespace(get_conn=lambda: driver, get_records=None)
        connection = types.SimpleNamespace(conn_type="x", password=None, get_hook=lambda: hook)
        monkeypatch.setattr(BaseHook, "get_connection", lambda _conn_id: connection)

    return service


def read(column: str = "idfa") -> tuple[bool, list[Any]]:
    """Whether rows came as columns, and their values."""
    with open_source(SqlSource("x", "SELECT", column=column, chunk_size=2)) as source:
        assert isinstance(source, ValuesInput)
        chunks = list(source.chunks)
    values: list[Any] = []
    for chunk in chunks:
        if isinstance(chunk, TextColumn):
            values.extend(chunk.text(row).decode() for row in range(len(chunk)))
        else:
            values.extend(chunk)
    return all(isinstance(chunk, TextColumn) for chunk in chunks), values


DRIVERS = [
    ("snowflake.connector.connection", [("N", 0), ("IDFA", 2)], NotSupportedError),
    (BIGQUERY, [("n", "INTEGER"), ("idfa", "STRING")], Forbidden),
]


@pytest.mark.parametrize(("library", "description", "refusal"), DRIVERS)
def test_texts_come_by_arrow_and_all_else_by_the_cursor(
    service: Any, library: str, description: Any, refusal: Any
) -> None:
    cursor = Cursor(description)
    service(library, cursor)
    assert read() == (True, ["a", "", "手"])
    assert cursor.closed
    service(library, Cursor(description))
    assert read("n") == (False, [1, 2, 3])


@pytest.mark.parametrize(("library", "description", "refusal"), DRIVERS)
def test_a_refusal_before_the_first_row_leaves_it_to_the_cursor(
    service: Any, library: str, description: Any, refusal: Any
) -> None:
    service(library, Cursor(description, refuses=refusal))
    assert read() == (False, ["a", None, "手"])


@pytest.mark.parametrize(("library", "description", "refusal"), DRIVERS)
def test_other_errors_are_errors(service: Any, library: str, description: Any, refusal: Any) -> None:
    service(library, Cursor(description, refuses=ServiceUnavailable))
    with pytest.raises(SourceUnavailableError, match="the database failed: not in Arrow's format"):
        read()


def test_a_statement_without_rows_is_refused(service: Any) -> None:
    service(BIGQUERY, Cursor([]))
    with pytest.raises(InvalidInputError, match="returns no rows"):
        read()
