"""
How sets go out: several requests at a time, and smaller ones where the platform gives up.

There is no queue. Each thread takes the next range of the set, has its body made, sends it and forgets it, so
there are never more bodies than threads. A range that the platform doesn't take at one size is cut in half, and
that size is the limit for all that follow: the rest of the run does not find it out again.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from airflow_provider_audiences.exceptions import AudienceApiError, TransientError
from airflow_provider_audiences.http.transport import GiveUp
from airflow_provider_audiences.platforms.applovin.client import UploadCounts
from airflow_provider_audiences.redaction import MaskedBytes
from airflow_provider_audiences.stopping import LANDING_SECONDS, Stopped

log = logging.getLogger(__name__)

Send = Callable[[MaskedBytes, GiveUp], UploadCounts]
"""Sends one body; asks the second argument before it repeats a request."""

Landed = Callable[[int, int, float, bool], None]
"""Told the first row of a body, the row after its last, how many seconds ago it was sent, and if more than once."""

OnProgress = Callable[[int, int], None]
"""Told how many IDs have landed, of how many; from whichever thread it happens in."""

_PROGRESS_INTERVAL_SECONDS = 5.0
# 1,000 IDs are 37 kB. A platform that gives up on so few has other troubles than the size, and cutting on would
# only turn one failure into thousands of requests.
_SPLIT_FLOOR = 1_000


class Tally:
    """
    What has landed so far, added up by all threads, and a line about it every few seconds.

    Sums only: they don't depend on the order in which requests end.

    :param members: IDs to send.
    :param on_progress: told as often as the log, and at the end.
    """

    def __init__(self, members: int, *, on_progress: OnProgress | None = None) -> None:
        self.members = members
        self._on_progress = on_progress
        self.batches = self.sent = self.accepted = self.rejected = self.miscounted = self.splits = 0
        self.is_in_doubt = False
        """Whether a request failed that the platform may have carried out."""
        self._lock = threading.Lock()
        self._started = self._said = time.monotonic()

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def _rate(self) -> float:
        return self.sent / max(self.elapsed_seconds, 1e-3)

    def add(self, ids: int, counts: UploadCounts) -> None:
        """
        Count a body that was accepted.

        :param ids: in it.
        :param counts: what the platform made of them.
        """
        is_miscounted = counts.valid + counts.invalid != ids
        with self._lock:
            self.batches += 1
            self.sent += ids
            self.accepted += counts.valid
            self.rejected += counts.invalid
            self.miscounted += is_miscounted
            is_first_miscounted = is_miscounted and self.miscounted == 1
            line = self._progress_line()
        if is_first_miscounted:
            log.warning(
                "A batch has %d IDs; AppLovin counted %d valid and %d invalid. Further ones are summed up at the end.",
                ids, counts.valid, counts.invalid,
            )  # fmt: skip
        if line:
            log.info("%s", line)
            self.tell()

    def tell(self) -> None:
        """Tell who wants to know how far it is."""
        if self._on_progress:
            self._on_progress(self.sent, self.members)

    def add_split(self) -> None:
        """Count a body that was too large."""
        with self._lock:
            self.splits += 1

    def doubt(self) -> None:
        """Note that the platform may have carried out a request that failed."""
        self.is_in_doubt = True

    def _progress_line(self) -> str | None:
        if self.sent >= self.members or time.monotonic() - self._said < _PROGRESS_INTERVAL_SECONDS:
            return None
        self._said = time.monotonic()
        percent = 100 * self.sent // self.members
        rate = self._rate
        seconds_left = (self.members - self.sent) / rate
        return (
            f"Sent {self.sent:,} of {self.members:,} IDs ({percent}%), "
            f"{rate:,.0f} a second, about {seconds_left:,.0f} s to go."
        )

    def say_totals(self) -> None:
        """Log what it came to, and what is odd about it."""
        self.tell()
        log.info(
            "Sent %s IDs in %s batches in %.1f s (%s a second): %s accepted, %s rejected.",
            f"{self.sent:,}", f"{self.batches:,}", self.elapsed_seconds, f"{self._rate:,.0f}",
            f"{self.accepted:,}", f"{self.rejected:,}",
        )  # fmt: skip
        if self.miscounted:
            log.warning(
                "AppLovin counted other numbers than were sent in %d of %d batches: %d IDs were sent, and it counted "
                "%d valid and %d invalid.",
                self.miscounted, self.batches, self.sent, self.accepted, self.rejected,
            )  # fmt: skip
        if self.rejected:
            log.warning(
                "AppLovin rejected %d of %d IDs although they are well formed: is the audience's platform that of "
                "the IDs?",
                self.rejected, self.sent,
            )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Leg:
    """
    Rows that are sent the same way.

    :param lines: makes a body, from the first row and the number of rows.
    :param ranges: which rows, as first rows and ends.
    :param send: sends a body.
    :param landed: told of each body that was accepted, before the next one is sent; from any thread.
    """

    lines: Callable[[int, int], bytes]
    ranges: Sequence[tuple[int, int]]
    send: Send
    landed: Landed | None = None

    @property
    def rows(self) -> int:
        """How many."""
        return sum(end - first for first, end in self.ranges)


class _Ranges:
    """Hands out ranges, and each row once."""

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._waiting = [(first, end) for first, end in reversed(ranges) if first < end]
        self._lock = threading.Lock()

    def take(self, size: int) -> tuple[int, int] | None:
        with self._lock:
            if not self._waiting:
                return None
            first, end = self._waiting.pop()
            if end - first > size:
                self._waiting.append((first + size, end))
            return first, min(end, first + size)


class Sender:
    """
    Sends legs, one after the other.

    :param tally: of all of them.
    :param batch_size: IDs a request, at most.
    :param max_parallel_requests: requests at a time.
    """

    def __init__(self, tally: Tally, *, batch_size: int, max_parallel_requests: int) -> None:
        self.tally = tally
        self._parallel = max_parallel_requests
        self._size = batch_size
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._failures: list[BaseException] = []

    def send_first(self, leg: Leg) -> int:
        """
        Send the beginning of a leg, as much as goes into one request, alone.

        :param leg: of one range; if that is empty, there is one request as well.
        :return: the row after the last that was sent.
        :raises AudienceApiError: it failed for good.
        """
        ((first, end),) = leg.ranges
        sizes: list[int] = []

        def work() -> None:
            while not self._stop.is_set() and not sizes:
                size = self._send_some(leg, first, end)
                if size or first == end:
                    sizes.append(size)

        with self._stopping():
            self._in_threads(1, work)
        return first + sizes[0]

    def send(self, leg: Leg) -> None:
        """
        Send all of a leg; an exception that this thread gets meanwhile, such as a timeout, ends it at once.

        After a failure no request begins, and those in flight are waited for. After an exception from outside
        they are not: their threads end by themselves, without a repetition; but for :class:`Stopped`, which gives
        them a moment.

        :param leg: what to send.
        :raises AudienceApiError: the first request that failed for good.
        """
        ranges = _Ranges(leg.ranges)
        with self._stopping():
            threads = min(self._parallel, sum(-(-(end - first) // self._size) for first, end in leg.ranges))
            self._in_threads(threads, lambda: self._work(leg, ranges))

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._stop.set()
            raise

    def _in_threads(self, count: int, work: Callable[[], None]) -> None:
        # Daemons, since a request may take minutes: neither a timeout of the task nor its end waits for them.
        # Each in a copy of the context, where Airflow keeps what it adds to each line of the log.
        all_ended = [threading.Event() for _ in range(count)]
        threads = [
            threading.Thread(
                target=contextvars.copy_context().run,
                args=(self._work_in_thread, work, ended),
                name=f"audiences-sender-{number}",
                daemon=True,
            )
            for number, ended in enumerate(all_ended)
        ]
        for thread in threads:
            thread.start()
        # Not by join: one that an exception ends takes the thread for dead (bpo-45274), and can't be called again.
        try:
            for ended in all_ended:
                ended.wait()
        except Stopped:
            self._stop.set()
            until = time.monotonic() + LANDING_SECONDS
            for ended in all_ended:
                ended.wait(max(0.0, until - time.monotonic()))
            raise
        for error in self._failures[1:]:
            # Only our own errors are known to quote no member.
            reason = str(error) if isinstance(error, AudienceApiError) else type(error).__name__
            log.warning("A request that was in flight failed as well: %s", reason)
        if self._failures:
            raise self._failures[0]

    def _work_in_thread(self, work: Callable[[], None], ended: threading.Event) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
            with self._lock:
                self._failures.append(error)
            self._stop.set()
        finally:
            ended.set()

    def _work(self, leg: Leg, ranges: _Ranges) -> None:
        while not self._stop.is_set():
            taken = ranges.take(self._size)
            if taken is None:
                return
            start, end = taken
            while start < end and not self._stop.is_set():
                start += self._send_some(leg, start, end)

    def _send_some(self, leg: Leg, start: int, end: int) -> int:
        """Send as many IDs as go into one request; return their number, 0 if they were too many."""
        size = min(self._size, end - start)
        body = MaskedBytes.of(leg.lines(start, size))
        if self._stop.is_set():
            return 0
        may_split = size > _SPLIT_FLOOR

        def give_up(error: TransientError) -> bool:
            return self._stop.is_set() or (may_split and error.too_large == "likely")

        began = time.monotonic()
        try:
            counts = leg.send(body, give_up)
        except AudienceApiError as error:
            if error.maybe_applied:
                self.tally.doubt()
            if not may_split or error.too_large == "no" or self._stop.is_set():
                raise
            self._split(size, error)
            return 0
        if leg.landed:
            is_repeated = counts.after_lost_try or self.tally.is_in_doubt
            leg.landed(start, start + size, time.monotonic() - began, is_repeated)
        self.tally.add(size, counts)
        return size

    def _split(self, size: int, error: AudienceApiError) -> None:
        smaller = max(_SPLIT_FLOOR, -(-size // 2))
        with self._lock:
            self._size = smaller = min(self._size, smaller)
        self.tally.add_split()
        log.warning("A request of %d IDs failed, and is cut to %d IDs from now on: %s", size, smaller, error)
        # Its traceback holds the body, in a circle that only the garbage collector would break.
        error.with_traceback(None)
