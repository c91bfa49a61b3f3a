"""
Replace an AppLovin audience every day by the day's file of advertising IDs.

The audience is created once and adopted afterwards. The update stages the whole file first (validation,
deduplication, counts), then sends it in batches. The last task compares what AppLovin shows with what was sent.

Needs: a connection ``applovin_default`` and a variable ``audiences_data_folder``, the folder (local or in object
storage) with a file ``device_ids_YYYY-MM-DD.txt`` for each day.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, dag, task

from airflow_provider_audiences.operators.applovin import (
    AppLovinCreateAudienceOperator,
    AppLovinListAudiencesOperator,
    AppLovinUpdateAudienceOperator,
)
from airflow_provider_audiences.sources import RUN_DAY

AUDIENCE_NAME = "High value players"


@task
def check(report: dict[str, Any], audiences: list[dict[str, Any]]) -> dict[str, Any]:
    """Fail if the audience is missing, or holds fewer users than it did not reject."""
    audience = next((entry for entry in audiences if entry["audience_id"] == report["audience_id"]), None)
    if audience is None:
        raise AirflowFailException(f"audience {report['audience_id']} is not listed")
    # user_count may lag behind at AppLovin: an empty audience is wrong, a slightly different number is not.
    if not audience["user_count"]:
        raise AirflowFailException(f"audience {report['audience_id']} is empty after {report['sent']} IDs were sent")
    return {"user_count": audience["user_count"], "sent": report["sent"], "accepted": report["accepted"]}


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # two updates of one audience at once would mix their sets
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=["audiences", "applovin"],
)
def applovin_audience_refresh() -> None:
    """Create or adopt the audience, replace its users, list, check."""
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
        source="{{ var.value.audiences_data_folder }}/device_ids_" + RUN_DAY + ".txt",
        ttl_seconds=30 * 24 * 3600,
        max_malformed_ratio=0.05,
    )
    audiences = AppLovinListAudiencesOperator(task_id="list_audiences", name=AUDIENCE_NAME, platform="android")
    update >> audiences
    check(update.output, audiences.output)


applovin_audience_refresh()
