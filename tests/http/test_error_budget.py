"""An account's budget for errors: one process's threads wait together, and all processes stop together."""

import itertools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fixtures import Connect

from airflow_provider_audiences.common.account_errors import FolderNotes
from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import (
    AudienceError,
    ConnectionFailedError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    StateUnavailableError,
)
from airflow_provider_audiences.http.calls import TransportSettings
from airflow_provider_audiences.http.error_budget import WINDOW_SECONDS, AccountErrors, ErrorBudget, account_digest
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.platforms.pai.auth import ApiKeyAuth
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.redaction import Secret
from airflow_provider_audiences.sync.state.file_store import LocalFileStore

OK = b'{"num_valid_ids": 1, "num_invalid_ids": 0, "code": 200, "audiences": [], "count": 0}'
PAI_PAGE = b'{"ErrorCode": 0, "Data": {"Groups": [], "TotalCount": 0}}'


class Clock:
    """Seconds since 1970, as a test has them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def client_at(url: str, error_budget: ErrorBudget, **settings: Any) -> AppLovinClient:
    settings = {"jitter": False, "backoff_seconds": 0.05, "max_retries": 3, **settings}
    return AppLovinClient(
        api_key=Secret("key"), base_url=url, settings=TransportSettings(**settings), error_budget=error_budget
    )


def pai_at(url: str, error_budget: ErrorBudget) -> PaiClient:
    settings = TransportSettings(jitter=False, backoff_seconds=0.05)
    return PaiClient(auth=ApiKeyAuth(Secret("key")), base_url=url, settings=settings, error_budget=error_budget)


def outcome(step: Callable[[], Any]) -> Any:
    try:
        return step()
    except AudienceError as error:
        return error


@pytest.mark.parametrize("kind", ["own", "shared"])
@pytest.mark.parametrize("max_errors", [1, 5])
def test_stops_after_so_many_and_goes_on_when_they_are_old(
    recorder: Any, clock: Clock, tmp_path: Path, kind: str, max_errors: int
) -> None:
    notes = FolderNotes(LocalFileStore(tmp_path)) if kind == "shared" else None
    budget = ErrorBudget(AccountErrors(clock=clock), max_errors=max_errors, notes=notes)
    client = client_at(recorder.url, budget, max_retries=0)
    recorder.answer(500, {}, b"{}")
    for _ in range(max_errors):
        assert isinstance(outcome(client.list_audiences), ServerError)
        clock.now += 1

    stopped = outcome(client.list_audiences)
    assert type(stopped) is RateLimitedError
    assert not stopped.maybe_applied
    assert stopped.attempts == 0
    assert "no request is sent until 2027-01-15 08:05:00 UTC" in str(stopped)
    assert stopped.retry_after_seconds == WINDOW_SECONDS - max_errors
    assert len(recorder.requests) == max_errors

    # Another process, which knows nothing yet.
    if notes is not None:
        other = client_at(recorder.url, ErrorBudget(AccountErrors(clock=clock), max_errors=max_errors, notes=notes))
        assert isinstance(outcome(other.list_audiences), RateLimitedError)
        assert len(recorder.requests) == max_errors

    clock.now += WINDOW_SECONDS + 1
    recorder.answer(200, {}, OK)
    assert client.list_audiences() == []


def test_any_number_of_errors(recorder: Any, clock: Clock, tmp_path: Path) -> None:
    notes = FolderNotes(LocalFileStore(tmp_path / "notes"))
    client = client_at(recorder.url, ErrorBudget(AccountErrors(clock=clock), max_errors=None, notes=notes))
    recorder.answer(404, {}, b"{}")
    for _ in range(60):
        assert isinstance(outcome(client.list_audiences), NotFoundError)


@pytest.mark.parametrize("make", [client_at, pai_at])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_any_answer_that_is_an_error_counts(recorder: Any, clock: Clock, make: Callable[..., Any], status: int) -> None:
    errors = AccountErrors(clock=clock)
    client = make(recorder.url, ErrorBudget(errors, max_errors=3))
    recorder.answer(status, {}, b"{}")
    call = client.list_audiences if make is client_at else client.list_groups
    for _ in range(4):
        outcome(call)
    assert len(recorder.requests) == 3
    assert isinstance(outcome(call), RateLimitedError)


def test_what_does_not_reach_the_platform_does_not_count(dead_port: int, clock: Clock) -> None:
    errors = AccountErrors(clock=clock)
    client = client_at(f"http://127.0.0.1:{dead_port}", ErrorBudget(errors, max_errors=2))
    for _ in range(3):
        assert isinstance(outcome(client.list_audiences), ConnectionFailedError)
    assert not errors.times


def test_success_costs_no_operation_of_the_store(recorder: Any, clock: Clock, tmp_path: Path) -> None:
    operations: list[str] = []

    class Watched(LocalFileStore):
        def names(self) -> list[str]:
            operations.append("names")
            return super().names()

        def write(self, name: str, content: bytes) -> None:
            operations.append("write")
            super().write(name, content)

        def delete(self, name: str) -> None:
            operations.append("delete")
            super().delete(name)

    errors = AccountErrors(clock=clock)
    client = client_at(recorder.url, ErrorBudget(errors, max_errors=9, notes=FolderNotes(Watched(tmp_path))))
    for _ in range(50):
        client.list_audiences()
    assert operations == ["names"]


def test_threads_wait_out_the_backoff_of_the_one_that_failed(recorder: Any) -> None:
    moments: list[float] = []
    together: list[int] = []
    lock = threading.Lock()

    def reply(_method: str, _target: str) -> Any:
        with lock:
            moments.append(time.monotonic())
            together.append(1)
        time.sleep(0.05)
        with lock:
            together.pop()
        return 500, {}, b"{}"

    recorder.reply = reply
    budget = ErrorBudget(AccountErrors(), max_errors=None)
    client = client_at(recorder.url, budget, backoff_seconds=0.3)
    stop = threading.Event()

    def send(number: int) -> Any:
        try:
            return outcome(
                lambda: client.append_users(
                    audience_id=str(number), advertising_ids=b"", give_up=lambda _error: stop.is_set()
                )
            )
        finally:
            stop.set()

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(send, range(8)))
    assert all(isinstance(result, AudienceError) for result in results)
    # One goes ahead, and is repeated with its waits; the others were waiting, and end with it.
    assert len(moments) <= 5
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert min(gaps) >= 0.25


def test_all_go_on_when_one_came_through(recorder: Any) -> None:
    failures = iter([True, True])

    def reply(_method: str, _target: str) -> Any:
        return (500, {}, b"{}") if next(failures, False) else (200, {}, OK)

    recorder.reply = reply
    client = client_at(recorder.url, ErrorBudget(AccountErrors(), max_errors=None), backoff_seconds=0.1)
    with ThreadPoolExecutor(8) as threads:
        results = list(
            threads.map(
                lambda n: outcome(lambda: client.append_users(audience_id=str(n), advertising_ids=b"")), range(8)
            )
        )
    assert not [result for result in results if isinstance(result, AudienceError)]
    assert len(recorder.requests) == 10


@pytest.mark.parametrize("slow_seconds", [0.3, 1.8])
def test_first_request_of_a_process_goes_ahead_of_the_others_for_a_moment(recorder: Any, slow_seconds: float) -> None:
    moments: list[float] = []

    def reply(_method: str, _target: str) -> Any:
        moments.append(time.monotonic())
        # One after the other, those that follow would take three times as long.
        time.sleep(slow_seconds if len(moments) == 1 else 0.4)
        return 200, {}, OK

    recorder.reply = reply
    client = client_at(recorder.url, ErrorBudget(AccountErrors(), max_errors=None))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: client.list_audiences(), range(4)))
    assert min(slow_seconds, 1.0) - 0.05 <= moments[1] - moments[0] < 1.5
    assert moments[3] - moments[1] < 0.5


class _SlowNotes(FolderNotes):
    """Notes on a store that takes its time, so that threads begin while one of them still looks."""

    def times(self, since_epoch_seconds: float) -> list[float] | None:
        time.sleep(0.3)
        return super().times(since_epoch_seconds)


@pytest.mark.parametrize("make_notes", [FolderNotes, _SlowNotes])
def test_first_request_goes_alone_after_errors_of_others(
    recorder: Any, tmp_path: Path, make_notes: type[FolderNotes]
) -> None:
    notes = make_notes(LocalFileStore(tmp_path))
    notes.add(time.time() - 60)
    moments: list[float] = []

    def reply(_method: str, _target: str) -> Any:
        moments.append(time.monotonic())
        if len(moments) == 1:
            time.sleep(1.5)
        return 200, {}, OK

    recorder.reply = reply
    client = client_at(recorder.url, ErrorBudget(AccountErrors(), max_errors=5, notes=notes))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: client.list_audiences(), range(4)))
    assert moments[1] - moments[0] >= 1.4
    # What was noted before it was sent, lest it fail, is gone again.
    assert len(notes.times(0) or []) == 1


@pytest.mark.parametrize("platform", ["applovin", "pai"])
def test_twenty_tasks_at_a_platform_that_answers_500(
    recorder: Any, clock: Clock, tmp_path: Path, platform: str
) -> None:
    recorder.answer(500, {}, b"{}")

    def task(number: int) -> list[Any]:
        # A process of its own: nothing is shared but the folder. Four tries, of which each splits its batch.
        errors, seen = AccountErrors(clock=clock), []
        notes = FolderNotes(LocalFileStore(tmp_path))
        budget = ErrorBudget(errors, max_errors=50, notes=notes)
        make = client_at if platform == "applovin" else pai_at
        with make(recorder.url, budget) as client:
            for _ in range(4):
                call = client.list_audiences if isinstance(client, AppLovinClient) else client.list_groups
                seen.append(outcome(call))
        return seen

    with ThreadPoolExecutor(20) as threads:
        results = list(threads.map(task, range(20)))
    assert 20 <= len(recorder.requests) < 60
    # All have stopped, and say until when.
    assert all(isinstance(seen[-1], RateLimitedError) and "UTC" in str(seen[-1]) for seen in results)

    before = len(recorder.requests)
    clock.now += WINDOW_SECONDS + 60
    recorder.answer(200, {}, OK if platform == "applovin" else PAI_PAGE)
    assert [task(0)[-1], len(recorder.requests) - before] == [[], 4]


@pytest.mark.parametrize("broken", ["add", "times", "remove"])
def test_broken_store_breaks_no_request(
    recorder: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    class Broken(LocalFileStore):
        def _fail(self, *_: Any) -> Any:
            raise StateUnavailableError("disk: gone")

    setattr(Broken, {"add": "write", "times": "names", "remove": "delete"}[broken], Broken._fail)
    budget = ErrorBudget(AccountErrors(), max_errors=6, notes=FolderNotes(Broken(tmp_path)))
    client = client_at(recorder.url, budget, max_retries=1)
    recorder.answer(500, {}, b"{}")
    with caplog.at_level(logging.WARNING):
        assert isinstance(outcome(client.list_audiences), ServerError)
        recorder.answer(200, {}, OK)
        for _ in range(3):
            assert client.list_audiences() == []
        recorder.answer(500, {}, b"{}")
        for _ in range(9):
            outcome(client.list_audiences)
    assert caplog.text.count("counted in this process only") == 1
    # And what this process knows by itself still holds.
    assert len(recorder.requests) <= 3 + 2 + 6


def test_limited_without_a_word_when_is_asked_once_more(recorder: Any, make_applovin: Any, make_pai: Any) -> None:
    for call in (make_applovin(base_url=recorder.url).list_audiences, make_pai(base_url=recorder.url).list_groups):
        recorder.answer(429, {}, b"{}")
        before = len(recorder.requests)
        with pytest.raises(RateLimitedError) as caught:
            call()
        assert (caught.value.attempts, len(recorder.requests) - before) == (2, 2)
        recorder.answer(429, {"Retry-After": "1"}, b"{}")
        with pytest.raises(RateLimitedError) as caught:
            call()
        assert caught.value.attempts == 4


@pytest.mark.parametrize("platform", ["applovin", "pai"])
def test_hooks_share_a_budget_by_their_account(connect: Connect, emulator: AudiencesEmulator, platform: str) -> None:
    from airflow_provider_audiences.hooks.applovin import AppLovinHook
    from airflow_provider_audiences.hooks.pai import PaiHook

    connect(platform, extra={"max_errors": 3, "max_retries": 0})
    hook = AppLovinHook() if platform == "applovin" else PaiHook()
    operation = f"{platform}.list"
    emulator.fault(operation, "status", status=500, times=None)

    def once() -> Any:
        with hook.get_conn() as client:
            return outcome(client.list_audiences if isinstance(client, AppLovinClient) else client.list_groups)

    assert [type(once()) for _ in range(5)] == [ServerError] * 3 + [RateLimitedError] * 2
    assert len(emulator.requests(operation)) == 3
    connect(platform, extra={"max_errors": "off", "max_retries": 0})
    assert isinstance(once(), ServerError)
    # Another key is another account.
    connect(platform, password="other", extra={"max_errors": 3, "max_retries": 0})
    assert not isinstance(once(), RateLimitedError)


@given(st.lists(st.text(max_size=40), max_size=20))
def test_foreign_names_in_the_folder_are_passed_over(names: list[str]) -> None:
    class Named(LocalFileStore):
        def names(self) -> list[str]:
            return [*names, f"{int(time.time() * 1000)}-{'0' * 16}", "9" * 99 + "-" + "0" * 16]

    assert len(FolderNotes(Named(Path("/nowhere"))).times(time.time() - 60) or []) == 1


def test_digest_tells_nothing() -> None:
    one, other = account_digest("https://a.example", "key"), account_digest("https://a.example", "other")
    assert one != other
    assert "key" not in one
    assert len(one) == 32
