"""The emulator's clock, which tests may move, and the rate limit of PAI, which follows real time."""

import threading
import time
from collections import deque
from typing import Any

from .settings import LATEST_SECONDS


class Clock:
    """
    The time that the emulated services see, in seconds since the epoch. Thread-safe.

    It is real time plus an offset, or stands still while it is frozen.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset_seconds = 0.0
        self._frozen_at: float | None = None

    def now(self) -> float:
        """Return the emulated time in seconds since the epoch."""
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
        Move, stop or start the clock, all in one step, so that no real time passes in between.

        :param set_to: new time in seconds since the epoch; None (default) keeps the time.
        :param advance_seconds: how many seconds to go forward from there; default 0.
        :param freeze: True stops the clock, False lets it run, None (default) changes neither.
        :raises ValueError: the new time is later than dates can be; the clock is unchanged.
        """
        with self._lock:
            target = (self._now() if set_to is None else set_to) + advance_seconds
            if target > LATEST_SECONDS:
                raise ValueError(f"The clock goes no further than {LATEST_SECONDS} seconds since the epoch")
            frozen = self._frozen_at is not None if freeze is None else freeze
            self._frozen_at = target if frozen else None
            self._offset_seconds = target - time.time()

    def describe(self) -> dict[str, Any]:
        """Return the clock as the control API shows it."""
        with self._lock:
            now = self._now()
            return {
                "now": now,
                "frozen": self._frozen_at is not None,
                "offset_seconds": now - time.time(),
            }


class SlidingWindow:
    """Admits a limited number of calls in any one second of real time."""

    WINDOW_SECONDS = 1.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._admitted: deque[float] = deque()

    def admit(self, limit: int | None) -> bool:
        """
        Return whether a call may go on. A refused call does not count against later ones.

        :param limit: most calls in a second; None for no limit.
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
