"""
Runs one example DAG in this process by Airflow's own ``dag.test()``.

Writes the return value of each task, and the reason of each failure, to a JSON file.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.providers.common.compat.sdk import conf


def main(dag_id: str, day: str, result_path: str) -> int:
    """
    Run a DAG for a day.

    :param dag_id: id of the DAG.
    :param day: logical date of the run, ``YYYY-MM-DD``.
    :param result_path: where the JSON goes.
    :return: exit status.
    """
    failures: dict[str, str] = {}

    def remember(context: Any) -> None:
        failures[context["ti"].task_id] = f"{type(context['exception']).__name__}: {context['exception']}"

    bag = DagBag(conf.get("core", "dags_folder"))
    if bag.import_errors:
        failures.update({Path(path).name: text.strip().splitlines()[-1] for path, text in bag.import_errors.items()})
    result: dict[str, Any] = {"state": "failed", "failures": failures, "tasks": {}, "returned": {}}
    dag = bag.dags.get(dag_id)
    if dag is not None:
        for task in dag.tasks:
            task.on_failure_callback = [remember]
            task.retries = 0  # somebody is watching: say at once what is wrong
        run = dag.test(logical_date=datetime.fromisoformat(day).replace(tzinfo=UTC))
        instances = run.get_task_instances()
        result["state"] = str(run.state)
        result["tasks"] = {_name(instance): str(instance.state) for instance in instances}
        result["returned"] = {
            _name(instance): instance.xcom_pull(task_ids=instance.task_id, map_indexes=instance.map_index)
            for instance in instances
        }
    Path(result_path).write_text(json.dumps(result, indent=1, default=str), encoding="utf-8")
    return 0 if result["state"] == "success" else 1


def _name(instance: Any) -> str:
    return instance.task_id if instance.map_index < 0 else f"{instance.task_id}[{instance.map_index}]"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
