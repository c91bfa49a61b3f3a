"""
An exchange: one request on the wire and its reply, with their limits of time and size.

It also knows how far the exchange has come. So an error can say whether the request may have been carried out, and
which limit has ended it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from airflow_provider_audiences.wording import counted

MAX_REPLY_BYTES = 16 * 1024 * 1024
"""Largest body of a reply, both packed and unpacked. The largest known ones, lists of all audiences, have 100 kB."""

_MAX_HEAD_BYTES = 1024 * 1024
"""Most bytes before the body: interim replies, status line and headers."""


_SOON_SECONDS = 0.01
"""A socket's wait until the deadline may end this much before the deadline."""


_MAX_SECONDS = 86_400.0
"""Longest wait of a socket; sockets refuse very large numbers."""


class Ending(StrEnum):
    """Why this side has ended an exchange."""

    DEADLINE = "deadline"
    SILENCE = "silence"
    TOO_LARGE = "too large"
    NO_THREAD = "no thread"


class Exchange:
    """
    A request under way and its reply. One thread waits for everything, in the socket, and never past the deadline.

    :param deadline_seconds: most seconds for the whole exchange: look-up of the host name, connection, TLS, sending,
        interim replies, headers and body.
    :param connect_timeout_seconds: most seconds for the look-up of the host name, and for each address to answer.
    :param silence_seconds: most seconds in which no byte is received or sent.
    :param max_bytes: largest body of the reply, in bytes as they are received.
    :param clock: returns monotonic seconds.
    """

    def __init__(
        self,
        *,
        deadline_seconds: float,
        connect_timeout_seconds: float,
        silence_seconds: float,
        max_bytes: int = MAX_REPLY_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        now = clock()
        self._clock = clock
        self._until = min(now + deadline_seconds, getattr(_here, "until", math.inf))
        self.deadline_seconds = max(0.0, self._until - now)
        self.connect_timeout_seconds = connect_timeout_seconds
        self.silence_seconds = silence_seconds
        self._max_bytes: float = max_bytes
        self._most: float = _MAX_HEAD_BYTES
        self._least_bytes = self._recent_bytes = 0
        self._pace_until = math.inf
        self.has_begun = False
        """Whether any part of the request may have left this machine."""
        self.is_with_proxy = False
        """Whether the bytes sent now are for a proxy, and not part of the request."""
        self.received_bytes = 0
        self.interim_replies = 0
        self.status: int | None = None
        """HTTP status of the reply; None until its headers are complete."""
        self.ending: Ending | None = None

    def patience(self, most_seconds: float | None = None) -> float:
        """
        Return how many seconds the next wait may last.

        :param most_seconds: longest wait, if the deadline is not sooner; None for the longest silence.
        :raises TimeoutError: the deadline has passed.
        """
        left = self._until - self._clock()
        if left <= 0:
            self.ending = Ending.DEADLINE
            raise TimeoutError
        return min(left, self.silence_seconds if most_seconds is None else most_seconds, _MAX_SECONDS)

    def waited_in_vain(self) -> None:
        """Record that a wait has timed out: at the deadline, or because no byte was received or sent."""
        self.ending = Ending.DEADLINE if self._until - self._clock() < _SOON_SECONDS else Ending.SILENCE

    def received(self, count: int) -> None:
        """
        Count received bytes.

        :param count: number of bytes.
        :raises OSError: the reply is too large, or too slow.
        """
        self.received_bytes += count
        if self.received_bytes > self._most:
            self.ending = Ending.TOO_LARGE
            raise OSError
        if self._least_bytes and count:
            self._keep_pace(count)

    def head_ended(self, status: int) -> None:
        """
        Record that the reply's headers are complete; the limit for the body holds from now on.

        :param status: HTTP status of the reply.
        """
        self.status = status
        self._most = _MAX_HEAD_BYTES + self._max_bytes

    def body_may_last(self, *, least_bytes: int) -> None:
        """
        Lift the limits for size and time, and demand a minimum speed instead.

        :param least_bytes: fewest bytes to receive in each period of ``silence_seconds``.
        """
        self._until = self._most = math.inf
        self._least_bytes = least_bytes
        self._pace_until = self._clock() + self.silence_seconds

    def _keep_pace(self, count: int) -> None:
        self._recent_bytes += count
        now = self._clock()
        if now < self._pace_until:
            return
        if self._recent_bytes < self._least_bytes:
            self.ending = Ending.SILENCE
            raise TimeoutError
        self._recent_bytes, self._pace_until = 0, now + self.silence_seconds

    def seen(self) -> str:
        """Return what was received so far, in words for messages."""
        if not self.has_begun:
            return "the connection was not made"
        if not self.received_bytes:
            return "nothing of a reply had come"
        interim = f", {self.interim_replies} interim replies among them" if self.interim_replies else ""
        return f"{counted(self.received_bytes, 'byte of a reply', 'bytes of a reply')} had come{interim}"


_here = threading.local()


def current_exchange() -> Exchange | None:
    """Return this thread's exchange; None outside :func:`under_way`."""
    exchange: Exchange | None = getattr(_here, "exchange", None)
    return exchange


@contextmanager
def under_way(exchange: Exchange) -> Iterator[None]:
    """
    Make an exchange this thread's exchange for the block: connections keep to its limits.

    :param exchange: the exchange that begins.
    """
    before, _here.exchange = current_exchange(), exchange
    try:
        yield
    finally:
        _here.exchange = before


@contextmanager
def ending_within(seconds: float) -> Iterator[None]:
    """
    Give all exchanges that this thread begins in the block one common deadline; a sooner deadline of their own stays.

    :param seconds: time from now until the deadline, in seconds.
    """
    before = getattr(_here, "until", math.inf)
    _here.until = min(before, time.monotonic() + seconds)
    try:
        yield
    finally:
        _here.until = before


def seconds_left() -> float:
    """Return the seconds until the deadline that :func:`ending_within` has set for this thread; infinity if none."""
    until: float = getattr(_here, "until", math.inf)
    return until - time.monotonic()
