"""Assets in real DAG runs: what Airflow is told of each write, and what it keeps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple
from support.dag_scripts import AirflowProcesses, DagScript
from support.fixtures import MakeAudience

from airflow_provider_audiences.assets.history import NAMES
from airflow_provider_audiences.emulator.testing import AudiencesEmulator

MONDAY, TUESDAY, WEDNESDAY, THURSDAY = "2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"
IDS = [f"a55e7000-{number:04x}-4000-8000-00000000abcd" for number in range(40)]
PHONES = ["13912345678", "13787654321"]
VERSION = get_base_airflow_version_tuple()
HAS_STATE = VERSION >= (3, 3, 0)
"""Only then Airflow keeps more than events."""

LOYAL = "applovin://applovin_default/audiences/Loyal%20players%20%2B1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


@pytest.fixture
def run(
    make_audience: MakeAudience,
    emulator: AudiencesEmulator,
    tmp_path: Path,
    folder: Path,
    airflow_processes: AirflowProcesses,
) -> DagScript:
    """Runs DAGs of the script; returns how their tasks ended, and what Airflow has of assets."""
    emulator.settings(processing_seconds=0)
    audience_ids = [make_audience(name) for name in "AB"]
    given = {"folder": str(folder), "audience_ids": audience_ids, "lists": [IDS[:5], IDS[3:12]], "phones": PHONES}
    return DagScript("asset_runs", airflow_processes, given, AIRFLOW__AUDIENCES__STATE_PATH=str(tmp_path / "state"))


@pytest.fixture
def write(folder: Path) -> Callable[..., None]:
    def to(day: str, ids: Any) -> None:
        (folder / f"ids_{day}.txt").write_text("\n".join(ids))

    return to


def events_of(kept: Any, dag: str) -> list[Any]:
    return [event for event in kept["events"] if event["dag"] == dag]


def test_each_sync_tells_of_its_audience_and_a_guard_only_of_its_state(
    run: DagScript, write: Callable[..., None], emulator: AudiencesEmulator
) -> None:
    write(MONDAY, IDS[:20])
    write(TUESDAY, IDS[2:22])
    write(WEDNESDAY, IDS[2:22])
    write(THURSDAY, IDS[2:9])
    kept, output = run(*(f"asset_daily={day}" for day in (MONDAY, TUESDAY, WEDNESDAY, THURSDAY)))
    assert [tasks["sync"] for tasks in kept["runs"]] == ["success", "success", "success", "failed"], output[-4000:]
    events = events_of(kept, "asset_daily")
    assert [event["uri"] for event in events if not event["extra"]] == ["of_the_user"] * 3
    own = [event["extra"] for event in events if event["uri"] == LOYAL]
    assert [(extra["report"]["added"], extra["report"]["removed"]) for extra in own] == [(20, 0), (2, 2), (0, 0)]
    assert {(extra["audiences"], extra["platform"], extra["kind"], extra["name"]) for extra in own} == {
        (1, "applovin", "audience", "Loyal players +1")
    }
    assert {(extra["operation"], extra["conn_id"]) for extra in own} == {("sync", "applovin_default")}
    assert all(isinstance(extra["at"], int) for extra in own)
    assert own[0]["report"]["verdicts"]
    assert own[0]["report"]["plan_id"]
    assert bool(kept["state"]) is HAS_STATE
    if HAS_STATE:
        check_state(kept["state"][LOYAL])
    assert not [one for one in (*IDS, emulator.api_key) if one in json.dumps(kept)]


def check_state(state: Any) -> None:
    outcome, history, expiry = (state[key] for key in ("outcome", "history", "expiry"))
    assert (outcome["state"], outcome["guard"], outcome["operation"]) == ("stopped", "max_removed_ratio", "sync")
    assert outcome["message"].startswith("stopped by max_removed_ratio: the plan would remove 13 of 20 members (65.0%)")
    assert outcome["report"] is None
    assert (outcome["dag_id"], outcome["task_id"], outcome["map_index"]) == ("asset_daily", "sync", -1)
    assert outcome["run_id"]
    assert 0 < outcome["next_run"] - outcome["at"] <= 24 * 3600
    assert history["fields"] == NAMES
    points = [dict(zip(NAMES, point, strict=True)) for point in history["points"]]
    assert [(one["live"], one["added"], one["removed"], one["refreshed"]) for one in points] == [
        (20, 20, 0, 0),
        (20, 2, 2, 0),
        (20, 0, 0, 0),
    ]
    assert [one["drift"] for one in points] == [0, 0, 0]
    assert all(one["requests"] > 0 and one["suppressed"] == 0 for one in points)
    assert state["limits"] == {"max_removed_ratio": 0.3, "max_added_ratio": None, "min_members": 2}
    assert sum(count for _, count in expiry["days"]) == 20
    assert expiry["first"] <= expiry["last"]
    assert abs(expiry["first"] - outcome["at"] - 30 * 24 * 3600) < 600


def test_a_plan_writes_nothing_and_what_applies_it_is_told_its_asset(
    run: DagScript, write: Callable[..., None]
) -> None:
    write(MONDAY, IDS[:10])
    kept, output = run(f"asset_approved={MONDAY}")
    assert set(kept["runs"][0].values()) == {"success"}, output[-4000:]
    (event,) = events_of(kept, "asset_approved")
    audience_id = run.given["audience_ids"][0]
    assert event["uri"] == f"applovin://applovin_default/audiences/{audience_id}"
    assert event["task"] == "apply"
    assert (event["extra"]["operation"], event["extra"]["name"]) == ("apply", audience_id)
    assert event["extra"]["report"]["added"] == 10


def test_all_kinds_of_assets(run: DagScript) -> None:
    kept, output = run(f"asset_others={MONDAY}")
    assert set(kept["runs"][0].values()) == {"success"}, output[-4000:]
    events = events_of(kept, "asset_others")
    second = run.given["audience_ids"][1]
    of_second = f"applovin://main/audiences/{second}"
    group = "pai://pai_default/groups/VIP%20%E4%BC%9A%E5%91%98"
    assert {(event["task"], event["uri"]) for event in events} == {
        ("append", of_second),
        ("remove", of_second),
        ("list", "applovin://main/suppression/com.example"),
        ("group", group),
        ("inline", "pai://pai_default/groups/Inline"),
    }
    told = {event["task"]: event["extra"] for event in events}
    assert {task: (extra["kind"], extra["operation"]) for task, extra in told.items()} == {
        "append": ("audience", "append"),
        "remove": ("audience", "remove"),
        "list": ("suppression_list", "sync"),
        "group": ("group", "sync"),
        "inline": ("group", "sync"),
    }
    assert told["group"]["name"] == "VIP 会员"
    assert told["group"]["report"]["amount"] == 2
    assert not [one for one in (*IDS, *PHONES) if one in json.dumps(kept)]
    if HAS_STATE:
        assert kept["state"][group]["limits"]["min_members"] == 1
        assert "expiry" not in kept["state"]["applovin://main/suppression/com.example"]
        points = kept["state"][of_second]["history"]["points"]
        assert [(point[NAMES.index("added")], point[NAMES.index("removed")]) for point in points] == [
            (5, None),
            (None, 9),
        ]


def test_mapped_tasks_tell_of_what_partial_says(run: DagScript) -> None:
    first, second = (f"applovin://applovin_default/audiences/{one}" for one in run.given["audience_ids"])
    kept, output = run(f"asset_mapped={MONDAY}")
    assert set(kept["runs"][0].values()) == {"success"}, output[-4000:]
    events = events_of(kept, "asset_mapped")
    told = sorted((event["task"], event["map_index"], event["uri"]) for event in events)
    assert told == [
        ("by_alias", 0, first),
        ("by_alias", 1, second),
        ("named", 0, second),
        ("of_one", 0, first),
        ("of_one", 1, first),
    ]
    for event in events:
        report = event["extra"]["report"]
        if event["task"] == "by_alias" and VERSION < (3, 1, 0):
            report = json.loads(report)
        assert report["sent"] == (9 if event["map_index"] else 5)
