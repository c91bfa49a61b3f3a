"""
Sync an AppLovin audience, and ask a person if a guard objects to the plan (Airflow 3.1 or newer).

The task ``plan`` works out what has to be sent, stores that as a plan, and sends nothing. If all guards let it pass,
``apply`` carries it out at once. If not, ``approve`` asks: Airflow shows the counts and what the guards say, under
Browse, Required Actions. Approve carries out exactly this plan; reject sends nothing. Before Airflow 3.1 nobody can be
asked, and the guards fail the task.

Needs: a connection ``applovin_default``, a variable ``audiences_data_folder``, and the folder (local or in object
storage) with a file ``device_ids_YYYY-MM-DD.txt`` for each day.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import dag
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_1_PLUS

from airflow_provider_audiences.assets.applovin import audience_asset
from airflow_provider_audiences.operators.applovin import AppLovinCreateAudienceOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.sources import RUN_DAY
from airflow_provider_audiences.task_groups.applovin import approved_sync

NAME = "Weekend players"


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3},
    tags=["audiences", "applovin"],
)
def applovin_approved_sync() -> None:
    """Find or create the audience; plan, ask if need be, apply."""
    audience = AppLovinCreateAudienceOperator(
        task_id="audience", name=NAME, platform="android", package_name="com.example.game", if_exists="adopt"
    )
    sync: dict[str, Any] = {
        "audience_id": audience.output,
        "asset": audience_asset(NAME),
        # RUN_DAY is the day on which the run starts. If a day's file comes when the day has ended: DAY_BEFORE_RUN.
        "source": "{{ var.value.audiences_data_folder }}/device_ids_" + RUN_DAY + ".txt",
        "ttl_seconds": 30 * 24 * 3600,
        "max_removed_ratio": 0.1,
    }
    if AIRFLOW_V_3_1_PLUS:
        approved_sync(response_timeout=timedelta(hours=12), **sync)
    else:
        AppLovinSyncAudienceOperator(task_id="sync", **sync)


applovin_approved_sync()
