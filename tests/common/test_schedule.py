"""When a DAG runs next, as its timetable tells: for each kind of schedule."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset
from airflow.timetables.interval import CronDataIntervalTimetable, DeltaDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable, DeltaTriggerTimetable

from airflow_provider_audiences.common.schedule import seconds_to_next_run

try:
    from airflow.sdk import AssetOrTimeSchedule
except ImportError:
    from airflow.timetables.datasets import DatasetOrTimeSchedule  # type: ignore[import-not-found]

    def AssetOrTimeSchedule(*, timetable: Any, assets: Any) -> Any:  # type: ignore[no-redef]  # noqa: N802 - as Airflow 3 has it
        return DatasetOrTimeSchedule(timetable=timetable, datasets=assets)  # noqa: AIR311


MINUTE = dt.timedelta(minutes=1)
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
ASSETS = [Asset("x://example/ids")]
AT_THREE: Any = CronTriggerTimetable("0 3 * * *", timezone="UTC")


def next_run(schedule: Any, **arguments: Any) -> Any:
    """The time of the next run, and None if the schedule does not tell."""
    seconds = seconds_to_next_run({"dag": DAG("dag", schedule=schedule, start_date=START, catchup=False, **arguments)})
    return None if seconds is None else dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)


def next_hour_of(hours: Any, zone: Any) -> Any:
    """When a clock next shows one of the hours."""
    moment = dt.datetime.now(zone).replace(minute=0, second=0, microsecond=0, fold=0)
    while True:
        moment = (moment.astimezone(dt.UTC) + dt.timedelta(hours=1)).astimezone(zone)
        if moment.hour in hours:
            return moment


@pytest.mark.parametrize(
    ("schedule", "hours", "zone"),
    [
        ("@daily", {0}, "UTC"),
        ("@hourly", set(range(24)), "UTC"),
        ("0 3 * * *", {3}, "UTC"),
        ("0 */6 * * *", {0, 6, 12, 18}, "UTC"),
        (AT_THREE, {3}, "UTC"),
        (CronTriggerTimetable("0 3 * * *", timezone="Europe/Berlin"), {3}, "Europe/Berlin"),
        (CronTriggerTimetable("0 3 * * *", timezone="UTC", interval=dt.timedelta(days=1)), {3}, "UTC"),
        (CronDataIntervalTimetable("0 3 * * *", timezone="UTC"), {3}, "UTC"),
        (CronDataIntervalTimetable("@hourly", timezone="Asia/Tokyo"), set(range(24)), "Asia/Tokyo"),
        (AssetOrTimeSchedule(timetable=AT_THREE, assets=ASSETS), {3}, "UTC"),
    ],
    ids=lambda value: str(value) if isinstance(value, str | set) else type(value).__name__,
)
def test_hours_of_the_clock(schedule: Any, hours: set[int] | set[Any], zone: str) -> None:
    before = next_hour_of(hours, ZoneInfo(zone))
    found = next_run(schedule)
    after = next_hour_of(hours, ZoneInfo(zone))
    assert before - MINUTE < found < after + MINUTE


@pytest.mark.parametrize(
    "schedule",
    [
        dt.timedelta(hours=3),
        DeltaDataIntervalTimetable(dt.timedelta(hours=3)),
        DeltaTriggerTimetable(dt.timedelta(hours=3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_intervals(schedule: Any) -> None:
    """From now on: the run may have begun a while ago, and the next one come sooner, but not later."""
    before = dt.datetime.now(dt.UTC) + dt.timedelta(hours=3)
    found = next_run(schedule)
    assert before - MINUTE < found < dt.datetime.now(dt.UTC) + dt.timedelta(hours=3) + MINUTE


@pytest.mark.parametrize("schedule", [None, "@once", ASSETS, ASSETS[0]], ids=["None", "@once", "assets", "asset"])
def test_no_times(schedule: Any) -> None:
    assert next_run(schedule) is None


def test_one_run_after_the_other() -> None:
    found = next_run("@continuous", max_active_runs=1)
    assert found is None or found < dt.datetime.now(dt.UTC) + MINUTE


class Broken(CronTriggerTimetable):
    def next_dagrun_info(self, **_arguments: Any) -> Any:
        raise RuntimeError("nobody knows")


class Past(CronTriggerTimetable):
    def infer_manual_data_interval(self, *, run_after: Any) -> Any:
        return super().infer_manual_data_interval(run_after=run_after.subtract(years=1))


def test_a_timetable_that_fails_tells_nothing() -> None:
    assert next_run(Broken("@daily", timezone="UTC")) is None


def test_a_run_that_is_late_is_due_now() -> None:
    found = next_run(Past("@daily", timezone="UTC"))
    assert found <= dt.datetime.now(dt.UTC)


def test_no_dag_tells_nothing() -> None:
    assert seconds_to_next_run({}) is None
