"""Measured runs: each is a process of its own with a time limit, sends to a sink, and is checked by what arrived."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.data import Counts, Dataset
from benchmarks.sink import Received, RunningSink

_HERE = Path(__file__).resolve().parent
_BASELINES = _HERE / "baselines"
_START_SECONDS = 120
_SLOWEST_IDS_A_SECOND = 20_000


class BenchmarkError(Exception):
    """A run failed, took too long, or did not send what it must."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """
    What one run came to.

    :param seconds: wall time in seconds.
    :param peak_megabytes: largest memory of the process; only for the operator.
    :param report: what the operator returned.
    :param most_at_once: most uploads that the server saw at the same time.
    :param received: what has arrived; only for the operators.
    """

    seconds: float
    peak_megabytes: float = 0.0
    report: dict[str, Any] = field(default_factory=dict)
    most_at_once: int = 0
    received: Received = field(default_factory=Received)

    @property
    def staging_seconds(self) -> float:
        """What passed before the first request and after the last reply: the report's seconds lie in between."""
        if "seconds" not in self.report:
            raise BenchmarkError("the report has no 'seconds', from the first request to the last reply")
        return self.seconds - float(self.report["seconds"])


@dataclass(kw_only=True)
class Series:
    """
    The runs of one contestant, one a round.

    :param name: name of the contestant.
    :param run: function that makes one run.
    :param error: why a run failed; then there are no more.
    """

    name: str
    run: Callable[[], Run]
    runs: list[Run] = field(default_factory=list)
    error: str | None = None

    @property
    def median_seconds(self) -> float:
        """The median of the wall times."""
        return statistics.median(run.seconds for run in self.runs)

    def ratios_to(self, other: Series) -> list[float]:
        """
        Return this one's wall time over another's: of the medians first, then of each round.

        :param other: was measured in the same rounds.
        """
        rounds = [mine.seconds / its.seconds for mine, its in zip(self.runs, other.runs, strict=True)]
        return [self.median_seconds / other.median_seconds, *rounds]


def measure_alternately(contestants: Sequence[Series], *, rounds: int, say: Callable[[str], None]) -> None:
    """
    Run each contestant once a round, every second round in the opposite order.

    :param contestants: who; their runs are added to them.
    :param rounds: how many runs each contestant makes.
    :param say: prints what came of each run.
    """
    for number in range(1, rounds + 1):
        for series in contestants if number % 2 else reversed(contestants):
            if series.error is not None:
                continue
            try:
                run = series.run()
            except BenchmarkError as error:
                series.error = str(error)
                say(f"  round {number}: {series.name} FAILED: {error}")
                continue
            series.runs.append(run)
            peak = f", peak {run.peak_megabytes:.0f} MB" if run.peak_megabytes else ""
            say(f"  round {number}: {series.name} {run.seconds:.2f} s{peak}")


