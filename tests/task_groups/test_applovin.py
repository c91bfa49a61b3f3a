"""Syncs that ask a person if a guard objects, in real DAG runs with real answers."""

import datetime as dt
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple
from support.dag_scripts import AirflowProcesses, DagScript
from support.fixtures import MakeAudience

from airflow_provider_audiences.assets.state import Result, TaskOutcome, put_outcome
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.notifications.notifier import AudienceStateNotifier
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
    answers = ["2026-03-01", "2026-03-02=Approve", "2026-03-03=Reject", "2026-03-04", "2026-03-05"]
    seen, output = run(*answers)
    done = {"plan": "success", "approve": "success", "apply": "success"}
    failed = {"plan": "failed", "approve": "upstream_failed", "apply": "upstream_failed"}
    assert seen["runs"] == [done, done, done | {"apply": "skipped"}, done, failed], output[-6000:]
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
    # The three tasks tell changes of the one audience: when it asks, and when a later run has sent, or not.
    assert [notice.replace(f"Audience {given['audience_id']}", "A") for notice in seen["notices"]] == [
        "approved_sync.approve A: stopped by max_removed_ratio",
        "approved_sync.apply A: ok again",
        "approved_sync.approve A: stopped by max_removed_ratio",
        "approved_sync.apply A: ok again",
        "approved_sync.plan A: failed",
    ]
    assert not [one for one in IDS if one in str(seen)]


REPORT = {
    **dict.fromkeys(("added", "removed", "refreshed", "unchanged", "suppressed", "held_back", "planned_requests"), 1),
    "live": 20,
    "plan_id": "p",
    "audience_id": "of the plan",
    "verdicts": [{"guard": "max_removed", "passed": False, "message": "it would remove 9 members"}],
}


@HAS_PEOPLE
@pytest.mark.parametrize("audience_id", ["a", "{{ params.audience }}"])
@pytest.mark.parametrize("ends_by", ["timeout", "Reject", "fail_on_reject"])
def test_a_question_without_a_yes_is_a_stop_and_a_success_of_apply_ends_it(
    audience_id: str, ends_by: str, task_context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path))
    told: list[Any] = []

    def take(context: Any) -> None:
        told.append(context["notice"])

    on_change = AudienceStateNotifier(notifiers=take)
    tasks = made(
        approved_sync,
        audience_id=audience_id,
        fail_on_reject=ends_by == "fail_on_reject",
        on_success_callback=on_change,
        on_failure_callback=on_change,
    )
    approve, apply = tasks["approve"], tasks["apply"]
    now = int(time.time())

    def ended(task: Any, **changes: Any) -> Any:
        context = task_context(task_id=task.task_id)
        return context | {"dag": task.dag, "task": task} | changes

    def of_apply(outcome: TaskOutcome) -> None:
        apply.audience_id = "of the plan"  # as it is rendered
        context = ended(apply)
        put_outcome(context, outcome, Result(expiry=expiry))
        on_change(context)

    expiry: Any = SimpleNamespace(first=now + 5 * 24 * 3600)
    of_apply(TaskOutcome.of_report({"live": 20, "drift": 0}, operation="apply"))
    assert told == []
    approve.report, approve.target = REPORT, "of the plan"
    context = ended(approve)
    event: dict[str, Any] = {"error": "The timeout has passed", "error_type": "timeout"}
    if ends_by != "timeout":
        event = {"chosen_options": ["Reject"], "params_input": {}, "responded_by_user": None}
        event["responded_at"] = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    approve.skip = lambda **_: None
    try:
        approve.execute_complete(context, event)
    except AirflowFailException as error:
        context["exception"] = error
    for _ in range(2):
        on_change(context)
    (stopped,) = told
    assert stopped.subject.endswith(": stopped by max_removed")
    assert "it would remove 9 members" in stopped.body
    assert stopped.asset.endswith("/a" if audience_id == "a" else "/of%20the%20plan")
    # Days later nobody has answered yet: the members begin to expire.
    monkeypatch.setattr("time.time", lambda: now + 3 * 24 * 3600)
    context.pop("exception", None)
    try:
        approve.execute_complete(context, event)
    except AirflowFailException as error:
        context["exception"] = error
    on_change(context)
    assert [notice.changes for notice in told[1:]] == [("expiry_near",)]
    of_apply(TaskOutcome.of_report({"live": 20, "drift": 0}, operation="apply"))
    assert [notice.changes for notice in told[2:]] == [("ok",)]


@HAS_PEOPLE
def test_a_plan_that_fails_is_told_of_with_the_others() -> None:
    tasks = made(approved_sync, audience_id="a", default_args={"on_failure_callback": print})
    assert [task.on_failure_callback for task in tasks.values()] == [[print]] * 3
    assert [task.notified_as for task in tasks.values()] == ["approved_sync.apply"] * 2 + [None]
    by_name = {"name": "{{ params.a }}", "platform": "ios", "package_name": "p"}
    tasks = made(approved_sync, **by_name)
    assert [task.notified_as for task in tasks.values()] == [None, "approved_sync.apply", None]


@HAS_PEOPLE
def test_nobody_who_answers_and_a_no_may_fail_the_task(task_context: Any) -> None:
    timeout = {"error": "The timeout has passed", "error_type": "timeout"}
    approve = made(approved_sync, audience_id="a")["approve"]
    approve.report = REPORT
    with pytest.raises(AirflowFailException, match="nobody has answered in time; nothing was sent"):
        approve.execute_complete(task_context(), timeout)
    answer: dict[str, Any] = {"chosen_options": ["Reject"], "params_input": {}, "responded_by_user": None}
    answer["responded_at"] = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    approve = made(approved_sync, audience_id="a", fail_on_reject=True)["approve"]
    approve.report = REPORT
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
        "depends_on_past": True,
        "max_active_tis_per_dag": 3,
        "trigger_rule": "all_done",
        "doc_md": "what is read",
    }
    tasks = made(function, group_id="g", response_timeout=dt.timedelta(hours=1), **given)
    plan, approve, apply = tasks.values()
    assert (plan.max_removed, plan.plan_only, plan.trigger_rule, plan.outlets) == (5, True, "all_done", [])
    assert (apply.override_guards, apply.trigger_rule) == (True, "all_success")
    assert [task.batch_size for task in (plan, apply)] == [10, 10]
    assert [(task.depends_on_past, task.max_active_tis_per_dag) for task in (plan, apply)] == [(True, 3), (True, 3)]
    assert [task.doc_md for task in (plan, apply)] == ["what is read", None]
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
