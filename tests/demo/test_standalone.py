"""``make airflow``: a new user unpauses every example, and all of them become green."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_audiences.assets.history import NAMES

ROOT = Path(__file__).parents[2]
AUDIENCE = "applovin://applovin_default/audiences/Loyal%20players"
SUPPRESSION = "applovin://applovin_default/suppression/com.example.game"
START_SECONDS = 480
RUN_SECONDS = 600
WORKSPACE = "standalone-test"
HISTORY_DAYS = 3
EVENTS = "lineage.jsonl"
WAITS_FOR_OTHERS = {"pai_group_watcher"}
"""Examples that begin when something happens at the platform, and not by a schedule."""


@pytest.fixture
def airflow(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Start what ``make airflow`` starts; yield Airflow's address, and the name of the folder with its output."""
    output = tmp_path / "output.txt"
    shutil.rmtree(ROOT / ".demo" / WORKSPACE, ignore_errors=True)
    environment = os.environ | {
        "WORKSPACE": WORKSPACE,
        "HISTORY_DAYS": str(HISTORY_DAYS),
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
            {"type": "file", "log_file_path": str(tmp_path / EVENTS), "append": True}
        ),
        "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": "True",
    }
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo.standalone"],
            cwd=ROOT, stdout=log, stderr=log, start_new_session=True, env=environment,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(r"Airflow: +(http://\S+)", output.read_text())):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(1)
        yield found[1], output.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


class Api:
    """Airflow's REST API, as everybody on this machine may use it."""

    def __init__(self, address: str) -> None:
        token = requests.get(f"{address}/auth/token", timeout=20).json()["access_token"]
        self._address = f"{address}/api/v2"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **query: Any) -> Any:
        reply = self._session.get(f"{self._address}{path}", params=query, timeout=30)
        assert reply.ok, reply.text
        return reply.json()

    def unpause(self, dag_id: str) -> None:
        reply = self._session.patch(f"{self._address}/dags/{dag_id}", json={"is_paused": False}, timeout=30)
        assert reply.ok, reply.text


def test_every_example_becomes_green(airflow: tuple[str, str], tmp_path: Path) -> None:
    address, _ = airflow
    api = Api(address)
    deadline = time.monotonic() + RUN_SECONDS
    expected = {path.stem for path in (ROOT / "dags_examples").glob("*.py")}
    while {dag["dag_id"] for dag in api.get("/dags")["dags"]} < expected:
        assert time.monotonic() < deadline, "Airflow has not parsed all examples"
        time.sleep(1)
    assert {connection["connection_id"] for connection in api.get("/connections")["connections"]} >= {
        "applovin_default",
        "pai_default",
    }
    check_history(api)
    scheduled = sorted(expected - WAITS_FOR_OTHERS)
    (tmp_path / EVENTS).unlink()  # those of the history, which no worker has made
    for dag_id in scheduled:
        api.unpause(dag_id)
    states: dict[str, str] = {}
    while time.monotonic() < deadline:
        for dag_id in scheduled:
            runs = api.get(f"/dags/{dag_id}/dagRuns", order_by="-id")["dag_runs"]
            states[dag_id] = runs[0]["state"] if runs else "none"
        if not set(states.values()) & {"none", "queued", "running"}:
            break
        time.sleep(2)
    assert states == dict.fromkeys(scheduled, "success"), _failures(api, states)
    check_lineage(tmp_path / EVENTS)


def check_history(api: Api) -> None:
    """The audience has a point for each day, by the clock of that day; the list's last day was stopped."""
    states: dict[str, Any] = {}
    for asset in api.get("/assets")["assets"]:
        for key in ("outcome", "history", "expiry") if asset["uri"] in (AUDIENCE, SUPPRESSION) else ():
            with contextlib.suppress(AssertionError):  # a list has no expiry
                states[f"{asset['uri']} {key}"] = api.get(f"/assets/{asset['id']}/state-store/{key}")["value"]
    points = [dict(zip(NAMES, point, strict=True)) for point in states[f"{AUDIENCE} history"]["points"]]
    today = datetime.now(UTC).date()
    days = [(today - datetime.fromtimestamp(point["at"], UTC).date()).days for point in points]
    assert days == list(range(HISTORY_DAYS, 0, -1))
    assert all(point["added"] > point["removed"] > 0 == point["drift"] for point in points[1:])
    assert all(point["suppressed"] > 0 for point in points)
    assert states[f"{AUDIENCE} expiry"]["first"] > time.time()
    assert len(states[f"{SUPPRESSION} history"]["points"]) == HISTORY_DAYS - 1
    assert states[f"{SUPPRESSION} outcome"]["guard"] == "max_removed_ratio"


def check_lineage(path: Path) -> None:
    """Tasks that ran in real workers have told which files went to which audience, and how many members."""
    events = [json.loads(line) for line in path.read_text().splitlines()]
    [sync, *_] = [
        event
        for event in events
        if event["eventType"] == "COMPLETE" and event["job"]["name"] == "applovin_audience_sync.sync_audience"
    ]
    [output] = sync["outputs"]
    assert (output["namespace"], output["name"]) == ("applovin://applovin_default", "audiences/Loyal%20players")
    assert output["outputFacets"]["outputStatistics"]["rowCount"] > 0
    assert all(dataset["namespace"] == "file" for dataset in sync["inputs"])
    assert sync["inputs"]
    assert sync["run"]["facets"]["audiences_report"]["outcome"] == "ok"


def _failures(api: Api, states: dict[str, str]) -> list[str]:
    """Return the tasks that failed, with the end of their logs."""
    said = []
    for dag_id, state in states.items():
        for run in api.get(f"/dags/{dag_id}/dagRuns")["dag_runs"] if state != "success" else ():
            tasks = api.get(f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}/taskInstances")["task_instances"]
            for task in tasks:
                path = f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}/taskInstances/{task['task_id']}"
                log = (
                    str(api.get(f"{path}/logs/{max(1, task['try_number'])}"))[-1500:]
                    if task["state"] != "success"
                    else ""
                )
                said.append(f"{dag_id}.{task['task_id']}: {task['state']} {log}")
    return said
