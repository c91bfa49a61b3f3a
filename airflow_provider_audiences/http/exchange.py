"""One request and its reply: how far they have come, and how long and how large they may become."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

MAX_REPLY_BYTES = 16 * 1024 * 1024
"""Of a reply's body, as it comes and unpacked. The largest that are known, lists of all audiences, have some 100 kB."""

_MAX_HEAD_BYTES = 1024 * 1024
"""Of all that comes before the body: interim replies, status line, headers."""


_SOON_SECONDS = 0.01
"""A wait for what was left may end this much too early."""


_LONGEST_SECONDS = 86_400.0
"""Sockets take no number of any size."""


class Ending(StrEnum):
    """Why an exchange was ended from this side."""

    DEADLINE = "deadline"
    SILENCE = "silence"
    TOO_LARGE = "too large"
    NO_THREAD = "no thread"


class Exchange:
    """
    A request under way. All of its waiting is done by one thread, in the socket, and never for longer than is left.

    :param deadline_seconds: for all of it: name, connection, TLS, sending, interim replies, headers and body.
    :param connect_timeout_seconds: for the name to be looked up, and for each of its addresses to answer.
    :param silence_seconds: for the next bytes to come, or to go.
    :param max_bytes: of the reply's body as it comes.
    :param clock: monotonic seconds.
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
        """Whether what is sent now is for a proxy, and no part of the request."""
        self.received_bytes = 0
        self.interim_replies = 0
        self.status: int | None = None
        """Of the reply, once its headers are there."""
        self.ending: Ending | None = None

    def patience(self, most_seconds: float | None = None) -> float:
        """
        Return how long the next wait may last.

        :param most_seconds: at most; by default, the silence that is borne.
        :raises TimeoutError: nothing is left.
        """
        left = self._until - self._clock()
        if left <= 0:
            self.ending = Ending.DEADLINE
            raise TimeoutError
        return min(left, self.silence_seconds if most_seconds is None else most_seconds, _LONGEST_SECONDS)

    def waited_in_vain(self) -> None:
        """Note that a wait has ended without anything."""
        self.ending = Ending.DEADLINE if self._until - self._clock() < _SOON_SECONDS else Ending.SILENCE

    def received(self, count: int) -> None:
        """
        Count what has come.

        :param count: bytes.
        :raises OSError: it is too much, or comes too slowly.
        """
        self.received_bytes += count
        if self.received_bytes > self._most:
            self.ending = Ending.TOO_LARGE
            raise OSError
        if self._least_bytes and count:
            self._keep_pace(count)

    def head_ended(self, status: int) -> None:
        """
        Note that the headers are there.

        :param status: of the reply.
        """
        self.status = status
        self._most = _MAX_HEAD_BYTES + self._max_bytes

    def body_may_last(self, *, least_bytes: int) -> None:
        """
        Let the body be as large as it is, and take as long as it takes, if it comes with some speed.

        :param least_bytes: that come in as long as a silence is borne; fewer are as good as none.
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
        """Return what has come, for messages."""
        if not self.has_begun:
            return "the connection was not made"
        if not self.received_bytes:
            return "nothing of a reply had come"
        interim = f", {self.interim_replies} interim replies among them" if self.interim_replies else ""
        return f"{self.received_bytes} bytes of a reply had come{interim}"


_here = threading.local()


def current_exchange() -> Exchange | None:
    """Return this thread's exchange."""
    exchange: Exchange | None = getattr(_here, "exchange", None)
    return exchange


@contextmanager
def under_way(exchange: Exchange) -> Iterator[None]:
    """
    Make it this thread's exchange: the connections below ask for it.

    :param exchange: the exchange.
    """
    before, _here.exchange = current_exchange(), exchange
    try:
        yield
    finally:
        _here.exchange = before


@contextmanager
def ending_within(seconds: float) -> Iterator[None]:
    """
    End all exchanges of this thread that begin in the block by one moment, whatever their own deadlines.

    :param seconds: from now.
    """
    before = getattr(_here, "until", math.inf)
    _here.until = min(before, time.monotonic() + seconds)
    try:
        yield
    finally:
        _here.until = before


def seconds_left() -> float:
    """Return the seconds until what :func:`ending_within` gave to this thread; infinity without."""
    until: float = getattr(_here, "until", math.inf)
    return until - time.monotonic()
