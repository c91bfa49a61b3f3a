"""
Keep an app's suppression list equal to the day's file of existing users: the app's campaigns leave them alone.

An app has one list; there is nothing to make first, and nothing to set up in a campaign. Each run sends only what
differs from what was sent before: new users are put on the list, and users who are gone are taken off. Whoever is taken
off is paid for again, so a day whose file is suspiciously small is stopped before anything is sent.

Needs: a connection ``applovin_default`` (with ``suppression_api_key`` in its extra, if the account has such a key) and
a variable ``audiences_data_folder``, the folder (local or in object storage) with a file
``existing_users_YYYY-MM-DD.txt`` of advertising IDs for each day. With several workers, set ``[audiences] state_path``
to a place that all of them see.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import dag

from airflow_provider_audiences.operators.applovin_suppression import AppLovinSyncSuppressionOperator
from airflow_provider_audiences.sources import RUN_DAY


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},  # a try goes on where the last one ended
    tags=["audiences", "applovin"],
)
def applovin_suppression_sync() -> None:
    """Sync."""
    AppLovinSyncSuppressionOperator(
        task_id="sync_suppression",
        package_name="com.example.game",
        # RUN_DAY is the day on which the run starts. If a day's file comes when the day has ended: DAY_BEFORE_RUN.
        source="{{ var.value.audiences_data_folder }}/existing_users_" + RUN_DAY + ".txt",
        max_removed_ratio=0.1,
        min_members=100,
        max_malformed_ratio=0.05,
    )


applovin_suppression_sync()
