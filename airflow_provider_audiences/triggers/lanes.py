"""
Threads for the requests of one connection, so that slow replies don't hold up quick ones.

There are two lanes, each with room for a bounded number of requests. A waiter whose last reply was quick uses the quick
lane; one whose last reply was slow uses the slow lane. If a request in the quick lane turns out to be slow, it leaves
the lane while it is still running, and another request starts in its place. The number of such requests is bounded too,
so the number of threads is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from asgiref.sync import sync_to_async

T = TypeVar("T")

MAX_QUICK = 16
"""Most requests in the quick lane."""

MAX_SLOW = 16
"""Most requests in the slow lane."""

MAX_TAKEN_OUT = 96
"""Most requests that have left the quick lane and are still running."""

SLOW_SECONDS = 1.0
"""A reply that takes longer is slow."""


class Pace:
    """Whether the last reply to one waiter was slow. Each waiter has one, and keeps it from poll to poll."""

    def __init__(self) -> None:
        self.is_slow = False


class Lanes:
    """The quick lane and the slow lane of a connection, and their threads. Belongs to one event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MAX_QUICK + MAX_SLOW + MAX_TAKEN_OUT, thread_name_prefix="audiences")
        self._quick = asyncio.Semaphore(MAX_QUICK)
        self._slow = asyncio.Semaphore(MAX_SLOW)
        self.taken_out = 0

    async def place(self, pace: Pace) -> Place:
        """
        Wait for a place in a lane. The caller must use it once, or give it back.

        :param pace: pace of the waiter; decides which lane.
        """
        line = self._slow if pace.is_slow else self._quick
        await line.acquire()
        return Place(self, line, pace, may_be_taken_out=line is self._quick)

    async def run(self, step: Callable[[], T]) -> T:
        """
        Run a blocking function in one of these threads, and return its result.

        ``asyncio.to_thread`` won't do: before Airflow 3.2, its threads can't mask a secret, because masking sends a
        message to the triggerer's supervisor, which has to leave from this loop.

        :param step: function that blocks.
        """
        return await sync_to_async(step, thread_sensitive=False, executor=self._threads)()

    def close(self) -> None:
        """Let the threads end once their requests have."""
        self._threads.shutdown(wait=False)


class Place:
    """
    The right to send one request.

    :param lanes: lanes of the connection.
    :param line: lane whose place this is.
    :param pace: pace of the waiter, which is set when the reply is there.
    :param may_be_taken_out: whether a slow request leaves the lane while it is running, as in the quick lane.
    """

    def __init__(self, lanes: Lanes, line: asyncio.Semaphore, pace: Pace, *, may_be_taken_out: bool) -> None:
        self._lanes = lanes
        self._line: asyncio.Semaphore | None = line
        self._pace = pace
        self._may_be_taken_out = may_be_taken_out
        self._is_taken_out = False
        self._loop = asyncio.get_running_loop()

    def give_back(self) -> None:
        """Free the place for the next request."""
        if self._line is not None:
            self._line.release()
            self._line = None

    def use(self, step: Callable[[], T]) -> asyncio.Future[T]:
        """
        Start the request. It keeps its place until its thread has ended, even if the caller has stopped waiting.

        :param step: function that sends the request, and blocks.
        :return: future of the function's result.
        """
        running = asyncio.ensure_future(self._lanes.run(step))
        timer = self._loop.call_later(SLOW_SECONDS, self._become_slow)

        def end(ended: asyncio.Future[T]) -> None:
            timer.cancel()
            self._pace.is_slow = self._loop.time() >= timer.when()
            self.give_back()
            self._lanes.taken_out -= self._is_taken_out
            if not ended.cancelled():
                ended.exception()  # retrieved, since the caller may have stopped waiting

        running.add_done_callback(end)
        return running

    def _become_slow(self) -> None:
        if self._may_be_taken_out and self._lanes.taken_out < MAX_TAKEN_OUT:
            self._is_taken_out = True
            self._lanes.taken_out += 1
            self.give_back()
