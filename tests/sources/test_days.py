"""Templates for the day of a run: the same day in every kind of run, in real DAG runs."""

from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple
from support.dag_scripts import AirflowProcesses, DagScript


def test_the_day_is_the_same_in_every_kind_of_run(airflow_processes: AirflowProcesses) -> None:
    found, output = DagScript("days", airflow_processes, {})()
    runs = 4 if get_base_airflow_version_tuple() >= (3, 0, 0) else 2
    days = "2026-01-02 2026-01-01"
    assert found == {"@daily": [days] * runs, "@hourly": [days] * runs, "None": [days] * runs}, output[-4000:]
