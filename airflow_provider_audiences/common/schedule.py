"""The dates of a task's DAG run, and the time of its DAG's next run, as far as the timetable tells."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_audiences.sync.run_date import RunDate

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)


def run_date_of(context: Context) -> RunDate | None:
    """
    Return the dates of a task's DAG run.

    :param context: context of the task.
    :return: the dates; None if the run has no logical date, as some manual and asset-triggered runs.
    """
    values = cast("dict[str, Any]", context)
    logical, end = values.get("logical_date"), values.get("data_interval_end")
    if logical is None:
        return None
    return RunDate(logical=logical.timestamp(), end=None if end is None else end.timestamp())


def seconds_to_next_run(context: Context) -> float | None:
    """
    Return the seconds until the next scheduled run; at least 0.

    :param context: context of the task.
    :return: the seconds; None if the DAG has no schedule, or if its timetable does not tell the next run.
    """
    dag: Any = cast("dict[str, Any]", context).get("dag")
    if dag is None:
        return None
    import pendulum
    from airflow.timetables.base import TimeRestriction

    now = pendulum.now("UTC")
    try:
        timetable = _timetable_of(dag)
        info = timetable.next_dagrun_info(
            # The data interval of a run that begins now; the next run's interval follows it.
            last_automated_data_interval=timetable.infer_manual_data_interval(run_after=now),
            restriction=TimeRestriction(earliest=None, latest=None, catchup=True),
        )
    except Exception as error:  # noqa: BLE001 - a custom timetable may raise anything; a sync works without it
        log.debug("The timetable does not tell the next run: %s", type(error).__name__)
        return None
    return None if info is None else max(0.0, (info.run_after - now).total_seconds())


def _timetable_of(dag: Any) -> Any:
    try:
        from airflow.serialization.encoders import coerce_to_core_timetable
    except ImportError:  # before Airflow 3.2 there is only one kind
        return dag.timetable
    return coerce_to_core_timetable(dag.timetable)
