"""Syncs of workers that have a disk each: none begins on a ledger that the others do not see."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from support.fixtures import Connect, MakeContext

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.operators.applovin_sync import AppLovinApplyPlanOperator, AppLovinSyncAudienceOperator

IDS = ["c77bbe4e-0ab1-4c9c-a5ea-6b8ef2d5a0c1"]
NAMED: dict[str, Any] = {"name": "Loyal + players", "platform": "android", "package_name": "com.example.game"}


@pytest.fixture(autouse=True)
def state_path(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.mark.parametrize("operator", ["sync by id", "sync by name", "plan", "apply"])
@pytest.mark.parametrize(
    ("executors", "of_task"), [("CeleryExecutor", None), ("LocalExecutor,CeleryExecutor", "CeleryExecutor")]
)
def test_refused_before_the_first_request(
    operator: str,
    executors: str,
    of_task: str | None,
    task_context: MakeContext,
    emulator: Any,
    monkeypatch: pytest.MonkeyPatch,
    state_path: Path,
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executors)
    common: dict[str, Any] = {"task_id": "t", "executor": of_task}
    makers: dict[str, Callable[[], Any]] = {
        "sync by id": lambda: AppLovinSyncAudienceOperator(audience_id="a", source=IDS, **common),
        "sync by name": lambda: AppLovinSyncAudienceOperator(source=IDS, **NAMED, **common),
        "plan": lambda: AppLovinSyncAudienceOperator(source=IDS, plan_only=True, **NAMED, **common),
        "apply": lambda: AppLovinApplyPlanOperator(audience_id="a", plan_id="p", **common),
    }
    made = makers[operator]()
    with pytest.raises(InvalidInputError, match="tasks of CeleryExecutor run on any worker") as caught:
        made.execute(task_context())
    assert isinstance(caught.value, AirflowFailException), "no retry mends it"
    assert emulator.requests() == []
    assert not state_path.exists()


def test_said_to_be_shared(task_context: MakeContext, emulator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH_IS_SHARED", "True")
    sync = AppLovinSyncAudienceOperator(task_id="t", source=IDS, drift_patience_seconds=0, **NAMED)
    assert sync.execute(task_context())["added"] == 1


def test_pods_are_warned(
    task_context: MakeContext, emulator: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_IS_K8S_EXECUTOR_POD", "True")
    sync = AppLovinSyncAudienceOperator(task_id="t", source=IDS, drift_patience_seconds=0, **NAMED)
    assert sync.execute(task_context())["added"] == 1
    assert "the ledger is lost with the pod" in caplog.text
