"""Syncs that ask a person if a guard objects, in real DAG runs with real answers."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple
from support.dag_scripts import AirflowProcesses, DagScript
from support.fixtures import MakeAudience

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.task_groups.applovin import approved_suppression_sync, approved_sync

VERSION = get_base_airflow_version_tuple()
HAS_PEOPLE = pytest.mark.skipif(VERSION < (3, 1, 0), reason="this Airflow can't ask a person")
IDS = [f"a9940000-{number:04x}-4000-8000-00000000abcd" for number in range(40)]


def made(function: Any, **arguments: Any) -> Any:
    """The tasks of a group, by their names in it."""
    with DAG("d", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) as dag:
        group = function(source=["x"], **arguments)
    return {name: dag.get_task(f"{group.group_id}.{name}") for name in ("plan", "approve", "apply")}


@pytest.mark.skipif(VERSION >= (3, 1, 0), reason="this Airflow can ask a person")
@pytest.mark.parametrize(
    ("function", "target"), [(approved_sync, "audience_id"), (approved_suppression_sync, "package_name")]
)
def test_older_versions_say_so_in_the_dag_file(function: Any, target: str) -> None:
    with pytest.raises(InvalidInputError, match=r"only 3\.1 and newer can ask a person"):
        made(function, **{target: "a"})


@pytest.mark.skipif(VERSION < (3, 3, 0), reason="before Airflow 3.3, dag.test() gives no answer to the question")
def test_a_person_is_asked_only_if_a_guard_objects(
    make_audience: MakeAudience, emulator: AudiencesEmulator, tmp_path: Path, airflow_processes: AirflowProcesses
) -> None:
    given = {"folder": str(tmp_path), "audience_id": make_audience()}
    state = str(tmp_path / "state")
    run = DagScript("approved_syncs", airflow_processes, given, AIRFLOW__AUDIENCES__STATE_PATH=state)
    sources = {"2026-03-01": IDS[:20], "2026-03-02": IDS[:7], "2026-03-03": IDS[:1], "2026-03-04": IDS[:8]}
    for day, ids in sources.items():
        (tmp_path / f"ids_{day}.txt").write_text("\n".join(ids))
    answers = ["2026-03-01", "2026-03-02=Approve", "2026-03-03=Reject", "2026-03-04"]
    seen, output = run(*answers)
    done = {"plan": "success", "approve": "success", "apply": "success"}
    assert seen["runs"] == [done, done, done | {"apply": "skipped"}, done], output[-6000:]
    assert emulator.members(given["audience_id"]) == IDS[:8]
    assert [request["body_lines"] for request in emulator.requests("applovin.append")] == [20, 13, 1]
    notified, approved, _, rejected = seen["asked"]
    assert notified == {"notified": "approved_sync.approve"}
    assert approved["subject"] == f"{given['audience_id']}: max_removed_ratio would stop this sync"
    assert "| removed | 13 |" in approved["body"]
    assert "| live | 7 |" in approved["body"]
    objection = "- **no**: the plan would remove 13 of 20 members (65.0%), and at most 30.0% is allowed"
    assert f"{objection} (`max_removed_ratio`)\n- yes: " in approved["body"]
    assert "| removed | 6 |" in rejected["body"]
    assert not [one for one in IDS if one in str(seen)]


@HAS_PEOPLE
def test_nobody_who_answers_and_a_no_may_fail_the_task(task_context: Any) -> None:
    timeout = {"error": "The timeout has passed", "error_type": "timeout"}
    approve = made(approved_sync, audience_id="a")["approve"]
    with pytest.raises(AirflowFailException, match="nobody has answered in time; nothing was sent"):
        approve.execute_complete(task_context(), timeout)
    answer: dict[str, Any] = {"chosen_options": ["Reject"], "params_input": {}, "responded_by_user": None}
    answer["responded_at"] = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    approve = made(approved_sync, audience_id="a", fail_on_reject=True)["approve"]
    with pytest.raises(AirflowFailException, match="the plan was rejected; nothing was sent"):
        approve.execute_complete(task_context(), answer)
    answer["chosen_options"] = ["Approve"]
    assert approve.execute_complete(task_context(), answer)["chosen_options"] == ["Approve"]


@HAS_PEOPLE
@pytest.mark.parametrize(
    ("function", "target", "folder"),
    [(approved_sync, "audience_id", "audiences"), (approved_suppression_sync, "package_name", "suppression")],
)
def test_arguments_go_where_they_belong(function: Any, target: str, folder: str) -> None:
    given = {
        target: "a",
        "account": "main",
        "max_removed": 5,
        "batch_size": 10,
        "pool": "p",
        "trigger_rule": "all_done",
    }
    tasks = made(function, group_id="g", response_timeout=dt.timedelta(hours=1), **given)
    plan, approve, apply = tasks.values()
    assert (plan.max_removed, plan.plan_only, plan.trigger_rule, plan.outlets) == (5, True, "all_done", [])
    assert (apply.override_guards, apply.trigger_rule) == (True, "all_success")
    assert [task.batch_size for task in (plan, apply)] == [10, 10]
    assert [task.pool for task in tasks.values()] == ["p", "default_pool", "p"]
    assert [asset.uri for asset in apply.outlets] == [f"applovin://main/{folder}/a"]
    assert (approve.response_timeout, approve.about) == (dt.timedelta(hours=1), "a")
    assert [task.downstream_task_ids for task in tasks.values()] == [{"g.approve", "g.apply"}, {"g.apply"}, set()]


@HAS_PEOPLE
def test_an_audience_by_its_name_and_an_asset_of_the_users() -> None:
    tasks = made(approved_sync, name="Loyal", platform="ios", package_name="p")
    assert [asset.uri for asset in tasks["apply"].outlets] == ["applovin://applovin_default/audiences/Loyal"]
    assert tasks["approve"].about == "Loyal"
    tasks = made(approved_sync, audience_id="{{ params.a }}", asset="applovin://main/audiences/b")
    assert [asset.uri for asset in tasks["apply"].outlets] == ["applovin://main/audiences/b"]
    assert made(approved_sync, audience_id="{{ params.a }}")["apply"].outlets == []