@dataclass(frozen=True)
class Workbench:
    """
    Where runs write, and how they are started.

    :param folder: folder for all files, below ``.bench``.
    """

    folder: Path

    def make_data(self, ids: int, *, parts: bool = False, parquet: bool = False, next_day: bool = False) -> Dataset:
        """
        Make the files for a number of IDs, if they are not there.

        :param ids: number of distinct advertising IDs.
        :param parts: also clean, split files.
        :param parquet: also a Parquet file.
        :param next_day: also the text of the next day.
        """
        options = {"--parts": parts, "--parquet": parquet, "--next-day": next_day}
        wishes = [option for option, is_wanted in options.items() if is_wanted]
        command = [sys.executable, "-m", "benchmarks.data", str(self.folder), str(ids), *wishes]
        self._finish("data", command, timeout_seconds=_time_limit(ids))
        return Dataset(self.folder, ids)

    def operator(
        self,
        sink: RunningSink,
        dataset: Dataset,
        *,
        source: str | dict[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> Run:
        """
        Run the update operator and check what it sent and what it says.

        :param sink: server to send to.
        :param dataset: what the source holds.
        :param source: a path, or the arguments of a ``SqlSource``; None for the text file.
        :param environment: more variables for the process.
        :param arguments: further arguments of the operator.
        """
        spec = {"operator": "update", "source": source or str(dataset.text), "arguments": dict(arguments or {})}
        run = self._operator(sink, dataset, spec, environment or {})
        counts = _counts(dataset)
        _expect("lines at the server", run.received.lines, counts.ids)
        for name, wanted in {
            "sent": counts.ids,
            "duplicates": counts.duplicates,
            "malformed": counts.malformed,
        }.items():
            _expect(f"{name} in the report", run.report.get(name), wanted)
        return run

    def sync(
        self,
        sink: RunningSink,
        dataset: Dataset,
        *,
        is_next_day: bool,
        arguments: Mapping[str, Any] | None = None,
    ) -> Run:
        """
        Run the sync operator, its first time or for the next day, and check what it sent and what it says.

        :param sink: server to send to.
        :param dataset: what the source holds.
        :param is_next_day: whether the text of the next day is the source; the state must be that of the first.
        :param arguments: further arguments of the operator.
        """
        source = dataset.next_day if is_next_day else dataset.text
        spec = {"operator": "sync", "source": str(source), "arguments": dict(arguments or {})}
        run = self._operator(sink, dataset, spec, {"AIRFLOW__AUDIENCES__STATE_PATH": str(self.state)})
        counts, changed = _counts(dataset), dataset.changed()
        added, removed = (changed, changed) if is_next_day else (counts.ids, 0)
        _expect("lines at the server", run.received.lines, (added or 0) + (removed or 0))
        for name, wanted in {
            "added": added,
            "removed": removed,
            "live": counts.ids,
            "drift": 0,
            "malformed": counts.malformed,
        }.items():
            _expect(f"{name} in the report", run.report.get(name), wanted)
        return run

    @property
    def state(self) -> Path:
        """Where syncs keep their ledgers."""
        return self.folder / "state"

    def planning(self, dataset: Dataset) -> dict[str, float]:
        """
        Take the steps of a sync for the next day, up to its plan and the next ledger, and return how long each took.

        :param dataset: what the source holds; the state must be that of the first day.
        """
        result_path = self.folder / "planning.json"
        paths = [str(path) for path in (dataset.next_day, self.state, result_path)]
        command = [sys.executable, "-m", "benchmarks.planning_run", *paths]
        self._finish("planning", command, environment=self._variables({}), timeout_seconds=_time_limit(dataset.ids))
        found: dict[str, float] = json.loads(result_path.read_text(encoding="utf-8"))
        _expect("additions in the plan", found["additions"], dataset.changed())
        return found

    def _operator(
        self, sink: RunningSink, dataset: Dataset, spec: dict[str, Any], environment: Mapping[str, str]
    ) -> Run:
        result_path = self.folder / "result.json"
        result_path.unlink(missing_ok=True)
        command = [sys.executable, "-m", "benchmarks.operator_run", json.dumps(spec), str(result_path)]
        connection = {"conn_type": "applovin", "host": sink.url, "password": "bench-key"}
        variables = {**self._variables(environment), "AIRFLOW_CONN_APPLOVIN_DEFAULT": json.dumps(connection)}
        sink.reset()
        try:
            self._finish("operator", command, environment=variables, timeout_seconds=_time_limit(dataset.ids))
        except BenchmarkError:
            if result_path.exists():
                why = json.loads(result_path.read_text(encoding="utf-8"))["error"]
                raise BenchmarkError(why.replace(f"{_HERE.parent}/", "")) from None
            raise
        result = json.loads(result_path.read_text(encoding="utf-8"))
        received = sink.received()
        return Run(**result, most_at_once=received.most_at_once, received=received)

    def _variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        return {
            **environment,
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }

    def shell(self, sink: RunningSink, dataset: Dataset) -> Run:
        """
        Run the shell pipe.

        :param sink: server to send to.
        :param dataset: its text is the source.
        """
        sink.reset()
        empty = self.folder / "tmp" / "batches"
        command = ["sh", str(_BASELINES / "shell.sh"), str(dataset.text), sink.url, str(empty)]
        seconds = self._finish("shell", command, timeout_seconds=_time_limit(dataset.ids), make_folder=empty)
        _expect("lines at the server", sink.received().lines, _counts(dataset).distinct_lines)
        return Run(seconds=seconds)

    def script(self, sink: RunningSink, dataset: Dataset) -> Run:
        """
        Run the Python script.

        :param sink: server to send to.
        :param dataset: its text is the source.
        """
        return self._python("script", sink, dataset, dataset.text)

    def floor(self, sink: RunningSink, dataset: Dataset) -> Run:
        """
        Run the floor, which only sends.

        :param sink: server to send to.
        :param dataset: its parts are the source.
        """
        return self._python("floor", sink, dataset, dataset.parts)

    def _python(self, name: str, sink: RunningSink, dataset: Dataset, source: Path) -> Run:
        sink.reset()
        command = [sys.executable, str(_BASELINES / f"{name}.py"), str(source), sink.url]
        self._finish(name, command, timeout_seconds=_time_limit(dataset.ids))
        _expect("lines at the server", sink.received().lines, _counts(dataset).ids)
        return Run(seconds=float((self.folder / f"{name}.out").read_text(encoding="utf-8")))

    def _finish(
        self,
        name: str,
        command: Sequence[str],
        *,
        timeout_seconds: float,
        environment: Mapping[str, str] | None = None,
        make_folder: Path | None = None,
    ) -> float:
        """Run a process to its end with a fresh temporary folder, and return its wall time; ended if it is late."""
        scratch = self.folder / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        (make_folder or scratch).mkdir(parents=True)
        variables = {**own_environment(), "TMPDIR": str(scratch), **(environment or {})}
        out_path, log_path = self.folder / f"{name}.out", self.folder / f"{name}.log"
        with out_path.open("wb") as out, log_path.open("wb") as log:
            started = time.perf_counter()
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=variables, start_new_session=True
            )
            try:
                status = process.wait(timeout_seconds)
                seconds = time.perf_counter() - started
            except subprocess.TimeoutExpired:
                raise BenchmarkError(f"took longer than {timeout_seconds:.0f} s and was ended") from None
            finally:
                if process.returncode is None:
                    _end_group(process)
        shutil.rmtree(scratch, ignore_errors=True)
        if status:
            raise BenchmarkError(f"exit status {status}: see {log_path.parent.name}/{log_path.name}")
        return seconds


def _end_group(leader: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()


def own_environment() -> dict[str, str]:
    """
    Return this process's environment without settings of an Airflow, and without proxies: all is on loopback.

    Modules are compiled once, as they are on a worker, and not in each run.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW_") and not name.lower().endswith("_proxy") and name != "PYTHONDONTWRITEBYTECODE"
    }


def _time_limit(ids: int) -> float:
    return _START_SECONDS + ids / _SLOWEST_IDS_A_SECOND


def _counts(dataset: Dataset) -> Counts:
    counts = dataset.counts()
    if counts is None:
        raise BenchmarkError("the data set is gone")
    return counts


def _expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise BenchmarkError(f"{what}: {found}, and it must be {wanted}")
