"""
Runs the DAGs below for real (``dag.test()``), and prints how their tasks ended and what Airflow keeps of assets.

A script, not a test: Airflow keeps its process for itself. Each argument is the name of a DAG and a day.
"""

import contextlib
import datetime as dt
import json
import os
import sys
from inspect import signature
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias

from airflow_provider_audiences.assets.applovin import audience_asset
from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator, AppLovinRemoveUsersOperator
from airflow_provider_audiences.operators.applovin_suppression import AppLovinSyncSuppressionOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinApplyPlanOperator, AppLovinSyncAudienceOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator

with contextlib.suppress(ImportError):
    # Airflow 2 can't remove a run, as for a second one of a day, without knowing the tables of users.
    import airflow.providers.fab.auth_manager.models  # type: ignore[import-not-found]  # noqa: F401

INPUT = json.loads(os.environ["DAG_RUNS_INPUT"])
FOLDER, AUDIENCES, LISTS, PHONES = (INPUT[name] for name in ("folder", "audience_ids", "lists", "phones"))
COMMON: dict[str, Any] = {
    "start_date": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {"retries": 0},
}
SOURCE = FOLDER + "/ids_{{ ds }}.txt"
LOYAL = "Loyal players +1"

with DAG("asset_daily", schedule="@daily", **COMMON) as asset_daily:
    AppLovinSyncAudienceOperator(
        task_id="sync",
        name=LOYAL,
        platform="android",
        package_name="com.example.game",
        source=SOURCE,
        ttl_seconds=30 * 24 * 3600,
        min_members=2,
        outlets=[Asset("of_the_user")],
    )

with DAG("asset_approved", schedule=None, **COMMON) as asset_approved:
    planned = AppLovinSyncAudienceOperator(task_id="plan", audience_id=AUDIENCES[0], source=SOURCE, plan_only=True)
    AppLovinApplyPlanOperator(
        task_id="apply",
        audience_id=planned.output["audience_id"],
        plan_id=planned.output["plan_id"],
        asset=audience_asset(AUDIENCES[0]),
    )

with DAG("asset_others", schedule=None, **COMMON) as asset_others:
    (
        AppLovinAppendUsersOperator(task_id="append", audience_id=AUDIENCES[1], source=LISTS[0], account="main")
        >> AppLovinRemoveUsersOperator(task_id="remove", audience_id=AUDIENCES[1], source=LISTS[1], account="main")
        >> AppLovinAppendUsersOperator(task_id="count", audience_id=AUDIENCES[1], source=LISTS[0], dry_run=True)
    )
    AppLovinSyncSuppressionOperator(task_id="list", package_name="com.example", source=LISTS[0], account="main")
    PaiSyncGroupOperator(task_id="group", name="VIP 会员", source=PHONES, poke_interval=0.1, deferrable=True)
    PaiSyncGroupOperator(task_id="inline", name="Inline", source=PHONES, poke_interval=0.1, deferrable=False)
    AppLovinAppendUsersOperator(task_id="templated", audience_id="{{ params.audience }}", source=LISTS[0])

with DAG("asset_mapped", schedule=None, params={"audience": AUDIENCES[0]}, **COMMON) as asset_mapped:
    pairs = [{"audience_id": AUDIENCES[number], "source": LISTS[number]} for number in range(2)]
    AppLovinAppendUsersOperator.partial(task_id="silent").expand_kwargs(pairs)
    AppLovinAppendUsersOperator.partial(task_id="by_alias", outlets=[AssetAlias("appended")]).expand_kwargs(pairs)
    AppLovinAppendUsersOperator.partial(
        task_id="of_one", audience_id=AUDIENCES[0], outlets=[audience_asset(AUDIENCES[0])]
    ).expand(source=LISTS)
    AppLovinAppendUsersOperator.partial(
        task_id="named", audience_id=AUDIENCES[1], asset=audience_asset(AUDIENCES[1])
    ).expand(source=LISTS[:1])


asset_others.params["audience"] = AUDIENCES[0]


def _rows(*names: str) -> list[Any]:
    """Return all rows of the first of some tables that there is, as dictionaries."""
    from airflow.utils.session import create_session
    from sqlalchemy import inspect, text

    with create_session() as session:
        there = inspect(session.connection()).get_table_names()
        name = next((name for name in names if name in there), None)
        return [] if name is None else [dict(row) for row in session.execute(text(f"SELECT * FROM {name}")).mappings()]


def _kept() -> dict[str, Any]:
    uris = {row["id"]: row["uri"] for row in _rows("asset", "dataset")}
    events = [
        {
            "uri": uris[row.get("asset_id", row.get("dataset_id"))],
            "task": row["source_task_id"],
            "dag": row["source_dag_id"],
            "map_index": row["source_map_index"],
            "extra": json.loads(row["extra"]),
        }
        for row in _rows("asset_event", "dataset_event")
    ]
    stored: dict[str, dict[str, Any]] = {}
    for row in _rows("asset_state_store"):
        stored.setdefault(uris[row["asset_id"]], {})[row["key"]] = json.loads(row["value"])
    return {"events": events, "state": stored}


if __name__ == "__main__":
    ended = []
    for argument in sys.argv[1:]:
        name, _, day = argument.partition("=")
        dag = globals()[name]
        if hasattr(dag, "bulk_write_to_db"):  # Airflow 2 would know no datasets: its dag.test() does not store the DAG
            dag.bulk_write_to_db([dag])
        # Airflow 2 has another word for it.
        word = next(word for word in ("logical_date", "execution_date") if word in signature(dag.test).parameters)
        run = dag.test(**{word: dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)})
        ended.append(
            {
                f"{ti.task_id}[{ti.map_index}]" if ti.map_index >= 0 else ti.task_id: str(ti.state)
                for ti in run.get_task_instances()
            }
        )
    print("\nENDED", json.dumps({"runs": ended, **_kept()}))  # noqa: T201 - the test reads it
