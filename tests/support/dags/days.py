"""
Runs the DAGs below for real (``dag.test()``), each in all ways that a run can be dated, and prints as JSON what their
templates became.

A script, not a test: Airflow keeps its process for itself.
"""

import datetime as dt
import json
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseOperator
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple

from airflow_provider_audiences.sources import DAY_BEFORE_RUN, RUN_DAY

START = dt.datetime(2025, 12, 1, tzinfo=dt.UTC)
FOUND: dict[str, list[str]] = {}


class Render(BaseOperator):
    """Notes what its templates became."""

    template_fields = ("days",)

    def __init__(self, *, days: Any, name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.days = days
        self.note = name

    def execute(self, context: Any) -> None:  # noqa: ARG002 - the name is Airflow's
        # In the same process: dag.test() runs tasks where it is called.
        FOUND.setdefault(self.note, []).append(self.days)


DAGS = []
for schedule in ("@daily", "@hourly", None):
    with DAG(f"days_{schedule}".replace("@", ""), start_date=START, schedule=schedule, catchup=False) as dag:
        Render(task_id="render", name=str(schedule), days=f"{RUN_DAY} {DAY_BEFORE_RUN}")
    DAGS.append(dag)

if __name__ == "__main__":
    is_new = get_base_airflow_version_tuple() >= (3, 0, 0)
    for dag in DAGS:
        for hour in (0, 15):
            moment = dt.datetime(2026, 1, 2, hour, tzinfo=dt.UTC)
            dated: dict[str, Any] = {"logical_date" if is_new else "execution_date": moment}
            dag.test(**dated)
            if is_new:
                dag.test(logical_date=None, run_after=moment)  # as of an asset, or by `airflow dags trigger`
    print("\nENDED", json.dumps(FOUND))  # noqa: T201 - the test reads it
