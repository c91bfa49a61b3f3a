"""
Go on when a PAI audience group is ready, whoever made it: an asset of Airflow 3 that is updated when it becomes ready.

The triggerer lists the groups of the name every minute, for nothing. Airflow 2 has no asset watchers: there the DAG is
started by hand only.

Needs: a connection ``pai_default``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import Asset, dag, task

from airflow_provider_audiences.triggers.pai_events import PaiGroupReadyTrigger

try:
    from airflow.sdk import AssetWatcher  # Airflow 3 only
except ImportError:
    AssetWatcher = None

NAME = "Seasonal buyers"


def ready_groups() -> list[Asset] | None:
    """Return the schedule: whenever a group of the name becomes ready."""
    if AssetWatcher is None:
        return None
    watcher = AssetWatcher(name="seasonal_buyers_ready", trigger=PaiGroupReadyTrigger(name=NAME))
    return [Asset("pai_seasonal_buyers", watchers=[watcher])]


@task
def tell_campaign(**context: Any) -> list[str]:
    """Return the ids of the groups that became ready; this is where a campaign would be told."""
    events = [event for found in (context.get("triggering_asset_events") or {}).values() for event in found]
    groups = [event.extra["payload"] for event in events if "payload" in event.extra]
    for group in groups:
        print(f"Group {group['id']} is ready with {group['amount']} people.")  # noqa: T201 - a task's log
    return [group["id"] for group in groups]


@dag(schedule=ready_groups(), start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, tags=["audiences", "pai"])
def pai_group_watcher() -> None:
    """Wait for the group, then tell the campaign."""
    tell_campaign()


pai_group_watcher()
