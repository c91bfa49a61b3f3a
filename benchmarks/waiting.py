"""
Waits for a thousand PAI groups that become ready within minutes, in one process, as the triggerer does.

Emulated time runs faster than real time: the emulator's clock is moved forward, and pauses between polls are shorter by
the same factor. The limit on requests is per second of real time.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from benchmarks.measure import BenchmarkError, Workbench, own_environment
from benchmarks.table import Row, Verdict, judged

GROUPS = 1000
READY_SECONDS = (120, 300)
INTERVAL_SECONDS = 60.0
FACTOR = 6.0
MAX_REQUESTS_A_SECOND = 90
ACCOUNT_REQUESTS_A_SECOND = 100
TIMEOUT_SECONDS = 120

_STEPS = 181
_CLOCK_SECONDS = 0.02


@dataclass
class Waited:
    """
    What the run came to; times in emulated seconds since the groups were made.

    :param ready: when each group was ready.
    :param noticed: when that was noticed.
    :param requests: moments of the requests, in real seconds.
    :param throttled: requests that the platform refused.
    :param figures: what the process reported about itself.
    """

    ready: Mapping[str, float]
    noticed: Mapping[str, float]
    requests: Sequence[float]
    throttled: int
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def delays(self) -> list[float]:
        """How long each group was ready before it was noticed."""
        return [self.noticed[group_id] - ready for group_id, ready in self.ready.items()]

    @property
    def most_in_a_second(self) -> int:
        """The most requests in any second."""
        most = first = 0
        for last, moment in enumerate(self.requests):
            while moment - self.requests[first] >= 1:
                first += 1
            most = max(most, last - first + 1)
        return most


@dataclass(frozen=True, kw_only=True)
class WaitingBench:
    """
    The benchmark of waiting.

    :param workbench: where things are written.
    :param say: function that prints a line.
    """

    workbench: Workbench
    say: Callable[[str], None]

    def rows(self) -> Iterator[Row]:
        """Measure, and yield the lines of the table."""
        self.say(
            f"\n{GROUPS:,} PAI groups that are ready after {READY_SECONDS[0]} to {READY_SECONDS[1]} s, a poll every "
            f"{INTERVAL_SECONDS:g} s. Emulated time runs {FACTOR:g} times as fast as real time; the limit of "
            f"{MAX_REQUESTS_A_SECOND} requests is for a real second, so {MAX_REQUESTS_A_SECOND / FACTOR:g} in an "
            "emulated one."
        )
        measure = f"{GROUPS:,} waits in one triggerer"
        try:
            with AudiencesEmulator(api_key="bench-key") as emulator:
                ready = make_groups(emulator)
                began = emulator.now()
                waited = self._triggers(emulator, ready, began)
                poke_megabytes = self._process(emulator, "poke", list(ready))["peak_megabytes"]
                emulator.set_clock(began, freeze=True)
                batch = _batch(emulator, ready)
        except BenchmarkError as error:
            yield Row(measure=measure, verdict=Verdict.FAILED, note=str(error))
            return
        yield from _rows(measure, waited, poke_megabytes)
        yield batch

    def _triggers(self, emulator: AudiencesEmulator, ready: Mapping[str, float], began: float) -> Waited:
        emulator.clear_requests()
        with _RunningClock(emulator, began) as clock:
            figures = self._process(emulator, "triggers", list(ready), begin=clock.begin)
        requests = [request for request in emulator.requests() if request["operation"] in {"pai.get", "pai.list"}]
        noticed = figures.pop("noticed_epoch_seconds")
        return Waited(
            ready=ready,
            noticed={group_id: (moment - clock.began_at) * FACTOR for group_id, moment in noticed.items()},
            requests=sorted(request["received_at"] for request in requests),
            throttled=sum(request["status"] == 429 for request in requests),  # noqa: PLR2004
            figures=figures,
        )

    def _process(
        self,
        emulator: AudiencesEmulator,
        mode: str,
        group_ids: Sequence[str],
        *,
        begin: Callable[[], float] = time.time,
    ) -> dict[str, Any]:
        """Run the process that waits, and return its figures."""
        connection = json.loads(emulator.pai_connection_uri())
        connection["extra"] = {"max_requests_per_second": MAX_REQUESTS_A_SECOND}
        variables = {
            **own_environment(),
            "AIRFLOW_HOME": str(self.workbench.folder / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_PAI_DEFAULT": json.dumps(connection),
        }
        log_path = self.workbench.folder / f"waiting_{mode}.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.waiting_run", mode],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=variables,
                text=True,
            )
            late = threading.Timer(TIMEOUT_SECONDS, process.kill)
            late.start()
            try:
                lines = _lines_of(process)
                if next((line for line in lines if line == "READY"), None) is None:
                    raise BenchmarkError(f"it did not start: see {log_path.name}")
                wanted = {
                    "group_ids": list(group_ids),
                    "interval_seconds": INTERVAL_SECONDS / FACTOR,
                    "begin_epoch_seconds": begin(),
                }
                assert process.stdin is not None  # noqa: S101 - it is a pipe
                process.stdin.write(json.dumps(wanted) + "\n")
                process.stdin.flush()
                found = [line for line in lines if line.startswith('{"')]
                if process.wait() or not found:
                    raise BenchmarkError(f"exit status {process.returncode}: see {log_path.name}")
            finally:
                late.cancel()
                if process.poll() is None:
                    process.kill()
                    process.wait()
        figures: dict[str, Any] = json.loads(found[-1])
        return figures


def _batch(emulator: AudiencesEmulator, ready: Mapping[str, float]) -> Row:
    """Wait for all groups in one wait, with the clock stopped and moved by its sleep, and return what that took."""
    from airflow_provider_audiences.triggers.pai import PaiGroupTrigger  # noqa: PLC0415

    emulator.clear_requests()

    class Trigger(PaiGroupTrigger):
        def fetch_connection(self) -> Any:
            return _Connection(emulator)

    trigger = Trigger(
        conn_id="bench",
        group_ids=list(ready),
        poll_interval_seconds=INTERVAL_SECONDS,
        deadline_epoch_seconds=time.time() + 86_400,
        max_poll_failures=0,
    )
    pauses = 0

    def sleep(seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        emulator.advance(seconds)

    outcome = trigger.wait_here(trigger.poll(), sleep=sleep)
    if outcome.state != "ready" or len(outcome.seen) != GROUPS:
        raise BenchmarkError(f"the batch ended in {outcome.state}: {outcome.reason}")
    pages, gets = (len(emulator.requests(f"pai.{name}")) for name in ("list", "get"))
    return Row(
        measure=f"batch of {GROUPS:,}: requests",
        value=f"{pages} pages, {gets} GetGroup",
        must="no GetGroup",
        verdict=judged(gets == 0),
        note=f"in {1 + pauses} polls; billed: {outcome.billable_calls['get']}",
    )


def make_groups(emulator: AudiencesEmulator) -> dict[str, float]:
    """
    Make the groups, with the clock stopped, and return when each will be ready, in seconds from then.

    :param emulator: emulator that holds the groups.
    """
    from airflow_provider_audiences.hooks.pai import PaiHook  # noqa: PLC0415
    from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource  # noqa: PLC0415

    began = emulator.freeze()
    first, last = READY_SECONDS
    emulator.settings(qps=None)
    ready: dict[str, float] = {}
    spec = GroupSpec(source=PaiSource.TEXT, name="bench", text="13900001111", phone_number=True)
    with PaiHook.client_of(_Connection(emulator)) as client:
        for step in range(_STEPS):
            after = first + (last - first) * step / (_STEPS - 1)
            emulator.settings(processing_seconds=after)
            for _ in range(step, GROUPS, _STEPS):
                ready[client.create_group(spec, marker=None).group.id] = after
    emulator.settings(qps=ACCOUNT_REQUESTS_A_SECOND)
    if emulator.now() != began:
        raise BenchmarkError("the emulator's clock did not stand still")
    return ready


class _Connection:
    """What the client reads of a connection, without an Airflow around it."""

    def __init__(self, emulator: AudiencesEmulator) -> None:
        values = json.loads(emulator.pai_connection_uri())
        self.conn_id = "bench"
        self.conn_type: str | None = "pai"
        self.port: int | None = None
        self.schema: str | None = None
        self.login: str | None = None
        self.host: str | None = values["host"]
        self.password: str | None = values["password"]

    @property
    def extra_dejson(self) -> dict[str, Any]:
        return {"max_requests_per_second": 99}


class _RunningClock:
    """Moves the emulator's clock along, faster than real time, from ``begin`` on."""

    def __init__(self, emulator: AudiencesEmulator, began_epoch_seconds: float) -> None:
        self._emulator = emulator
        self._from = began_epoch_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock")
        self.began_at = 0.0

    def begin(self) -> float:
        """Start, and return when that was."""
        self.began_at = time.time()
        self._thread.start()
        return self.began_at

    def _run(self) -> None:
        while not self._stop.wait(_CLOCK_SECONDS):
            self._emulator.set_clock(self._from + (time.time() - self.began_at) * FACTOR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()


def _lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    if process.stdout is not None:
        for line in process.stdout:
            yield line.strip()


def _rows(measure: str, waited: Waited, poke_megabytes: float) -> Iterator[Row]:
    """Yield what was measured, against as many sensors in poke mode, which is computed."""
    poke_polls = [1 + -(-ready // INTERVAL_SECONDS) for ready in waited.ready.values()]
    poke_ends = [(polls - 1) * INTERVAL_SECONDS for polls in poke_polls]
    poke_delays = [end - ready for end, ready in zip(poke_ends, waited.ready.values(), strict=True)]
    most, delays = waited.most_in_a_second, waited.delays
    yield Row(
        measure=f"{measure}: requests",
        value=f"{len(waited.requests):,}",
        against=f"{sum(poke_polls):,.0f}",
        verdict=Verdict.REPORTED,
        note="other: poke mode, computed, as in the lines below; each wait's first poll, in its worker, comes on top",
    )
    yield Row(
        measure="in any second at most, as they arrived",
        value=str(most),
        must=f"≤ {ACCOUNT_REQUESTS_A_SECOND}",
        verdict=judged(most <= ACCOUNT_REQUESTS_A_SECOND and not waited.throttled),
        note=f"{MAX_REQUESTS_A_SECOND} are sent at most; refused by the platform: {waited.throttled}",
    )
    yield Row(
        measure="ready to noticed: median, longest",
        value=f"{statistics.median(delays):.0f} s, {max(delays):.0f} s",
        against=f"{statistics.median(poke_delays):.0f} s, {max(poke_delays):.0f} s",
        verdict=Verdict.FAILED if min(delays) < 0 else Verdict.REPORTED,
        note="emulated seconds; what waits for its turn included",
    )
    peak, before = waited.figures["peak_megabytes"], waited.figures["megabytes_before"]
    yield Row(
        measure="peak memory",
        value=f"{peak:.0f} MB",
        against=f"{GROUPS:,} * {poke_megabytes:.0f} MB",
        verdict=Verdict.REPORTED,
        note=f"{peak - before:.0f} MB more than after the imports; {waited.figures['threads']} threads",
    )
    yield Row(
        measure="worker slots while waiting",
        value="0",
        against=f"{sum(poke_ends) / 3600:.0f} slot hours",
        verdict=Verdict.REPORTED,
    )
