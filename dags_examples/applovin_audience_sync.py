"""
Keep an AppLovin audience equal to the day's file of advertising IDs, with as few requests as it takes.

The audience is found by its name, and made the first time. Each run sends only what differs from what was sent
before: new members, members that would expire soon, and members that are gone. Guards stop a day whose file is
suspiciously small before anything is sent. Who has opted out is never sent, and is removed if they were.

Needs: a connection ``applovin_default`` and a variable ``audiences_data_folder``, the folder (local or in object
storage) with a file ``device_ids_YYYY-MM-DD.txt`` for each day, and one file ``opt_outs.txt``. On a day without
opt-outs that file is empty, and not missing: if it is missing, the run fails, since nobody knows then who opted out.
With several workers, set ``[audiences] state_path`` to a place that all of them see.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, dag, task

from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.sources import RUN_DAY


@task
def check(report: dict[str, Any]) -> dict[str, Any]:
    """Fail if AppLovin refused IDs; return what a dashboard would show."""
    if report["rejected_by_api"]:
        raise AirflowFailException(f"AppLovin refused {report['rejected_by_api']} IDs of {report['planned_ids']}")
    # ``drift`` is AppLovin's count less ours. Its count may lag, so the sync warns about it, and does not fail.
    return {name: report[name] for name in ("added", "refreshed", "removed", "suppressed", "live", "drift")}


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # of two syncs of one audience at once, the second would wait
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},  # a try goes on where the last one ended
    tags=["audiences", "applovin"],
)
def applovin_audience_sync() -> None:
    """Sync, check."""
    sync = AppLovinSyncAudienceOperator(
        task_id="sync_audience",
        name="Loyal players",
        platform="android",
        package_name="com.example.game",
        description="Synced daily from the warehouse",
        # RUN_DAY is the day on which the run starts. If a day's file comes when the day has ended: DAY_BEFORE_RUN.
        source="{{ var.value.audiences_data_folder }}/device_ids_" + RUN_DAY + ".txt",
        suppress="{{ var.value.audiences_data_folder }}/opt_outs.txt",
        ttl_seconds=30 * 24 * 3600,
        max_removed_ratio=0.3,
        min_members=100,
        max_malformed_ratio=0.05,
    )
    check(sync.output)


applovin_audience_sync()
