"""The cluster's DAGs. Which audience, and from what, is in each run's ``conf``."""

import datetime as dt
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

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

for partitions in (16,):
    with DAG(f"cluster_partitioned_{partitions}", schedule=None, **COMMON):
        applovin_partitioned_sync(
            partitions=partitions,
            audience_id=SYNC["audience_id"],
            source=SqlSource(DATABASE, f"SELECT idfa FROM wanted WHERE day = {DAY}", column="idfa"),
            suppress=SqlSource(DATABASE, f"SELECT idfa FROM opted_out WHERE day <= {DAY}"),
            batch_size=250,
            max_parallel_requests=2,
        )
