"""``list`` and ``show``: the counts and dates of real states, in each form; also while a sync runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fixtures import MakeContext

from airflow_provider_audiences.common.state import state_store
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator, AppLovinRemoveUsersOperator
from airflow_provider_audiences.operators.applovin_changes import AppLovinSendChangesOperator
from airflow_provider_audiences.operators.applovin_suppression import AppLovinSyncSuppressionOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.sync.state.lease import Holder, leased

Run = Callable[..., Any]


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_all_audiences_are_listed(form: str, run: Run, stored: Any, emulator: AudiencesEmulator) -> None:
    before = stored.contents()
    ended = run("list", "-o", form)
    host = emulator.url.removeprefix("http://")
    shared = {
        "host": host,
        "account": None,
        "generation": 1,
        "last_run": "2026-01-31 00:00:00+00:00",
        "unfinished_plan": None,
        "held_by": None,
        "held_until": None,
        "problem": None,
    }
    assert (ended.code, ended.err) == (0, "")
    assert ended.content(form) == [
        {"api": "applovin", "audience": stored.audience_id, "live": 10, **shared},
        {"api": "applovin-suppression", "audience": stored.package, "live": 3, **shared},
    ]
    assert stored.contents() == before
    assert emulator.requests() == []


def test_the_list_as_a_table(run: Run, stored: Any) -> None:
    ended = run("list")
    header, _, *rows = (line.split("│" if "│" in line else "┃") for line in ended.out.splitlines())
    table = [dict(zip([name.strip() for name in header], [cell.strip() for cell in row], strict=True)) for row in rows]
    assert [(row["audience"], row["live"], row["held by"]) for row in table] == [
        (stored.audience_id, "10", "-"),
        (stored.package, "3", "-"),
    ]


def test_nothing_to_list(run: Run, state_path: Path) -> None:
    assert run("list").out == f"No audience has a ledger in {state_path}.\n"
    assert run("list", "-o", "json").content() == []
    assert not state_path.exists()


def test_a_sync_that_is_under_way_is_listed(run: Run, stored: Any, emulator: AudiencesEmulator) -> None:
    files = state_store("applovin", emulator.url.removeprefix("http://"), stored.audience_id)
    with leased(files, Holder(key="DAG d, run r, task t", try_number=2)):
        before = stored.contents()
        found = {row["audience"]: row for row in run("list", "-o", "json").content()}
        shown = run("show", stored.audience_id, "-o", "json").content()
        assert stored.contents() == before
    assert found[stored.audience_id]["held_by"] == shown["held_by"] == "DAG d, run r, task t, try 2"
    assert found[stored.package]["held_by"] is None


def test_a_damaged_state_hides_no_other(run: Run, stored: Any) -> None:
    max(stored.folder(stored.audience_id).glob("head-*.json")).write_text("{}")
    damaged, other = run("list", "-o", "json").content()
    assert damaged["audience"] == stored.audience_id
    assert "is damaged" in damaged["problem"]
    assert (damaged["live"], other["live"]) == (None, 3)


def test_a_copied_state_is_not_taken_for_another_audiences(run: Run, stored: Any) -> None:
    folder = stored.folder(stored.audience_id)
    folder.rename(folder.with_name("another"))
    row = run("list", "-o", "json").content()[0]
    assert (row["audience"], "not another of" in row["problem"]) == ("another", True)


def test_long_names_are_those_of_the_manifest(run: Run, stored: Any, task_context: MakeContext) -> None:
    name = "com." + "x" * 150 + ".ü" * 10
    AppLovinSyncSuppressionOperator(task_id="l", package_name=name, source=stored.ids).execute(task_context())
    rows = run("list", "-o", "json").content()
    assert [row["problem"] for row in rows] == [None] * 3
    assert name in [row["audience"] for row in rows]


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_one_audience_in_full(
    form: str, run: Run, stored: Any, task_context: MakeContext, make_ids: Callable[..., list[str]]
) -> None:
    AppLovinRemoveUsersOperator(task_id="r", audience_id=stored.audience_id, source=stored.ids[:2]).execute(
        task_context()
    )
    AppLovinAppendUsersOperator(task_id="a", audience_id=stored.audience_id, source=make_ids(3)).execute(task_context())
    plan = AppLovinSyncAudienceOperator(
        task_id="p", audience_id=stored.audience_id, source=stored.ids[:4], plan_only=True, drift_patience_seconds=0
    ).execute(task_context())
    before = stored.contents()
    ended = run("show", stored.audience_id, "-o", form)
    found = ended.content(form)
    assert (ended.code, ended.err) == (0, "")
    assert (found["api"], found["audience"], found["generation"]) == ("applovin", stored.audience_id, 3)
    assert (found["live"], found["maybe_live"], found["expired"]) == (11, 0, 0)
    assert (found["held_back"], found["added_directly"]) == (2, 3)
    assert found["first_expiry"] <= found["last_expiry"]
    assert found["last_run"] == "2026-01-31 00:00:00+00:00"
    assert found["plans"] == [
        {
            "plan": plan["plan_id"],
            "status": "waiting",
            "generation": 3,
            "added": 0,
            "refreshed": 0,
            "removed": 6,
            "delivered": 0,
            "stopped_by": ["max_removed_ratio"],
        }
    ]
    assert stored.contents() == before
    table = run("show", stored.audience_id).out
    for text in (plan["plan_id"], "max_removed_ratio", found["first_expiry"]):
        assert text in table


def test_a_suppression_list_never_expires(run: Run, stored: Any) -> None:
    found = run("show", stored.package, "-o", "json").content()
    assert (found["live"], found["first_expiry"], found["last_expiry"]) == (3, None, None)


def test_an_audience_that_is_kept_by_changes(run: Run, stored: Any, task_context: MakeContext) -> None:
    changes: dict[str, Any] = {"removed": stored.ids[:2], "on_ledger": "forget"}
    AppLovinSendChangesOperator(task_id="c", audience_id=stored.audience_id, **changes).execute(task_context())
    (listed, _) = run("list", "-o", "json").content()
    assert (listed["live"], listed["generation"]) == (None, 2)
    shown = run("show", stored.audience_id, "-o", "json").content()
    assert (shown["kept_by"], shown["live"], shown["unfinished_plan"]) == ("changes that are handed in", None, None)
    assert run("show", stored.package, "-o", "json").content()["kept_by"] == "syncs"
    assert run("ledger", "verify", stored.audience_id).code == 0


def test_an_audience_is_found_by_its_whole_address(run: Run, stored: Any, emulator: AudiencesEmulator) -> None:
    host = emulator.url.removeprefix("http://")
    folder = stored.folder(stored.audience_id)
    (folder.parents[1] / "elsewhere").mkdir()
    (folder.parents[1] / "elsewhere" / stored.audience_id).symlink_to(folder)
    ended = run("show", stored.audience_id)
    assert (ended.code, ended.out) == (1, "")
    assert f"applovin/{host}/{stored.audience_id}" in ended.err
    assert f"applovin/elsewhere/{stored.audience_id}" in ended.err
    assert run("show", f"applovin/{host}/{stored.audience_id}", "-o", "json").content()["live"] == 10


def test_what_can_not_be_shown_is_said_in_one_line(run: Run, stored: Any) -> None:
    ended = run("show", "nobody")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "error: no audience nobody has a ledger in this state path. See 'list' for those that have.\n"
    next(stored.folder(stored.audience_id).glob("ledger-*")).unlink()
    ended = run("show", stored.audience_id)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "is missing" in ended.err
    assert "Traceback" not in ended.err
    ended = run("show", stored.audience_id, "--verbose")
    assert 'File "' in ended.err


def test_a_wrong_state_path(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", "relative/folder")
    ended = run("list")
    assert ended.code == 1
    assert ended.err.startswith("error: [audiences] state_path relative/folder must be absolute")


def test_an_audience_in_partitions_is_one_for_each(
    run: Run, state_path: Path, task_context: MakeContext, make_ids: Callable[..., list[str]], tmp_path: Path
) -> None:
    ids = [*make_ids(5, start=0xA1 << 120), *make_ids(3, start=0xB1 << 120)]
    (source := tmp_path / "ids.txt").write_text("\n".join(ids))
    named: dict[str, Any] = {"name": "n", "platform": "ios", "package_name": "p", "drift_patience_seconds": 0}
    for partition in "ab":
        sync = AppLovinSyncAudienceOperator(task_id="t", source=ids, partition=partition, **named)
        audience_id = sync.execute(task_context())["audience_id"]
    listed = {row["audience"]: row["live"] for row in run("list", "-o", "json").content("json")}
    live = {f"{audience_id}/partition-a": 5, f"{audience_id}/partition-b": 3}  # the others have begun, without members
    assert listed == {f"{audience_id}/partition-{digit:x}": 0 for digit in range(16)} | live
    assert run("show", f"{audience_id}/partition-a", "-o", "json").content("json")["live"] == 5
    ended = run("show", audience_id)
    assert f"several audiences have the id {audience_id}: give one of applovin/" in ended.err
    rows = run("ledger", "verify", "-o", "json").content("json")
    assert {row["audience"] for row in rows} == set(listed)
    assert {row["status"] for row in rows} == {"ok"}
    ended = run("plan", audience_id, "--source", str(source))
    assert "has 16 partitions, and this task asks for the whole of it" in ended.err
