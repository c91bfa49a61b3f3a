"""What a task tells of the calls that may be billed."""

import logging
import types
from typing import Any

import pytest

from airflow_provider_audiences.common.billable_calls import estimated_cost, report_billable_calls, total_calls


def test_calls_are_summed_by_name_and_none_is_forgotten() -> None:
    assert total_calls({"create": 1, "get": 0}, {}, {"get": 2}) == {"create": 1, "get": 2}
    assert total_calls({"delete": 0}) == {"delete": 0}
    assert total_calls() == {}


@pytest.mark.parametrize(("price", "cost"), [(None, None), (0.001, 0.003), (0, 0), (1.1, 3.3)])
def test_a_cost_is_as_exact_as_its_price(price: float | None, cost: float | None) -> None:
    assert estimated_cost({"get": 2, "create": 1}, price) == cost


@pytest.mark.parametrize(
    ("calls", "price", "pushes", "pushed", "told"),
    [
        ({"get": 2}, 0.001, True, {"billable_calls": {"get": 2}, "estimated_cost": 0.002}, ["get 2.", "0.002."]),
        ({"get": 0, "create": 1}, None, True, {"billable_calls": {"get": 0, "create": 1}}, ["get 0, create 1."]),
        ({"get": 2}, 0.001, False, {}, ["get 2.", "0.002."]),
        ({}, 0.001, True, {}, []),
    ],
)
def test_calls_are_logged_and_pushed(
    caplog: pytest.LogCaptureFixture,
    calls: dict[str, int],
    price: float | None,
    pushes: bool,
    pushed: dict[str, Any],
    told: list[str],
) -> None:
    caplog.set_level(logging.INFO)
    found: dict[str, Any] = {}
    context: Any = {"ti": types.SimpleNamespace(xcom_push=lambda *, key, value: found.update({key: value}))}
    task = types.SimpleNamespace(log=logging.getLogger("task"), do_xcom_push=pushes)
    report_billable_calls(task, context, calls, price)
    assert found == pushed
    assert [record.message.rpartition(": ")[2] for record in caplog.records] == told
