"""
Replace an AppLovin audience every day by the day's file of advertising IDs.

The audience is created once and adopted afterwards. The update stages the whole file first (validation,
deduplication, counts), then sends it in batches. The last task waits until AppLovin shows users: its count lags.

Needs: a connection ``applovin_default`` and a variable ``audiences_data_folder``, the folder (local or in object
storage) with a file ``device_ids_YYYY-MM-DD.txt`` for each day.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import dag

from airflow_provider_audiences.operators.applovin import (
    AppLovinCreateAudienceOperator,
    AppLovinUpdateAudienceOperator,
)
from airflow_provider_audiences.sensors.applovin import AppLovinAudienceSensor
from airflow_provider_audiences.sources import RUN_DAY

AUDIENCE_NAME = "High value players replaced daily"


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # two updates of one audience at once would mix their sets
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=["audiences", "applovin"],
)
def applovin_audience_refresh() -> None:
    """Create or adopt the audience, replace its users, wait until AppLovin shows some."""
    create = AppLovinCreateAudienceOperator(
        task_id="create_audience",
        name=AUDIENCE_NAME,
        platform="android",
        package_name="com.example.game",
        description="Refreshed daily from the warehouse",
        if_exists="adopt",
    )
    update = AppLovinUpdateAudienceOperator(
        task_id="update_audience",
        audience_id=create.output,
        # RUN_DAY is the day on which the run starts. If a day's file comes when the day has ended: DAY_BEFORE_RUN.
        source="{{ var.value.audiences_data_folder }}/device_ids_" + RUN_DAY + ".txt",
        ttl_seconds=30 * 24 * 3600,
        max_malformed_ratio=0.05,
    )
    shown = AppLovinAudienceSensor(
        task_id="wait_for_users",
        name=AUDIENCE_NAME,
        platform="android",
        min_user_count=1,
        poke_interval=60,
        timeout=3600,
    )
    update >> shown


applovin_audience_refresh()
