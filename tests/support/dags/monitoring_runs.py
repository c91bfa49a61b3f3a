"""
Runs the DAG below for real (``dag.test()``), with OpenLineage and metrics on, and prints how its tasks ended.

A script, not a test: Airflow keeps its process for itself. What is personal comes in by the environment.
"""

import datetime as dt
import json
import os
from contextlib import suppress
from typing import Any, cast

from airflow.providers.common.compat.sdk import DAG, BaseOperator, chain, task

from airflow_provider_audiences.operators.applovin import (
    AppLovinAppendUsersOperator,
    AppLovinCreateAudienceOperator,
    AppLovinRemoveUsersOperator,
)
from airflow_provider_audiences.operators.applovin_suppression import (
    AppLovinAddSuppressionOperator,
    AppLovinRemoveSuppressionOperator,
)
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.operators.pai import PaiSource
from airflow_provider_audiences.operators.pai_refresh import PaiReplaceGroupOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator
from airflow_provider_audiences.sources import FileSource, SqlSource

INPUT = json.loads(os.environ["DAG_RUNS_INPUT"])
FIRST, SECOND, FOLDER, BUCKET, IDS, PHONES = (
    INPUT[name] for name in ("first", "second", "folder", "bucket", "ids", "phones")
)
LITERAL = f"SELECT idfa FROM people WHERE idfa <> '{IDS[0]}'"


class Produce(BaseOperator):
    """Stands for a task of the user's that returns members."""

    def execute(self, context: Any) -> Any:  # noqa: ARG002 - Airflow's
        return IDS[:2]


with DAG("monitored", start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC), schedule=None) as monitored:
    synced = AppLovinSyncAudienceOperator(
        task_id="synced",
        name="Loyal players",
        platform="ios",
        package_name="com.example",
        source=f"{FOLDER}/day={{{{ ds }}}}/*.txt",
        suppress=[f"{FOLDER}/out.txt"],
    )
    stopped = AppLovinSyncAudienceOperator(
        task_id="stopped", name="Loyal players", platform="ios", package_name="com.example", source=IDS[:2]
    )
    planned = AppLovinSyncAudienceOperator(
        task_id="planned", audience_id=FIRST, source=f"s3://{BUCKET}/day=1/", plan_only=True
    )
    queried = AppLovinAppendUsersOperator(
        task_id="queried",
        audience_id=SECOND,
        source=SqlSource(
            "warehouse", "SELECT p.idfa FROM people p JOIN orders o ON p.n = o.n WHERE p.n < %s", parameters=[7]
        ),
    )
    literal = AppLovinRemoveUsersOperator(task_id="literal", audience_id=SECOND, source=SqlSource("warehouse", LITERAL))
    produced = Produce(task_id="produced")
    handed = AppLovinAppendUsersOperator(task_id="handed", audience_id=SECOND, source=produced.output)
    mapped = AppLovinAppendUsersOperator.partial(task_id="mapped", audience_id=SECOND).expand(
        source=[f"s3://my_store@{BUCKET}/day=1/part-0", FileSource(f"s3://{BUCKET}/day=1/part-1", conn_id="my_store")]
    )
    added = AppLovinAddSuppressionOperator(task_id="added", package_name="com.example", source=IDS[:5])
    failing = AppLovinRemoveSuppressionOperator(
        task_id="failing", package_name="com.example", source=IDS[:5], batch_size=2, max_parallel_requests=1
    )
    grouped = PaiSyncGroupOperator(
        task_id="grouped", name="VIP 会员", source=PHONES, poke_interval=0.1, deferrable=True
    )
    table = PaiReplaceGroupOperator(
        task_id="table",
        name="Table",
        source=PaiSource.MAXCOMPUTE,
        project="demo_project",
        table="vip_customers",
        poke_interval=0.1,
    )
    created = AppLovinCreateAudienceOperator(task_id="created", name="New", platform="ios", package_name="com.example")

    @task.applovin_append_users(audience_id=SECOND, asset="of_the_user")
    def decorated() -> str:
        return f"{FOLDER}/day={{{{ ds }}}}/a.txt"

    decorated()
    chain(synced, stopped)
    chain(added, failing)


def begin_metrics() -> None:
    """Do what Airflow 3.2 and newer does where a worker begins a task, which ``dag.test()`` leaves out."""
    with suppress(ImportError):
        from airflow.sdk.observability.metrics import stats_utils
        from airflow.sdk.observability.stats import Stats

        stats, factory_of = cast("Any", Stats), cast("Any", stats_utils).get_stats_factory
        try:
            stats.initialize(factory=factory_of(), export_legacy_names=False)
        except TypeError:  # Airflow 3.2
            stats.initialize(factory=factory_of(stats))


def end_lineage() -> None:
    """Do what Airflow does where a scheduler ends: the processes that told of the DAG run would outlive this one."""
    from airflow.providers.openlineage.plugins.listener import get_openlineage_listener

    get_openlineage_listener().before_stopping(component=None)


if __name__ == "__main__":
    begin_metrics()
    run = monitored.test(**{INPUT["date_argument"]: dt.datetime(2024, 1, 2, tzinfo=dt.UTC)})
    ended = {
        f"{ti.task_id}[{ti.map_index}]" if ti.map_index >= 0 else ti.task_id: str(ti.state)
        for ti in run.get_task_instances()
    }
    end_lineage()
    print("\nENDED", json.dumps(ended))  # noqa: T201 - the test reads it
