"""Text arguments in DAGs with native templates: what was written is what arrives."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from support.fixtures import Connect, MakeContext, MakeIds

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.applovin import AppLovinCreateAudienceOperator, AppLovinListAudiencesOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.operators.pai import PaiCreateGroupOperator, PaiListGroupsOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator
from airflow_provider_audiences.sensors.pai import PaiGroupSensor

TEXTS = ["20261111", "2026_11_11", "007", "000", "1e5", "1e400", "+5", "-5", "True", "0x10", "1.0"]
"""All of these but 007 are something else to Python."""


@pytest.fixture(autouse=True)
def _connected(connect: Connect) -> None:
    """All of these tests talk to the emulator."""


@pytest.fixture
def rendered() -> Callable[..., Any]:
    def make(operator_class: type[Any], *, params: Any = None, mapped: Any = None, **arguments: Any) -> Any:
        with DAG("native", schedule=None, render_template_as_native_obj=True):
            if mapped is None:
                operator = operator_class(task_id="task", **arguments)
            else:
                partial = operator_class.partial(task_id="task", **arguments).expand(**{mapped: ["unused"]})
                operator = partial.unmap({mapped: "{{ params.text }}"})
        operator.render_template_fields({"params": params or {}, "macros": None})
        return operator

    return make


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("template", ["{{ params.text }}", "{{ params.first }}{{ params.rest }}", None])
def test_a_group_has_the_name_that_was_written(
    rendered: Callable[..., Any],
    emulator: AudiencesEmulator,
    task_context: MakeContext,
    text: str,
    template: str | None,
) -> None:
    operator = rendered(
        PaiCreateGroupOperator,
        params={"text": text, "first": text[:1], "rest": text[1:]},
        source=3,
        project="demo_project",
        table="vip_customers",
        name=template or text,
        remark=template or text,
    )
    operator.execute(task_context())
    [group] = emulator.groups()
    assert (group["Name"], group["Remark"].partition(" [")[0]) == (text, text)


@pytest.mark.parametrize("text", [text for text in TEXTS if "." not in text])
def test_an_audience_has_the_name_that_was_written(
    rendered: Callable[..., Any],
    emulator: AudiencesEmulator,
    task_context: MakeContext,
    make_ids: MakeIds,
    tmp_path: Path,
    text: Any,
) -> None:
    source = tmp_path / "ids.txt"
    source.write_text("\n".join(make_ids(3)))
    for operator_class, more in (
        (AppLovinCreateAudienceOperator, {}),
        (AppLovinSyncAudienceOperator, {"source": str(source), "drift_patience_seconds": timedelta(0)}),
    ):
        rendered(
            operator_class, params={"text": text}, name="{{ params.text }}", platform="ios", package_name=text, **more
        ).execute(task_context())
    [audience] = emulator.audiences()
    assert (audience["name"], audience["package_name"]) == (text, text)
    assert emulator.member_count(audience["audience_id"]) == 3


def test_a_synced_group_has_the_name_that_was_written(
    rendered: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext, tmp_path: Path
) -> None:
    emulator.settings(processing_seconds=0)
    source = tmp_path / "p.txt"
    source.write_text("13700000001\n13700000002")
    operator = rendered(PaiSyncGroupOperator, name="2026_11_11", source=str(source), poke_interval="0.1")
    assert operator.execute(task_context())["name"] == "2026_11_11"
    assert [group["Name"] for group in emulator.groups()] == ["2026_11_11"]


def test_other_arguments_are_rendered_as_before(rendered: Callable[..., Any]) -> None:
    operator = rendered(
        PaiGroupSensor,
        params={"ids": ["a", "b"], "least": 5},
        group_ids="{{ params.ids }}",
        min_amount="{{ params.least }}",
    )
    assert (operator.group_ids, operator.min_amount, operator.group_id) == (["a", "b"], 5, None)


def test_a_mapped_task_too(rendered: Callable[..., Any]) -> None:
    operator = rendered(AppLovinListAudiencesOperator, mapped="name", params={"text": "1_000"}, platform="{{ 1 }}")
    assert (operator.name, operator.platform) == ("1_000", "1")


def test_what_an_upstream_task_gave_to_a_mapped_one_is_no_template() -> None:
    given = "{{ params.secret }}"
    with DAG("native", schedule=None, render_template_as_native_obj=True) as dag:
        operator = AppLovinListAudiencesOperator(task_id="task", name=given, platform="{{ params.platform }}")
    context = {"params": {"platform": "ios", "secret": "s"}}
    operator._do_render_template_fields(
        operator, operator.template_fields, context, dag.get_template_env(), seen_oids={id(given)}
    )
    assert (operator.name, operator.platform) == (given, "ios")


@pytest.mark.parametrize("operator_class", [AppLovinListAudiencesOperator, PaiListGroupsOperator])
def test_none_is_none_and_no_filter(
    rendered: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext, operator_class: type[Any]
) -> None:
    operator = rendered(operator_class, params={"name": None}, name="{{ params.name }}")
    assert operator.name is None
    with pytest.raises(exceptions.InvalidInputError, match=r"^name is None: the DAG asks for it"):
        operator.execute(task_context())
    assert emulator.requests() == []
