"""``plan``: the counts of the sync that follows, exit codes, and a state and a platform that stay as they were."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fixtures import MakeContext, MakeIds
from support.operators import arguments_of

from airflow_provider_audiences.cli.commands import PLAN_ARGUMENTS
from airflow_provider_audiences.common.state import state_store
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.applovin_suppression import AppLovinSyncSuppressionOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.sync.state.lease import Holder, leased

Run = Callable[..., Any]
SourceFile = Callable[..., str]


@pytest.fixture(autouse=True)
def may_change(stored: Any, emulator: AudiencesEmulator) -> Any:
    """No test of these changes the state, or sends members, unless it says so by an entry of this list."""
    before = stored.contents()
    notes = sorted(stored.state.glob("accounts/*/*"))
    changes: list[bool] = []
    yield changes
    assert changes or stored.contents() == before
    assert sorted(stored.state.glob("accounts/*/*")) == notes
    assert [request for request in emulator.requests() if request["operation"] != "applovin.list"] == []


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_it_says_what_a_sync_would_do(
    form: str, run: Run, stored: Any, source_file: SourceFile, make_ids: MakeIds
) -> None:
    source = source_file([*stored.ids[2:], *make_ids(3), "junk"])
    ended = run("plan", stored.audience_id, "--source", source, "-o", form)
    found = ended.content(form)
    assert ended.code == 2
    assert (found["api"], found["audience"], found["changes"]) == ("applovin", stored.audience_id, True)
    counts = ("added", "removed", "unchanged", "live", "members", "malformed", "planned_requests")
    assert [found[name] for name in counts] == [3, 2, 8, 11, 11, 1, 2]
    assert {verdict["guard"]: verdict["passed"] for verdict in found["verdicts"]}["max_removed_ratio"] is True
    assert ended.err.startswith("warning: Dropped 1 text of source")


def test_it_fits_the_plan_of_the_operator(
    run: Run,
    stored: Any,
    source_file: SourceFile,
    make_ids: MakeIds,
    task_context: MakeContext,
    may_change: list[bool],
) -> None:
    source, opted_out = source_file([*stored.ids[1:], *make_ids(4)]), source_file(stored.ids[5:7], "opt-outs.txt")
    said = run("plan", stored.audience_id, "--source", source, "--suppress", opted_out, "-o", "json").content()
    may_change.append(True)
    done = AppLovinSyncAudienceOperator(
        task_id="t", audience_id=stored.audience_id, source=source, suppress=opted_out, plan_only=True
    ).execute(task_context())
    for name in ("added", "removed", "unchanged", "suppressed", "live", "planned_requests", "verdicts"):
        assert said[name] == done[name]


def test_nothing_to_do(run: Run, stored: Any, source_file: SourceFile) -> None:
    ended = run("plan", stored.audience_id, "--source", source_file(stored.ids), "-o", "json")
    assert (ended.code, ended.err) == (0, "")
    assert (ended.content()["changes"], ended.content()["unchanged"]) == (False, 10)


def test_a_table_for_people(run: Run, stored: Any, source_file: SourceFile) -> None:
    ended = run("plan", stored.audience_id, "--source", source_file(stored.ids[:9]))
    lines = {line.split("│")[0].strip(): line.split("│")[1].strip() for line in ended.out.splitlines() if "│" in line}
    assert (lines["removed"], lines["unchanged"], lines["added"], lines["changes"]) == ("1", "9", "0", "yes")
    assert lines["max_removed_ratio"] == "passed"
    assert "held back" not in lines, "what is 0 is left out"


@pytest.mark.parametrize(
    ("name", "said"), [("--batch-size", "batch_size must be"), ("--ttl-seconds", "ttl_seconds must be")]
)
def test_a_zero_is_an_argument(run: Run, stored: Any, source_file: SourceFile, name: str, said: str) -> None:
    ended = run("plan", stored.audience_id, "--source", source_file(stored.ids), name, "0")
    assert ended.code == 1
    assert said in ended.err


def test_a_guard_that_stops(run: Run, stored: Any, source_file: SourceFile) -> None:
    source = source_file(stored.ids[:5])
    ended = run("plan", stored.audience_id, "--source", source, "-o", "json")
    assert ended.code == 1
    assert ended.content()["removed"] == 5
    assert "\nerror: a sync would stop, and send nothing: max_removed_ratio: the plan would remove" in ended.err
    assert "STOPPED" in run("plan", stored.audience_id, "--source", source).out
    assert run("plan", stored.audience_id, "--source", source, "--max-removed-ratio", "off").code == 2


def test_a_suppression_list(run: Run, stored: Any, source_file: SourceFile) -> None:
    source = source_file(stored.ids[:5])
    found = run("plan", stored.package, "--kind", "applovin-suppression-list", "--source", source, "-o", "json")
    assert (found.code, found.content()["added"], found.content()["api"]) == (2, 2, "applovin-suppression")
    ended = run("plan", stored.package, "--kind", "applovin-suppression-list", "--source", source, "--ttl-seconds", "5")
    assert (ended.code, "--ttl-seconds is not for a suppression list" in ended.err) == (1, True)


def test_a_suppression_list_of_one_of_several_accounts(
    run: Run,
    stored: Any,
    source_file: SourceFile,
    task_context: MakeContext,
    emulator: AudiencesEmulator,
    may_change: list[bool],
) -> None:
    AppLovinSyncSuppressionOperator(
        task_id="s", package_name=stored.package, account="games", source=stored.ids[:8]
    ).execute(task_context())
    may_change.append(True)
    emulator.clear_requests()
    plan = (
        "plan",
        stored.package,
        "--kind",
        "applovin-suppression-list",
        "--source",
        source_file(stored.ids[:8]),
        "-o",
        "json",
    )
    assert run(*plan).content()["added"] == 5
    found = run(*plan, "--account", "games")
    assert (found.code, found.content()["added"], found.content()["account"]) == (0, 0, "games")


def test_every_argument_of_a_plan_can_be_given() -> None:
    not_of_plans = {
        *("source", "suppress", "audience_id", "package_name"),  # given by options of other names
        *("name", "platform", "audience_type", "description"),  # of audiences that are not made yet
        *("asset", "allow_older_run", "plan_only", "partition"),
        *("max_parallel_requests", "wait_for_audience_seconds", "max_drift", "drift_patience_seconds", "id_case"),
        *("rejects_path", "rejects_include_values"),
    }
    options = {option.lstrip("-").replace("-", "_") for found in PLAN_ARGUMENTS for option in found.flags}
    for operator_class in (AppLovinSyncAudienceOperator, AppLovinSyncSuppressionOperator):
        given = {"audience_conn_id" if name == "applovin_conn_id" else name for name in arguments_of(operator_class)}
        assert given - not_of_plans <= options, operator_class


def test_a_folder_of_csv_files(run: Run, stored: Any, tmp_path: Path) -> None:
    folder = tmp_path / "day"
    folder.mkdir()
    for number in range(2):
        ids = stored.ids[5 * number : 5 * number + 5]
        (folder / f"{number}.csv").write_text("n,idfa\n" + "".join(f"1,{item}\n" for item in ids))
    assert run("plan", stored.audience_id, "--source", str(folder), "--column", "idfa").code == 0


@pytest.mark.parametrize("given", ["text", "file"])
def test_a_query(
    given: str, run: Run, stored: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_ids: MakeIds
) -> None:
    database = tmp_path / "members.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE members (id TEXT, wants INTEGER)")
        rows = [(item, 1) for item in [*stored.ids, *make_ids(2)]] + [(stored.ids[0], 0)]
        connection.executemany("INSERT INTO members VALUES (?, ?)", rows)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(database)}))
    query = "SELECT id FROM members WHERE wants = 1"
    if given == "file":
        (tmp_path / "members.sql").write_text(query)
        query = str(tmp_path / "members.sql")
    arguments = ("plan", stored.audience_id, "--sql", query, "--conn-id", "warehouse", "-o", "json")
    ended = run(*arguments)
    assert (ended.code, ended.err) == (2, "")
    assert ended.content()["added"] == 2
    ended = run(*arguments, "--suppress-sql", "SELECT id FROM members WHERE wants = 0")
    assert (ended.content()["suppressed"], ended.content()["removed"]) == (1, 1)


def test_while_a_sync_runs(run: Run, stored: Any, source_file: SourceFile, emulator: AudiencesEmulator) -> None:
    files = state_store("applovin", emulator.url.removeprefix("http://"), stored.audience_id)
    with leased(files, Holder(key="k", try_number=1)):
        assert run("plan", stored.audience_id, "--source", source_file(stored.ids)).code == 0


def test_an_audience_without_a_ledger(
    run: Run, stored: Any, source_file: SourceFile, applovin: Any, emulator: AudiencesEmulator, as_body: Any
) -> None:
    new = applovin.create_audience(name="new", platform="ios", package_name="p").audience_id
    applovin.append_users(audience_id=new, advertising_ids=as_body(stored.ids[:4]))
    emulator.clear_requests()
    source = source_file(stored.ids)
    ended = run("plan", new, "--source", source)
    assert (ended.code, ended.out) == (1, "")
    assert "holds 4 members" in ended.err
    ended = run("plan", new, "--source", source, "--initial", "append", "-o", "json")
    assert (ended.code, ended.content()["added"]) == (2, 10)
    assert {request["operation"] for request in emulator.requests()} == {"applovin.list"}
    assert not list(stored.state.glob(f"applovin/*/{new}"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source", "/nowhere/ids.txt"], "/nowhere/ids.txt"),
        ([], "give --source, or --sql with --conn-id"),
        (["--sql", "SELECT 1"], "--sql needs --conn-id"),
        (["--sql", "/nowhere/a.sql", "--conn-id", "x"], "the query /nowhere/a.sql can't be read (FileNotFoundError)"),
        (["--source", "a", "--sql", "SELECT 1", "--conn-id", "x"], "give --source or --sql, not both"),
        (["--source", "s3://b/day={{ ds }}/"], "a path has a template in it"),
        (["--source", "a.txt", "--max-removed-ratio", "2"], "max_removed_ratio"),
        (["--source", "a.txt", "--audience-conn-id", "nobody"], "connection 'nobody' is not defined"),
    ],
)
def test_mistakes_are_said_in_one_line(run: Run, stored: Any, arguments: list[str], said: str) -> None:
    ended = run("plan", stored.audience_id, *arguments)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert ended.err.startswith("error: ")
    assert said in ended.err
