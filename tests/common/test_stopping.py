"""
Tasks that Airflow ends with SIGTERM, as version 3.3 does it: the handler calls ``on_kill``, and goes on.

The signals are real ones, to the process of this test.
"""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from support.fixtures import MakeAudience, MakeContext, MakeIds

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.stopping import IN_FLIGHT_SECONDS
from airflow_provider_audiences.wording import counted

KILLED_AFTER_SECONDS = 5


@pytest.fixture(autouse=True)
def state_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    path = tmp_path / "state"
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(path))
    return path


@pytest.fixture
def audience_id(make_audience: MakeAudience) -> str:
    return make_audience()


@pytest.fixture
def stopped() -> Any:
    """Runs a task, and ends it when something has come about: ``stopped(operator, context, when=…)``."""
    threads = []

    def run(operator: Any, context: Any, *, when: Any) -> tuple[Any, Any]:
        """Return the error, and how many seconds after the signal it came."""
        sent_at = []

        def send() -> None:
            until = time.monotonic() + 60
            while not when() and time.monotonic() < until:
                time.sleep(0.01)
            sent_at.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGTERM)

        before = signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
        try:
            threads.append(threading.Thread(target=send))
            threads[-1].start()
            with pytest.raises(exceptions.TaskStoppedError) as caught:
                operator.execute(context)
            return caught.value, time.monotonic() - sent_at[0]
        finally:
            threads[-1].join()
            signal.signal(signal.SIGTERM, before)

    return run


def sync_of(audience_id: str, source: Any, **arguments: Any) -> AppLovinSyncAudienceOperator:
    settings = {"batch_size": 10, "max_parallel_requests": 2, "wait_for_audience_seconds": 0} | arguments
    return AppLovinSyncAudienceOperator(task_id="sync", audience_id=audience_id, source=source, **settings)


def sent(emulator: AudiencesEmulator) -> Any:
    """How many IDs came in requests, those that failed included."""
    return sum(request["body_lines"] for request in emulator.requests("applovin.append"))


@pytest.mark.parametrize("parallel", [1, 3])
def test_what_lands_within_the_moment_left_is_written_down(
    stopped: Any,
    emulator: AudiencesEmulator,
    audience_id: str,
    make_ids: MakeIds,
    task_context: MakeContext,
    state_path: Any,
    parallel: int,
) -> None:
    """The next run, another task, begins at once and sends the rest: each ID was sent once."""
    emulator.latency("applovin.append", 0.5)
    operator = sync_of(audience_id, make_ids(100), max_parallel_requests=parallel)
    error, seconds = stopped(operator, task_context(), when=lambda: emulator.members(audience_id))

    landed = len(emulator.members(audience_id))
    assert seconds < IN_FLIGHT_SECONDS + 1
    assert not isinstance(error, AirflowFailException)
    recorded = counted(landed // 10, "batch was accepted and is recorded", "batches were accepted and are recorded")
    assert str(error) == (
        f"Airflow has ended this task; no further request began. {recorded}"
        ". The task's next try, or the next run, goes on from there."
    )
    assert 10 <= landed <= 20 * parallel
    assert not list(state_path.rglob("lease-*"))
    emulator.latency("applovin.append", 0)
    report = sync_of(audience_id, make_ids(100)).execute(task_context(run_id="next"))
    assert (report["batches_skipped_by_resume"], report["live"]) == (landed // 10, 100)
    assert sent(emulator) == 100


def test_a_request_that_takes_longer_may_be_live(
    stopped: Any,
    emulator: AudiencesEmulator,
    audience_id: str,
    make_ids: MakeIds,
    task_context: MakeContext,
    state_path: Any,
) -> None:
    """Nobody waits for it: the next run begins at once, sends it again, and contradicts nothing."""
    emulator.latency("applovin.append", 8)
    operator = sync_of(audience_id, make_ids(30))

    def is_sending() -> list[Any]:
        time.sleep(0.5)
        return list(state_path.rglob("plan-*.json"))

    error, seconds = stopped(operator, task_context(), when=is_sending)
    assert seconds < KILLED_AFTER_SECONDS - 1
    assert "0 batches were accepted" in str(error)
    assert not list(state_path.rglob("lease-*"))
    emulator.latency("applovin.append", 0)
    began = time.monotonic()
    report = sync_of(audience_id, make_ids(30)).execute(task_context(run_id="next"))
    assert time.monotonic() - began < 5
    assert (report["added"], report["live"]) == (30, 30)
    assert emulator.members(audience_id) == make_ids(30)


def test_while_members_are_read(
    stopped: Any,
    emulator: AudiencesEmulator,
    audience_id: str,
    make_ids: MakeIds,
    task_context: MakeContext,
    state_path: Any,
) -> None:
    """Nothing was sent, and the audience is free."""
    reading = threading.Event()

    def endless() -> Iterator[Any]:
        yield from make_ids(10)
        reading.set()
        while True:
            time.sleep(0.01)
            yield make_ids(1)[0]

    error, seconds = stopped(sync_of(audience_id, endless()), task_context(), when=reading.is_set)
    assert seconds < 1
    assert str(error).startswith("Airflow has ended this task; no further request began. The task's next try")
    assert sent(emulator) == 0
    assert not list(state_path.rglob("lease-*"))


def test_an_append_by_hand_says_what_has_landed(
    stopped: Any, emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds, task_context: MakeContext
) -> None:
    emulator.latency("applovin.append", 0.4)
    operator = AppLovinAppendUsersOperator(
        task_id="append", audience_id=audience_id, source=make_ids(100), batch_size=10, max_parallel_requests=2
    )
    error, _ = stopped(operator, task_context(), when=lambda: emulator.members(audience_id))
    landed = len(emulator.members(audience_id))
    assert 10 <= landed <= 40
    assert re.search(rf"\b{landed} of 100\b", str(error)), error


def test_while_it_waits_to_send_again(
    stopped: Any, emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds, task_context: MakeContext
) -> None:
    """A request that failed is not repeated."""
    emulator.fault("applovin.append", "status", status=429, retry_after=30, times=None)
    operator = sync_of(audience_id, make_ids(30), max_parallel_requests=1)
    _, seconds = stopped(operator, task_context(), when=lambda: emulator.requests("applovin.append"))
    assert seconds < IN_FLIGHT_SECONDS + 1
    assert len(emulator.requests("applovin.append")) == 1


def test_a_task_that_does_not_work_is_not_ended(audience_id: str, make_ids: MakeIds, task_context: MakeContext) -> None:
    """Airflow calls ``on_kill`` also after a timeout, when the work has ended."""
    operator = sync_of(audience_id, make_ids(3))
    operator.on_kill()
    assert operator.execute(task_context())["live"] == 3
    operator.on_kill()


def test_another_thread_ends_nothing(audience_id: str, make_ids: MakeIds, task_context: MakeContext) -> None:
    """The error belongs into the thread that works."""
    operator = sync_of(audience_id, make_ids(3))

    def source() -> Iterator[Any]:
        thread = threading.Thread(target=operator.on_kill)
        thread.start()
        thread.join()
        yield from make_ids(3)

    operator.source = source()
    assert operator.execute(task_context())["live"] == 3
