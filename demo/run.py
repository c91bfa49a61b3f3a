"""
The main job, end to end: real Airflow keeps audiences up to date at an emulator of both services.

``make demo`` runs it: four days of an AppLovin audience from a million device IDs each, two days of PAI groups. After
each day it compares what went in with what the platform holds, and shows in the end what each day took.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from airflow_provider_audiences.emulator.testing import AudiencesEmulatorControl
from demo.days import DAYS, Day, written_days
from demo.device_ids import digest_of
from demo.environment import PAI_TABLES, ROOT, TEST_PHONES, Workspace

SYNC, PAI = "applovin_audience_sync", "pai_group_refresh"

RUN_DAG = [sys.executable, "-m", "demo.run_dag"]

_BATCH_SIZE = 100_000
_LINE_BYTES = 37
_DAG_TIMEOUT_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class DagResult:
    """
    What a DAG run came to.

    :param state: of the run, as Airflow has it.
    :param tasks: how many.
    :param failures: why tasks failed, by their ids.
    :param returned: what each task returned.
    :param seconds: wall time of the process.
    :param peak_megabytes: its largest memory, Airflow included.
    """

    state: str
    tasks: int
    failures: dict[str, str]
    returned: dict[str, Any]
    seconds: float
    peak_megabytes: float


class DemoError(Exception):
    """The demo did not come out as it must."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit status."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000, help="device IDs a day (default: 1,000,000)")
    parser.add_argument("--workspace", default="run", help="folder below .demo, made anew (default: run)")
    options = parser.parse_args(arguments)
    # A terminal's Ctrl-C and a service manager's SIGTERM end it the same way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    shutil.rmtree(ROOT / ".demo" / options.workspace, ignore_errors=True)
    workspace = Workspace.named(options.workspace)
    try:
        with workspace.running_emulator() as (url, api_key):
            say(f"The emulator of both services listens on {url}.")
            run(workspace, url, api_key, lines=options.lines)
    except DemoError as error:
        print(f"\nThe demo FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe demo was stopped.", file=sys.stderr)
        return 130
    say(f"\nDone in {time.monotonic() - started:.0f} s. Logs of every task: {workspace.logs.relative_to(ROOT)}/")
    return 0


def run(workspace: Workspace, url: str, api_key: str, *, lines: int) -> None:
    """Run both DAGs for their days, check each day, and print the summary."""
    environment = workspace.environment(url, api_key)
    control = AudiencesEmulatorControl(url)
    stop = threading.Event()
    results = []
    with ThreadPoolExecutor(1) as beside:
        try:
            say("Airflow makes its database (SQLite).")
            migration = beside.submit(workspace.migrate_database, environment)
            pai = beside.submit(run_pai, workspace, environment, stop)
            for day in written_days(workspace.data, lines=lines):
                megabytes = day.file.path.stat().st_size / 1e6
                say(f"\n{day.day}, {day.title}: {day.file.path.name} has {megabytes:.0f} MB.")
                migration.result()
                results.append((day, run_day(workspace, control, day, environment)))
            pai_results = pai.result()
        finally:
            stop.set()
    summarise_sync(results)
    say("")
    for day, result in pai_results.items():
        say_ended(PAI, day, result)
    summarise_pai(control, pai_results)


def run_day(
    workspace: Workspace, control: AudiencesEmulatorControl, day: Day, environment: dict[str, str]
) -> DagResult:
    """Sync the audience for a day, and check what came of it."""
    posts = count_posts(control)
    result = run_dag(workspace, SYNC, day.day, environment, must_fail=day.is_stopped)
    say_ended(SYNC, day.day, result)
    check_day(control, day, result, posts=count_posts(control) - posts)
    return result


def run_pai(workspace: Workspace, environment: dict[str, str], stop: threading.Event) -> dict[str, DagResult]:
    """Refresh the groups for two days, beside the audience: in an Airflow with a database of its own."""
    environment = workspace.second_home(environment)
    return {day: run_dag(workspace, PAI, day, environment, stop=stop) for day in DAYS[:2]}


