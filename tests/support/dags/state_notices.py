"""
Runs the DAGs below for real (``dag.test()``), and prints how their tasks ended.

A script, not a test: Airflow keeps its process for itself. Each argument is the name of a DAG and a day.
"""

import contextlib
import datetime as dt
import json
import os
import sys
from inspect import signature
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.notifier import BaseNotifier
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_audiences.notifications.notifier import AudienceStateNotifier
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator

with contextlib.suppress(ImportError):
    # Airflow 2 can't remove a run, as for a second one of a day, without knowing the tables of users.
    import airflow.providers.fab.auth_manager.models  # type: ignore[import-not-found]  # noqa: F401

INPUT = json.loads(os.environ["DAG_RUNS_INPUT"])
FOLDER, AUDIENCE = INPUT["folder"], INPUT["audience_id"]


class ToFile(BaseNotifier):
    """Stands for a notifier of Slack or mail: has its text by templates, and may be out of order."""

    template_fields = ("text",)

    def __init__(self, name: str, *, text: str = "{{ notice.subject }}\n{{ notice.body }}") -> None:
        super().__init__()
        self.path = Path(FOLDER, f"{name}.jsonl")
        self.text = text

    def notify(self, context: Any) -> None:
        if Path(FOLDER, f"{self.path.stem}.broken").exists():
            raise OSError("out of order")
        with self.path.open("a") as file:
            file.write(json.dumps({"text": self.text, "changes": context["notice"].changes}) + "\n")


def to_function(context: Any) -> None:
    with Path(FOLDER, "function.jsonl").open("a") as file:
        file.write(json.dumps(context["notice"].subject) + "\n")


ON_CHANGE = [
    AudienceStateNotifier(notifiers=[ToFile("first"), to_function, ToFile("second", text="{{ notice.state }}")]),
    AudienceStateNotifier(notifiers=ToFile("expiry"), expiry_within=dt.timedelta(days=40), drift_beyond=None),
]
COMMON: dict[str, Any] = {
    "start_date": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    "catchup": False,
    "default_args": {"retries": 0, "on_success_callback": ON_CHANGE, "on_failure_callback": ON_CHANGE},
}

with DAG("noticed", schedule="@daily", **COMMON) as noticed:
    AppLovinSyncAudienceOperator(
        task_id="sync",
        audience_id=AUDIENCE,
        source=FOLDER + "/ids_{{ ds }}.txt",
        ttl_seconds=30 * 24 * 3600,
        max_removed_ratio="off",
        max_removed=5,
        drift_patience_seconds=0,
    )
    AppLovinSyncAudienceOperator(
        task_id="plan", audience_id=AUDIENCE, source=FOLDER + "/ids_{{ ds }}.txt", plan_only=True
    )

with DAG("noticed_group", schedule=None, **COMMON) as noticed_group:
    PaiSyncGroupOperator(task_id="group", name="VIP", source=FOLDER + "/phones_{{ ds }}.txt", poke_interval=0.1)

if __name__ == "__main__":
    ended = []
    for argument in sys.argv[1:]:
        name, _, day = argument.partition("=")
        dag = globals()[name]
        # Airflow 2 has another word for it.
        word = next(word for word in ("logical_date", "execution_date") if word in signature(dag.test).parameters)
        run = dag.test(**{word: dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)})
        ended.append({ti.task_id: str(ti.state) for ti in run.get_task_instances()})
    print("\nENDED", json.dumps(ended))  # noqa: T201 - the test reads it
