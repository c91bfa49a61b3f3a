"""
Send the changes of an AppLovin audience that the warehouse works out: for more members than a worker should hold.

``changes`` compares who is wanted with who was sent, ``attempt`` writes down who is about to be sent, ``send`` sends
them, and ``commit`` remembers them. Wherever a run is cut off, the next one sends what is in doubt once more, and
forgets nobody: docs/changes.md.

Needs: a connection ``applovin_default``, and a connection ``warehouse`` of PostgreSQL with a table or view
``vip_wanted`` of one column ``advertising_id``. The SQL is that of docs/sql/postgres. In a folder of your own, put the
files of your warehouse beside the DAG, and name their folder in ``template_searchpath``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from airflow.providers.common.compat.sdk import dag
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

from airflow_provider_audiences.assets.applovin import audience_asset
from airflow_provider_audiences.operators.applovin import AppLovinCreateAudienceOperator
from airflow_provider_audiences.operators.applovin_changes import AppLovinSendChangesOperator
from airflow_provider_audiences.sources import SqlSource

NAME = "VIP players"
TTL_SECONDS = 30 * 24 * 3600


def changed(change: str) -> SqlSource:
    """Return the members that this run adds, refreshes or removes."""
    query = "SELECT advertising_id FROM vip_changes WHERE run_id = '{{ run_id }}' AND change = "
    return SqlSource("warehouse", f"{query}'{change}'")


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # the tables hold the changes of one run
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    params={"ttl_seconds": TTL_SECONDS},
    template_searchpath=[str(Path(__file__).resolve().parents[1] / "docs" / "sql" / "postgres")],
    tags=["audiences", "applovin"],
)
def applovin_changes_sync() -> None:
    """Find or create audience and tables; work out the changes, write them down, send them, remember them."""
    audience = AppLovinCreateAudienceOperator(
        task_id="audience", name=NAME, platform="android", package_name="com.example.game", if_exists="adopt"
    )
    step = partial(SQLExecuteQueryOperator, conn_id="warehouse", split_statements=True)
    tables = step(task_id="tables", sql="tables.sql")  # if they are not there
    changes = step(task_id="changes", sql="changes.sql")
    attempt = step(task_id="attempt", sql="attempt.sql")
    send = AppLovinSendChangesOperator(
        task_id="send",
        audience_id=audience.output,
        asset=audience_asset(NAME),
        added=changed("added"),
        refreshed=changed("refreshed"),
        removed=changed("removed"),
        ttl_seconds=TTL_SECONDS,
        expected_changes="{{ ti.xcom_pull(task_ids='attempt')[0][0] }}",
        max_removed_ratio=0.3,
    )
    commit = step(task_id="commit", sql="commit.sql")
    tables >> changes >> attempt >> send >> commit


applovin_changes_sync()
