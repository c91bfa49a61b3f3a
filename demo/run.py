"""
The main job, end to end: real Airflow refreshes audiences at an emulator of both services.

``make demo`` runs it: two days of an AppLovin audience from a million device IDs each, two days of PAI groups, and a
summary that compares what went in with what each platform holds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_audiences.emulator.testing import AudiencesEmulatorControl
from demo.device_ids import DeviceIdFile, digest_of, write_device_ids
from demo.environment import PAI_TABLES, ROOT, TEST_PHONES, Workspace

DAYS = {"2026-11-20": 1.0, "2026-11-21": 1.5}
"""Each day, and how dirty its file is."""

_DAG_TIMEOUT_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class DagResult:
    """
    What a DAG run came to.

    :param returned: what each task returned.
    :param seconds: wall time of the process.
    :param peak_megabytes: its largest memory, Airflow included.
    """

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
        files = {day: make_file(workspace, day, lines=options.lines, dirt=dirt) for day, dirt in DAYS.items()}
        with workspace.running_emulator() as (url, api_key):
            say(f"The emulator of both services listens on {url}.")
            run(workspace, url, api_key, files)
    except DemoError as error:
        print(f"\nThe demo FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe demo was stopped.", file=sys.stderr)
        return 130
    say(f"\nDone in {time.monotonic() - started:.0f} s. Logs of every task: {workspace.logs.relative_to(ROOT)}/")
    return 0


def run(workspace: Workspace, url: str, api_key: str, files: dict[str, DeviceIdFile]) -> None:
    """Run both DAGs for both days and print the summary."""
    environment = workspace.environment(url, api_key)
    say("Airflow makes its database (SQLite).")
    workspace.migrate_database(environment)
    applovin = {day: run_dag(workspace, "applovin_audience_refresh", day, environment) for day in DAYS}
    pai = {day: run_dag(workspace, "pai_group_refresh", day, environment) for day in DAYS}
    control = AudiencesEmulatorControl(url)
    summarise_applovin(control, files, applovin)
    summarise_pai(control, pai)


def make_file(workspace: Workspace, day: str, *, lines: int, dirt: float) -> DeviceIdFile:
    """Write the day's device IDs; the day is the seed."""
    seed = int(day.replace("-", ""))
    made = write_device_ids(workspace.data / f"device_ids_{day}.txt", lines=lines, seed=seed, dirt=dirt)
    megabytes = made.path.stat().st_size / 1e6
    say(f"Wrote {made.path.name}: {made.lines:,} lines, {megabytes:.0f} MB, with realistic dirt.")
    return made


def run_dag(workspace: Workspace, dag_id: str, day: str, environment: dict[str, str]) -> DagResult:
    """Run a DAG for a day in a process of its own."""
    log_path = workspace.logs / f"{dag_id}_{day}.log"
    result_path = workspace.folder / f"{dag_id}_{day}.json"
    started = time.monotonic()
    with log_path.open("wb") as log:
        command = [sys.executable, "-m", "demo.run_dag", dag_id, day, str(result_path)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)  # noqa: S603 - our own program
        try:
            exit_code, peak_kilobytes = wait_for(process.pid)
        except TimeoutError:
            late = f"{dag_id} for {day} took longer than {_DAG_TIMEOUT_SECONDS} s and was ended"
            raise DemoError(f"{late}\nThe whole log: {log_path}") from None
    seconds = time.monotonic() - started
    result = json.loads(result_path.read_text(encoding="utf-8")) if result_path.exists() else {}
    if exit_code or not result:
        raise DemoError(why_failed(dag_id, day, result) + f"\nThe whole log: {log_path}")
    say(f"{dag_id} for {day}: {len(result['tasks'])} tasks, {seconds:.0f} s.")
    return DagResult(returned=result["returned"], seconds=seconds, peak_megabytes=peak_kilobytes / 1024)


def wait_for(pid: int) -> tuple[int, int]:
    """Wait for a process and return its exit code and its peak memory in kilobytes; if it is late, end it."""
    deadline = time.monotonic() + _DAG_TIMEOUT_SECONDS
    try:
        while time.monotonic() < deadline:
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


def why_failed(dag_id: str, day: str, result: dict[str, Any]) -> str:
    """Say which task failed and why."""
    if not result:
        return f"the run of {dag_id} for {day} crashed"
    states = ", ".join(f"{task}={state}" for task, state in result["tasks"].items()) or "no task ran"
    reasons = "\n".join(f"  {task}: {reason}" for task, reason in result["failures"].items())
    return f"{dag_id} for {day} ended as {result['state']} ({states})\n{reasons}"


def summarise_applovin(
    control: AudiencesEmulatorControl, files: dict[str, DeviceIdFile], results: dict[str, DagResult]
) -> None:
    """Print what went into AppLovin's audience, what came out, and check that they agree."""
    reports = {day: result.returned["update_audience"] for day, result in results.items()}
    rows = [["AppLovin audience", *reports]]
    rows.append(["lines in the file", *(number(files[day].lines) for day in reports)])
    counts = ("blank", "malformed", "zeroed", "duplicates", "sent", "accepted", "rejected_by_api")
    rows += [[label(name), *(number(report[name]) for report in reports.values())] for name in counts]
    rows.append(["requests (batches)", *(f"{report['requests']} ({report['batches']})" for report in reports.values())])
    rows.append(["megabytes sent", *(f"{report['bytes_sent'] / 1e6:.1f}" for report in reports.values())])
    rows.append(["seconds to send", *(f"{report['seconds']:.1f}" for report in reports.values())])
    rows.append(["peak memory of the run, MB", *(f"{result.peak_megabytes:.0f}" for result in results.values())])
    table(rows)
    last_day = list(reports)[-1]
    audience_id = reports[last_day]["audience_id"]
    held = control.members(audience_id)
    expect("one audience for both days", len({report["audience_id"] for report in reports.values()}), 1)
    expect("users held", len(held), files[last_day].members)
    expect("digest of the users held", digest_of(held), files[last_day].digest)
    for day, report in reports.items():
        for name in ("malformed", "zeroed", "duplicates", "blank"):
            expect(f"{name} on {day}", report[name], getattr(files[day], name))
        expect(f"sent on {day}", report["sent"], files[day].members)
    say(f"AppLovin now holds {len(held):,} users in audience {audience_id}: exactly the last day's distinct valid IDs.")


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
    return name.replace("_", " ").replace(" api", " the API")


def number(value: int) -> str:
    """Return a number with thousands separators."""
    return f"{value:,}"


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
