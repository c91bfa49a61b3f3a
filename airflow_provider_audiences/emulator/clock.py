"""The emulator's clock, which tests may move, and the rate limiter, which follows the real one."""

import threading
import time
from collections import deque
from typing import Any

from .settings import LATEST_SECONDS


class Clock:
    """
    Seconds since the epoch, as the emulated services see them.

    Runs with the wall clock plus an offset, or stands still when frozen. Safe to use from many threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset_seconds = 0.0
        self._frozen_at: float | None = None

    def now(self) -> float:
        """:return: the emulated time in seconds since the epoch"""
        with self._lock:
            return self._now()

    def _now(self) -> float:
        if self._frozen_at is not None:
            return self._frozen_at
        return time.time() + self._offset_seconds

    def change(
        self,
        *,
        set_to: float | None = None,
        advance_seconds: float = 0.0,
        freeze: bool | None = None,
    ) -> None:
        """
        Move, stop or start the clock; all in one step, so that no real time passes in between.

        :param set_to: new time in seconds since the epoch; None keeps the time
        :param advance_seconds: how far to go forward from there
        :param freeze: True stops the clock, False lets it run, None leaves that as it is
        :raises ValueError: the new time is later than dates can hold; the clock goes on as before
        """
        with self._lock:
            target = (self._now() if set_to is None else set_to) + advance_seconds
            if target > LATEST_SECONDS:
                raise ValueError(f"The clock goes no further than {LATEST_SECONDS} seconds since the epoch")
            frozen = self._frozen_at is not None if freeze is None else freeze
            self._frozen_at = target if frozen else None
            self._offset_seconds = target - time.time()

    def describe(self) -> dict[str, Any]:
        """:return: the clock as the control API shows it"""
        with self._lock:
            now = self._now()
            return {
                "now": now,
                "frozen": self._frozen_at is not None,
                "offset_seconds": now - time.time(),
            }


class SlidingWindow:
    """Lets at most a number of calls through in any one second of real time."""

    WINDOW_SECONDS = 1.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._admitted: deque[float] = deque()

    def admit(self, limit: int | None) -> bool:
        """
        :param limit: calls per second; None means no limit
        :return: whether this call may go on; a refused call does not count against later ones
        """
        if limit is None:
            return True
        with self._lock:
            moment = time.monotonic()
            while self._admitted and moment - self._admitted[0] >= self.WINDOW_SECONDS:
                self._admitted.popleft()
            if len(self._admitted) >= limit:
                return False
            self._admitted.append(moment)
            return True
