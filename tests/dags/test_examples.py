"""Every example DAG: it imports, and it does at the platforms what its docstring says, by Airflow's own command."""

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models import DagBag
from support.dag_scripts import AirflowProcesses
from support.fixtures import Connect, MakeIds

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient

EXAMPLES = Path(__file__).parents[2] / "dags_examples"
Run = Callable[..., tuple[int, str]]
PHONES = "13900000001\n13900000002\n13900000003"
DIRTY = ["idfa", "", "00000000-0000-0000-0000-000000000000", "d41d8cd98f00b204e9800998ecf8427e"]


@pytest.fixture(scope="module")
def processes(airflow_database: None) -> Iterator[AirflowProcesses]:
    processes = AirflowProcesses(EXAMPLES)
    yield processes
    processes.close()


@pytest.fixture
def airflow_dags_test(
    processes: AirflowProcesses, connect: Connect, emulator: AudiencesEmulator, tmp_path: Path
) -> Callable[..., tuple[int, str]]:
    """Runs ``airflow dags test dag_id day``; returns the exit code, and everything that it wrote to the terminal."""
    emulator.settings(processing_seconds=0, maxcompute={"crm": {"lapsed_buyers": 42}})

    def run(dag_id: str, day: str, **variables: str) -> tuple[int, str]:
        environment = {
            "AIRFLOW_VAR_AUDIENCES_DATA_FOLDER": str(tmp_path),
            "AIRFLOW_VAR_AUDIENCES_TEST_PHONES": PHONES,
            "AIRFLOW__AUDIENCES__STATE_PATH": str(tmp_path / "state"),
            **{f"AIRFLOW_VAR_AUDIENCES_{name}".upper(): value for name, value in variables.items()},
        }
        code, said, errors = processes.run("airflow", "dags", "test", dag_id, day, **environment)
        return code, said + errors

    return run


def test_all_examples_import_without_errors_and_warnings() -> None:
    bag = DagBag(str(EXAMPLES))
    assert bag.import_errors == {}
    assert set(bag.dags) == {path.stem for path in EXAMPLES.glob("*.py")}


def test_applovin_refresh_makes_the_audience_equal_to_the_days_file(
    airflow_dags_test: Run, emulator: AudiencesEmulator, make_ids: MakeIds, tmp_path: Path
) -> None:
    days = {"2026-03-01": make_ids(300), "2026-03-02": make_ids(280, start=100)}
    for day, ids in days.items():
        lines = [*ids, *DIRTY, ids[0].upper()]
        (tmp_path / f"device_ids_{day}.txt").write_text("\r\n".join(lines), encoding="utf-8")
        code, output = airflow_dags_test("applovin_audience_refresh", day)
        assert code == 0, output
        [audience] = emulator.audiences()
        assert emulator.members(audience["audience_id"]) == sorted(ids)
        assert not [item for item in ids if item in output]


def test_applovin_refresh_sends_nothing_from_a_file_that_is_mostly_wrong(
    airflow_dags_test: Run, emulator: AudiencesEmulator, make_ids: MakeIds, tmp_path: Path
) -> None:
    (tmp_path / "device_ids_2026-03-01.txt").write_text("\n".join([*make_ids(10), *DIRTY]), encoding="utf-8")
    _, output = airflow_dags_test("applovin_audience_refresh", "2026-03-01")
    assert "max_malformed_ratio" in output
    assert emulator.requests("applovin.update") == []


def test_applovin_sync_sends_what_differs_and_heeds_opt_outs_and_guards(
    airflow_dags_test: Run, emulator: AudiencesEmulator, make_ids: MakeIds, tmp_path: Path
) -> None:
    opt_outs = tmp_path / "opt_outs.txt"
    _, missing = airflow_dags_test("applovin_audience_sync", "2026-03-01")
    assert "opt_outs.txt does not exist" in missing
    opt_outs.touch()
    posts = []
    days = [
        ("2026-03-01", make_ids(300), [], "success", make_ids(300)),
        ("2026-03-02", make_ids(300, start=10), [], "success", make_ids(300, start=10)),
        ("2026-03-03", make_ids(300, start=10), make_ids(5, start=10), "success", make_ids(295, start=15)),
        ("2026-03-04", make_ids(150, start=10), make_ids(5, start=10), "failed", make_ids(295, start=15)),
    ]
    for day, ids, opted_out, state, expected in days:
        lines = [*ids, *DIRTY, ids[0].upper()]
        (tmp_path / f"device_ids_{day}.txt").write_text("\r\n".join(lines), encoding="utf-8")
        opt_outs.write_text("\n".join(opted_out))
        emulator.clear_requests()
        _, output = airflow_dags_test("applovin_audience_sync", day)
        assert ("stopped by max_removed_ratio" in output) is (state == "failed"), output
        [audience] = emulator.audiences()
        assert emulator.members(audience["audience_id"]) == expected
        assert not [item for item in ids if item in output]
        posts.append([request["body_lines"] for request in emulator.requests("applovin.append")])
    assert posts == [[300], [9, 9], [5], []]