def count_posts(control: AudiencesEmulatorControl) -> int:
    """Return how many requests have changed an audience so far."""
    return sum(len(control.requests(f"applovin.{operation}")) for operation in ("update", "append"))


def check_day(control: AudiencesEmulatorControl, day: Day, result: DagResult, *, posts: int) -> None:
    """Fail unless the audience is what it must be, and the report says so."""
    if day.is_stopped:
        reason = result.failures.get("sync_audience", "")
        expect("who stopped the run", reason.partition(":")[0], "GuardError")
        expect("requests that were sent", posts, 0)
        say(f"It had to fail, and did: {reason}")
    else:
        report = result.returned["sync_audience"]
        for name in ("malformed", "zeroed", "duplicates", "blank", "members"):
            expect(f"{name} on {day.day}", report[name], getattr(day.file, name))
        for name, count in day.expected.items():
            expect(f"{name} on {day.day}", report[name], count)
        expect("drift", report["drift"], 0)
        expect("requests that were sent", posts, report["batches"])
    [audience] = control.audiences()
    held = control.members(audience["audience_id"])
    expect("users held", len(held), day.expected["live"])
    expect("digest of the users held", digest_of(held), day.digest)
    as_it_was = "as it was before" if day.is_stopped else "exactly those who are wanted"
    say(f"AppLovin holds {len(held):,} users in audience {audience['audience_id']}: {as_it_was}.")


def run_dag(
    workspace: Workspace,
    dag_id: str,
    day: str,
    environment: dict[str, str],
    *,
    must_fail: bool = False,
    stop: threading.Event | None = None,
) -> DagResult:
    """Run a DAG for a day in a process of its own."""
    log_path = workspace.logs / f"{dag_id}_{day}.log"
    result_path = workspace.folder / f"{dag_id}_{day}.json"
    started = time.monotonic()
    with log_path.open("wb") as log:
        command = [*RUN_DAG, dag_id, day, str(result_path)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)  # noqa: S603 - our own program
        try:
            exit_code, peak_kilobytes = wait_for(process.pid, stop or threading.Event())
        except TimeoutError:
            late = f"took longer than {_DAG_TIMEOUT_SECONDS} s"
            why = "was not wanted any more" if stop and stop.is_set() else late
            raise DemoError(f"{dag_id} for {day} {why} and was ended\nThe whole log: {log_path}") from None
    seconds = time.monotonic() - started
    result = json.loads(result_path.read_text(encoding="utf-8")) if result_path.exists() else {}
    if not result or (exit_code and not must_fail):
        raise DemoError(why_failed(dag_id, day, result) + f"\nThe whole log: {log_path}")
    if must_fail and not exit_code:
        raise DemoError(f"{dag_id} for {day} ended as {result['state']}, and should have failed")
    return DagResult(
        state=result["state"],
        tasks=len(result["tasks"]),
        failures=result["failures"],
        returned=result["returned"],
        seconds=seconds,
        peak_megabytes=peak_kilobytes / 1024,
    )


def wait_for(pid: int, stop: threading.Event) -> tuple[int, int]:
    """Wait for a process and return its exit code and peak memory in kilobytes; end it if it is late or not wanted."""
    deadline = time.monotonic() + _DAG_TIMEOUT_SECONDS
    try:
        while time.monotonic() < deadline and not stop.is_set():
            done, status, usage = os.wait4(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status), usage.ru_maxrss
            time.sleep(0.05)
    except KeyboardInterrupt:
        os.kill(pid, signal.SIGKILL)
        raise
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError


def say_ended(dag_id: str, day: str, result: DagResult) -> None:
    """Print how a run ended."""
    say(f"{dag_id} for {day}: {result.state}, {result.tasks} tasks, {result.seconds:.0f} s.")


