"""What the DAG asks for and the run does not bring, by whatever way it became None."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, BaseOperator
from support.fixtures import Connect, MakeContext

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.operators.applovin import (
    AppLovinAppendUsersOperator,
    AppLovinCreateAudienceOperator,
    AppLovinListAudiencesOperator,
)
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.operators.pai import PaiCreateGroupOperator, PaiListGroupsOperator
from airflow_provider_audiences.operators.pai_refresh import PaiReplaceGroupOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator
from airflow_provider_audiences.sensors.applovin import AppLovinAudienceSensor

AUDIENCE: dict[str, Any] = {"audience_id": "a", "source": []}
CASES = [
    (AppLovinSyncAudienceOperator, AUDIENCE, "suppress"),
    (AppLovinSyncAudienceOperator, AUDIENCE, "max_removed_ratio"),
    (AppLovinSyncAudienceOperator, AUDIENCE, "max_added"),
    (AppLovinSyncAudienceOperator, AUDIENCE, "ttl_seconds"),
    (AppLovinSyncAudienceOperator, AUDIENCE, "refresh_before_seconds"),
    (AppLovinSyncAudienceOperator, AUDIENCE, "rejects_path"),
    (AppLovinSyncAudienceOperator, {"source": [], "name": "n", "platform": "ios"}, "package_name"),
    (AppLovinAppendUsersOperator, AUDIENCE, "ttl_seconds"),
    (AppLovinAppendUsersOperator, AUDIENCE, "max_malformed_ratio"),
    (AppLovinCreateAudienceOperator, {"name": "n", "platform": "ios"}, "description"),
    (AppLovinListAudiencesOperator, {}, "name"),
    (AppLovinAudienceSensor, {"audience_id": "a"}, "min_user_count"),
    (PaiSyncGroupOperator, {"name": "n", "source": []}, "suppress"),
    (PaiSyncGroupOperator, {"name": "n", "source": []}, "max_removed"),
    (PaiSyncGroupOperator, {"name": "n", "source": []}, "provenance"),
    (PaiReplaceGroupOperator, {"name": "n", "source": 3, "project": "p", "table": "t"}, "filter"),
    (PaiCreateGroupOperator, {"source": 3, "project": "p", "table": "t"}, "filter"),
    (PaiListGroupsOperator, {}, "remark"),
]
LOST = r"^{}: the DAG asks for it, and what should have given it gave nothing".format


@pytest.fixture(autouse=True)
def _connected(connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of these tasks sends anything, but they could."""
    connect("applovin")
    connect("pai")
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))


@pytest.fixture
def dag() -> Iterator[Any]:
    with DAG("dag", start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), schedule=None) as dag:
        yield dag


@pytest.fixture
def fails(task_context: MakeContext, emulator: AudiencesEmulator) -> Callable[..., str]:
    """Runs a task that must fail before its first request, for good, and say which argument was lost."""

    def run(operator: Any, name: str) -> str:
        emulator.clear_requests()
        context = task_context(xcom_push=lambda **_: None)
        with pytest.raises(InvalidInputError, match=LOST(f"{name} is None")) as failure:
            operator.execute(context)
        assert isinstance(failure.value, AirflowFailException)
        assert emulator.requests() == []
        return str(failure.value)

    return run


@pytest.mark.parametrize(("operator_class", "others", "name"), CASES)
def test_a_template_or_a_task_that_gave_nothing(
    operator_class: type[Any], others: dict[str, Any], name: str, fails: Callable[..., str], dag: Any
) -> None:
    upstream = BaseOperator(task_id="upstream")
    operator = operator_class(task_id="task", **others, **{name: upstream.output})
    assert operator.upstream_task_ids == {"upstream"}
    setattr(operator, name, None)  # as Airflow does it when it renders
    fails(operator, name)


@pytest.mark.parametrize(("operator_class", "others", "name"), CASES)
def test_a_native_template(
    operator_class: type[Any], others: dict[str, Any], name: str, fails: Callable[..., str]
) -> None:
    with DAG("d", start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), schedule=None, render_template_as_native_obj=True):
        operator = operator_class(task_id="task", **others, **{name: "{{ params.nothing }}"})
    operator.render_template_fields({"params": {"nothing": None}, "task": operator})
    assert getattr(operator, name) is None
    fails(operator, name)


@pytest.mark.parametrize(("operator_class", "others", "name"), CASES)
def test_an_item_of_expand(
    operator_class: type[Any], others: dict[str, Any], name: str, fails: Callable[..., str], dag: Any
) -> None:
    mapped = operator_class.partial(task_id="task", **others).expand(**{name: [None, "x"]})
    fails(mapped.unmap({name: None}), name)


@pytest.mark.parametrize(("operator_class", "others", "name"), CASES)
def test_none_in_the_dag_asks_for_nothing(
    operator_class: type[Any], others: dict[str, Any], name: str, dag: Any
) -> None:
    plain = operator_class(task_id="plain", **others, **{name: None})
    other = next(field for field in others if field != name) if others else "applovin_conn_id"
    conn_id = "pai_conn_id" if "Pai" in operator_class.__name__ else "applovin_conn_id"
    shared = {field: value for field, value in others.items() if field != other}
    mapped = operator_class.partial(task_id="mapped", **shared, **{name: None}).expand(
        **{other if others else conn_id: [others.get(other, "c")]}
    )
    made = mapped.unmap({other if others else conn_id: others.get(other, "c")})
    for operator in (plain, made):
        with operator.running():
            pass
    if name in operator_class.limit_arguments:
        assert getattr(made, name) == "off"


def test_the_way_out_of_a_limit_is_told(fails: Callable[..., str], dag: Any) -> None:
    operator = AppLovinSyncAudienceOperator(task_id="task", **AUDIENCE, max_removed_ratio="{{ x }}")
    operator.max_removed_ratio = None
    assert "to have no limit, leave it out or give 'off'" in fails(operator, "max_removed_ratio")
