"""Several requests at a time, bounded memory, progress, and ends in the middle."""

import gc
import itertools
import logging
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote, quote_plus

import pytest
from support.fixtures import MakeIds

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import (
    AudienceError,
    AuthenticationError,
    NotFoundError,
)
from airflow_provider_audiences.members.batches import MemberBatch
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.sync.delivery import progress
from airflow_provider_audiences.sync.delivery.direct_delivery import DeliveryMode

REPLACE, APPEND, REMOVE = DeliveryMode.REPLACE, DeliveryMode.APPEND, DeliveryMode.REMOVE
MakeApplovin = Callable[..., AppLovinClient]


def said(caplog: pytest.LogCaptureFixture, *, level: int = logging.WARNING) -> list[str]:
    """What sync/ logged."""
    return [record.getMessage() for record in caplog.records if ".sync." in record.name and record.levelno >= level]


class TestParallel:
    @pytest.mark.parametrize("parallel", [1, 3, 16])
    def test_so_many_are_in_flight_and_no_more(
        self, platform: Any, make_applovin: MakeApplovin, as_staged: Any, deliver: Any, make_ids: MakeIds, parallel: int
    ) -> None:
        def answer(_operation: str, number: int, _lines: int) -> int:
            # The first ones are answered when all of them are there: one by one, nothing would ever come back.
            if number <= parallel:
                platform.wait_for(lambda: len(platform.requests) >= parallel)
            return 200

        platform.answer = answer
        report = deliver(make_applovin(base_url=platform.url), as_staged(make_ids(60)), parallel=parallel)

        assert platform.max_in_flight == parallel
        assert (report.requests, report.batches, report.sent) == (60, 60, 60)

    def test_one_at_a_time_goes_in_order_in_one_thread(
        self,
        platform: Any,
        make_applovin: MakeApplovin,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # Sizes that tell the batches apart: only the last one is short.
        staged, starts = as_staged(make_ids(11)), []
        monkeypatch.setattr(
            staged,
            "batch",
            lambda first, count: (
                starts.append((first, threading.current_thread())) or as_staged.batch(staged, first, count)  # type: ignore[func-returns-value]  # both, in one lambda
            ),
        )
        deliver(make_applovin(base_url=platform.url), staged, batch_size=4, parallel=1)

        assert [lines for _, lines in platform.requests] == [4, 4, 3]
        assert starts == [(first, starts[0][1]) for first in (0, 4, 8)]

    def test_update_goes_alone(
        self, platform: Any, make_applovin: MakeApplovin, as_staged: Any, deliver: Any, make_ids: MakeIds
    ) -> None:
        platform.answer = lambda operation, _number, _lines: time.sleep(0.2 if operation == "update" else 0) or 200  # type: ignore[func-returns-value]  # both, in one lambda
        deliver(make_applovin(base_url=platform.url), as_staged(make_ids(40)), REPLACE, parallel=8)

        assert platform.events[:2] == [("begin", "update", 1), ("end", "update", 1)]
        assert [operation for operation, _ in platform.requests] == ["update"] + ["append"] * 39

    def test_no_more_threads_than_batches(
        self, platform: Any, make_applovin: MakeApplovin, as_staged: Any, deliver: Any, make_ids: MakeIds
    ) -> None:
        names: set[str] = set()

        class Watched(as_staged):  # type: ignore[misc]
            def batch(self, first: int, count: int) -> MemberBatch:
                names.update(
                    thread.name for thread in threading.enumerate() if thread.name.startswith("audiences-sender")
                )
                return cast(MemberBatch, super().batch(first, count))

        deliver(make_applovin(base_url=platform.url), Watched(make_ids(3)), batch_size=2, parallel=16)

        assert len(platform.requests) == 2
        assert 1 <= len(names) <= 2

    @pytest.mark.usefixtures("no_collector")
    @pytest.mark.parametrize("parallel", [1, 4])
    def test_bodies_in_memory_are_bounded(
        self,
        emulator: AudiencesEmulator,
        applovin: AppLovinClient,
        audience_id: str,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
        parallel: int,
    ) -> None:
        for number, kind in enumerate(["status", "drop_before", "drop_after", "truncated_json"]):
            emulator.fault("applovin.append", kind, number=5 + 10 * number)
        emulator.settings(max_body_ids=1_000)
        staged = as_staged(make_ids(40_000))
        report = deliver(applovin, staged, REPLACE, audience_id=audience_id, batch_size=4_000, parallel=parallel)

        assert report.splits >= 1
        assert emulator.member_count(audience_id) == 40_000
        assert 1 <= staged.max_live <= parallel
        assert staged.live == 0, "a body outlives its request until the collector comes"


class TestFailure:
    @pytest.mark.parametrize(
        ("mode", "landed"),
        [
            (APPEND, "3 batches (6 of 200 members) were accepted. The next run sends all of them again"),
            (REPLACE, "4 batches (8 of 200 members) were accepted. The audience now holds a part of the set"),
        ],
    )
    def test_stops_the_others_and_counts_what_was_in_flight(
        self,
        platform: Any,
        make_applovin: MakeApplovin,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
        mode: DeliveryMode,
        landed: str,
    ) -> None:
        updates = 1 if mode is REPLACE else 0

        def answer(_operation: str, number: int, _lines: int) -> int:
            if number <= updates:
                return 200
            platform.wait_for(lambda: len(platform.requests) >= updates + 4)
            if number == updates + 2:
                return 403
            platform.wait_for(lambda: platform.in_flight <= 3)
            time.sleep(1)  # the refusal has long arrived
            return 200

        platform.answer = answer
        with pytest.raises(AuthenticationError) as caught:
            deliver(make_applovin(base_url=platform.url), as_staged(make_ids(200)), mode, batch_size=2)

        assert len(platform.requests) == updates + 4
        assert caught.value.so_far is not None
        assert caught.value.so_far.startswith(f"Before that, {landed}")

    def test_ends_the_waits_of_the_others(
        self, platform: Any, make_applovin: MakeApplovin, as_staged: Any, deliver: Any, make_ids: MakeIds
    ) -> None:
        def answer(_operation: str, number: int, _lines: int) -> Any:
            if number == 1:
                # The first of a process goes ahead, for a second.
                platform.wait_for(lambda: len(platform.requests) >= 2)
                return 429, {"Retry-After": "200"}
            platform.wait_for(lambda: ("end", "append", 1) in platform.events)
            time.sleep(1)  # the other one waits by now
            return 404

        platform.answer = answer
        started = time.monotonic()
        with pytest.raises(NotFoundError):
            deliver(make_applovin(base_url=platform.url, sleep=time.sleep), as_staged(make_ids(9)), parallel=2)

        assert len(platform.requests) == 2
        assert time.monotonic() - started < 60

    def test_first_one_is_raised_and_the_others_are_logged(
        self,
        platform: Any,
        make_applovin: MakeApplovin,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def answer(_operation: str, number: int, _lines: int) -> int:
            platform.wait_for(lambda: len(platform.requests) >= 2)
            if number == 1:
                return 404
            platform.wait_for(lambda: platform.in_flight == 1)
            time.sleep(1)
            return 500

        platform.answer = answer
        with pytest.raises(NotFoundError) as caught:
            deliver(make_applovin(base_url=platform.url), as_staged(make_ids(9)), parallel=2)

        assert len(platform.requests) == 2
        assert "Before that, 0 batches (0 of 9 members) were accepted. A request that failed may have been" in (
            str(caught.value)
        )
        (warning,) = said(caplog)
        assert warning.startswith("A request that was in flight failed as well: applovin.append: ")
        assert "HTTP 500" in warning

    @pytest.mark.parametrize("parallel", [1, 4])
    def test_source_that_breaks(
        self,
        emulator: AudiencesEmulator,
        applovin: AppLovinClient,
        audience_id: str,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
        parallel: int,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        class Broken(as_staged):  # type: ignore[misc]
            def batch(self, first: int, count: int) -> MemberBatch:
                if first >= 10:
                    raise OSError(f"disk failed at {make_ids(1)[0]}")
                return cast(MemberBatch, super().batch(first, count))

        with pytest.raises(OSError, match="disk failed"):
            deliver(applovin, Broken(make_ids(400)), audience_id=audience_id, parallel=parallel)

        assert len(emulator.requests()) <= 10 + parallel
        assert "OSError ended the delivery: no further request begins." in caplog.text
        assert make_ids(1)[0] not in caplog.text


class TestInterrupt:
    class TaskTimeout(BaseException):
        """Raised in the main thread by a signal, as Airflow's is."""

    @pytest.fixture
    def interrupt(self) -> Iterator[Callable[[], None]]:
        """Raises it in the main thread, whoever calls."""

        def handle(*_: Any) -> None:
            raise self.TaskTimeout

        before = signal.signal(signal.SIGALRM, handle)
        main = threading.main_thread().ident
        assert main is not None
        yield lambda: signal.pthread_kill(main, signal.SIGALRM)
        signal.signal(signal.SIGALRM, before)

    @pytest.mark.parametrize("parallel", [1, 4])
    @pytest.mark.parametrize("mode", [APPEND, REPLACE])
    def test_ends_at_once_and_nothing_begins_any_more(
        self,
        platform: Any,
        make_applovin: MakeApplovin,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
        parallel: int,
        mode: DeliveryMode,
        interrupt: Callable[[], None],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        opened = threading.Event()
        expected = parallel + (mode is REPLACE)

        def answer(operation: str, number: int, _lines: int) -> int:
            if operation == "update":
                return 200
            if number == expected:
                time.sleep(0.2)  # the main thread waits by now
                interrupt()
            opened.wait(30)
            return 500  # would be repeated, and then split, if nobody had ended it

        platform.answer = answer
        started = time.monotonic()
        with pytest.raises(self.TaskTimeout):
            deliver(
                make_applovin(base_url=platform.url),
                as_staged(make_ids(40_000)),
                mode,
                batch_size=2_000,
                parallel=parallel,
            )
        assert time.monotonic() - started < 20
        assert "TaskTimeout ended the delivery: no further request begins." in caplog.text
        assert "may have been carried out" in caplog.text

        assert len(platform.requests) == expected
        opened.set()
        platform.wait_for(lambda: platform.in_flight == 0)
        time.sleep(0.5)
        assert len(platform.requests) == expected


def test_progress_is_said_every_few_seconds(
    emulator: AudiencesEmulator,
    applovin: AppLovinClient,
    audience_id: str,
    as_staged: Any,
    deliver: Any,
    make_ids: MakeIds,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger=progress.__name__)
    # A clock that goes on each time somebody looks, once a batch: nobody has to sit through it.
    ticks = itertools.count()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(ticks) / 2))
    deliver(applovin, as_staged(make_ids(24)), audience_id=audience_id, parallel=1)

    *lines, last = said(caplog, level=logging.INFO)
    assert lines == [
        "Sent 10 of 24 advertising IDs (41%), 2 a second, about 8 s to go.",
        "Sent 19 of 24 advertising IDs (79%), 2 a second, about 3 s to go.",
    ]
    assert re.fullmatch(
        r"Sent 24 advertising IDs in 24 batches in \d+\.\d s \(\d a second\): 24 accepted, 0 rejected\.", last
    )


def test_progress_of_several_threads_is_rare_and_never_goes_back(
    platform: Any,
    make_applovin: MakeApplovin,
    as_staged: Any,
    deliver: Any,
    make_ids: MakeIds,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger=progress.__name__)
    monkeypatch.setattr(progress, "_INTERVAL_SECONDS", 0.05)
    platform.answer = lambda *_: time.sleep(0.01) or 200  # type: ignore[func-returns-value]  # both, in one lambda
    report = deliver(make_applovin(base_url=platform.url), as_staged(make_ids(200)), parallel=8)

    numbers = [
        int(match[1])
        for line in said(caplog, level=logging.INFO)
        if (match := re.match(r"Sent (\d+) of 200 advertising IDs", line))
    ]
    assert 1 <= len(numbers) <= report.seconds / 0.05
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize("status", [403, 500, 413])
def test_no_member_and_no_key_gets_out(
    emulator: AudiencesEmulator,
    applovin: AppLovinClient,
    audience_id: str,
    as_staged: Any,
    deliver: Any,
    make_ids: MakeIds,
    caplog: pytest.LogCaptureFixture,
    parallel: int,
    status: int,
) -> None:
    caplog.set_level(logging.DEBUG)
    ids = make_ids(8_000)
    echo = f"what is {ids[0]} {ids[4_000].upper()} with {emulator.api_key}"
    emulator.fault("applovin.append", "status", status=status, message=echo, number=2, times=None)
    with pytest.raises(AudienceError) as caught:
        deliver(applovin, as_staged(ids), REPLACE, audience_id=audience_id, batch_size=2_000, parallel=parallel)

    error = caught.value
    seen = "\n".join([caplog.text, str(error), repr(error), str(vars(error)), str(error.__context__)]).lower()
    assert "what is" in seen, "the platform's words are not there at all"
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-4?[0-9a-f]{3,4}-[0-9a-f]{4}-[0-9a-f]{12}", seen)
    key = emulator.api_key
    assert not any(form.lower() in seen for form in (key, quote(key, safe=""), quote_plus(key)))


@pytest.fixture
def no_collector() -> Iterator[None]:
    """No garbage collector: what a circle keeps alive stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
