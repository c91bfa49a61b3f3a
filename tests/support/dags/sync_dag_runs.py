"""
Runs the DAGs below for real (``dag.test()``), and prints as JSON how their tasks ended and what they returned.

A script, not a test: Airflow keeps its process for itself. Each argument is the name of a DAG and a day, as in
``daily=2026-03-01``. Members come in by files and by the environment: they are not in the code, which Airflow stores.
"""

import contextlib
import datetime as dt
import json
import os
import sys
from inspect import signature
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, task

from airflow_provider_audiences.operators.applovin_sync import AppLovinApplyPlanOperator, AppLovinSyncAudienceOperator

with contextlib.suppress(ImportError):
    # Airflow 2 can't remove a run, as for a second one of a day, without knowing the tables of users.
    import airflow.providers.fab.auth_manager.models  # type: ignore[import-not-found]  # noqa: F401

INPUT = json.loads(os.environ["DAG_RUNS_INPUT"])
FOLDER, AUDIENCES, LISTS = (INPUT[name] for name in ("folder", "audience_ids", "lists"))
COMMON: dict[str, Any] = {
    "start_date": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {"retries": 2, "retry_delay": dt.timedelta(0)},
}
SOURCE = FOLDER + "/ids_{{ ds }}.txt"

with DAG("daily", schedule="@daily", **COMMON) as daily:
    AppLovinSyncAudienceOperator(
        task_id="sync",
        name="Loyal players",
        platform="android",
        package_name="com.example.game",
        source=SOURCE,
        suppress=FOLDER + "/opt_outs.txt",
        ttl_seconds=30 * 24 * 3600,
        batch_size=10,
        max_parallel_requests=1,
    )

with DAG("approved", schedule=None, **COMMON) as approved:

    @task
    def approve(plan: Any) -> str:
        """Stand for a person who looks at the plan."""
        said = [verdict["message"] for verdict in plan["verdicts"] if not verdict["passed"]]
        if said:
            raise AirflowFailException(f"not approved: {'; '.join(said)}")
        return f"{plan['added']} added, {plan['removed']} removed"

    plan = AppLovinSyncAudienceOperator(task_id="plan", audience_id=AUDIENCES[0], source=SOURCE, plan_only=True)
    apply = AppLovinApplyPlanOperator(
        task_id="apply", audience_id=plan.output["audience_id"], plan_id=plan.output["plan_id"]
    )
    approve(plan.output) >> apply

with DAG("mapped", schedule=None, **COMMON) as mapped:
    AppLovinSyncAudienceOperator.partial(task_id="sync", suppress=LISTS[2]).expand_kwargs(
        [{"audience_id": AUDIENCES[number], "source": LISTS[number]} for number in range(2)]
    )
    AppLovinSyncAudienceOperator.partial(task_id="plan", audience_id=AUDIENCES[0], plan_only=True).expand(
        source=LISTS[:2]
    )

if __name__ == "__main__":
    ended = []
    for argument in sys.argv[1:]:
        name, _, day = argument.partition("=")
        dag = globals()[name]
        # Airflow 2 has another word for it.
        word = next(word for word in ("logical_date", "execution_date") if word in signature(dag.test).parameters)
        run = dag.test(**{word: dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)})
        tasks = {}
        for ti in run.get_task_instances():
            key = f"{ti.task_id}[{ti.map_index}]" if ti.map_index >= 0 else ti.task_id
            returned = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
            tasks[key] = {"state": str(ti.state), "try_number": ti.try_number, "returned": returned}
        ended.append(tasks)
    print("\nENDED", json.dumps(ended))  # noqa: T201 - the test reads it