def why_failed(dag_id: str, day: str, result: dict[str, Any]) -> str:
    """Say which task failed and why."""
    if not result:
        return f"the run of {dag_id} for {day} crashed"
    states = ", ".join(f"{task}={state}" for task, state in result["tasks"].items()) or "no task ran"
    reasons = "\n".join(f"  {task}: {reason}" for task, reason in result["failures"].items())
    return f"{dag_id} for {day} ended as {result['state']} ({states})\n{reasons}"


def summarise_sync(results: Sequence[tuple[Day, DagResult]]) -> None:
    """Print the reports of the days side by side, and what replacing everything each day would have cost."""
    done = [(day, result) for day, result in results if not day.is_stopped]
    reports = [result.returned["sync_audience"] for _, result in done]
    expect("one audience for all days", len({report["audience_id"] for report in reports}), 1)
    names = ("members", "blank", "malformed", "zeroed", "duplicates", "added", "refreshed", "removed", "unchanged",
             "suppressed", "live", "drift", "requests", "batches", "bytes_sent", "seconds")  # fmt: skip
    rows = [["AppLovin audience", *(f"{day.day} {day.title}" for day, _ in done)]]
    rows.append(["lines in the file", *(number(day.file.lines) for day, _ in done)])
    rows += [[label(name), *(number(report[name]) for report in reports)] for name in names]
    rows.append(["peak memory of the run, MB", *(f"{result.peak_megabytes:.0f}" for _, result in done)])
    replaced = [(-(-report["live"] // _BATCH_SIZE), report["live"] * _LINE_BYTES) for report in reports]
    rows.append(["replacing it all: batches", *(number(batches) for batches, _ in replaced)])
    rows.append(["replacing it all: bytes", *(number(size) for _, size in replaced)])
    table(rows)
    later = list(zip(reports[1:], replaced[1:], strict=True))
    took = sum(report["batches"] for report, _ in later), sum(report["bytes_sent"] for report, _ in later)
    instead = sum(batches for _, (batches, _) in later), sum(size for _, (_, size) in later)
    say(
        f"After the first day: {took[0]} batches and {took[1] / 1e6:.1f} MB, "
        f"where replacing takes {instead[0]} and {instead[1] / 1e6:.1f} MB."
    )


def summarise_pai(control: AudiencesEmulatorControl, results: dict[str, DagResult]) -> None:
    """Print what PAI holds, and check that only the last day's groups are left."""
    rows = [["PAI group", "Status", "Amount", "made for", "id"]]
    groups = {group["Id"]: group for group in control.groups()}
    for day, result in results.items():
        for task in ("create_testers", "create_buyers"):
            group = groups.pop(result.returned[task], None)
            if group is None:
                continue
            rows.append([group["Name"], str(group["Status"]), number(group["Amount"]), day, group["Id"]])
            expect("day of a group that is left", day, list(results)[-1])
    table(rows)
    calls = ", ".join(
        f"{operation.partition('.')[2]} {len(control.requests(operation))}"
        for operation in ("pai.create", "pai.get", "pai.list", "pai.delete")
    )
    say(f"PAI calls in both days: {calls} (create, get and delete are billed).")
    expect("groups of nobody", len(groups), 0)
    amounts = [row[2] for row in rows[1:]]
    expect("amounts", amounts, [number(len(TEST_PHONES.split())), number(PAI_TABLES["crm"]["lapsed_buyers"])])


def expect(what: str, found: object, wanted: object) -> None:
    """Fail the demo if a figure is not what it must be."""
    if found != wanted:
        raise DemoError(f"{what}: {found}, and it should be {wanted}")


def table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    say("")
    for index, row in enumerate(rows):
        first, *others = (cell.ljust(width) if column == 0 else cell.rjust(width)
                          for column, (cell, width) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
        say("  ".join([first, *others]))
        if index == 0:
            say("  ".join("-" * width for width in widths))


def label(name: str) -> str:
    """Return a report's key in words."""
    return name.replace("_", " ")


def number(value: float) -> str:
    """Return a number with thousands separators."""
    return f"{value:,}"


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
