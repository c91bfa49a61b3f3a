"""What a task made that its platform may bill: summed up, estimated, and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

BILLABLE_CALLS = "billable_calls"
"""XCom key of the requests that the platform may bill, by call."""

ESTIMATED_COST = "estimated_cost"
"""XCom key of what they may cost, if the connection has a price."""


def total_calls(*calls: Mapping[str, int]) -> dict[str, int]:
    """
    Return what calls come to.

    :param calls: numbers by call.
    """
    total: Counter[str] = Counter()
    for more in calls:
        total.update(more)
    return dict(total)


def estimated_cost(calls: Mapping[str, int], price_per_call: float | None) -> float | None:
    """
    Return what calls may cost. Calls that are free each month are not deducted: nobody here knows how many are left.

    :param calls: numbers by call.
    :param price_per_call: the price of each; None if it is not known.
    :return: in the price's currency; None if it is not known.
    """
    if price_per_call is None:
        return None
    # 3 times 0.001 is to be 0.003.
    return float(Decimal(str(price_per_call)) * sum(calls.values()))


def tell_billable_calls(task: Any, context: Context, calls: Mapping[str, int], price_per_call: float | None) -> None:
    """
    Log and push what a task made that may be billed.

    :param task: the operator or sensor.
    :param context: of the task.
    :param calls: numbers by call; nothing is told without any.
    :param price_per_call: the price of each; None if it is not known.
    """
    if not calls:
        return
    cost = estimated_cost(calls, price_per_call)
    task.log.info("Calls that may be billed: %s.", ", ".join(f"{name} {count}" for name, count in calls.items()))
    if cost is not None:
        task.log.info("Estimated cost, without free calls: %s.", f"{cost:.12g}")
    if task.do_xcom_push:
        context["ti"].xcom_push(key=BILLABLE_CALLS, value=dict(calls))
        if cost is not None:
            context["ti"].xcom_push(key=ESTIMATED_COST, value=cost)
