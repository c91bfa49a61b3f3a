"""
Keep an AppLovin audience equal to what a function returns: the smallest DAG, which needs no file and no database.

The function stands for whatever finds the members. Its members are made up, and the same each day, so that the first
run adds all of them, and later runs send nothing.

Needs: a connection ``applovin_default``.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import dag, task


@task.applovin_sync_audience(name="First audience", platform="android", package_name="com.example.game")
def members() -> list[str]:
    """Return 1,000 made-up advertising IDs; they never go to XCom."""
    import uuid  # noqa: PLC0415 - as what a task needs should be: Airflow parses DAG files all the time

    return [str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{number}.example.com")) for number in range(1000)]


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["audiences", "applovin"],
)
def first_audience() -> None:
    """Sync."""
    members()


first_audience()
