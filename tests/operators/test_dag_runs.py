"""The operators and sensors in real DAG runs: retries, deferral, and what Airflow has stored afterwards."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple
from support.airflow_versions import without_supervision
from support.dag_scripts import AirflowProcesses, DagScript
from support.fixtures import Connect, MakeAudience

from airflow_provider_audiences.emulator.testing import AudiencesEmulator

PHONES = ["13912345678", "13787654321"]
SIGNED_URI = "https://bucket.oss-cn-hangzhou.aliyuncs.com/people.txt?OSSAccessKeyId=LTAI1234&Signature=sesame"
IDS = [f"1e1e1e1e-{number:04x}-4000-8000-00000000feed" for number in range(3)]


@pytest.fixture
def run(make_audience: MakeAudience, airflow_processes: AirflowProcesses) -> DagScript:
    """Runs DAGs of the script; returns how their tasks ended, and what they wrote to the terminal."""
    given = {"audience_id": make_audience(), "ids": IDS, "phones": PHONES, "signed_uri": SIGNED_URI}
    return DagScript("dag_runs", airflow_processes, given)


def test_only_failures_that_may_pass_are_tried_again(run: DagScript, emulator: AudiencesEmulator) -> None:
    emulator.fault("pai.list", "status", status=500, times=None)
    ended, output = run("failures")
    assert ended["failures"] == {
        "missing": ["failed", 1],
        "server_down": ["failed", 3],
        "wrong_source": ["failed", 1],
        "missing_deferred": ["failed", 1],
    }, output[-4000:]
    # Three tries of four requests each; and one each of both tasks that ask for a group that isn't there.
    assert len(emulator.requests("pai.list")) == 12
    assert len(emulator.requests("pai.get")) == 2
    assert emulator.requests("applovin.update") == []


def test_the_next_try_waits_as_long_as_the_platform_asks(
    run: DagScript, emulator: AudiencesEmulator, connect: Connect
) -> None:
    """The client itself repeats nothing here; of retry_delay, the task has none."""
    for conn_type in ("applovin", "pai"):
        connect(conn_type, extra={"max_retries": 0})
        emulator.fault(f"{conn_type}.list", "status", status=429, retry_after=2)
    ended, output = run("asked")
    has_policies = get_base_airflow_version_tuple() >= (3, 3, 0)
    of_the_user = {"of_the_user": ["failed", 1]} if has_policies else {}
    assert ended["asked"] == {"waits": ["success", 2], **of_the_user}, output[-4000:]
    first, second = (request["received_at"] for request in emulator.requests("applovin.list"))
    assert second - first > 2 or not has_policies


def test_a_group_whose_creation_was_cut_off_is_not_made_twice(run: DagScript, emulator: AudiencesEmulator) -> None:
    emulator.fault("pai.create", "drop_after", times=4)
    emulator.fault("pai.list", "status", status=503, times=4)
    ended, output = run("recovery")
    assert ended["recovery"] == {"create": ["success", 2]}, output[-4000:]
    (group,) = emulator.groups()
    assert group["Name"] == "recovered"
    assert len(emulator.requests("pai.create")) == 1


def test_sensors_wait_in_every_mode(run: DagScript, emulator: AudiencesEmulator) -> None:
    emulator.settings(processing_seconds=1)
    ended, output = run("waiting")
    assert {task_id: state for task_id, (state, _) in ended["waiting"].items()} == {
        "create": "success",
        "poke": "success",
        "reschedule": "success",
        "deferred": "success",
        "audience": "success",
        "late": "skipped",
        "get": "success",
        "delete": "success",
    }, output[-4000:]
    assert emulator.groups() == []
    pushed = {(task, key): value for task, key, value in _rows("xcom", "task_id", "key", "value")}
    xcom = pushed["get", "return_value"]
    assert "waited for" in str(xcom)


def _rows(table: Any, *columns: Any) -> Any:
    path = Path(os.environ["AIRFLOW_HOME"], "airflow.db")
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as database:
        return database.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()


def _stored() -> Iterator[tuple[Any, ...]]:
    """All that Airflow has stored, but for what the user's own tasks return: its database and its logs."""
    home = Path(os.environ["AIRFLOW_HOME"])
    with sqlite3.connect(f"{(home / 'airflow.db').as_uri()}?mode=ro", uri=True) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            cursor = database.execute(f'SELECT * FROM "{table}"')
            columns = [description[0] for description in cursor.description]
            for row in cursor:
                entry = dict(zip(columns, row, strict=True))
                if table == "xcom" and entry["task_id"] in {"ids", "phones", "lists"}:
                    continue
                text = " ".join(
                    value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
                    for value in entry.values()
                )
                yield f"table {table}", text
    for path in (home / "logs").rglob("*.log"):
        yield f"log {path.relative_to(home)}", path.read_text(errors="replace")


def test_nothing_personal_and_no_secret_is_stored_or_shown(run: DagScript, emulator: AudiencesEmulator) -> None:
    ended, output = run("personal")
    states = {task_id: state for task_id, (state, _) in ended["personal"].items()}
    refused = {task_id for task_id, state in states.items() if state == "failed"}
    assert refused == {"as_text", "text_mixed"}, output[-6000:]
    assert {state for task_id, state in states.items() if task_id not in refused} == {"success"}
    assert emulator.members(run.given["audience_id"]) == sorted(IDS)
    assert {group["Name"]: group["People"] for group in emulator.groups() if group["Name"] != "h"} == {
        **dict.fromkeys("abcdg", 2),
        "f": 1 if [group for group in emulator.groups() if group["Name"] == "f"][-1]["People"] == 1 else 2,
    }

    places = [*_stored(), ("output", without_supervision(output))]
    assert len([place for place, _ in places if place == "table rendered_task_instance_fields"]) >= len(states)
    assert [
        text
        for place, text in places
        if place == "table rendered_task_instance_fields" and "members, not shown" in text
    ]
    secrets = {
        "a member": [item.lower() for item in IDS] + [item.upper() for item in IDS] + [f"{IDS[0][:18]}"],
        "a phone number": PHONES,
        "the key": [emulator.api_key, emulator.api_key[-6:]],
        "a signature": ["sesame"],
    }
    found = {
        f"{what} in {place}: …{text[max(0, text.find(secret) - 200) : text.find(secret) + 60]}…"
        for what, values in secrets.items()
        for secret in values
        for place, text in places
        if secret in text
    }
    assert not found, "\n".join(sorted(found))
