"""
Go on whenever an AppLovin audience was refreshed: a DAG that is scheduled on the audience's asset.

Each operator that writes to an audience has its asset as an outlet (a dataset on Airflow 2), and hands its report over
with the event. The audience here is the one of the example ``applovin_audience_sync``, by its name. A sync that found
nothing to send has confirmed the audience, so it starts this DAG too; a sync that a guard has stopped does not.

Needs: nothing; started by hand, it has no report to show.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_audiences.assets.applovin import audience_asset

AUDIENCE = audience_asset("Loyal players")


@task
def tell_campaign(**context: Any) -> list[dict[str, Any]]:
    """Return what the refreshes that started this run have done; this is where a campaign would be told."""
    # Airflow 2 has another word for assets.
    found = context.get("triggering_asset_events") or context.get("triggering_dataset_events") or {}
    events = [event.extra for events in found.values() for event in events if event.extra.get("audiences")]
    refreshes = [
        {"name": extra["name"], **{count: extra["report"].get(count) for count in ("added", "removed", "live")}}
        for extra in events
    ]
    for refresh in refreshes:
        print(f"{refresh['name']}: {refresh['live']} members, {refresh['added']} of them new.")  # noqa: T201 - a task's log
    return refreshes


@dag(
    schedule=[AUDIENCE],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["audiences", "applovin"],
)
def applovin_audience_refreshed() -> None:
    """Wait for the audience, then tell the campaign."""
    tell_campaign()


applovin_audience_refreshed()
