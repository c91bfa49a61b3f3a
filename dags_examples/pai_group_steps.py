"""
Make PAI audience groups step by step, with an operator for each call: create, wait, list, delete.

PAI can't change a group, so each day makes new ones, and the old ones go when the new ones are ready. To do just that,
take ``PaiReplaceGroupOperator`` (``pai_group_refresh.py``); the steps are for what it does not do.

Needs: a connection ``pai_default``, and a variable ``audiences_test_phones`` with a few phone numbers (one a line) of
colleagues who get every campaign first.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_audiences.operators.pai import (
    PaiCreateGroupOperator,
    PaiDeleteGroupOperator,
    PaiListGroupsOperator,
    PaiSource,
)
from airflow_provider_audiences.sensors.pai import PaiGroupSensor
from airflow_provider_audiences.sources import RUN_DAY

NAMES = ("Campaign testers", "Former buyers")


@task
def previous_group_ids(groups: list[dict[str, Any]], new_ids: list[str]) -> list[str]:
    """Return the ids of the groups that today's replace."""
    return [group["id"] for group in groups if group["name"] in NAMES and group["id"] not in new_ids]


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=["audiences", "pai"],
)
def pai_group_steps() -> None:
    """Create from text and from a MaxCompute table, wait, list, delete the previous groups."""
    testers = PaiCreateGroupOperator(
        task_id="create_testers",
        name=NAMES[0],
        source=PaiSource.TEXT,
        text="{{ var.value.audiences_test_phones }}",
        phone_number=True,
    )
    buyers = PaiCreateGroupOperator(
        task_id="create_buyers",
        name=NAMES[1],
        source=PaiSource.MAXCOMPUTE,
        project="crm",
        table="lapsed_buyers",
        column="phone",
        filter="ds={{ (dag_run.data_interval_end or dag_run.run_after) | ds_nodash }}",
        phone_number=True,
        remark=RUN_DAY,
    )
    ready = [
        PaiGroupSensor(
            task_id=f"wait_for_{name}",
            group_id=create.output,
            deferrable=True,
            # Each poll is billed. The default, 60 s, suits most groups; the demo has no hour to wait.
            poke_interval=5,
            timeout=2 * 3600,
        )
        for name, create in (("testers", testers), ("buyers", buyers))
    ]
    groups = PaiListGroupsOperator(task_id="list_groups")
    ready >> groups
    previous = previous_group_ids(groups.output, [testers.output, buyers.output])
    PaiDeleteGroupOperator.partial(task_id="delete_previous", ignore_missing=True).expand(group_id=previous)


pai_group_steps()
