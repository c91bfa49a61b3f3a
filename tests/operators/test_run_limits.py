"""A guard that stops a task says how to let one run pass, and the run's configuration does."""

import json
import re
import types
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from support.fixtures import MakeAudience, MakeContext, MakeIds

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.applovin_sync import AppLovinApplyPlanOperator, AppLovinSyncAudienceOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator
from airflow_provider_audiences.waiting.outcomes import WaitOutcome


@pytest.fixture
def audience_id(make_audience: MakeAudience) -> str:
    return make_audience()


def context_of(task_context: MakeContext, conf: Any = None) -> Any:
    return {**task_context(), "dag_run": types.SimpleNamespace(conf=conf)}


def sync(audience_id: str, source: Any, **arguments: Any) -> AppLovinSyncAudienceOperator:
    return AppLovinSyncAudienceOperator(task_id="sync", audience_id=audience_id, source=source, **arguments)


def test_a_stop_leaves_a_report_and_says_the_way_out(
    audience_id: str,
    task_context: MakeContext,
    make_ids: MakeIds,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sync(audience_id, make_ids(10)).execute(context_of(task_context))
    context = context_of(task_context)
    with pytest.raises(exceptions.GuardError, match=r"^stopped by max_removed_ratio") as stopped:
        sync(audience_id, make_ids(5)).execute(context)
    assert isinstance(stopped.value, AirflowFailException)
    report = context["ti"].pushed["report"]
    assert (report["removed"], report["unchanged"], report["requests"]) == (5, 5, 0)
    assert {verdict["guard"] for verdict in report["verdicts"] if not verdict["passed"]} == {"max_removed_ratio"}
    # Airflow 3 writes the lines of tasks past Python's logging.
    log = caplog.text + capsys.readouterr().out
    assert "Stopped by max_removed_ratio: nothing was sent." in log
    assert '{"audiences": {"max_removed_ratio": "off"}}' in log.replace("\\", "")


def configuration_in(log: str) -> Any:
    """The configuration that the log gives for one run."""
    # Airflow 2 writes a line to both places where tests look for it.
    (shown,) = set(re.findall(r"one run with the configuration (\{.*?\}\})", log.replace("\\", "")))
    return json.loads(shown)


@pytest.mark.parametrize(
    ("left", "arguments"),
    [
        (0, {}),  # an emptied source: allow_empty and max_removed_ratio
        (0, {"min_members": 3}),
        (2, {"max_removed": 1, "max_removed_ratio": 0.5, "min_members": 3, "max_added": 0}),
    ],
)
def test_the_way_out_lifts_all_guards_that_stopped_the_run(
    audience_id: str,
    task_context: MakeContext,
    make_ids: MakeIds,
    emulator: AudiencesEmulator,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    left: int,
    arguments: dict[str, Any],
) -> None:
    sync(audience_id, make_ids(10)).execute(context_of(task_context))
    with pytest.raises(exceptions.GuardError):
        sync(audience_id, make_ids(left), **arguments).execute(context_of(task_context))
    found = configuration_in(caplog.text + capsys.readouterr().out)
    assert len(found["audiences"]) > 1
    sync(audience_id, make_ids(left), **arguments).execute(context_of(task_context, found))
    assert emulator.members(audience_id) == make_ids(left)


@pytest.mark.usefixtures("connect")
def test_a_deferred_group_keeps_the_limits_of_the_run(emulator: AudiencesEmulator, task_context: MakeContext) -> None:
    def operator() -> PaiSyncGroupOperator:
        return PaiSyncGroupOperator(
            task_id="group", name="g", source=["18612340987", "18612340986"], min_members=3, deferrable=True
        )

    context = context_of(task_context, {"audiences": {"min_members": 2}})
    with pytest.raises(TaskDeferred) as deferred:
        operator().execute(context)
    passed_on = deferred.value.trigger.serialize()[1]["passed_on"]
    ready = WaitOutcome(state="ready", reason="", seen={"id": passed_on["group_id"]})
    emulator.advance(3600)
    resumed = operator()
    resumed.execute_complete(context, event={**ready.as_event(), "passed_on": passed_on})
    assert resumed.limits["min_members"] == 2


def test_the_runs_configuration_lifts_a_limit_for_this_run(
    audience_id: str, task_context: MakeContext, make_ids: MakeIds, emulator: AudiencesEmulator
) -> None:
    sync(audience_id, make_ids(10)).execute(context_of(task_context))
    widened = context_of(task_context, {"audiences": {"max_removed_ratio": "off", "min_members": 3}, "other": 1})
    assert sync(audience_id, make_ids(4)).execute(widened)["removed"] == 6
    assert emulator.members(audience_id) == make_ids(4)
    narrowed = context_of(task_context, {"audiences": {"min_members": 5}})
    with pytest.raises(exceptions.GuardError, match=r"^stopped by min_members"):
        sync(audience_id, make_ids(4)).execute(narrowed)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_remove_ratio": 1}, "other names under 'audiences': max_remove_ratio; known are"),
        ({"source": "/x"}, "other names under 'audiences': source; known are"),
        ("off", "no mapping of limits under 'audiences'"),
        ({"max_removed_ratio": None}, "max_removed_ratio is null in the run's configuration"),
        ({"max_removed_ratio": 2}, "max_removed_ratio"),
    ],
)
def test_another_configuration_is_refused(
    audience_id: str, task_context: MakeContext, make_ids: MakeIds, emulator: AudiencesEmulator, given: Any, said: str
) -> None:
    emulator.clear_requests()
    with pytest.raises(exceptions.InvalidInputError, match=said):
        sync(audience_id, make_ids(4)).execute(context_of(task_context, {"audiences": given}))
    assert emulator.requests() == []


@pytest.mark.parametrize("conf", [None, {}, {"ids": ["x"]}, [1], "text"])
def test_any_other_configuration_is_for_others(
    audience_id: str, task_context: MakeContext, make_ids: MakeIds, conf: Any
) -> None:
    assert sync(audience_id, make_ids(4)).execute(context_of(task_context, conf))["added"] == 4


def test_a_stored_plan_that_a_guard_stops_leaves_a_report_too(
    audience_id: str, task_context: MakeContext, make_ids: MakeIds
) -> None:
    sync(audience_id, make_ids(10)).execute(context_of(task_context))
    plan = sync(audience_id, make_ids(5), plan_only=True).execute(context_of(task_context))
    context = context_of(task_context)
    apply = AppLovinApplyPlanOperator(task_id="apply", audience_id=audience_id, plan_id=plan["plan_id"])
    with pytest.raises(exceptions.GuardError):
        apply.execute(context)
    assert context["ti"].pushed["report"]["removed"] == 5
