"""
Runs the guide's DAG ``vip_changes``, and the same steps on DuckDB, for real (``dag.test()``).

A script, not a test: Airflow keeps its process for itself. Its arguments: ``postgres`` or ``duckdb``, a day, and where
the process kills itself (SIGKILL): ``before TASK``, ``after TASK``, ``send NUMBER``: after the reply to this request,
or ``commit NUMBER``: after so many of its statements, of which each commits by itself.
"""

import datetime as dt
import importlib
import json
import os
import signal
import sys
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import duckdb
from airflow.providers.common.compat.sdk import DAG, task
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

from airflow_provider_audiences.operators.applovin_changes import AppLovinSendChangesOperator
from airflow_provider_audiences.platforms.applovin.audience_destination import AudienceDestination

INPUT: dict[str, str] = json.loads(os.environ["DAG_RUNS_INPUT"])
FOLDER = Path(__file__).parent
TTL_SECONDS = 30 * 24 * 3600
DATABASE, CHANGES = (str(Path(INPUT["folder"], name)) for name in ("warehouse.duckdb", "changes"))
engine, day, where = (*sys.argv[1:], "", "", "")[:3]


def die_at(*points: str) -> None:
    """End this process at once, if this is the point."""
    if where and where in points:
        os.kill(os.getpid(), signal.SIGKILL)


def is_cut(task_id: str) -> bool:
    """Whether the process is killed within this task's SQL."""
    return where.startswith("commit") and task_id == "commit"


def done_statements(statements: list[str]) -> list[str]:
    """Return the statements that are done before the process is killed."""
    return statements[: int(where.split()[1])]


with DAG("duckdb_changes", schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) as duckdb_changes:

    @task
    def step(name: str, **context: Any) -> int:
        """Run a step of the guide's SQL in a DuckDB file; write what changes to Parquet files."""
        die_at(f"before {name}")
        text = (FOLDER / "changes_sql" / f"{name}.sql").read_text()
        rendered = context["task"].render_template(text, {**context, "params": {"ttl_seconds": TTL_SECONDS}})
        statements = [part for part in rendered.split(";\n") if part.strip()]
        with duckdb.connect(DATABASE) as database:
            for statement in done_statements(statements) if is_cut(name) else statements:
                database.execute(statement)
            for change in ("added", "refreshed", "removed"):
                chosen = f"SELECT advertising_id FROM vip_changes WHERE change = '{change}'"
                database.execute(f"COPY ({chosen}) TO '{CHANGES}-{change}.parquet'")
            (count,) = database.execute("SELECT count(*) FROM vip_changes").fetchone() or (0,)
        die_at(f"after {name}", where if is_cut(name) else "")
        return int(count)

    first, second, last = (step.override(task_id=name)(name) for name in ("changes", "attempt", "commit"))
    send = AppLovinSendChangesOperator(
        task_id="send",
        audience_id=INPUT["audience_id"],
        added=f"{CHANGES}-added.parquet",
        refreshed=f"{CHANGES}-refreshed.parquet",
        removed=f"{CHANGES}-removed.parquet",
        ttl_seconds=TTL_SECONDS,
        expected_changes="{{ ti.xcom_pull(task_ids='attempt') }}",
    )
    first >> second >> send >> last


def _kill_in_sql() -> None:
    execute: Any = SQLExecuteQueryOperator.execute

    def dying(self: Any, context: Any) -> Any:
        die_at(f"before {self.task_id}")
        if is_cut(self.task_id):
            self.sql, self.autocommit = done_statements(self.sql.split(";\n")), True
        result = execute(self, context)
        die_at(f"after {self.task_id}", where if is_cut(self.task_id) else "")
        return result

    SQLExecuteQueryOperator.execute = dying  # type: ignore[method-assign]


def _kill_in_requests() -> None:
    number = 0
    add, remove = AudienceDestination.add, AudienceDestination.remove

    def counting(method: Any) -> Any:
        def send_batch(self: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal number
            number += 1
            result = method(self, *args, **kwargs)
            die_at(f"send {number}")
            return result

        return send_batch

    AudienceDestination.add, AudienceDestination.remove = counting(add), counting(remove)  # type: ignore[method-assign]


if __name__ == "__main__":
    # A late request of a run that was killed is waited for; here not for 251 seconds.
    AudienceDestination.limits = replace(AudienceDestination.limits, late_effect_seconds=1, max_request_seconds=0)
    _kill_in_sql()
    _kill_in_requests()
    if engine == "duckdb":
        dag = duckdb_changes
    else:
        sys.path.insert(0, str(FOLDER))
        dag = importlib.import_module("vip_changes").vip_changes()
    operators: list[Any] = list(dag.tasks)
    for operator in operators:
        operator.retries = 0
        if operator.task_id == "send":
            operator.batch_size, operator.max_parallel_requests = 1, 1
    # Airflow 2 has another word for it.
    word = next(word for word in ("logical_date", "execution_date") if word in signature(dag.test).parameters)
    run = dag.test(**{word: dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)})
    states = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
    print("\nENDED", json.dumps(states))  # noqa: T201 - the test reads it
