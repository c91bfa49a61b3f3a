"""
Runs the DAG below for real (``dag.test()``), and prints as JSON how its tasks ended and what they returned.

A script, not a test: Airflow keeps its process for itself. Each argument is a day, as in ``2026-03-01``.
"""

import datetime as dt
import json
import os
import sys
from inspect import signature
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_audiences.sources import SqlSource
from airflow_provider_audiences.task_groups.applovin import (
    applovin_partitioned_suppression_sync,
    applovin_partitioned_sync,
)

INPUT = json.loads(os.environ["DAG_RUNS_INPUT"])

SYNC: dict[str, Any] = {
    "partitions": INPUT["partitions"],
    "package_name": "com.example.game",
    "source": SqlSource("lite", """SELECT idfa FROM t WHERE day = '{{ ds }}' AND {{ partition.where("idfa") }}"""),
    "suppress": INPUT["opt_outs"],
    "suppress_on_malformed": "drop",
    "batch_size": 5,
    "max_parallel_requests": 1,
    "max_malformed_ratio": 0.2,
    "min_members": 100,
}

with DAG(
    "partitioned",
    schedule="@daily",
    start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 1, "retry_delay": dt.timedelta(0)},
) as partitioned:
    if INPUT["target"] == "audience":
        applovin_partitioned_sync(name="Loyal players", platform="android", drift_patience_seconds=0, **SYNC)
    else:
        applovin_partitioned_suppression_sync(**SYNC)

if __name__ == "__main__":
    ended = []
    if hasattr(
        partitioned, "bulk_write_to_db"
    ):  # Airflow 2 would know no datasets: its dag.test() does not store the DAG
        partitioned.bulk_write_to_db([partitioned])
    for day in sys.argv[1:]:
        # Airflow 2 has another word for it.
        taken = signature(partitioned.test).parameters
        word = next(word for word in ("logical_date", "execution_date") if word in taken)
        run = partitioned.test(**{word: dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)})
        tasks: dict[str, Any] = {}
        for ti in run.get_task_instances():
            name = ti.task_id.partition(".")[2]
            key = f"{name}[{ti.map_index}]" if ti.map_index >= 0 else name
            returned = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
            tasks[key] = {"state": str(ti.state), "try_number": ti.try_number, "returned": returned}
        ended.append(tasks)
    print("\nENDED", json.dumps(ended))  # noqa: T201 - the test reads it
