"""
Templates for the day of a run, for paths and queries of partitions.

They mean the same in scheduled runs, in runs triggered by hand and in runs triggered by assets, on Airflow 2.11 and 3.
``{{ ds }}`` does not: a run without a logical date has none; and in a scheduled run of ``@daily`` it is the day that
has ended on Airflow 2, and the day that begins on Airflow 3.
"""

from __future__ import annotations

RUN_DAY = "{{ (dag_run.data_interval_end or dag_run.run_after) | ds }}"
"""
The day of the run in UTC, such as ``2026-01-02``: the end of its data interval, or the time since when it may run.

For a scheduled run, this is the day on which it starts.
"""

DAY_BEFORE_RUN = "{{ macros.ds_add((dag_run.data_interval_end or dag_run.run_after) | ds, -1) }}"
"""The day before ``RUN_DAY``: for a run of ``@daily``, the day that has just ended."""
