"""
Measures a sync against a replacement: what it costs to bring one day's changes to the platform.

The first sync is made once, and its state is kept. Each measured sync of the next day begins with a copy of that state.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.data import Dataset
from benchmarks.measure import BenchmarkError, Run, Series, Workbench, measure_alternately
from benchmarks.sink import RunningSink, running_sink
from benchmarks.table import Row, Verdict, judged, ratio_row

DISK_BYTES_AN_ID = 300
"""Two texts of 37 bytes, and what two syncs at most put into state, its copy, and the temporary folder."""

SLOW_MUST = 0.35
PLANNING_MUST = 2.5
MEMORY_MUST_MEGABYTES = 1100


@dataclass(frozen=True, kw_only=True)
class SyncBench:
    """
    The part of the benchmark that is about syncs.

    :param workbench: where things are written.
    :param ids: number of members in the audience.
    :param batch_size: most IDs in one request.
    :param rounds: of what is compared.
    :param delay_seconds: of the slow server, a batch.
    :param say: function that prints a line.
    """

    workbench: Workbench
    ids: int
    batch_size: int
    rounds: int
    delay_seconds: float
    say: Callable[[str], None]

    def rows(self) -> Iterator[Row]:
        """Measure, and yield the lines of the table."""
        dataset = self.workbench.make_data(self.ids, next_day=True)
        self.say(f"\n{self.ids:,} IDs, of which {dataset.changed():,} are others the next day:")
        try:
            with running_sink() as sink, self._first_state(sink, dataset) as (first, first_state):
                steps = [self.workbench.planning(dataset) for _ in range(self.rounds)]
                sink.delay(self.delay_seconds)
                replace = Series(name="replace", run=partial(self._replace, sink, dataset))
                mirror = Series(name="mirror", run=partial(self._mirror, sink, dataset, first_state))
                measure_alternately([mirror, replace], rounds=self.rounds, say=self.say)
        except BenchmarkError as error:
            yield Row(measure="sync", verdict=Verdict.FAILED, note=str(error))
            return
        if mirror.runs and replace.runs:
            yield from _traffic(mirror.runs[0], replace.runs[0])
        batches = -(-self.ids // self.batch_size)
        yield ratio_row(
            f"sync: {self.delay_seconds:g} s a batch, against replace ({batches})", mirror, replace, must=SLOW_MUST
        )
        yield _planning(steps)
        yield self._memory(f"sync: peak memory at {self.ids:,} IDs", [first, *mirror.runs])

    def large_rows(self, ids: int, *, keep: bool) -> Iterator[Row]:
        """
        Sync a large audience, its first day and the next, and yield the lines of the table.

        :param ids: number of members in the audience.
        :param keep: whether the files are kept.
        """
        was_there = Dataset(self.workbench.folder, ids).counts() is not None
        self.say(f"\nSync of {ids:,} IDs, its first day and the next, once:")
        dataset = self.workbench.make_data(ids, next_day=True)
        try:
            with running_sink() as sink, self._first_state(sink, dataset, keep_copy=False) as (first, _):
                series = Series(name="mirror", run=partial(self._mirror, sink, dataset, None))
                measure_alternately([series], rounds=1, say=self.say)
            if series.error is not None:
                raise BenchmarkError(series.error)
        except BenchmarkError as error:
            yield Row(measure=f"sync of {ids:,} IDs", verdict=Verdict.FAILED, note=str(error))
            return
        finally:
            if not was_there and not keep:
                dataset.delete()
        (run,) = series.runs
        yield self._memory(f"sync: peak memory at {ids:,} IDs", [first, run])
        yield Row(
            measure=f"sync: {ids:,} IDs, next day",
            value=f"{run.seconds:.2f} s",
            against=f"{first.seconds:.2f} s",
            verdict=Verdict.REPORTED,
            note="the other is the first sync",
        )

    @contextmanager
    def _first_state(
        self, sink: RunningSink, dataset: Dataset, *, keep_copy: bool = True
    ) -> Iterator[tuple[Run, Path]]:
        """Sync for the first time; yield that run and a copy of the state that it left. All state goes in the end."""
        copy = self.workbench.folder / "state_of_first_day"
        self._forget(copy)
        try:
            series = Series(name="first sync", run=partial(self._sync, sink, dataset, is_next_day=False))
            measure_alternately([series], rounds=1, say=self.say)
            if series.error is not None:
                raise BenchmarkError(series.error)
            if keep_copy:
                shutil.copytree(self.workbench.state, copy)
            yield series.runs[0], copy
        finally:
            self._forget(copy)

    def _forget(self, copy: Path) -> None:
        for folder in (copy, self.workbench.state):
            shutil.rmtree(folder, ignore_errors=True)

    def _mirror(self, sink: RunningSink, dataset: Dataset, first_state: Path | None) -> Run:
        if first_state is not None:
            shutil.rmtree(self.workbench.state)
            shutil.copytree(first_state, self.workbench.state)
        return self._sync(sink, dataset, is_next_day=True)

    def _sync(self, sink: RunningSink, dataset: Dataset, *, is_next_day: bool) -> Run:
        arguments = {"batch_size": self.batch_size, "drift_patience_seconds": 0}
        return self.workbench.sync(sink, dataset, is_next_day=is_next_day, arguments=arguments)

    def _replace(self, sink: RunningSink, dataset: Dataset) -> Run:
        arguments = {"batch_size": self.batch_size}
        return self.workbench.operator(sink, dataset, source=str(dataset.next_day), arguments=arguments)

    @staticmethod
    def _memory(measure: str, runs: list[Run]) -> Row:
        peak = max(run.peak_megabytes for run in runs)
        return Row(
            measure=measure,
            value=f"{peak:.0f} MB",
            must=f"≤ {MEMORY_MUST_MEGABYTES} MB",
            verdict=judged(peak <= MEMORY_MUST_MEGABYTES),
            note=f"first sync {runs[0].peak_megabytes:.0f} MB",
        )


def _traffic(mirror: Run, replace: Run) -> Iterator[Row]:
    ours, theirs = mirror.received, replace.received
    yield Row(
        measure="sync: requests, against replace",
        value=f"{ours.bodies + ours.lists}",
        against=f"{theirs.bodies + theirs.lists}",
        ratio=f"{(ours.bodies + ours.lists) / (theirs.bodies + theirs.lists):.2f}",
        verdict=Verdict.REPORTED,
        note=f"{ours.bodies} batches, {ours.lists} lists",
    )
    yield Row(
        measure="sync: bytes, against replace",
        value=f"{ours.bytes / 1e6:.1f} MB",
        against=f"{theirs.bytes / 1e6:.1f} MB",
        ratio=f"{ours.bytes / theirs.bytes:.2f}",
        verdict=Verdict.REPORTED,
    )


def _planning(steps: list[dict[str, float]]) -> Row:
    medians = {name: statistics.median(run[name] for run in steps) for name in steps[0]}
    rounds = [run["plan"] / run["staging"] for run in steps]
    ratio = medians["plan"] / medians["staging"]
    return Row(
        measure="sync: planning, against staging",
        value=f"{medians['plan']:.2f} s",
        against=f"{medians['staging']:.2f} s",
        ratio=f"{ratio:.2f} ({min(rounds):.2f} to {max(rounds):.2f})",
        must=f"≤ {PLANNING_MUST:g}",
        verdict=judged(ratio <= PLANNING_MUST),
        note=f"ledger read in {medians['ledger']:.2f} s, plan stored in {medians['store']:.2f} s, "
        f"next ledger made in {medians['fold']:.2f} s",
    )
