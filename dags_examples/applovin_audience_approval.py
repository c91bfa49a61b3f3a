"""
Sync an AppLovin audience from a plan that is looked at before it is carried out.

The first task works out what has to be sent, stores that as a plan, and sends nothing. If all guards let it pass, it
is carried out at once: exactly this plan, whatever has become of the file. If not, the task ``approve`` fails, and
whoever may decide looks at the plan: marking ``approve`` as success and clearing ``apply_plan`` carries it out. It is
refused if the audience was synced since.

Needs: a connection ``applovin_default``, a variable ``audiences_data_folder``, the folder (local or in object
storage) with a file ``device_ids_YYYY-MM-DD.txt`` for each day, and a variable ``audiences_applovin_id``, the id of an
audience.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, dag, task

from airflow_provider_audiences.operators.applovin_sync import AppLovinApplyPlanOperator, AppLovinSyncAudienceOperator
from airflow_provider_audiences.sources import RUN_DAY


@task
def approve(plan: dict[str, Any]) -> None:
    """Fail if a guard would stop the plan."""
    objections = [verdict["message"] for verdict in plan["verdicts"] if not verdict["passed"]]
    if objections:
        raise AirflowFailException(f"plan {plan['plan_id']} needs somebody who approves it: {'; '.join(objections)}")


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["audiences", "applovin"],
)
def applovin_audience_approval() -> None:
    """Plan, approve, apply."""
    plan = AppLovinSyncAudienceOperator(
        task_id="plan",
        audience_id="{{ var.value.audiences_applovin_id }}",
        # RUN_DAY is the day on which the run starts. If a day's file comes when the day has ended: DAY_BEFORE_RUN.
        source="{{ var.value.audiences_data_folder }}/device_ids_" + RUN_DAY + ".txt",
        ttl_seconds=30 * 24 * 3600,
        max_removed_ratio=0.1,
        plan_only=True,
    )
    apply = AppLovinApplyPlanOperator(
        task_id="apply_plan",
        audience_id=plan.output["audience_id"],
        plan_id=plan.output["plan_id"],
        override_guards=True,  # what they say was decided on by then
    )
    approve(plan.output) >> apply


applovin_audience_approval()