def test_the_asset_of_a_synced_audience_starts_a_dag(
    airflow_dags_test: Run, processes: AirflowProcesses, emulator: AudiencesEmulator, make_ids: MakeIds, tmp_path: Path
) -> None:
    name, day = "applovin_audience_refreshed", "2026-03-01"
    for command in (["reserialize"], ["unpause", name]):
        code, said, errors = processes.run("airflow", "dags", *command)
        assert code == 0, said + errors
    (tmp_path / f"device_ids_{day}.txt").write_text("\n".join(make_ids(300)))
    (tmp_path / "opt_outs.txt").touch()
    _, output = airflow_dags_test("applovin_audience_sync", day)
    assert _waiting_for_their_run() == {name}, output
    # By hand there is no event; with one, the task says what the sync has done.
    code, output = airflow_dags_test(name, day)
    assert code == 0, output
    task: Any = DagBag(str(EXAMPLES)).dags[name].get_task("tell_campaign")
    report = {"added": 5, "removed": 1, "live": 300, "drift": 0}
    events = [SimpleNamespace(extra={"audiences": 1, "name": "Loyal players", "report": report})]
    events.append(SimpleNamespace(extra={}))  # of somebody else
    for word in ("triggering_asset_events", "triggering_dataset_events"):
        told = task.python_callable(**{word: {"the asset": events}})
        assert told == [{"name": "Loyal players", "added": 5, "removed": 1, "live": 300}]


def _waiting_for_their_run() -> set[str]:
    """Return the DAGs that Airflow's scheduler would run now because of an asset."""
    path = Path(os.environ["AIRFLOW_HOME"], "airflow.db")
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        (queue,) = tables & {"asset_dag_run_queue", "dataset_dag_run_queue"}
        return {name for (name,) in database.execute(f"SELECT target_dag_id FROM {queue}")}


def test_applovin_approval_carries_out_what_nobody_objects_to(
    airflow_dags_test: Run, emulator: AudiencesEmulator, make_ids: MakeIds, tmp_path: Path, applovin: AppLovinClient
) -> None:
    audience_id = applovin.create_audience(name="A", platform="android", package_name="p").audience_id
    for day, ids, is_approved in (("2026-03-01", make_ids(50), True), ("2026-03-02", make_ids(40), False)):
        (tmp_path / f"device_ids_{day}.txt").write_text("\n".join(ids))
        _, output = airflow_dags_test("applovin_audience_approval", day, applovin_id=audience_id)
        objection = "needs somebody who approves it: the plan would remove 10 of 50 members (20.0%)"
        assert (objection in output) is not is_approved, output
        assert emulator.members(audience_id) == make_ids(50)


def test_applovin_approved_sync_asks_nobody_as_long_as_no_guard_objects(
    airflow_dags_test: Run, emulator: AudiencesEmulator, make_ids: MakeIds, tmp_path: Path
) -> None:
    (tmp_path / "device_ids_2026-03-01.txt").write_text("\n".join(make_ids(50)))
    code, output = airflow_dags_test("applovin_approved_sync", "2026-03-01")
    assert code == 0, output
    [audience] = emulator.audiences()
    assert emulator.members(audience["audience_id"]) == make_ids(50)


def test_applovin_changes_are_those_that_the_warehouse_finds(
    airflow_dags_test: Run, emulator: AudiencesEmulator, make_ids: MakeIds, postgres: Any
) -> None:
    database = postgres.cursor()
    database.execute("CREATE TABLE vip_wanted (advertising_id text)")
    posts = []
    for day, ids in (("2026-03-01", make_ids(40)), ("2026-03-02", make_ids(38, start=5)), ("2026-03-03", [])):
        if ids:
            database.execute("DELETE FROM vip_wanted")
            database.executemany("INSERT INTO vip_wanted VALUES (%s)", [(item.upper(),) for item in [*ids, "n/a"]])
        emulator.clear_requests()
        code, output = airflow_dags_test("applovin_changes_sync", day)
        assert code == 0, output
        assert not [item for item in ids if item in output]
        [audience] = emulator.audiences()
        assert emulator.members(audience["audience_id"]) == make_ids(38, start=5) if day != "2026-03-01" else ids
        posts.append([request["body_lines"] for request in emulator.requests("applovin.append")])
    assert posts == [[40], [2, 4], []]


