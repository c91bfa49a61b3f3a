"""
Measures what the sync of the next day writes and how many CPU seconds it takes; beside it, those of another checkout.

``python -m benchmarks.ledger --ids 10_000_000 --against FOLDER`` runs both in turn, each sync in a process of its own,
by the same interpreter, from the same source, into a sink of its own. The state of the first day is made by each
checkout for itself, and each measured sync begins with a copy of it.

What is counted: :mod:`benchmarks.process`. Wall time is that of ``execute``; CPU seconds are user and system time of
the process, Airflow's import included. That import is also run by itself, in each round, so that the CPU seconds of the
sync alone can be told.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.data import Dataset
from benchmarks.measure import BenchmarkError, Workbench, own_environment
from benchmarks.process import Cost, cost_of
from benchmarks.sink import RunningSink, running_sink

ROOT = Path(__file__).resolve().parent.parent


@dataclass(kw_only=True)
class Checkout:
    """
    A checkout that is measured.

    :param name: name for the table.
    :param root: folder of the checkout.
    :param folder: folder for its states.
    :param ledger_bytes: size of the ledger of the first day.
    :param costs: what the measured syncs took.
    :param starts: what the start of Python and Airflow took by itself, before each of them.
    """

    name: str
    root: Path
    folder: Path
    ledger_bytes: int = 0
    costs: list[Cost] = field(default_factory=list)
    starts: list[Cost] = field(default_factory=list)

    @property
    def state(self) -> Path:
        """Folder of the state that a sync works on."""
        return self.folder / "state"

    def first_day(self, sink: RunningSink, dataset: Dataset) -> Cost:
        """
        Make the state of the first day, and keep a copy.

        :param sink: server to send to.
        :param dataset: what the source holds.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        cost = self._sync(sink, dataset.text)
        self.ledger_bytes = max(file.stat().st_size for file in self.state.rglob("ledger-*.parquet"))
        shutil.copytree(self.state, self.folder / "first")
        return cost

    def next_day(self, sink: RunningSink, dataset: Dataset) -> Cost:
        """
        Sync the next day from the state of the first.

        :param sink: server to send to.
        :param dataset: what the source holds.
        """
        shutil.rmtree(self.state)
        shutil.copytree(self.folder / "first", self.state)
        os.sync()  # the copy is none of the sync's work
        return self._sync(sink, dataset.next_day)

    def start(self) -> Cost:
        """Start Python, import Airflow and the operators, and end."""
        return self._run("-c", "import benchmarks.operator_run", environment=own_environment())

    def _sync(self, sink: RunningSink, source: Path) -> Cost:
        result = self.folder / "result.json"
        spec = {"operator": "sync", "source": str(source), "arguments": {"drift_patience_seconds": 0}}
        connection = {"conn_type": "applovin", "host": sink.url, "password": "bench-key"}
        environment = own_environment() | {
            "AIRFLOW__AUDIENCES__STATE_PATH": str(self.state),
            "AIRFLOW__AUDIENCES__TEMP_FOLDER": str(self.folder),
            "AIRFLOW_CONN_APPLOVIN_DEFAULT": json.dumps(connection),
        }
        cost = self._run("-m", "benchmarks.operator_run", json.dumps(spec), str(result), environment=environment)
        return replace(cost, seconds=json.loads(result.read_text(encoding="utf-8"))["seconds"])

    def _run(self, *arguments: str, environment: Mapping[str, str]) -> Cost:
        airflow = {"AIRFLOW_HOME": str(self.folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        command = [sys.executable, *arguments]
        return cost_of(command, environment={**environment, **airflow}, log=self.folder / "log", cwd=self.root)


def measured(checkouts: Sequence[Checkout], dataset: Dataset, *, rounds: int) -> None:
    """
    Sync the next day by each checkout in turn, every second round in the opposite order, and print what it took.

    :param checkouts: the checkouts; what their syncs took is added to them.
    :param dataset: what the source holds.
    :param rounds: how often each syncs.
    """
    with ExitStack() as stack:
        sinks = {checkout.name: stack.enter_context(running_sink()) for checkout in checkouts}
        for checkout in checkouts:
            _say(checkout, "first day", checkout.first_day(sinks[checkout.name], dataset))
        members = {name: sink.received().members for name, sink in sinks.items()}
        for number in range(1, rounds + 1):
            for checkout in checkouts if number % 2 else reversed(checkouts):
                checkout.starts.append(checkout.start())
                checkout.costs.append(checkout.next_day(sinks[checkout.name], dataset))
                _say(checkout, f"round {number}", checkout.costs[-1])
        if {name: sink.received().members for name, sink in sinks.items()} != members:
            raise BenchmarkError("a sink has not as many members as after the first day")


def _say(checkout: Checkout, when: str, cost: Cost) -> None:
    print(
        f"{checkout.name:>8}, {when}: {cost.seconds:6.2f} s, {cost.cpu_seconds:6.2f} CPU s, "
        f"{cost.written / 1e6:6,.0f} MB written, {cost.peak_megabytes:.0f} MB of memory; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def _summary(here: Checkout, other: Checkout | None) -> None:
    ledger = here.ledger_bytes
    times = statistics.median(cost.written for cost in here.costs) / ledger
    print(f"bytes written: {times:.2f} x the ledger of {ledger / 1e6:,.0f} MB")
    if other is None:
        return
    before = statistics.median(cost.written for cost in other.costs) / ledger
    pairs = list(zip(here.costs, other.costs, strict=True))
    ratios = sorted(mine.cpu_seconds / its.cpu_seconds for mine, its in pairs)
    alone = [[cost.cpu_seconds - start.cpu_seconds for cost, start in zip(one.costs, one.starts, strict=True)]
             for one in (here, other)]  # fmt: skip
    syncs = sorted(mine / its for mine, its in zip(*alone, strict=True))
    walls = sorted(mine.seconds / its.seconds for mine, its in pairs)
    print(f"the other: {before:.2f} x")
    start = statistics.median(cost.cpu_seconds for cost in here.starts)
    print(f"start of Python and Airflow: {start:.2f} CPU s")
    figures = {"CPU seconds": ratios, "CPU seconds without that start": syncs, "wall time": walls}
    for name, values in figures.items():
        print(f"{name}, against the other: {statistics.median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})")


def main() -> int:
    """Measure, and print what came of it."""
    parser = argparse.ArgumentParser(prog="benchmarks.ledger", description=__doc__)
    parser.add_argument("--ids", type=int, default=10_000_000, help="members of the audience (default: 10 million)")
    parser.add_argument("--rounds", type=int, default=3, help="how often the next day is synced (default: 3)")
    parser.add_argument("--against", type=Path, help="another checkout, which is measured in the same rounds")
    parser.add_argument("--folder", type=Path, default=ROOT / ".bench", help="folder for all files")
    options = parser.parse_args()
    folder = options.folder.resolve()
    dataset = Workbench(folder).make_data(options.ids, next_day=True)
    here = Checkout(name="here", root=ROOT, folder=folder / "ledger_here")
    checkouts = [here]
    other = None
    if options.against:
        other = Checkout(name="other", root=options.against.resolve(), folder=folder / "ledger_other")
        checkouts.append(other)
    try:
        measured(checkouts, dataset, rounds=options.rounds)
    except BenchmarkError as error:
        print(error)
        return 1
    finally:
        for checkout in checkouts:
            for name in ("state", "first"):
                shutil.rmtree(checkout.folder / name, ignore_errors=True)
    _summary(here, other)
    return 0


if __name__ == "__main__":
    sys.exit(main())
