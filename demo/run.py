"""
The demo, end to end: real Airflow keeps audiences, a suppression list and groups up to date at the emulator.

``make demo`` runs four days of an AppLovin audience from a million device IDs each, two days of an app's suppression
list, and three days of PAI groups. After each day it compares what went in with what the platform holds. At the end it
prints what each day took.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from airflow_provider_audiences.emulator.testing import AudiencesEmulatorControl
from demo.dag_runs import DagResult, run_dag, say_ended
from demo.days import Day, written_days
from demo.device_ids import digest_of
from demo.environment import ROOT, Workspace
from demo.groups import run_groups, summarise_groups
from demo.output import DemoError, expect, label, number, say, table
from demo.suppression import run_suppression, summarise_suppression

SYNC = "applovin_audience_sync"

_BATCH_SIZE = 100_000
_LINE_BYTES = 37


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
            second = beside.submit(workspace.second_home, environment)
            groups = beside.submit(lambda: run_groups(workspace, control, second.result(), stop))
            lists = beside.submit(lambda: run_suppression(workspace, control, second.result(), stop))
            for day in written_days(workspace.data, lines=lines):
                megabytes = day.file.path.stat().st_size / 1e6
                say(f"\n{day.day}, {day.title}: {day.file.path.name} has {megabytes:.0f} MB.")
                migration.result()
                results.append((day, run_day(workspace, control, day, environment)))
            group_days, list_days = groups.result(), lists.result()
        finally:
            stop.set()
    summarise_sync(results)
    summarise_suppression(list_days)
    summarise_groups(control, group_days)


def run_day(
    workspace: Workspace, control: AudiencesEmulatorControl, day: Day, environment: dict[str, str]
) -> DagResult:
    """Sync the audience for a day, and check what came of it."""
    posts = count_posts(control)
    result = run_dag(workspace, SYNC, day.day, environment, must_fail=day.is_stopped)
    say_ended(SYNC, day.day, result)
    check_day(control, day, result, posts=count_posts(control) - posts)
    return result


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


if __name__ == "__main__":
    sys.exit(main())
