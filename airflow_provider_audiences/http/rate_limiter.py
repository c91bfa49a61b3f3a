"""A limit on requests a second that all threads and tasks of one process share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Turns:
    """The one line that all who use an account stand in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next_turn: float | None = None

    def take(self, interval_seconds: float, clock: Callable[[], float]) -> float:
        """Take a turn that lasts so long; return the seconds until it comes."""
        with self._lock:
            now = clock()
            turn = now if self._next_turn is None else max(now, self._next_turn)
            self._next_turn = turn + interval_seconds
        return turn - now


class RateLimiter:
    """
    Hands out evenly spaced turns, so that no burst passes the platform's limit.

    Limiters of one account may have different rates: they stand in one line, and a turn takes the time of the one
    whose it is. So each keeps to its own rate, and all together keep to the highest.

    :param per_second: turns a second.
    :param clock: monotonic seconds.
    :param sleep: waits that many seconds.
    :param turns: the account's line; without, one of its own.
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
        Take the next turn without waiting for it; it is lost if it is not used.

        :return: seconds until it comes.
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
        """Let this thread's next request go at once: its turn was reserved, and waited for, elsewhere."""
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
    Return this process's limiter of an account.

    :param account: what the platform counts by, such as a digest of address and key; not the key itself.
    :param per_second: turns a second.
    """
    with _limiters_lock:
        turns = _lines.setdefault(account, _Turns())
        return _limiters.setdefault((account, per_second), RateLimiter(per_second, turns=turns))
