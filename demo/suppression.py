"""Two days of an app's suppression list: all users on the first day, and only the difference on the second."""

from __future__ import annotations

import threading
import uuid

from airflow_provider_audiences.emulator.testing import AudiencesEmulatorControl
from demo.dag_runs import DagResult, run_dag, say_ended
from demo.days import DAYS
from demo.environment import Workspace
from demo.output import expect, number, say, table

DAG = "applovin_suppression_sync"
PACKAGE_NAME = "com.example.game"

_USERS = 50_000
_CHURN = 500


def run_suppression(
    workspace: Workspace, control: AudiencesEmulatorControl, environment: dict[str, str], stop: threading.Event
) -> list[DagResult]:
    """
    Sync the list for two days, and compare it with what went in.

    :param workspace: where files and results go.
    :param control: control of the running emulator.
    :param environment: of the Airflow that runs it.
    :param stop: set to end it.
    """
    results = []
    for index, day in enumerate(DAYS[:2]):
        first = index * _CHURN
        users = sorted(str(uuid.UUID(int=(5 << 120) + number)) for number in range(first, first + _USERS))
        (workspace.data / f"existing_users_{day}.txt").write_text("\n".join(users), encoding="ascii")
        results.append(run_dag(workspace, DAG, day, environment, stop=stop))
        expect(f"users on the suppression list on {day}", control.suppressed(PACKAGE_NAME) == users, True)
    return results


def summarise_suppression(results: list[DagResult]) -> None:
    """
    Check what the days came to, and print it.

    :param results: results of the runs, from :func:`run_suppression`.
    """
    say("")
    reports = []
    for day, result in zip(DAYS, results, strict=False):
        say_ended(DAG, day, result)
        reports.append(result.returned["sync_suppression"])
    names = ("members", "added", "removed", "unchanged", "batches", "bytes_sent")
    rows = [["AppLovin suppression list", *DAYS[: len(reports)]]]
    table([*rows, *([name, *(number(report[name]) for report in reports)] for name in names)])
    expect("users put on the list", [report["added"] for report in reports], [_USERS, _CHURN])
    expect("users taken off it", [report["removed"] for report in reports], [0, _CHURN])