def test_applovin_partitions_are_one_audience(
    airflow_dags_test: Run, emulator: AudiencesEmulator, postgres: Any, tmp_path: Path
) -> None:
    ids = [str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))) for number in range(200)]
    database = postgres.cursor()
    database.execute("CREATE TABLE players (advertising_id text)")
    database.executemany("INSERT INTO players VALUES (%s)", [(item,) for item in ids])
    (tmp_path / "opt_outs.txt").write_text("\n".join(ids[:10]))
    code, output = airflow_dags_test("applovin_partitioned_sync", "2026-03-01")
    assert code == 0, output
    [audience] = emulator.audiences()
    assert emulator.members(audience["audience_id"]) == sorted(ids[10:])
    assert "is read whole" not in output
    assert not [item for item in ids if item in output]


def test_applovin_suppression_keeps_the_list_equal_to_the_days_users(
    airflow_dags_test: Run, emulator: AudiencesEmulator, make_ids: MakeIds, tmp_path: Path
) -> None:
    days = {"2026-03-01": make_ids(300), "2026-03-02": make_ids(280, start=30), "2026-03-03": make_ids(150, start=30)}
    for day, ids in days.items():
        (tmp_path / f"existing_users_{day}.txt").write_text("\n".join([*ids, *DIRTY]), encoding="utf-8")
        code, output = airflow_dags_test("applovin_suppression_sync", day)
        if len(ids) < 200:
            assert code, output
            assert "max_removed_ratio" in output
        else:
            assert code == 0, output
            assert emulator.suppressed("com.example.game") == sorted(ids)
    assert emulator.suppressed("com.example.game") == sorted(days["2026-03-02"])


def test_pai_steps_replace_yesterdays_groups(airflow_dags_test: Run, emulator: AudiencesEmulator) -> None:
    seen = []
    for day in ("2026-03-01", "2026-03-02"):
        code, output = airflow_dags_test("pai_group_steps", day)
        assert code == 0, output
        assert "1390000000" not in output
        groups = {group["Name"]: group for group in emulator.groups()}
        assert {name: group["Amount"] for name, group in groups.items()} == {"Campaign testers": 3, "Former buyers": 42}
        seen.append({group["Id"] for group in groups.values()})
    assert len(emulator.groups()) == 2
    assert not seen[0] & seen[1]


def test_pai_refresh_replaces_groups_and_keeps_them_where_it_fails(
    airflow_dags_test: Run, emulator: AudiencesEmulator, tmp_path: Path
) -> None:
    stage, uri = tmp_path / "stage", "https://my-bucket.oss-cn-hangzhou.aliyuncs.com/"
    emulator.settings(file_roots={uri: str(stage)})
    variables = {"stage_path": str(stage), "stage_uri": f"{uri}{{key}}"}
    numbers = [f"1390000{number:04d}" for number in range(202)]
    days = [
        ("2026-03-01", numbers[:200], [], 200),
        ("2026-03-02", numbers[:200], ["Lapsed buyers"], 200),
        ("2026-03-03", numbers[:150], [], 150),
    ]
    seen = []
    for day, phones, rejected, amount in days:
        rows = ["id,phone", *(f"{row},{phone}" for row, phone in enumerate([*phones, "no number", phones[0]]))]
        (tmp_path / f"phones_{day}.csv").write_text("\n".join(rows))
        emulator.settings(reject_names=rejected)
        _, output = airflow_dags_test("pai_group_refresh", day, **variables)
        assert ("PAI rejected it" in output) is bool(rejected), output
        assert not [phone for phone in phones if phone in output]
        groups = {group["Name"]: group for group in emulator.groups()}
        assert {name: group["Amount"] for name, group in groups.items()} == {
            "Lapsed buyers": 42,
            "Newsletter readers": amount,
        }
        assert list(stage.iterdir()) == []
        seen.append({name: group["Id"] for name, group in groups.items()})
    assert len(emulator.groups()) == 2
    assert seen[0] == seen[1]
    assert not set(seen[1].values()) & set(seen[2].values())
