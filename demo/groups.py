"""
Three days of PAI audience groups: made, rejected, and made again.

On day 2, PAI rejects the new group of the MaxCompute table, and the file of phone numbers is the same as on day 1.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from airflow_provider_audiences.emulator.testing import AudiencesEmulatorControl
from demo.dag_runs import DagResult, run_dag, say_ended
from demo.days import DAYS
from demo.environment import PAI_TABLES, Workspace
from demo.output import expect, number, say, table

DAG = "pai_group_refresh"
BUYERS, READERS = "Lapsed buyers", "Newsletter readers"

_READERS = 5_000
_CHURN = 40
_CALLS = ("create", "get", "delete")


@dataclass(frozen=True, kw_only=True)
class GroupDay:
    """
    A day whose run has ended.

    :param day: date of the day, ``YYYY-MM-DD``.
    :param result: result of the DAG run.
    :param groups: what PAI holds afterwards, by name.
    :param billed: calls of the day that PAI bills, by its own count.
    """

    day: str
    result: DagResult
    groups: dict[str, dict[str, Any]]
    billed: dict[str, int]


def run_groups(
    workspace: Workspace, control: AudiencesEmulatorControl, environment: dict[str, str], stop: threading.Event
) -> list[GroupDay]:
    """
    Refresh the groups for three days, beside the audience.

    :param workspace: where files and results go.
    :param control: control of the running emulator.
    :param environment: of the Airflow that runs it.
    :param stop: set to end it.
    """
    days = []
    for index, day in enumerate(DAYS[:3]):
        is_rejected = index == 1
        first = _CHURN if index == 2 else 0  # noqa: PLR2004 - day 3
        numbers = [f"1390000{number:04d}" for number in range(first, first + _READERS)]
        rows = ["id,phone", *(f"{row},{number}" for row, number in enumerate([*numbers, numbers[0]]))]
        (workspace.data / f"phones_{day}.csv").write_text("\n".join(rows), encoding="ascii")
        control.settings(reject_names=[BUYERS] if is_rejected else [])
        before = _billed(control)
        result = run_dag(workspace, DAG, day, environment, must_fail=is_rejected, stop=stop)
        billed = {call: count - before[call] for call, count in _billed(control).items()}
        groups = {group["Name"]: group for group in control.groups()}
        expect(f"groups at PAI on {day}", sorted(group["Name"] for group in control.groups()), [BUYERS, READERS])
        expect(f"files left for PAI on {day}", len(list(workspace.stage.iterdir())), 0)
        days.append(GroupDay(day=day, result=result, groups=groups, billed=billed))
    return days


def summarise_groups(control: AudiencesEmulatorControl, days: list[GroupDay]) -> None:
    """
    Check what the days came to, and print it.

    :param control: control of the running emulator.
    :param days: results of the days, from :func:`run_groups`.
    """
    first, rejected, last = days
    say("")
    for day in days:
        say_ended(DAG, day.day, day.result)
    reason = rejected.result.failures.get("replace_buyers", "")
    expect("why day 2 failed", reason.partition(":")[0], "GroupRejectedError")
    say(f"On {rejected.day} it had to fail, and did: {reason}")

    rows = [["PAI group", *(day.day for day in days)]]
    for name in (BUYERS, READERS):
        rows.append([name, *(f"{number(day.groups[name]['Amount'])} people" for day in days)])
        rows.append(["  its id", *(f"{day.groups[name]['Id'][:8]}…" for day in days)])
    rows += [[f"billed calls: {call}", *(number(day.billed[call]) for day in days)] for call in _CALLS]
    table(rows)

    ids = {name: [day.groups[name]["Id"] for day in days] for name in (BUYERS, READERS)}
    for name, (on_first, on_second, on_third) in ids.items():
        expect(f"whether {name} is the same on day 2", on_second, on_first)
        expect(f"whether {name} is another on day 3", on_third != on_first, True)
    expect("people", {group["Name"]: group["Amount"] for group in control.groups()},
           {BUYERS: PAI_TABLES["crm"]["lapsed_buyers"], READERS: _READERS})  # fmt: skip
    report = rejected.result.returned["sync_readers"]
    expect("whether the same numbers are left as they are", report["unchanged"], True)
    expect("what that is billed", report["billable_calls"], dict.fromkeys(_CALLS, 0))
    for day in (first, last):
        told = [day.result.returned[task]["billable_calls"] for task in ("replace_buyers", "sync_readers")]
        for call in _CALLS:
            expect(f"billed {call} calls on {day.day}", sum(calls[call] for calls in told), day.billed[call])


def _billed(control: AudiencesEmulatorControl) -> dict[str, int]:
    bill = control.billing()
    return {call: bill[call]["billed"] for call in _CALLS}
