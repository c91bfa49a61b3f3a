"""
DAGs that write to audiences of any kind and fate, and tell Airflow of it as the operators do: events and states.

The script runs them (``dag.test()``), each once: ``python audience_pages.py players buyers buyers@again``. What a task
comes to in a run ``@again`` is its fate. Where Airflow keeps no state of assets (before 3.3), there are events only.
"""

import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Asset, BaseOperator

DAY = 24 * 3600
NOW = int(time.time())
# Midnight is over, so the next run is due at the next one, and no run is late.
START = datetime.now(UTC).replace(hour=0, minute=0, second=1, microsecond=0)
FIELDS = ["at", "live", "added", "removed", "refreshed", "suppressed", "drift", "requests"]
STOP = (
    "stopped by max_removed_ratio: the plan would remove 186,754 of 415,008 members (45.0%), and at most 30.0% is "
    "allowed (max_removed_ratio); nothing was sent"
)
EVIL = "<img src=x onerror=alert(1)>"
RELEASE = os.environ.get("AUDIENCE_PAGES_RELEASE", "")
"""A running sync ends when there is a file of this name."""


def history(*, live: int, days: int, change: int, with_drift: bool = True) -> list[list[Any]]:
    """Return points of one a day, the last one of an hour ago."""
    points: list[list[Any]] = []
    for day in range(days):
        added = change + change * (day * 37 % 11) // 8
        removed = change + change * (day * 53 % 13) // 12
        live += added - removed
        drift = (day * 53 % 17) * change // 900 - change // 80 if with_drift else None
        at = NOW - 3600 - (days - 1 - day) * DAY
        points.append([at, live, added, removed, change // 4 if day % 7 == 0 else 0, 120, drift, 9 + day % 4])
    return points


def report_of(point: list[Any], **more: Any) -> dict[str, Any]:
    """Return a sync's report of a point of the history."""
    values = dict(zip(FIELDS, point, strict=True))
    del values["at"]
    verdict = {"guard": "max_removed_ratio", "passed": True, "message": f"the plan would remove {point[3]:,} members"}
    source = {"malformed": 12, "zeroed": 3, "duplicates": 250, "blank": 1}
    plan = {"unchanged": point[1] - point[2], "planned_requests": 4, "verdicts": [verdict]}
    return {"mode": "mirror", "plan_only": False, "seconds": 42.5, **source, **plan, **values, **more}


class Write(BaseOperator):
    """
    Stands for an operator of this provider.

    :param uri: address of its asset.
    :param extra: the event's ``extra``, without its report.
    :param live: members at the history's beginning.
    :param fate: ``ok``, or what a run ``@again`` comes to: ``stopped``, ``failed``, ``running``.
    :param more: more of its report.
    :param states: more of its states.
    """

    def __init__(
        self, *, uri: str, extra: dict[str, Any], live: int = 1000, fate: str = "ok", more: Any = None,
        states: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(outlets=[Asset(name=uri, uri=uri)], **kwargs)
        self.uri, self.extra, self.live, self.fate = uri, extra, live, fate
        self.more, self.states = more or {}, states or {}

    def execute(self, context: Any) -> Any:
        points = history(live=self.live, days=60, change=max(self.live // 90, 1), with_drift="drift" not in self.more)
        report = report_of(points[-1], **self.more)
        is_second = (context["dag_run"].conf or {}).get("is_second", False)
        if not is_second or self.fate == "ok":
            return self.succeed(context, points, report)
        if self.fate == "running":
            self.work(context)
            return self.succeed(context, points, report)
        guard = "max_removed_ratio" if self.fate == "stopped" else None
        message = STOP if guard else "PAI answered with 503 to a get (request id 0A1B-2C3D); it is worth a retry"
        self.keep(context, outcome={**self.outcome(context), "state": self.fate, "message": message, "guard": guard})
        raise AirflowFailException(message)

    def succeed(self, context: Any, points: list[list[Any]], report: dict[str, Any]) -> None:
        at = points[-1][0]
        event = {"audiences": 1, **self.extra, "at": at, "conn_id": "applovin_default", "report": report}
        context["outlet_events"][self.outlets[0]].extra = event
        outcome = {**self.outcome(context), "at": at, "state": "ok", "message": "ok", "guard": None, "report": report}
        self.keep(context, outcome=outcome, history={"fields": FIELDS, "points": points}, **self.states)

    def outcome(self, context: Any) -> dict[str, Any]:
        ti = context["ti"]
        where = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": -1, "next_run": None}
        return {"at": int(time.time()), "operation": self.extra["operation"], "report": None, **where}

    def keep(self, context: Any, **values: Any) -> None:
        if (stores := context.get("asset_state_store")) is not None:
            for key, value in values.items():
                stores[self.outlets[0]].set(key, value)

    def work(self, context: Any) -> None:
        """Send, until the test says that it is enough."""
        sent = 120_000
        while not Path(RELEASE).exists():
            if (store := context.get("task_state_store")) is not None:
                store.set("progress", {"members_sent": sent, "members_total": 1_200_000})
            sent = 120_000 + (sent + 20_000) % 1_000_000  # never at its end
            time.sleep(0.5)


def waves(days: int) -> dict[str, Any]:
    """Return a coming expiry: a wave each week."""
    start = datetime.now(UTC).date() + timedelta(days=4)
    sizes = [64_000 if day % 7 == 3 else 4_000 for day in range(days)]
    counts = [[(start + timedelta(days=day)).isoformat(), size] for day, size in enumerate(sizes)]
    return {"first": NOW + 4 * DAY, "last": NOW + (4 + days) * DAY, "days": counts}


LIMITS = {"max_removed_ratio": 0.3, "max_added_ratio": 0.5, "min_members": 300_000}
AUDIENCE = {"platform": "applovin", "kind": "audience", "operation": "sync"}
SUPPRESSION = {"platform": "applovin", "kind": "suppression_list", "operation": "sync"}
GROUP = {"platform": "pai", "kind": "group", "operation": "replace"}
DAYS = {"start_date": START, "catchup": False}

with DAG("players", schedule="@daily", **DAYS) as players:
    Write(
        task_id="sync", uri="applovin://applovin_default/audiences/High%20value%20players", live=380_000,
        extra={**AUDIENCE, "name": "High value players"}, more={"audience_id": "fce0b41a0849706bd0fbbe181e61f419"},
        states={"limits": LIMITS, "expiry": waves(30)},
    )  # fmt: skip

with DAG("buyers", schedule="@daily", **DAYS) as buyers:
    Write(
        task_id="sync", uri="applovin://applovin_default/audiences/Lapsed%20buyers", live=380_000, fate="stopped",
        extra={**AUDIENCE, "name": "Lapsed buyers"}, more={"audience_id": "0b5c2f7de9a14c63a2d81f06b7c4e955"},
        states={"limits": {**LIMITS, "max_added_ratio": None, "min_members": 0}, "expiry": waves(12)},
    )  # fmt: skip

with DAG("users", schedule="@daily", **DAYS) as users:
    Write(
        task_id="sync", uri="applovin://applovin_default/suppression/com.example.game", live=2_400_000,
        extra={**SUPPRESSION, "name": "com.example.game"},
        more={"package_name": "com.example.game", "drift": None, "added": 0, "removed": 0, "refreshed": 0},
    )  # fmt: skip

with DAG("testers", schedule="@daily", **DAYS) as testers:
    Write(
        task_id="refresh", uri="pai://pai_default/groups/Campaign%20testers", live=48_213, fate="failed",
        extra={**GROUP, "name": "Campaign testers"},
        more={"group_id": "ag-7f31c0", "amount": 48_213, "drift": None, "live": None},
    )  # fmt: skip

with DAG("newcomers", schedule="@daily", **DAYS) as newcomers:
    Write(
        task_id="sync", uri="applovin://applovin_default/audiences/Newcomers", live=1_150_000, fate="running",
        extra={**AUDIENCE, "name": "Newcomers"}, more={"audience_id": "77aa0c3d5b6e4f21b1c9d8e7f6a5b4c3"},
        states={"limits": LIMITS, "expiry": waves(20)},
    )  # fmt: skip

with DAG("strangers", schedule="@daily", **DAYS) as strangers:
    Write(
        task_id="sync", uri="applovin://applovin_default/audiences/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E",
        live=90_000,
        extra={**AUDIENCE, "name": EVIL}, more={"audience_id": EVIL, "drift": 9_500, EVIL: EVIL},
    )  # fmt: skip

with DAG("never", schedule="@daily", **DAYS) as never:
    Write(task_id="sync", uri="applovin://applovin_eu/audiences/Not%20yet%20run", extra=AUDIENCE)

if __name__ == "__main__":
    ended = {}
    for name in sys.argv[1:]:
        dag_id, _, is_second = name.partition("@")
        dag = globals()[dag_id]
        print("\nBEGUN", name, flush=True)  # noqa: T201 - the test waits for it
        run = dag.test(logical_date=datetime.now(UTC), run_conf={"is_second": is_second == "again"})
        ended[name] = [str(ti.state) for ti in run.get_task_instances()]
    print("\nENDED", json.dumps(ended))  # noqa: T201 - the test reads it
