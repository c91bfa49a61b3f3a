"""
Sync one AppLovin audience by many tasks, each with the members whose IDs begin with the same digit.

``prepare`` finds or makes the audience and reads the opt-outs, a task ``plan`` for each partition reads its part of the
table, ``verdict`` lets the guards judge all plans as one, a task ``apply`` for each partition sends its plan, and
``report`` compares the sum with AppLovin's count: docs/partitions.md.

Needs: a connection ``applovin_default``; a connection ``warehouse`` of a database with a table ``players`` that has a
column ``advertising_id``; and a variable ``audiences_data_folder``, the folder (local or in object storage) with a file
``opt_outs.txt``. With several workers, set ``[audiences] state_path`` to a place that all of them see.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import dag

from airflow_provider_audiences.sources import SqlSource
from airflow_provider_audiences.task_groups.applovin import applovin_partitioned_sync as partitioned_sync


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["audiences", "applovin"],
)
def applovin_partitioned_sync() -> None:
    """Sync in 16 partitions."""
    partitioned_sync(
        partitions=16,
        name="All players",
        platform="android",
        package_name="com.example.game",
        # With column=, each task asks for the rows of its partition only.
        source=SqlSource("warehouse", "SELECT advertising_id FROM players", column="advertising_id"),
        suppress="{{ var.value.audiences_data_folder }}/opt_outs.txt",
        ttl_seconds=30 * 24 * 3600,
        max_removed_ratio=0.3,
        min_members=100,
        max_active_tis_per_dagrun=4,
    )


applovin_partitioned_sync()
