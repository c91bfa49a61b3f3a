"""Which cursor a driver is asked for, and what happens to it, for databases that no wheel brings."""

import sys
import types
from collections.abc import Iterable
from typing import Any, cast

import pytest
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_audiences.exceptions import InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.sources import SqlSource
from airflow_provider_audiences.sources.opening import open_source

ID = "1e1e1e1e-abcd-4000-8000-00000000feed"


class Error(Exception):
    """The root of a driver's errors, as DB-API names it."""


class OperationalError(Error):
    pass


class ProgrammingError(Error):
    pass


class Driver:
    """A connection, its cursor and its hook in one; it notes what is asked of it."""

    description = (("idfa", None), ("n", None))

    def __init__(self, rows: Any = (), fails: Any = None) -> None:
        self.rows, self.fails = list(rows), fails
        self.asked: list[Any] = []

    def get_conn(self) -> Any:
        return self

    def get_records(self) -> Any:
        raise NotImplementedError

    def cursor(self, *args: Any, **kwargs: Any) -> "Cursor":
        self.asked.append(("cursor", *args, *kwargs))
        return Cursor(self)

    def cancel(self) -> None:
        self.asked.append("cancel")

    def close(self) -> None:
        self.asked.append("close connection")


class Cursor:
    def __init__(self, driver: Any) -> None:
        self.driver, self.description = driver, driver.description

    def execute(self, sql: str, *parameters: Any) -> None:
        if self.driver.fails:
            raise self.driver.fails
        self.driver.asked.append((sql, *parameters))

    def fetchmany(self, size: int) -> Any:
        rows, self.driver.rows = self.driver.rows[:size], self.driver.rows[size:]
        return rows

    def close(self) -> None:
        self.driver.asked.append("close cursor")


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Reads a query through a driver."""

    def members(driver: Any, **arguments: Any) -> list[Any]:
        connection = types.SimpleNamespace(conn_type="x", password=None, get_hook=lambda: driver)
        monkeypatch.setattr(BaseHook, "get_connection", lambda _conn_id: connection)
        with open_source(SqlSource("x", "SELECT", column="idfa", **arguments)) as values:
            assert isinstance(values, ValuesInput)
            chunks = cast("Iterable[list[Any]]", values.chunks)
            return [item for chunk in chunks for item in chunk]

    return members


def test_a_plain_cursor_is_read_in_chunks_and_closed(members: Any) -> None:
    driver = Driver(rows=[("a", 1), ("b", 2), ("c", 3)])
    assert members(driver, chunk_size=2) == ["a", "b", "c"]
    assert driver.asked == [("cursor",), ("SELECT",), "close cursor", "close connection"]


def test_parameters_go_to_the_driver(members: Any) -> None:
    driver = Driver(rows=[("a", 1)])
    members(driver, parameters={"n": 1})
    assert driver.asked[1] == ("SELECT", {"n": 1})


def test_rows_may_be_dictionaries(members: Any) -> None:
    assert members(Driver(rows=[{"n": 1, "idfa": "a"}])) == ["a"]


@pytest.mark.parametrize("library", ["pymysql", "MySQLdb"])
def test_mysql_leaves_the_rows_on_the_server(members: Any, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    class SSCursor:
        pass

    cursors = types.ModuleType(f"{library}.cursors")
    vars(cursors)["SSCursor"] = SSCursor
    monkeypatch.setitem(sys.modules, library, types.ModuleType(library))
    monkeypatch.setitem(sys.modules, f"{library}.cursors", cursors)
    driver = type("Connection", (Driver,), {"__module__": f"{library}.connections"})(rows=[("a", 1)])
    assert members(driver) == ["a"]
    assert driver.asked[0] == ("cursor", SSCursor)
    # After a failure the connection goes first: the cursor would read all rows when it is closed.
    driver = type(driver)(fails=OperationalError(2013, "Lost connection"))
    with pytest.raises(SourceUnavailableError):
        members(driver)
    assert driver.asked[1:] == ["cancel", "close connection", "close cursor"]


@pytest.mark.parametrize(
    ("error", "error_type", "said"),
    [
        (ProgrammingError(f"no table\nLINE 1: SELECT '{ID}'"), InvalidInputError, "refused the statement: no table."),
        (ProgrammingError(f"near {ID} and 13912345678"), InvalidInputError, "near *** and ***."),
        (OperationalError(1054, "Unknown column 'x'"), InvalidInputError, "Unknown column 'x'"),
        (OperationalError("too many clients"), SourceUnavailableError, "the database failed: too many clients."),
        (OperationalError(), SourceUnavailableError, "the database failed: OperationalError."),
        (IndexError(ID), InvalidInputError, "could not put the parameters into the statement (IndexError)"),
        (ZeroDivisionError("as it is"), ZeroDivisionError, "as it is"),
    ],
)
def test_what_a_drivers_error_becomes(members: Any, error: Any, error_type: type[Any], said: str) -> None:
    with pytest.raises(error_type) as failure:
        members(Driver(fails=error))
    assert said in str(failure.value)
    assert ID not in str(failure.value)


def test_a_connection_that_does_not_exist_is_airflows_error() -> None:
    with pytest.raises(Exception, match="AIRFLOW_CONN_NOBODY where"), open_source(SqlSource("nobody", "SELECT 1")):
        pass


def test_a_hook_whose_package_is_broken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_hook() -> Any:
        raise ImportError("No module named 'driver'")

    connection = types.SimpleNamespace(conn_type="x", password="p", get_hook=get_hook)
    monkeypatch.setattr(BaseHook, "get_connection", lambda _conn_id: connection)
    with (
        pytest.raises(InvalidInputError, match=r"can't be used: No module named 'driver'; install the provider"),
        open_source(SqlSource("x", "SELECT 1")),
    ):
        pass
