"""
Threads for requests of one connection: a server that is slow for some must not keep the others waiting.

Who waits for a reply for longer than a moment is taken out of the line, and another request begins in its place; and
who had to wait the last time stands in a line of its own. So those that are answered at once never stand behind those
that are not, and the threads are bounded all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from asgiref.sync import sync_to_async

T = TypeVar("T")

MAX_QUICK = 16
"""Requests under way at once of those who were answered at once the last time."""

MAX_SLOW = 16
"""And of those who were not."""

MAX_TAKEN_OUT = 96
"""Requests that have given up their place, and are still under way."""

SLOW_SECONDS = 1.0
"""A reply that takes longer is slow."""


class Pace:
    """How long one who waits had to wait for the last reply."""

    def __init__(self) -> None:
        self.is_slow = False


class Lanes:
    """Both lines, and their threads. Belongs to one event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MAX_QUICK + MAX_SLOW + MAX_TAKEN_OUT, thread_name_prefix="audiences")
        self._quick = asyncio.Semaphore(MAX_QUICK)
        self._slow = asyncio.Semaphore(MAX_SLOW)
        self.taken_out = 0

    async def place(self, pace: Pace) -> Place:
        """
        Wait for a place; its owner uses it once, or gives it back.

        :param pace: of who asks.
        """
        line = self._slow if pace.is_slow else self._quick
        await line.acquire()
        return Place(self, line, pace, may_be_taken_out=line is self._quick)

    async def run(self, step: Callable[[], T]) -> T:
        """
        Run what blocks in a thread of these.

        Not ``asyncio.to_thread``: from its threads Airflow before 3.2 can't mask a secret, which is a message to the
        triggerer's supervisor that has to be sent from this loop.

        :param step: what blocks.
        """
        return await sync_to_async(step, thread_sensitive=False, executor=self._threads)()

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)


class Place:
    """
    The right to one request.

    :param lanes: of the connection.
    :param line: in which it stands.
    :param pace: of who asks.
    :param may_be_taken_out: whether the line goes on without it when it is slow.
    """

    def __init__(self, lanes: Lanes, line: asyncio.Semaphore, pace: Pace, *, may_be_taken_out: bool) -> None:
        self._lanes = lanes
        self._line: asyncio.Semaphore | None = line
        self._pace = pace
        self._may_be_taken_out = may_be_taken_out
        self._is_taken_out = False
        self._loop = asyncio.get_running_loop()

    def give_back(self) -> None:
        """Let the next one go."""
        if self._line is not None:
            self._line.release()
            self._line = None

    def use(self, step: Callable[[], T]) -> asyncio.Future[T]:
        """
        Begin the request. The place is taken until its thread has ended, whether anybody still waits for it or not.

        :param step: sends it; it blocks.
        """
        running = asyncio.ensure_future(self._lanes.run(step))
        timer = self._loop.call_later(SLOW_SECONDS, self._become_slow)

        def end(ended: asyncio.Future[T]) -> None:
            timer.cancel()
            self._pace.is_slow = self._loop.time() >= timer.when()
            self.give_back()
            self._lanes.taken_out -= self._is_taken_out
            if not ended.cancelled():
                ended.exception()  # asked for, as nobody may wait any more who would

        running.add_done_callback(end)
        return running

    def _become_slow(self) -> None:
        if self._may_be_taken_out and self._lanes.taken_out < MAX_TAKEN_OUT:
            self._is_taken_out = True
            self._lanes.taken_out += 1
            self.give_back()
