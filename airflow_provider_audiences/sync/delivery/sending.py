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
from typing import Protocol

from airflow_provider_audiences.exceptions import AudienceApiError, TransientError
from airflow_provider_audiences.http.transport import GiveUp
from airflow_provider_audiences.redaction import MaskedBytes
from airflow_provider_audiences.stopping import LANDING_SECONDS, Stopped
from airflow_provider_audiences.sync.delivery.progress import Progress
from airflow_provider_audiences.sync.destination import UploadCounts
from airflow_provider_audiences.sync.plan import PhaseName

log = logging.getLogger(__name__)

# 1,000 IDs are 37 kB. A platform that gives up on so few has other troubles than the size, and cutting on would
# only turn one failure into thousands of requests.
_SPLIT_FLOOR = 1_000


class Upload(Protocol):
    """Sends one body to a destination."""

    def __call__(self, body: MaskedBytes, *, give_up: GiveUp) -> UploadCounts:
        """
        Send it.

        :param body: members, one a line.
        :param give_up: asked before the request is repeated, and while it waits for that.
        """


@dataclass(frozen=True, kw_only=True)
class Phase:
    """
    Rows of one set that go out by the same kind of request.

    :param name: whether they are added or removed.
    :param lines: makes a body, from the first row and the number of rows.
    :param ranges: which rows, as first rows and ends.
    :param upload: sends a body.
    :param replaces: whether a request replaces the whole content.
    """

    name: PhaseName
    lines: Callable[[int, int], bytes]
    ranges: Sequence[tuple[int, int]]
    upload: Upload
    replaces: bool = False


class Journal(Protocol):
    """Where it is written down what has landed."""

    def check(self) -> None:
        """
        Be called before each request, and each repetition. Any thread may.

        :raises AudienceBusyError: another one has taken over: nothing more is to be sent.
        """

    def delivered(self, phase: Phase, first: int, end: int, *, seconds: float, is_repeated: bool) -> None:
        """
        Be called after each body that was accepted, before the next one is sent. Any thread may.

        :param phase: that it belongs to.
        :param first: its first row.
        :param end: the row after its last.
        :param seconds: how long ago it was sent.
        :param is_repeated: whether it may have been sent more than once.
        """


class NoJournal:
    """For a set that nobody keeps a ledger of."""

    def check(self) -> None:
        """Nobody takes over."""

    def delivered(self, phase: Phase, first: int, end: int, *, seconds: float, is_repeated: bool) -> None:
        """Nothing is written down."""


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
    Sends phases, one after the other.

    :param progress: of all of them.
    :param journal: where it is written down what has landed.
    :param batch_size: members a request, at most.
    :param max_parallel_requests: requests at a time.
    """

    def __init__(self, progress: Progress, journal: Journal, *, batch_size: int, max_parallel_requests: int) -> None:
        self._progress = progress
        self._journal = journal
        self._parallel = max_parallel_requests
        self._size = batch_size
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self.is_repeated = False
        """Whether a request was, or may have been, sent more than once: the platform may carry it out again."""

    def send_first(self, phase: Phase) -> int:
        """
        Send the beginning of a phase, as much as goes into one request, alone.

        :param phase: of one range; if that is empty, there is one request as well.
        :return: the row after the last that was sent.
        :raises AudienceApiError: it failed for good.
        """
        ((first, end),) = phase.ranges
        sizes: list[int] = []

        def work() -> None:
            while not self._stop.is_set() and not sizes:
                size = self._send_some(phase, first, end)
                if size or first == end:
                    sizes.append(size)

        with self._stopping():
            self._in_threads(1, work)
        return first + sizes[0]

    def send(self, phase: Phase) -> None:
        """
        Send all of a phase; an exception that this thread gets meanwhile, such as a timeout, ends it at once.

        After a failure no request begins, and those in flight are waited for. After an exception from outside
        they are not: their threads end by themselves, without a repetition; but for :class:`Stopped`, which gives
        them a moment.

        :param phase: what to send.
        :raises AudienceApiError: the first request that failed for good.
        """
        ranges = _Ranges(phase.ranges)
        with self._stopping():
            threads = min(self._parallel, sum(-(-(end - first) // self._size) for first, end in phase.ranges))
            self._in_threads(threads, lambda: self._work(phase, ranges))

    @staticmethod
    def outwait_replacement(seconds: float, *, sleep: Callable[[float], None]) -> None:
        """
        Wait for a request that replaces the content and was sent more than once: were it carried out again, it would
        wipe out what comes after it.

        :param seconds: how long after it was sent a request may still take effect.
        :param sleep: waits.
        """
        log.warning("The request that replaces the content may have been sent twice: waiting %d s for it.", seconds)
        sleep(seconds)

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

    def _work(self, phase: Phase, ranges: _Ranges) -> None:
        while not self._stop.is_set():
            taken = ranges.take(self._size)
            if taken is None:
                return
            start, end = taken
            while start < end and not self._stop.is_set():
                start += self._send_some(phase, start, end)

    def _send_some(self, phase: Phase, start: int, end: int) -> int:
        """Send as many members as go into one request; return their number, 0 if they were too many."""
        size = min(self._size, end - start)
        body = MaskedBytes.of(phase.lines(start, size))
        size_bytes = len(body)
        if self._stop.is_set():
            return 0
        may_split = size > _SPLIT_FLOOR

        def give_up(error: TransientError | None) -> bool:
            is_split = may_split and error is not None and error.too_large == "likely"
            return is_split or self._stop.is_set() or self._is_overtaken()

        began = time.monotonic()
        self._journal.check()
        try:
            counts = phase.upload(body, give_up=give_up)
        except AudienceApiError as error:
            if error.maybe_applied:
                self._progress.doubt()
            if isinstance(error, TransientError):
                self._journal.check()  # to be overtaken weighs more
            if not may_split or error.too_large == "no" or self._stop.is_set():
                raise
            self._split(size, error)
            return 0
        is_repeated = counts.after_lost_try or self._progress.is_in_doubt
        self.is_repeated |= is_repeated
        seconds = time.monotonic() - began
        self._journal.delivered(phase, start, start + size, seconds=seconds, is_repeated=is_repeated)
        self._progress.add(size, size_bytes, counts)
        return size

    def _is_overtaken(self) -> bool:
        try:
            self._journal.check()
        except AudienceApiError:
            return True
        return False

    def _split(self, size: int, error: AudienceApiError) -> None:
        smaller = max(_SPLIT_FLOOR, -(-size // 2))
        with self._lock:
            self._size = smaller = min(self._size, smaller)
        self._progress.add_split()
        log.warning("A request of %d members failed, and is cut to %d from now on: %s", size, smaller, error)
        # Its traceback holds the body, in a circle that only the garbage collector would break.
        error.with_traceback(None)
