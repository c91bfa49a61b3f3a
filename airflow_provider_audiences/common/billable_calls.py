"""The calls of a task that the platform may bill: their total, their estimated cost, and how the task reports them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

BILLABLE_CALLS = "billable_calls"
"""XCom key for the numbers of billable calls, by name of the call."""

ESTIMATED_COST = "estimated_cost"
"""XCom key for the estimated cost of the billable calls; pushed only if the connection has a price."""


def total_calls(*calls: Mapping[str, int]) -> dict[str, int]:
    """
    Return the sum of several counts of billable calls.

    :param calls: the counts, each with numbers by name of the call.
    """
    total: Counter[str] = Counter()
    for more in calls:
        total.update(more)
    return dict(total)


def estimated_cost(calls: Mapping[str, int], price_per_call: float | None) -> float | None:
    """
    Return the estimated cost of billable calls.

    Free calls of the month are not deducted, as it is not known how many are left.

    :param calls: numbers of billable calls, by name of the call.
    :param price_per_call: price of one call; None if it is not known.
    :return: cost in the currency of the price; None if the price is not known.
    """
    if price_per_call is None:
        return None
    # With floats, 3 times 0.1 would not be 0.3.
    return float(Decimal(str(price_per_call)) * sum(calls.values()))


def report_billable_calls(task: Any, context: Context, calls: Mapping[str, int], price_per_call: float | None) -> None:
    """
    Log the billable calls of a task and push them to XCom, with their estimated cost.

    :param task: operator or sensor that made the calls.
    :param context: context of the task.
    :param calls: numbers of billable calls, by name of the call; nothing is logged or pushed if it is empty.
    :param price_per_call: price of one call; None if it is not known.
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
