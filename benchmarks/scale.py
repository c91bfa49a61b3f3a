"""
Measures how a sync grows with its audience, and what partitions save.

``python -m benchmarks.scale`` syncs audiences of growing size on their first day and on the next, in a process each,
into a sink that answers at once, and takes the steps of the next day one by one. A line through all sizes but the
largest predicts the largest, and the table says by how much it was wrong.

``python -m benchmarks.scale --partitions`` stages and plans one audience from a table of PostgreSQL as a whole, and in
16 partitions, one after the other, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_audiences.members.partition import partitions
from benchmarks.data import COLUMN, Dataset
from benchmarks.measure import BenchmarkError, Workbench, own_environment
from benchmarks.postgres import CONN_ID, TABLE, postgres_with
from benchmarks.process import Cost, cost_of
from benchmarks.sink import RunningSink, running_sink

ROOT = Path(__file__).resolve().parent.parent
STEPS = {
    "staging": "stage: read, validate",
    "ledger": "read the ledger",
    "plan": "plan: deduplicate, compare both",
    "store": "store the plan",
    "fold": "make the next ledger",
}
_SELECT = f"SELECT {COLUMN} FROM {TABLE}"  # noqa: S608 - both are constants
_LOAD_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class Size:
    """
    What was measured for one size.

    :param members: members of the audience.
    :param first: the sync of the first day.
    :param next: the sync of the next day.
    :param steps: seconds of each step of the next day.
    :param ledger_bytes: size of the ledger's file.
    """

    members: int
    first: Cost
    next: Cost
    steps: dict[str, float]
    ledger_bytes: int

    @property
    def seconds(self) -> dict[str, float]:
        """All times by the names of the table's rows."""
        named = {label: self.steps[name] for name, label in STEPS.items()}
        return {"first day, all sent": self.first.seconds, "next day, changes sent": self.next.seconds, **named}


