"""The limit on requests a second: even spacing among threads, and no 429 from a platform that counts."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import RateLimitedError
from airflow_provider_audiences.http.rate_limiter import RateLimiter, shared_limiter
from airflow_provider_audiences.platforms.pai.client import DEFAULT_REQUESTS_PER_SECOND, PaiClient


class Clock:
    """A clock that stands still unless somebody sleeps; safe among threads."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        self.lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.waits.append(seconds)


def test_turns_are_evenly_spaced_among_threads() -> None:
    clock = Clock()
    limiter = RateLimiter(50, clock=clock, sleep=clock.sleep)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(200):
            pool.submit(limiter.acquire)

    assert sorted(clock.waits) == pytest.approx([turn / 50 for turn in range(1, 200)])


def test_idle_time_is_not_saved_for_a_burst() -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock=clock, sleep=clock.sleep)
    clock.now += 60
    for _ in range(3):
        limiter.acquire()

    assert clock.waits == pytest.approx([0.1, 0.2])


def test_no_wait_when_turns_are_not_due() -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock=clock, sleep=clock.sleep)
    for _ in range(5):
        limiter.acquire()
        clock.now += 0.1 + 1e-9

    assert clock.waits == []


def test_reserving_does_not_wait() -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock=clock, sleep=clock.sleep)

    assert [limiter.reserve() for _ in range(4)] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert clock.waits == []
    # Those who wait in the thread come after them.
    limiter.acquire()
    assert clock.waits == pytest.approx([0.4])
    clock.now += 60
    assert limiter.reserve() == 0


def test_thousands_of_reservations_among_threads() -> None:
    clock = Clock()
    limiter = RateLimiter(50, clock=clock, sleep=clock.sleep)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(limiter.reserve) for _ in range(2000)]

    assert sorted(future.result() for future in futures) == pytest.approx([turn / 50 for turn in range(2000)])


def test_a_reserved_turn_is_not_taken_twice() -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock=clock, sleep=clock.sleep)
    limiter.reserve()
    with limiter.turn_taken():
        limiter.acquire()  # the reserved turn
        limiter.acquire()  # one of its own
    assert clock.waits == pytest.approx([0.1])
    with limiter.turn_taken():
        pass  # what was not used is lost
    limiter.acquire()
    assert clock.waits == pytest.approx([0.1, 0.2])


def test_a_reserved_turn_is_one_threads() -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock=clock, sleep=clock.sleep)
    limiter.reserve()
    with limiter.turn_taken(), ThreadPoolExecutor(1) as pool:
        pool.submit(limiter.acquire).result()
        assert clock.waits == pytest.approx([0.1])
        limiter.acquire()
    assert clock.waits == pytest.approx([0.1])


def test_one_limiter_for_an_account() -> None:
    assert shared_limiter("a", 50) is shared_limiter("a", 50)
    assert shared_limiter("a", 50) is not shared_limiter("b", 50)


def test_different_rates_of_an_account_stand_in_one_line() -> None:
    """A turn takes the time of the one whose it is: nobody is faster than it asked for, nor all than the fastest."""
    fast, slow, other = shared_limiter("line", 1.0), shared_limiter("line", 0.1), shared_limiter("another line", 1.0)
    fast.reserve()
    turns = [fast.reserve(), slow.reserve(), fast.reserve(), slow.reserve(), fast.reserve()]

    assert [round(turn) for turn in turns] == [1, 2, 12, 13, 23]
    assert other.reserve() == 0


def test_clients_of_one_account_share_the_line(make_pai: Callable[..., PaiClient], dialect: str) -> None:
    first, second, slower = make_pai(dialect), make_pai(dialect), make_pai(dialect, requests_per_second=7)
    elsewhere = make_pai(dialect, base_url="http://127.0.0.1:1")
    stranger = make_pai("bearer", key="another key")

    assert first.limiter is second.limiter
    assert first.limiter not in (slower.limiter, elsewhere.limiter, stranger.limiter)
    assert first.limiter._turns is slower.limiter._turns
    assert first.limiter._turns is not elsewhere.limiter._turns
    assert first.limiter._turns is not stranger.limiter._turns


def _list_in_threads(client_of: Callable[[], PaiClient], *, threads: int, each: int) -> None:
    def work() -> None:
        client = client_of()
        for _ in range(each):
            client.count_groups()

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(work) for _ in range(threads)]:
            future.result()


def test_clients_of_one_account_stay_below_the_limit(
    emulator: AudiencesEmulator, make_pai: Callable[..., PaiClient], waits: list[float]
) -> None:
    emulator.settings(qps=100)
    _list_in_threads(lambda: make_pai(requests_per_second=DEFAULT_REQUESTS_PER_SECOND), threads=4, each=30)

    assert {request["status"] for request in emulator.requests()} == {200}
    assert len(emulator.requests()) == 120
    assert waits == []


def test_without_it_the_platform_throttles(emulator: AudiencesEmulator, make_pai: Callable[..., PaiClient]) -> None:
    emulator.settings(qps=10)
    with pytest.raises(RateLimitedError):
        _list_in_threads(lambda: make_pai(max_retries=0), threads=2, each=1000)
