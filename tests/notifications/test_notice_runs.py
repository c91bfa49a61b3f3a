"""Notices in real DAG runs: one for each change of state, by the user's notifiers, and none otherwise."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.dag_scripts import AirflowProcesses, DagScript
from support.fixtures import AsBody, MakeAudience

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient

IDS = [f"9071ce00-{number:04x}-4000-8000-00000000abcd" for number in range(40)]
PHONES = [f"1390000{number:04d}" for number in range(10)]
DAYS = [f"2026-03-{day:02}" for day in range(1, 10)]


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
    """Runs DAGs of the script; returns how their tasks ended."""
    emulator.settings(processing_seconds=0)
    given = {"folder": str(folder), "audience_id": make_audience()}
    return DagScript("state_notices", airflow_processes, given, AIRFLOW__AUDIENCES__STATE_PATH=str(tmp_path / "state"))


@pytest.fixture
def told(folder: Path) -> Callable[[str], list[Any]]:
    """What a notifier was told since it was asked last."""

    def since(name: str) -> list[Any]:
        path = folder / f"{name}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        path.write_text("")
        return [json.loads(line) for line in lines]

    return since


def test_each_change_is_told_once(
    run: DagScript,
    emulator: AudiencesEmulator,
    applovin: AppLovinClient,
    as_body: AsBody,
    folder: Path,
    told: Any,
    tmp_path: Path,
) -> None:
    audience_id = run.given["audience_id"]
    sources = [IDS[:20], IDS[:9], IDS[:8], IDS[:20], None, IDS[:20], IDS[:20]]
    for day, ids in zip(DAYS, sources, strict=False):
        if ids is not None:
            (folder / f"ids_{day}.txt").write_text("\n".join(ids))

    ended, output = run(*(f"noticed={day}" for day in DAYS[:5]))
    assert [one["sync"] for one in ended] == ["success", "failed", "failed", "success", "failed"], output[-4000:]
    stopped, again, failed = (notice["text"] for notice in told("first"))
    subject, *body = stopped.splitlines()
    assert subject == f"Audience {audience_id}: stopped by max_removed"
    assert body[0] == f"Audience {audience_id} at AppLovin, connection applovin_default"
    assert body[1].startswith("Before: ok, since 20")
    assert body[2].startswith("Now: stopped by max_removed, since 20")
    assert "the plan would remove 11 members, and at most 5 are allowed" in body[2]
    assert body[3] == (
        'If the change is meant, trigger one run with the configuration {"audiences": {"max_removed": "off"}}.'
    )
    assert body[4].startswith("The plan: added 0, removed 11, refreshed 0, unchanged 9, suppressed 0, live 9")
    assert body[5].startswith("DAG noticed, task sync, run manual__")
    assert body[6].startswith("Log: http")
    assert again.startswith(f"Audience {audience_id}: ok again\n")
    assert "Before: stopped by max_removed, since " in again
    assert failed.startswith(f"Audience {audience_id}: failed\n")
    assert f"ids_{DAYS[4]}.txt does not exist" in failed
    # Each notifier remembers by itself, and so does each AudienceStateNotifier of the task.
    assert [notice["text"] for notice in told("second")] == ["stopped", "ok", "failed"]
    assert told("function") == [text.splitlines()[0] for text in (stopped, again, failed)]
    expiry = told("expiry")
    assert [one["changes"] for one in expiry] == [["stopped", "expiry_near"], ["ok"], ["failed", "expiry_near"]]
    assert "Members begin to expire at 20" in expiry[0]["text"]

    # A notifier that fails is asked again at the next run; the others are not. Drift is told when it is there.
    (folder / "first.broken").touch()
    others = {"audience_id": audience_id, "advertising_ids": as_body(IDS[30:35])}
    applovin.append_users(**others)
    ended, output = run(f"noticed={DAYS[5]}")
    assert ended == [{"sync": "success", "plan": "success"}], output[-4000:]
    assert (told("first"), told("second")) == ([], [{"text": "ok", "changes": ["ok", "drift_began"]}])
    (folder / "first.broken").unlink()
    applovin.append_users(**others, ttl_seconds=0)
    run(f"noticed={DAYS[6]}")
    assert [notice["changes"] for notice in told("first")] == [["ok"]]
    assert [notice["changes"] for notice in told("second")] == [["drift_ended"]]
    assert [notice["changes"] for notice in told("expiry")] == [["ok"]]

    kept = "".join(path.read_text() for path in (tmp_path / "state" / "notices").rglob("*.json"))
    assert "stopped" in kept
    assert not [one for one in (*IDS, emulator.api_key) if one in kept + stopped + again + failed]


def test_a_group_of_pai_has_notices_too(run: DagScript, folder: Path, told: Any) -> None:
    for day, phones in zip(DAYS, (PHONES, PHONES[:2], PHONES[:2], PHONES), strict=False):
        (folder / f"phones_{day}.txt").write_text("\n".join(phones))
    ended, output = run(*(f"noticed_group={day}" for day in DAYS[:4]))
    assert [one["group"] for one in ended] == ["success", "failed", "failed", "success"], output[-4000:]
    stopped, again = (notice["text"] for notice in told("first"))
    assert stopped.startswith(
        "Group VIP: stopped by max_removed_ratio\nGroup VIP at Alibaba PAI, connection pai_default\n"
    )
    assert again.startswith("Group VIP: ok again\n")
    assert not [phone for phone in PHONES if phone in stopped + again]
