"""The cluster's DAGs. Which audience, and from what, is in each run's ``conf``."""

import datetime as dt
from functools import partial
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

from airflow_provider_audiences.operators.applovin_changes import AppLovinSendChangesOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinApplyPlanOperator, AppLovinSyncAudienceOperator
from airflow_provider_audiences.sources import SqlSource
from airflow_provider_audiences.task_groups.applovin import applovin_partitioned_sync

COMMON: dict[str, Any] = {
    "start_date": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "catchup": False,
    "default_args": {"retries": 3, "retry_delay": dt.timedelta(seconds=1)},
}
SYNC: dict[str, Any] = {"audience_id": "{{ dag_run.conf.audience_id }}", "source": "{{ dag_run.conf.source }}"}
SMALL: dict[str, Any] = {"batch_size": 50, "max_parallel_requests": 4}

with DAG("cluster_sync", schedule=None, **COMMON):
    AppLovinSyncAudienceOperator(task_id="sync", **SYNC, **SMALL)

with DAG("cluster_many", schedule=None, **COMMON):

    @task
    def targets(dag_run: Any = None) -> Any:
        return dag_run.conf["targets"]

    AppLovinSyncAudienceOperator.partial(task_id="sync", **SMALL).expand_kwargs(targets())

with DAG("cluster_apply", schedule=None, **COMMON):
    plan = AppLovinSyncAudienceOperator(task_id="plan", queue="first", plan_only=True, **SYNC, **SMALL)
    AppLovinApplyPlanOperator(
        task_id="apply",
        queue="second",
        audience_id=plan.output["audience_id"],
        plan_id=plan.output["plan_id"],
        **SMALL,
    )

with DAG("cluster_pair", schedule=None, **COMMON):
    for name in ("first", "second"):
        AppLovinSyncAudienceOperator(task_id=f"{name}_sync", queue=name, **SYNC, **SMALL)

DATABASE = "{{ dag_run.conf.database }}"
DAY = "{{ dag_run.conf.day }}"

for partitions in (1, 16):
    with DAG(f"cluster_partitioned_{partitions}", schedule=None, **COMMON):
        applovin_partitioned_sync(
            partitions=partitions,
            audience_id=SYNC["audience_id"],
            source=SqlSource(DATABASE, f"SELECT idfa FROM wanted WHERE day = {DAY}", column="idfa"),
            suppress=SqlSource(DATABASE, f"SELECT idfa FROM opted_out WHERE day <= {DAY}"),
            batch_size=250,
            max_parallel_requests=2,
        )

# As the guide's, with the guide's SQL.
with DAG(
    "cluster_changes",
    schedule=None,
    template_searchpath=str(Path(__file__).parents[3] / "docs" / "sql" / "postgres"),
    params={"ttl_seconds": 30 * 24 * 3600},
    **COMMON,
):
    step = partial(SQLExecuteQueryOperator, conn_id=DATABASE, split_statements=True)
    changed = "SELECT advertising_id FROM vip_changes WHERE run_id = '{{ run_id }}' AND change = "
    send = AppLovinSendChangesOperator(
        task_id="send",
        audience_id=SYNC["audience_id"],
        added=SqlSource(DATABASE, f"{changed}'added'"),
        refreshed=SqlSource(DATABASE, f"{changed}'refreshed'"),
        removed=SqlSource(DATABASE, f"{changed}'removed'"),
        ttl_seconds=30 * 24 * 3600,
        expected_changes="{{ ti.xcom_pull(task_ids='attempt')[0][0] }}",
        **SMALL,
    )
    before = step(task_id="changes", sql="changes.sql") >> step(task_id="attempt", sql="attempt.sql")
    before >> send >> step(task_id="commit", sql="commit.sql")
