"""
Runs the DAGs below for real (``dag.test()``), each once, and prints as JSON how their tasks ended.

A script, not a test: Airflow keeps its process for itself. What is personal comes in by the environment.
"""

import datetime as dt
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseOperator, task

from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator, AppLovinUpdateAudienceOperator
from airflow_provider_audiences.sources import FileSource, SqlSource

INPUT = json.loads(os.environ["DAG_RUNS_INPUT"])
AUDIENCE, OTHER, BUCKET, IDS = (INPUT[name] for name in ("audience_id", "other_id", "bucket", "ids"))
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
PARTITION = f"s3://{BUCKET}/day={{{{ ds }}}}/"


class Produce(BaseOperator):
    """Stands for a task of the user's that returns an address, or members."""

    def __init__(self, *, what: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.what = what

    def execute(self, context: Any) -> Any:
        return IDS if self.what == "ids" else f"s3://{BUCKET}/day={context['ds']}/"


with DAG("objects", start_date=START, schedule=None) as objects:
    update = AppLovinUpdateAudienceOperator(task_id="update", audience_id=AUDIENCE, source=PARTITION)
    append = AppLovinAppendUsersOperator(
        task_id="append",
        audience_id=AUDIENCE,
        source=FileSource(f"s3://{BUCKET}/people/{{{{ ds }}}}-*.csv.gz", column="{{ 'idfa' }}", conn_id="my_store"),
    )
    update >> append
    found = Produce(task_id="found", what="path")
    AppLovinUpdateAudienceOperator(task_id="by_xcom", audience_id=OTHER, source=FileSource([found.output]))

with DAG("queries", start_date=START, schedule=None) as queries:
    # The file lies beside this one, and has a template in it.
    update = AppLovinUpdateAudienceOperator(
        task_id="update", audience_id=AUDIENCE, source=SqlSource("warehouse", "members.sql", chunk_size=2)
    )
    by_country = [
        SqlSource("warehouse", "SELECT * FROM people WHERE country = %s", column="idfa", parameters=[country])
        for country in ("{{ 'f' }}r", "it")
    ]
    append = AppLovinAppendUsersOperator.partial(task_id="append", audience_id=AUDIENCE).expand(source=by_country)
    shared = AppLovinAppendUsersOperator.partial(
        task_id="shared",
        # Each of the mapped tasks renders its own.
        source=SqlSource("warehouse", "SELECT idfa FROM people WHERE n = {{ ti.map_index }}"),
    ).expand(audience_id=[OTHER, OTHER])
    wrong = AppLovinAppendUsersOperator(
        task_id="wrong", audience_id=AUDIENCE, retries=2, source=SqlSource("warehouse", "SELECT nothing")
    )
    away = AppLovinAppendUsersOperator(
        task_id="away",
        audience_id=AUDIENCE,
        retries=1,
        retry_delay=dt.timedelta(0),
        source=SqlSource("nowhere", "SELECT 1"),
    )
    update >> append >> [shared, wrong, away]

with DAG("functions", start_date=START, schedule=None) as functions:
    produced = Produce(task_id="ids", what="ids")

    @task.applovin_update_audience(audience_id=AUDIENCE)
    def yielded(ids: Any, times: int = 1) -> Iterator[Any]:
        for _ in range(times):
            yield from ids

    @task.applovin_append_users(audience_id=OTHER)
    def partition() -> str:
        return f"s3://{BUCKET}/day={{{{ ds }}}}/"

    @task.applovin_append_users(audience_id=OTHER)
    def from_file() -> SqlSource:
        return SqlSource("warehouse", "members.sql")

    @task.applovin_append_users(audience_id=OTHER)
    def mapped(ids: Any) -> Any:
        return ids

    yielded(produced.output, times=2)
    partition()
    from_file()
    mapped.expand(ids=[IDS[:1], IDS[1:]])

if __name__ == "__main__":
    ended = {}
    for name in sys.argv[1:]:
        run = globals()[name].test(**{INPUT["date_argument"]: dt.datetime(2024, 1, 2, tzinfo=dt.UTC)})
        ended[name] = {
            f"{ti.task_id}{f'[{ti.map_index}]' if ti.map_index >= 0 else ''}": [str(ti.state), ti.try_number]
            for ti in run.get_task_instances()
        }
    print("\nENDED", json.dumps(ended))  # noqa: T201 - the test reads it
