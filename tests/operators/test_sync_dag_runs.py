"""The sync operators in real DAG runs: days, retries, reruns, plans with an approval, and mapped tasks."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.airflow_versions import IS_AIRFLOW_3_0, without_supervision
from support.dag_scripts import AirflowProcesses, DagScript
from support.fixtures import MakeAudience

from airflow_provider_audiences.emulator.testing import AudiencesEmulator

MONDAY, TUESDAY = "2026-03-02", "2026-03-03"
IDS = [f"5eed5eed-{number:04x}-4000-8000-00000000abcd" for number in range(60)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the members' files are."""
    path = tmp_path / "data"
    path.mkdir()
    (path / "opt_outs.txt").touch()
    return path


@pytest.fixture
def run(make_audience: MakeAudience, tmp_path: Path, folder: Path, airflow_processes: AirflowProcesses) -> DagScript:
    """Runs DAGs of the script, each for a day; returns how their tasks ended, and what they wrote to the terminal."""
    audience_ids = [make_audience(name) for name in "AB"]
    given = {"folder": str(folder), "audience_ids": audience_ids, "lists": [IDS[:5], IDS[5:12], IDS[:1]]}
    return DagScript("sync_dag_runs", airflow_processes, given, AIRFLOW__AUDIENCES__STATE_PATH=str(tmp_path / "state"))


@pytest.fixture
def write(folder: Path) -> Callable[..., None]:
    def to(day: str, ids: Any) -> None:
        (folder / f"ids_{day}.txt").write_text("\n".join(ids))

    return to


def states(tasks: Any) -> dict[Any, Any]:
    return {name: (task["state"], task["try_number"]) for name, task in tasks.items()}


def counts(tasks: Any, name: str = "sync") -> Any:
    report = tasks[name]["returned"]
    fields = ("added", "removed", "unchanged", "suppressed", "live", "batches", "batches_skipped_by_resume")
    return tuple(report[field] for field in fields)


def body_lines(emulator: AudiencesEmulator) -> list[Any]:
    return [request["body_lines"] for request in emulator.requests("applovin.append")]


def test_two_days_and_reruns(
    run: DagScript, emulator: AudiencesEmulator, folder: Path, write: Callable[..., None]
) -> None:
    write(MONDAY, IDS[:40])
    write(TUESDAY, IDS[4:42])
    days = [f"daily={day}" for day in (MONDAY, MONDAY, TUESDAY, TUESDAY)]
    (first, rerun, second, again), output = run(*days)
    assert [states(tasks) for tasks in (first, rerun, second, again)] == [{"sync": ("success", 1)}] * 4, output[-4000:]
    assert counts(first) == (40, 0, 0, 0, 40, 4, 0)
    assert counts(rerun) == (0, 0, 40, 0, 40, 0, 0)
    assert counts(second) == (2, 4, 36, 0, 38, 2, 0)
    assert counts(again) == (0, 0, 38, 0, 38, 0, 0)
    assert body_lines(emulator) == [10, 10, 10, 10, 2, 4]

    # The same day once more, with another file and with somebody who has opted out.
    write(TUESDAY, IDS[4:45])
    (folder / "opt_outs.txt").write_text(IDS[4])
    (changed,), output = run(f"daily={TUESDAY}")
    assert counts(changed) == (3, 1, 37, 1, 40, 2, 0), output[-4000:]
    [audience] = [entry for entry in emulator.audiences() if entry["name"] == "Loyal players"]
    assert emulator.members(audience["audience_id"]) == IDS[5:45]
    assert body_lines(emulator)[6:] == [3, 1]


def test_a_retry_goes_on_and_a_guard_is_not_tried_again(
    run: DagScript, emulator: AudiencesEmulator, write: Callable[..., None]
) -> None:
    write(MONDAY, IDS)
    write(TUESDAY, IDS[:30])
    emulator.fault("applovin.append", "status", status=500, number=3, times=4)
    (retried, stopped), output = run(f"daily={MONDAY}", f"daily={TUESDAY}")
    assert states(retried) == {"sync": ("success", 2)}, output[-4000:]
    assert counts(retried) == (40, 0, 20, 0, 60, 4, 2)
    assert body_lines(emulator) == [10, 10, *[10] * 4, 10, 10, 10, 10]
    assert states(stopped) == {"sync": ("failed", 1)}
    assert IS_AIRFLOW_3_0 or "stopped by max_removed_ratio: the plan would remove 30 of 60 members (50.0%)" in output
    [audience] = [entry for entry in emulator.audiences() if entry["name"] == "Loyal players"]
    assert emulator.members(audience["audience_id"]) == IDS


def test_a_plan_is_approved_and_then_applied(
    run: DagScript, emulator: AudiencesEmulator, write: Callable[..., None]
) -> None:
    write(MONDAY, IDS[:10])
    write(TUESDAY, IDS[:5])
    (approved, refused), output = run(f"approved={MONDAY}", f"approved={TUESDAY}")
    assert states(approved) == dict.fromkeys(("plan", "approve", "apply"), ("success", 1)), output[-4000:]
    planned, applied = (approved[name]["returned"] for name in ("plan", "apply"))
    assert approved["approve"]["returned"] == "10 added, 0 removed"
    assert (planned["plan_only"], planned["batches"]) == (True, 0)
    assert (applied["plan_id"], applied["added"], applied["batches"]) == (planned["plan_id"], 10, 1)
    assert {name: state for name, (state, _) in states(refused).items()} == {
        "plan": "success",
        "approve": "failed",
        "apply": "upstream_failed",
    }
    assert IS_AIRFLOW_3_0 or "not approved: the plan would remove 5 of 10 members (50.0%)" in output
    assert emulator.members(run.given["audience_ids"][0]) == IDS[:10]
    assert body_lines(emulator) == [10]


def _stored() -> Iterator[tuple[Any, ...]]:
    """All that Airflow has stored: its database and its logs."""
    home = Path(os.environ["AIRFLOW_HOME"])
    with sqlite3.connect(f"{(home / 'airflow.db').as_uri()}?mode=ro", uri=True) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                cells = (cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell) for cell in row)
                yield f"table {table}", " ".join(cells)
    for path in (home / "logs").rglob("*.log"):
        yield f"log {path.relative_to(home)}", path.read_text(errors="replace")


def test_mapped_syncs_keep_their_members_to_themselves(run: DagScript, emulator: AudiencesEmulator) -> None:
    (mapped,), output = run(f"mapped={MONDAY}")
    done = {name: state for name, (state, _) in states(mapped).items()}
    assert done == {f"{name}[{number}]": "success" for name in ("sync", "plan") for number in range(2)}, output[-4000:]
    assert [emulator.members(audience_id) for audience_id in run.given["audience_ids"]] == [IDS[1:5], IDS[5:12]]
    places = [*_stored(), ("output", without_supervision(output))]
    rendered = [text for place, text in places if place == "table rendered_task_instance_fields"]
    assert [text for text in rendered if "members, not shown" in text]
    found = {
        place
        for place, text in places
        for secret in ("5eed5eed", emulator.api_key, emulator.api_key[-6:])
        if secret in text.lower() or secret in text
    }
    assert not found
