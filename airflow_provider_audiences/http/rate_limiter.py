"""A limit on requests per second that all threads and tasks of one process share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Turns:
    """The turns of an account: all of its limiters take theirs from the same sequence."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next_turn: float | None = None

    def take(self, interval_seconds: float, clock: Callable[[], float]) -> float:
        """
        Take the next free turn.

        :param interval_seconds: time from this turn to the next one, in seconds.
        :param clock: returns monotonic seconds.
        :return: seconds until the turn begins; 0 if it begins now.
        """
        with self._lock:
            now = clock()
            turn = now if self._next_turn is None else max(now, self._next_turn)
            self._next_turn = turn + interval_seconds
        return turn - now


class RateLimiter:
    """
    Spaces requests evenly in time, so that no burst exceeds the platform's limit.

    Limiters of one account may have different rates. They take turns from one sequence, and each turn lasts as long as
    its limiter's rate demands. So each limiter keeps to its own rate, and all together keep to the highest rate.

    :param per_second: turns per second.
    :param clock: returns monotonic seconds.
    :param sleep: sleeps for the given number of seconds.
    :param turns: the account's turns; None for turns that no other limiter shares.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        turns: _Turns | None = None,
    ) -> None:
        self._interval_seconds = 1 / per_second
        self._clock = clock
        self._sleep = sleep
        self._turns = turns or _Turns()
        self._taken = threading.local()

    def reserve(self) -> float:
        """
        Take the next turn without waiting for it. A turn that is not used is lost.

        :return: seconds until the turn begins; 0 if it begins now.
        """
        return self._turns.take(self._interval_seconds, self._clock)

    def acquire(self) -> None:
        """Wait for the next turn."""
        if getattr(self._taken, "turns", 0) > 0:
            self._taken.turns -= 1
            return
        wait_seconds = self.reserve()
        if wait_seconds > 0:
            self._sleep(wait_seconds)

    @contextmanager
    def turn_taken(self) -> Iterator[None]:
        """Let this thread's next request in the block go at once, as its turn was already reserved and waited for."""
        self._taken.turns = 1
        try:
            yield
        finally:
            self._taken.turns = 0


_lines: dict[str, _Turns] = {}
_limiters: dict[tuple[str, float], RateLimiter] = {}
_limiters_lock = threading.Lock()


def shared_limiter(account: str, per_second: float) -> RateLimiter:
    """
    Return this process' limiter for an account and a rate; all callers get the same object.

    :param account: identifies the account, such as a digest of address and key; never the key itself.
    :param per_second: turns per second.
    """
    with _limiters_lock:
        turns = _lines.setdefault(account, _Turns())
        return _limiters.setdefault((account, per_second), RateLimiter(per_second, turns=turns))
