"""Text that can't be written in UTF-8, and text of any length, as any argument: a permanent error that says so."""

import inspect
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from support.fixtures import Connect, MakeContext

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import AudienceError, InvalidInputError, NotFoundError, PlanOutdatedError
from airflow_provider_audiences.operators import (
    applovin,
    applovin_changes,
    applovin_suppression,
    applovin_sync,
    pai,
    pai_refresh,
    pai_sync,
)
from airflow_provider_audiences.sensors.applovin import AppLovinAudienceSensor
from airflow_provider_audiences.sensors.pai import PaiGroupSensor

HALF = "a\ud83db"
IDS = ["5eafbabe-0007-4bad-8000-00000badcafe"]
TABLE: dict[str, Any] = {"source": 3, "project": "p", "table": "t", "column": "c", "filter": "f", "phone_number": True}
OPERATORS: dict[type, dict[str, Any]] = {
    applovin.AppLovinCreateAudienceOperator: {"name": "n", "platform": "ios", "package_name": "p"},
    applovin.AppLovinListAudiencesOperator: {},
    applovin.AppLovinUpdateAudienceOperator: {"audience_id": "a", "source": IDS},
    applovin.AppLovinAppendUsersOperator: {"audience_id": "a", "source": IDS},
    applovin.AppLovinRemoveUsersOperator: {"audience_id": "a", "source": IDS},
    applovin.AppLovinDeleteAudienceOperator: {"audience_id": "a"},
    applovin_sync.AppLovinSyncAudienceOperator: {
        "audience_id": "a", "source": IDS, "ttl_seconds": 90_000, "initial": "append",
    },
    applovin_sync.AppLovinApplyPlanOperator: {"audience_id": "a", "plan_id": "b"},
    applovin_suppression.AppLovinSyncSuppressionOperator: {"package_name": "com.a", "source": IDS},
    applovin_suppression.AppLovinApplySuppressionPlanOperator: {"package_name": "com.a", "plan_id": "b"},
    applovin_suppression.AppLovinAddSuppressionOperator: {"package_name": "com.a", "source": IDS},
    applovin_suppression.AppLovinRemoveSuppressionOperator: {"package_name": "com.a", "source": IDS},
    applovin_changes.AppLovinSendChangesOperator: {"audience_id": "a", "added": IDS},
    applovin_changes.AppLovinSendSuppressionChangesOperator: {"package_name": "com.a", "added": IDS},
    pai.PaiCreateGroupOperator: {"name": "n", **TABLE},
    pai.PaiGetGroupOperator: {"group_id": "g"},
    pai.PaiListGroupsOperator: {},
    pai.PaiDeleteGroupOperator: {"group_id": "g"},
    pai_refresh.PaiReplaceGroupOperator: {"name": "n", **TABLE},
    pai_sync.PaiSyncGroupOperator: {"name": "n", "source": ["18672600001"]},
    AppLovinAudienceSensor: {"audience_id": "a"},
    PaiGroupSensor: {"group_id": "g"},
}  # fmt: skip


@pytest.fixture
def refused(connect: Connect, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, task_context: MakeContext) -> Any:
    """Runs an operator that is to fail, and returns the error."""
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))

    def run(operator_class: type, **arguments: Any) -> BaseException:
        given = {**OPERATORS[operator_class], **arguments}
        given = {name: value for name, value in given.items() if value is not None}
        operator = operator_class(task_id="t", **given)
        with pytest.raises(AudienceError) as caught:
            operator.execute(task_context())
        assert isinstance(caught.value, AirflowFailException)
        return caught.value

    return run


def test_all_operators_are_here() -> None:
    modules = (applovin, applovin_changes, applovin_suppression, applovin_sync, pai, pai_refresh, pai_sync)
    found = {
        member
        for module in modules
        for name, member in vars(module).items()
        if inspect.isclass(member)
        and name.endswith("Operator")
        and name[0] != "_"
        and member.__module__ == module.__name__
    }
    assert found <= set(OPERATORS)


@pytest.mark.parametrize(
    ("operator_class", "field"),
    [(operator_class, field) for operator_class in OPERATORS for field in operator_class.template_fields],  # type: ignore[attr-defined]
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_half_a_character(refused: Any, emulator: AudiencesEmulator, operator_class: type, field: str) -> None:
    others: dict[str, Any] = {}
    of_an_audience = {"name", "platform", "package_name", "description", "audience_type"}
    if field in of_an_audience and "audience_id" in OPERATORS[operator_class]:
        others = {"audience_id": None, "name": "n", "platform": "ios"}
    if field in {"uri", "text", "algorithm", "inference_job_id"}:
        arguments: dict[str, dict[str, Any]] = {
            "uri": {"source": 1}, "text": {"source": 0},
            "algorithm": {"source": 4, "inference_job_id": "j"}, "inference_job_id": {"source": 4, "algorithm": "a"},
        }  # fmt: skip
        others = dict.fromkeys(TABLE) | arguments[field]
    if field == "stage_conn_id":
        others = {"stage_path": "oss://bucket/key"}
    if field == "group_ids":
        others = {"group_id": None}
    error = refused(operator_class, **{**others, field: [HALF] if field == "group_ids" else HALF})

    assert isinstance(error, InvalidInputError), error
    assert emulator.requests() == []
    str(error).encode()


@pytest.mark.parametrize("length", [201, 1_000, 100_000])
@pytest.mark.parametrize(
    ("operator_class", "field"),
    [
        (operator_class, field)
        for operator_class, given in OPERATORS.items()
        for field in ("audience_id", "group_id", "name", "plan_id", "package_name")
        if field in given
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", str(value)),
)
def test_length(refused: Any, emulator: AudiencesEmulator, operator_class: type, field: str, length: int) -> None:
    if length == 201 and field not in {"audience_id", "plan_id"}:
        length = 1_001
    error = refused(operator_class, **{field: "x\u4e2d" * (length // 2 + 1)})

    assert isinstance(error, InvalidInputError | NotFoundError | PlanOutdatedError)
    assert emulator.requests() == []
    assert len(str(error)) < 400


@pytest.mark.parametrize("audience_id", ["\u4e2d" * 200, "\U0001f511" * 200, "%" * 200, "../" * 66, "x" * 200])
def test_the_longest_ids_are_no_trouble_to_a_disk(refused: Any, audience_id: str) -> None:
    for more in ({}, {"mode": "append"}):
        error = refused(applovin_sync.AppLovinSyncAudienceOperator, audience_id=audience_id, **more)
        assert isinstance(error, NotFoundError)
