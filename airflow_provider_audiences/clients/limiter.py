"""A limit on requests a second that all threads and tasks of one process share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class RateLimiter:
    """
    Hands out evenly spaced turns, so that no burst passes the platform's limit.

    :param per_second: turns a second.
    :param clock: monotonic seconds.
    :param sleep: waits that many seconds.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval_seconds = 1 / per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next_turn = clock()

    def acquire(self) -> None:
        """Wait for the next turn."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next_turn)
            self._next_turn = turn + self._interval_seconds
        if turn > now:
            self._sleep(turn - now)


_limiters: dict[tuple[str, float], RateLimiter] = {}
_limiters_lock = threading.Lock()


def shared_limiter(account: str, per_second: float) -> RateLimiter:
    """
    Return this process's limiter of an account.

    :param account: what the platform counts by, such as a digest of address and key; not the key itself.
    :param per_second: turns a second.
    """
    with _limiters_lock:
        return _limiters.setdefault((account, per_second), RateLimiter(per_second))
