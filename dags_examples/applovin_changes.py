"""
Keep an AppLovin audience equal to a table of a warehouse, by changes that the warehouse works out.

For audiences that are too large for a worker: it stages what changes only. Four steps: ``changes`` compares the
wanted members with those that were committed or attempted, ``attempt`` writes down that they may be sent from now on,
``send`` sends them, ``commit`` writes down that they were sent. After a run that was cut off anywhere, the next one
sends again what was attempted, and nobody is forgotten.

Needs: a connection ``applovin_default``; a connection ``warehouse`` to a PostgreSQL with a table or view ``vip_wanted``
that has a column ``advertising_id``, and with the tables of ``changes_sql/postgres/tables.sql``; and a variable
``audiences_applovin_id``, the id of an audience that no sync keeps. docs/changes.md has the SQL for other warehouses.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from airflow.providers.common.compat.sdk import dag
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

from airflow_provider_audiences.operators.applovin_changes import AppLovinSendChangesOperator
from airflow_provider_audiences.sources import SqlSource

TTL_SECONDS = 30 * 24 * 3600


def changed(change: str) -> SqlSource:
    """Return the members that this run adds, refreshes or removes."""
    return SqlSource(
        "warehouse",
        f"SELECT advertising_id FROM vip_changes WHERE run_id = '{{{{ run_id }}}}' AND change = '{change}'",  # noqa: S608
    )


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # the tables hold one run at a time
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    params={"ttl_seconds": TTL_SECONDS},
    tags=["audiences", "applovin"],
)
def applovin_changes() -> None:
    """Compare, write down, send, commit."""
    step = partial(SQLExecuteQueryOperator, conn_id="warehouse", split_statements=True)
    changes = step(task_id="changes", sql="changes_sql/postgres/changes.sql")
    attempt = step(task_id="attempt", sql="changes_sql/postgres/attempt.sql")
    send = AppLovinSendChangesOperator(
        task_id="send",
        audience_id="{{ var.value.audiences_applovin_id }}",
        added=changed("added"),
        refreshed=changed("refreshed"),
        removed=changed("removed"),
        ttl_seconds=TTL_SECONDS,
        expected_changes="{{ ti.xcom_pull(task_ids='attempt')[0][0] }}",
        max_removed_ratio=0.3,
    )
    commit = step(task_id="commit", sql="changes_sql/postgres/commit.sql")
    changes >> attempt >> send >> commit


applovin_changes()
