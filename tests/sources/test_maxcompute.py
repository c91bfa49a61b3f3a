"""MaxCompute by pyodps itself, against a stand-in for its services that never met them."""

import json
import signal
import types
from collections.abc import Callable, Iterator
from typing import Any

import odps
import pytest
from airflow.providers.common.compat.sdk import BaseHook
from support.maxcompute import MaxCompute, running_maxcompute

from airflow_provider_audiences.exceptions import InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.sources import SqlSource
from airflow_provider_audiences.sources.opening import open_source
from airflow_provider_audiences.stopping import Stopped

ID = "1e1e1e1e-abcd-4000-8000-00000000feed"
SECRET = "sesame-key"


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[MaxCompute]:
    """A project, which the connection ``lake`` leads to."""
    with running_maxcompute() as project:

        def get_client() -> Any:
            return odps.ODPS("id", SECRET, project="p", endpoint=f"{project.address}/api")

        connection = types.SimpleNamespace(
            conn_type="maxcompute",
            password=None,
            extra_dejson={"access_key_secret": SECRET},
            get_hook=lambda: types.SimpleNamespace(get_client=get_client),
        )
        monkeypatch.setattr(BaseHook, "get_connection", lambda _conn_id: connection)
        yield project


def refused(error_type: Any = InvalidInputError, sql: str = "SELECT", **arguments: Any) -> str:
    with pytest.raises(error_type) as failure, open_source(SqlSource("lake", sql, **arguments)):
        pass
    assert SECRET not in str(failure.value)
    return str(failure.value)


def test_rows_come_through_the_tunnel(project: MaxCompute, read_source: Callable[[Any], list[str]]) -> None:
    project.columns = {"n": "bigint", "idfa": "string"}
    project.rows = [(1, ID), (2, None), (3, "手\\N\n"), (4, ""), (5, ID.upper())]
    source = SqlSource("lake", "SELECT n, idfa FROM people", column="IDFA")
    assert read_source(source) == sorted([ID, "", "手\\N\n", "", ID.upper()])
    assert project.statements[0].strip().rstrip(";") == "SELECT n, idfa FROM people"
    (data,) = [asked for asked in project.asked if "data" in asked]
    assert "columns=idfa" in data
    assert not [asked for asked in project.asked if "limit_enabled" in asked]


def test_no_rows_are_none(project: MaxCompute, read_source: Callable[[Any], list[str]]) -> None:
    assert read_source(SqlSource("lake", "SELECT idfa FROM people")) == []


def test_parameters_are_put_in_by_pyodps(project: MaxCompute, read_source: Callable[[Any], list[str]]) -> None:
    project.rows = [(ID,)]
    read_source(SqlSource("lake", "SELECT idfa FROM people WHERE c = :c", parameters={"c": "it's"}))
    assert "it\\'s" in project.statements[0]
    assert "could not put the parameters into the statement (KeyError)" in refused(sql="SELECT :c", parameters={"d": 1})


def test_a_column_that_is_not_there_is_named(project: MaxCompute) -> None:
    assert "no column gaid: the statement returns idfa" in refused(column="gaid")


@pytest.mark.parametrize(
    ("error", "error_type", "said"),
    [
        (
            ("ODPS-0130131", "[1,15] Table not found - table p.nobody cannot be resolved"),
            InvalidInputError,
            "Table not found",
        ),
        (("ODPS-0123144", f"Fuxi job failed near {ID}"), SourceUnavailableError, "Fuxi job failed near ***"),
    ],
)
def test_a_statement_that_fails(project: MaxCompute, error: tuple[str, str], error_type: Any, said: str) -> None:
    project.error = error
    assert said in refused(error_type)


def test_a_protected_project_is_refused_instead_of_giving_some_rows(project: MaxCompute) -> None:
    project.is_protected = True
    assert "the project is protected" in refused()


def test_a_task_that_is_stopped_stops_its_statement(project: MaxCompute) -> None:
    def stop(*_: object) -> None:
        raise Stopped

    project.is_running = True
    previous = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(Stopped), open_source(SqlSource("lake", "SELECT 1")):
            pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert not project.is_running


@pytest.mark.parametrize("error", [ValueError("No access_key_id is specified."), ImportError("No module named 'odps'")])
def test_a_connection_that_lacks_something(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def get_client() -> Any:
        raise error

    connection = types.SimpleNamespace(
        conn_type="maxcompute",
        password=None,
        extra_dejson={},
        get_hook=lambda: types.SimpleNamespace(get_client=get_client),
    )
    monkeypatch.setattr(BaseHook, "get_connection", lambda _conn_id: connection)
    assert f"SqlSource of connection lake can't be used: {error}" in refused().rstrip(".") + "."


def test_without_its_provider_the_connection_has_no_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps({"conn_type": "maxcompute", "extra": {"project": "p"}}))
    assert "a connection of type 'maxcompute' has no hook here; install the provider package" in refused()
