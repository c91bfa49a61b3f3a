"""Sources that several tasks, or a mapped task, hand over, in a real DAG run."""

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS
from support.airflow_versions import IS_AIRFLOW_3_0
from support.dag_scripts import AirflowProcesses, DagScript
from support.fixtures import MakeAudience

from airflow_provider_audiences.emulator.testing import AudiencesEmulator

IDS = [f"7a9d7a9d-{number:04x}-4000-8000-0000000dead5" for number in range(50)]
PHONES = [f"1876543{number:04d}" for number in range(7)]


@pytest.fixture
def ended(
    make_audience: MakeAudience,
    emulator: AudiencesEmulator,
    tmp_path: Path,
    airflow_processes: AirflowProcesses,
) -> dict[str, Any]:
    """How the tasks of the script ended; what it wrote is in ``output``."""
    emulator.settings(processing_seconds=0)
    audience_ids = [make_audience(f"A {number}") for number in range(20)]
    paths = {"first": tmp_path / "first.txt", "second": tmp_path / "second.txt"}
    for start, path in zip((0, 20), paths.values(), strict=True):
        path.write_text("".join(f"{item}\n" for item in IDS[start : start + 30]))
    given = {
        "audience_ids": audience_ids,
        "ids": IDS,
        "phones": PHONES,
        "paths": {name: str(path) for name, path in paths.items()} | {"third": None},
    }
    tasks, output = DagScript("handed_runs", airflow_processes, given)()
    return {**tasks, "output": output}


def test_what_tasks_hand_over_is_one_source(ended: dict[str, Any], emulator: AudiencesEmulator) -> None:
    output = ended.pop("output")
    failed = {name for name, task in ended.items() if task["state"] != "success"}
    expected = {"mixed", "with_nothing"} | ({"with_a_gap"} if AIRFLOW_V_3_0_PLUS else set())
    assert failed == expected, output[-6000:]
    assert "list of paths and of other things" in output
    assert not AIRFLOW_V_3_0_PLUS or IS_AIRFLOW_3_0 or "in 1 of 3 instances returned nothing" in output
    assert IS_AIRFLOW_3_0 or "part 2 of 2 of the source is None: did its task return nothing?" in output

    # Both files have 30 members, and share 10; the lists have 20 and 10, and share none.
    of_files = {"mapped_paths", "mapped_relative_paths", "mapped_output", "listed", "in_a_tuple", "nested", "templates",
                "in_file_source", "in_list_of_file_source", "shared[0]"}  # fmt: skip
    sent = {name: task["returned"]["sent"] for name, task in ended.items() if "sent" in (task["returned"] or ())}
    sent.pop("with_a_gap", None)
    assert sent == {
        **dict.fromkeys(of_files, 50), "mapped_ids": 30, "mapped_rows": 30, "of_one": 30, "with_members": 11,
    }  # fmt: skip
    report = ended["sync"]["returned"]
    assert (report["members"], report["suppress_members"], report["suppressed"], report["added"]) == (50, 11, 11, 39)
    groups = {group["Name"]: group["People"] for group in emulator.groups()}
    assert groups == {"g": 7, "l": 4, "t": 4, "m": 7}

    upstream = {name: task["upstream"] for name, task in ended.items()}
    assert upstream["mapped_paths"] == upstream["in_file_source"] == ["paths"]
    assert upstream["mapped_output"] == ["exports"]
    assert upstream["listed"] == upstream["shared[0]"] == ["one", "two"]
    assert upstream["in_list_of_file_source"] == upstream["in_a_tuple"] == ["one"]
    assert upstream["sync"] == ["few", "paths"]
    assert upstream["text"] == upstream["group_of_list"] == ["some"]

    home = Path(os.environ["AIRFLOW_HOME"])
    tables = {"rendered_task_instance_fields", "serialized_dag", "dag_code", "log"}
    with sqlite3.connect(f"{(home / 'airflow.db').as_uri()}?mode=ro", uri=True) as database:
        stored = [str(row) for table in tables for row in database.execute(f'SELECT * FROM "{table}"')]
    shown = [*stored, output, *(path.read_text(errors="replace") for path in (home / "logs").rglob("*.log"))]
    # What the user's own tasks return, Airflow stores, and tells in the output of this script.
    shown = [text for text in shown if "ENDED" not in text] + [output.partition("\nENDED ")[0]]
    assert not AIRFLOW_V_3_0_PLUS or IS_AIRFLOW_3_0 or any("<output of one>" in text for text in stored)
    found = [line for text in shown for line in text.splitlines() if "7a9d7a9d" in line.lower() or "1876543" in line]
    # So does Airflow of what a function of the user's returns.
    assert not [line[:300] for line in found if "Returned value was" not in line]
