"""
Sending of sets: several requests in parallel, and smaller ones if the platform can't take large ones.

There is no queue. Each thread takes the next range of rows, makes its batch, sends it and drops it; so there are never
more batches than threads. If the platform gives up on a range because of its size, the range is halved, and that size
is the limit for all following requests.
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

from airflow_provider_audiences.exceptions import AudienceError, TransientError
from airflow_provider_audiences.http.calls import GiveUp
from airflow_provider_audiences.members.batches import MemberBatch
from airflow_provider_audiences.stopping import IN_FLIGHT_SECONDS, Stopped
from airflow_provider_audiences.sync.delivery.progress import Progress
from airflow_provider_audiences.sync.destination import BatchResult, Destination
from airflow_provider_audiences.sync.plan import PhaseName
from airflow_provider_audiences.wording import counted

log = logging.getLogger(__name__)


class Rows(Protocol):
    """Members in a fixed order."""

    def batch(self, first: int, count: int) -> MemberBatch:
        """
        Return some of the members. Several threads may call this at the same time.

        :param first: index of the first member, counted from 0.
        :param count: number of members; fewer are in the batch if the set ends before.
        """


@dataclass(frozen=True, kw_only=True)
class Phase:
    """
    A part of a sync: rows of one set that are sent by the same kind of request.

    :param name: name of the phase: ``additions`` or ``removals``.
    :param destination: audience that the rows are sent to.
    :param rows: set that the rows belong to.
    :param ranges: ranges of rows to send, each as its first row and the row after its last one.
    :param ttl_seconds: time that added members stay in the audience, in seconds; None for the platform's default.
    :param replaces: whether each request replaces the audience's whole content.
    """

    name: PhaseName
    destination: Destination
    rows: Rows
    ranges: Sequence[tuple[int, int]]
    ttl_seconds: int | None = None
    replaces: bool = False

    def send(self, batch: MemberBatch, *, give_up: GiveUp) -> BatchResult:
        """
        Send one batch.

        :param batch: some of the rows.
        :param give_up: returns whether not to repeat the request; called before each repetition and during the wait
            for it.
        """
        if self.name == "removals":
            return self.destination.remove(batch, give_up=give_up)
        put = self.destination.replace if self.replaces else self.destination.add
        return put(batch, ttl_seconds=self.ttl_seconds, give_up=give_up)


class Journal(Protocol):
    """Records which rows are delivered."""

    def check(self) -> None:
        """
        Raise an error if nothing more may be sent. Called before each request and repetition, from any thread.

        :raises AudienceBusyError: another sync has taken over.
        """

    def record_delivered(self, phase: Phase, first: int, end: int, *, seconds: float, is_repeated: bool) -> None:
        """
        Record delivered rows. Called after each accepted batch, before the next one is sent, from any thread.

        :param phase: the phase that the rows belong to.
        :param first: first row of the range.
        :param end: row after the last one of the range.
        :param seconds: seconds since the request was sent.
        :param is_repeated: whether the request may have been sent more than once.
        """


class NoJournal:
    """Records nothing: for an audience without a ledger."""

    def check(self) -> None:
        """Do nothing: nobody can take over."""

    def record_delivered(self, phase: Phase, first: int, end: int, *, seconds: float, is_repeated: bool) -> None:
        """Do nothing."""


class _GivesUp:
    """
    Decides whether to give up a request: not to repeat it after a failure, and to wait no longer for its repetition.

    :param journal: journal of the sync; nothing more is sent if another sync has taken over.
    :param stop: event that is set when no further request may begin.
    :param may_split: whether a smaller request may be sent instead, if this one was probably too large.
    """

    def __init__(self, journal: Journal, stop: threading.Event, *, may_split: bool) -> None:
        self._journal = journal
        self._stop = stop
        self._may_split = may_split

    def __call__(self, error: TransientError | None) -> bool:
        is_split = self._may_split and error is not None and error.too_large == "likely"
        return is_split or self._stop.is_set() or self._is_overtaken()

    def _is_overtaken(self) -> bool:
        try:
            self._journal.check()
        except AudienceError:
            return True
        return False


class _Ranges:
    """Hands out ranges of rows to threads, each row once."""

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

    :param progress: counts what is sent in all phases.
    :param journal: records which rows are delivered.
    :param batch_size: most members in a request.
    :param max_parallel_requests: most requests at the same time.
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
        """Whether a request may have been sent more than once, so that the platform may carry it out again later."""

    def send_first(self, phase: Phase) -> int:
        """
        Send one request with the beginning of a phase, and no other request meanwhile.

        :param phase: a phase of one range; even if it is empty, one request is sent.
        :return: the row after the last one sent.
        :raises AudienceError: the request failed, and was not or no longer repeated.
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
        Send all rows of a phase.

        After a failed request no further one begins, and those in flight are waited for. If this thread itself is
        interrupted, such as by a timeout, they are not waited for; for :class:`Stopped` they are, for at most 2
        seconds.

        :param phase: the phase to send.
        :raises AudienceError: a request failed, and was not or no longer repeated; of several the first one.
        """
        ranges = _Ranges(phase.ranges)
        with self._stopping():
            threads = min(self._parallel, sum(-(-(end - first) // self._size) for first, end in phase.ranges))
            self._in_threads(threads, lambda: self._work(phase, ranges))

    @staticmethod
    def wait_for_late_replacement(seconds: float, *, sleep: Callable[[float], None]) -> None:
        """
        Wait until a request that replaces the content, and may have been sent twice, can't take effect any more.

        If the platform carried it out again later, it would remove the members added after it.

        :param seconds: longest time after it was sent that a request may still take effect.
        :param sleep: sleeps for a number of seconds.
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
        # Daemon threads, as a request may take minutes: the task's end or timeout must not wait for them.
        # Each runs in a copy of the context, where Airflow keeps what it adds to log lines.
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
        # Not by join: if an exception ends a join, the thread counts as dead and can't be joined again (bpo-45274).
        try:
            for ended in all_ended:
                ended.wait()
        except Stopped:
            self._stop.set()
            until = time.monotonic() + IN_FLIGHT_SECONDS
            for ended in all_ended:
                ended.wait(max(0.0, until - time.monotonic()))
            raise
        for error in self._failures[1:]:
            # Only errors of this package are known to quote no members.
            reason = str(error) if isinstance(error, AudienceError) else type(error).__name__
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
            next_range = ranges.take(self._size)
            if next_range is None:
                return
            start, end = next_range
            while start < end and not self._stop.is_set():
                start += self._send_some(phase, start, end)

    def _send_some(self, phase: Phase, start: int, end: int) -> int:
        """Send one request; return the number of members in it, or 0 if they were too many."""
        size = min(self._size, end - start)
        batch = phase.rows.batch(start, size)
        if self._stop.is_set():
            return 0
        may_split = size > phase.destination.limits.min_split_size
        began = time.monotonic()
        self._journal.check()
        try:
            result = phase.send(batch, give_up=_GivesUp(self._journal, self._stop, may_split=may_split))
        except AudienceError as error:
            if error.maybe_applied:
                self._progress.mark_in_doubt()
            if isinstance(error, TransientError):
                self._journal.check()  # raises AudienceBusyError instead, if overtaken
            if not may_split or error.too_large == "no" or self._stop.is_set():
                raise
            self._split(size, error, min_size=phase.destination.limits.min_split_size)
            return 0
        is_repeated = result.after_lost_try or self._progress.is_in_doubt
        if is_repeated:
            self.is_repeated = True
        seconds = time.monotonic() - began
        self._journal.record_delivered(phase, start, start + size, seconds=seconds, is_repeated=is_repeated)
        self._progress.add(size, result, phase=phase.name)
        return size

    def _split(self, size: int, error: AudienceError, *, min_size: int) -> None:
        smaller = max(min_size, -(-size // 2))
        with self._lock:
            self._size = smaller = min(self._size, smaller)
        self._progress.add_split()
        log.warning(
            "A request of %s failed, and is cut to %s from now on: %s", counted(size, "member"), f"{smaller:,}", error
        )
        # Its traceback refers to the batch, in a cycle that would wait for the garbage collector.
        error.with_traceback(None)