class Scale:
    """
    Runs syncs of growing size.

    :param folder: folder for all files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bench = Workbench(folder)
        self._temporary = folder / "scale_tmp"
        self._state = folder / "scale_state"

    def measured(self, members: int, *, keep: bool) -> Size:
        """
        Measure one size.

        :param members: members of the audience.
        :param keep: whether the data stays for another run.
        """
        was_there = Dataset(self._folder, members).counts() is not None
        dataset = self._bench.make_data(members, next_day=True)
        shutil.rmtree(self._state, ignore_errors=True)
        try:
            with running_sink() as sink:
                first = self._sync(dataset.text, self._to(sink))
                steps = self._steps(dataset)
                following = self._sync(dataset.next_day, self._to(sink))
            ledger_bytes = max(file.stat().st_size for file in self._state.rglob("ledger-*.parquet"))
        finally:
            shutil.rmtree(self._state, ignore_errors=True)
            if not keep and not was_there:
                dataset.delete()
        return Size(members=members, first=first, next=following, steps=steps, ledger_bytes=ledger_bytes)

    def partitions(self, members: int, *, keep: bool) -> dict[str, list[dict[str, Any]]]:
        """
        Stage and plan an audience from PostgreSQL as a whole, and in partitions; return the costs of each task.

        :param members: members of the audience.
        :param keep: whether the data stays for another run.
        """
        was_there = Dataset(self._folder, members).counts() is not None
        dataset = self._bench.make_data(members)
        source = {"conn_id": CONN_ID, "sql": _SELECT, "column": COLUMN}
        found: dict[str, list[dict[str, Any]]] = {}
        try:
            with ExitStack() as stack:
                variables = stack.enter_context(postgres_with(dataset, timeout_seconds=_LOAD_SECONDS))
                sink = stack.enter_context(running_sink())
                for count in (1, 16):
                    shutil.rmtree(self._state, ignore_errors=True)
                    found[str(count)] = []
                    for partition in partitions(count):
                        arguments = {"plan_only": True, "initial": "append", "partition": partition.name}
                        task = self._task(source, arguments, {**variables, **self._to(sink)})
                        found[str(count)].append(task)
                        _say(f"{partition}: {task['seconds']:.1f} s")
        finally:
            shutil.rmtree(self._state, ignore_errors=True)
            if not keep and not was_there:
                dataset.delete()
        planned = {count: sum(task["added"] for task in tasks) for count, tasks in found.items()}
        if set(planned.values()) != {members}:
            raise BenchmarkError(f"planned {planned}, and it must be {members:,} each")
        return found

    def _sync(self, source: Path, environment: Mapping[str, str]) -> Cost:
        cost, _ = self._operator(str(source), {"drift_patience_seconds": 0}, environment)
        _say(f"{source.name}: {cost.seconds:.1f} s, {cost.cpu_seconds:.1f} CPU s")
        return cost

    def _task(self, source: Any, arguments: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
        cost, result = self._operator(source, arguments, environment)
        # Airflow's own start is not the partition's work.
        return {
            "seconds": result["seconds"],
            "cpu_seconds": cost.cpu_seconds,
            "peak_megabytes": cost.peak_megabytes,
            "temporary_bytes": cost.temporary_bytes,
            "added": result["report"]["added"],
        }

    def _operator(
        self, source: Any, arguments: dict[str, Any], environment: Mapping[str, str]
    ) -> tuple[Cost, dict[str, Any]]:
        result = self._folder / "scale_result.json"
        spec = {"operator": "sync", "source": source, "arguments": arguments}
        cost = self._run(["-m", "benchmarks.operator_run", json.dumps(spec), str(result)], environment)
        return cost, json.loads(result.read_text(encoding="utf-8"))

    def _steps(self, dataset: Dataset) -> dict[str, float]:
        result = self._folder / "scale_steps.json"
        self._run(["-m", "benchmarks.planning_run", str(dataset.next_day), str(self._state), str(result)], {})
        found: dict[str, float] = json.loads(result.read_text(encoding="utf-8"))
        return {name: found[name] for name in STEPS}

    def _run(self, arguments: list[str], environment: Mapping[str, str]) -> Cost:
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(parents=True)
        variables = own_environment() | {
            "AIRFLOW_HOME": str(self._folder / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__AUDIENCES__STATE_PATH": str(self._state),
            "AIRFLOW__AUDIENCES__TEMP_FOLDER": str(self._temporary),
            "TMPDIR": str(self._temporary),
            **environment,
        }
        return cost_of(
            [sys.executable, *arguments],
            environment=variables,
            log=self._folder / "scale.log",
            cwd=ROOT,
            temporary=self._temporary,
        )

    def _to(self, sink: RunningSink) -> dict[str, str]:
        connection = {"conn_type": "applovin", "host": sink.url, "password": "bench-key"}
        return {"AIRFLOW_CONN_APPLOVIN_DEFAULT": json.dumps(connection)}


def table(sizes: list[Size]) -> list[str]:
    """
    Return the lines of the table of sizes, and of the prediction if there are three sizes or more.

    :param sizes: what was measured, from the smallest to the largest.
    """
    heads = [f"{size.members / 1e6:,.10g} M" for size in sizes]
    rows: list[tuple[str, list[str]]] = [
        (f"{label}, s", [f"{size.seconds[label]:.1f}" for size in sizes]) for label in sizes[0].seconds
    ]
    for label, costs in (("first day", [size.first for size in sizes]), ("next day", [size.next for size in sizes])):
        pairs = list(zip(costs, sizes, strict=True))
        rows += [
            (f"{label}: CPU s", [f"{cost.cpu_seconds:.1f}" for cost in costs]),
            (f"{label}: memory, MB", [f"{cost.peak_megabytes:,.0f}" for cost in costs]),
            (f"{label}: open files", [f"{cost.open_files}" for cost in costs]),
            (f"{label}: temporary bytes a member", [f"{c.temporary_bytes / size.members:.0f}" for c, size in pairs]),
            (f"{label}: bytes written a member", [f"{cost.written / size.members:.0f}" for cost, size in pairs]),
        ]
    rows.append(("ledger: bytes a member", [f"{size.ledger_bytes / size.members:.1f}" for size in sizes]))
    lines = [f"{'members':44}" + "".join(f"{head:>10}" for head in heads)]
    lines += [f"{label:44}" + "".join(f"{value:>10}" for value in values) for label, values in rows]
    return lines + (prediction(sizes) if len(sizes) > 2 else [])  # noqa: PLR2004 - two points are a line


def prediction(sizes: list[Size]) -> list[str]:
    """
    Return lines that say what a line through all sizes but the largest predicts for the largest.

    :param sizes: what was measured, from the smallest to the largest.
    """
    *known, largest = sizes
    lines = ["", f"predicted for {largest.members / 1e6:,.10g} M from the smaller ones, and measured:"]
    for label, measured in largest.seconds.items():
        slope, start = statistics.linear_regression(
            [size.members for size in known], [size.seconds[label] for size in known]
        )
        predicted = start + slope * largest.members
        lines.append(f"{label:44}{predicted:9.1f} s{measured:9.1f} s{predicted / measured - 1:+10.0%}")
    return lines


def partition_table(found: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """
    Return the lines of the table of partitions.

    :param found: costs of each task, by the number of partitions.
    """
    lines = [f"{'partitions':12}{'slowest':>10}{'all':>10}{'CPU, all':>12}{'memory':>10}{'temporary':>12}"]
    for count, tasks in found.items():
        seconds = [task["seconds"] for task in tasks]
        lines.append(
            f"{count:12}{max(seconds):8.1f} s{sum(seconds):8.1f} s"
            f"{sum(task['cpu_seconds'] for task in tasks):10.1f} s"
            f"{max(task['peak_megabytes'] for task in tasks):7.0f} MB"
            f"{max(task['temporary_bytes'] for task in tasks) / 1e6:9.0f} MB"
        )
    return lines


def _say(text: str) -> None:
    print(f"{text}; load {os.getloadavg()[0]:.1f}", flush=True)


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--members", type=int, nargs="+", default=[1_000_000, 10_000_000, 50_000_000, 100_000_000])
    parser.add_argument("--partitions", action="store_true", help="measure partitions, of the largest of --members")
    parser.add_argument("--keep", action="store_true", help="keep the data for another run")
    parser.add_argument("--folder", type=Path, default=ROOT / ".bench", help="folder for all files")
    options = parser.parse_args()
    scale = Scale(options.folder.resolve())
    try:
        if options.partitions:
            lines = partition_table(scale.partitions(max(options.members), keep=options.keep))
        else:
            lines = table([scale.measured(members, keep=options.keep) for members in sorted(options.members)])
    except BenchmarkError as error:
        print(error)
        return 1
    print("\n".join(["", *lines]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
