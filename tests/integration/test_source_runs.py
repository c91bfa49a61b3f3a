"""Real DAG runs whose members come from S3, from PostgreSQL and from decorated functions."""

import gzip
import inspect
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from support.dag_scripts import AirflowProcesses, DagScript
from support.fixtures import AsBody, MakeAudience

from airflow_provider_audiences.emulator.testing import AudiencesEmulator

IDS = [f"2e2e2e2e-{number:04x}-4000-8000-00000000feed" for number in range(9)]


@pytest.fixture
def run(
    make_audience: MakeAudience,
    tmp_path: Path,
    s3: Any,
    postgres: Any,
    monkeypatch: pytest.MonkeyPatch,
    airflow_processes: AirflowProcesses,
) -> DagScript:
    """Runs DAGs of the script; returns how their tasks ended, and what they wrote to the terminal."""
    given = {
        "audience_id": make_audience("A"),
        "other_id": make_audience("B"),
        "bucket": s3.bucket,
        "ids": IDS[:3],
        # Airflow 2 calls it otherwise.
        "date_argument": "logical_date"
        if "logical_date" in inspect.signature(DAG.test).parameters
        else "execution_date",
    }
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", json.dumps({"conn_type": "postgres", "host": str(tmp_path)}))
    (airflow_processes.folder / "members.sql").write_text(
        "SELECT idfa FROM people WHERE country = 'de' AND seen <= '{{ ds }}'"
    )
    return DagScript("source_runs", airflow_processes, given)


@pytest.fixture
def partition(put: Callable[[str, bytes], str], as_body: AsBody) -> None:
    put("day=2024-01-02/_SUCCESS", b"")
    put("day=2024-01-02/part-0.gz", gzip.compress(as_body(IDS[:2])))
    put("day=2024-01-02/hour=1/part-1", as_body(IDS[2:4]))
    put("day=2024-01-03/part-0", as_body(IDS[8:]))
    for number in (4, 5):
        put(f"people/2024-01-02-{number}.csv.gz", gzip.compress(f"n,idfa\n1,{IDS[number]}\n".encode()))


@pytest.fixture
def people(postgres: Any) -> None:
    cursor = postgres.cursor()
    cursor.execute("CREATE TABLE people (n integer, idfa uuid, country text, seen date)")
    for n, country in enumerate(["de", "de", "fr", "it", "de"]):
        cursor.execute("INSERT INTO people VALUES (%s, %s, %s, %s)", (n, IDS[n], country, f"2024-01-0{min(n, 3) or 1}"))


def _stored() -> Iterator[tuple[Any, str]]:
    """All that Airflow has stored, but for what the user's own tasks return."""
    home = Path(os.environ["AIRFLOW_HOME"])
    with sqlite3.connect(f"{(home / 'airflow.db').as_uri()}?mode=ro", uri=True) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            cursor = database.execute(f'SELECT * FROM "{table}"')
            columns = [description[0] for description in cursor.description]
            for row in cursor:
                entry = dict(zip(columns, row, strict=True))
                if table != "xcom" or entry["task_id"] != "ids":
                    yield table, str(entry)


def _check_nothing_personal(output: Any) -> list[Any]:
    places = [*_stored(), ("output", output)]
    found = [
        (place, text[max(0, text.find(personal) - 300) : text.find(personal) + 60])
        for place, text in places
        for personal in ("2e2e2e2e-", "sesame", os.environ["AIRFLOW_HOME"] + "/none")
        if personal in text
    ]
    assert not found, found
    # Quoted once by JSON and once by Python.
    return [text.replace("\\", "") for place, text in places if place == "rendered_task_instance_fields"]


@pytest.mark.usefixtures("partition")
def test_from_s3(run: DagScript, emulator: AudiencesEmulator) -> None:
    ended, output = run("objects")
    assert {name: state for name, (state, _) in ended["objects"].items()} == dict.fromkeys(
        ["update", "append", "found", "by_xcom"], "success"
    ), output[-6000:]
    assert emulator.members(run.given["audience_id"]) == sorted(IDS[:6])
    assert emulator.members(run.given["other_id"]) == sorted(IDS[:4])
    rendered = _check_nothing_personal(output)
    assert any("/day=2024-01-02/" in text for text in rendered)
    assert any("/people/2024-01-02-*.csv.gz', column='idfa', conn_id='my_store')" in text for text in rendered)


@pytest.mark.usefixtures("people")
def test_from_postgresql(run: DagScript, emulator: AudiencesEmulator) -> None:
    ended, output = run("queries")
    assert ended["queries"] == {
        "update": ["success", 1],
        "append[0]": ["success", 1],
        "append[1]": ["success", 1],
        "shared[0]": ["success", 1],
        "shared[1]": ["success", 1],
        "wrong": ["failed", 1],  # the same statement fails again
        "away": ["failed", 2],
    }, output[-6000:]
    # The fifth was seen the day after.
    assert emulator.members(run.given["audience_id"]) == sorted([IDS[0], IDS[1], IDS[2], IDS[3]])
    assert emulator.members(run.given["other_id"]) == sorted(IDS[:2])
    rendered = _check_nothing_personal(output)
    assert any("country = 'de' AND seen <= '2024-01-02'" in text for text in rendered)
    assert any("parameters=<not shown>" in text for text in rendered)
    assert 'column "nothing" does not exist' in output


@pytest.mark.usefixtures("partition", "people")
def test_from_functions(run: DagScript, emulator: AudiencesEmulator) -> None:
    ended, output = run("functions")
    assert {name: state for name, (state, _) in ended["functions"].items()} == dict.fromkeys(
        ["ids", "yielded", "partition", "from_file", "mapped[0]", "mapped[1]"], "success"
    ), output[-6000:]
    assert emulator.members(run.given["audience_id"]) == sorted(IDS[:3])
    assert emulator.members(run.given["other_id"]) == sorted(IDS[:4])
    rendered = _check_nothing_personal(output)
    # What the function returned is known after the task.
    assert any("/day=2024-01-02/" in text for text in rendered)
    assert any("members, not shown" in text for text in rendered)
