"""Requests that wait, and requests that take effect some real time after their answer."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any


class LateCalls:
    """Calls that wait for their moment. Belongs to the event loop."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.TimerHandle] = set()
        self._running: set[asyncio.Future[Any]] = set()

    def start(self, action: Callable[[], Awaitable[Any]], *, delay_seconds: float) -> None:
        """
        :param action: what to do
        :param delay_seconds: real seconds until then
        """

        def run() -> None:
            self._waiting.discard(handle)
            running = asyncio.ensure_future(action())
            self._running.add(running)
            running.add_done_callback(self._running.discard)

        handle = asyncio.get_running_loop().call_later(delay_seconds, run)
        self._waiting.add(handle)

    async def cancel(self) -> None:
        """Drop those that wait, and let those that run come to their end."""
        for handle in self._waiting:
            handle.cancel()
        self._waiting.clear()
        await asyncio.gather(*self._running, return_exceptions=True)


class Traffic:
    """
    The requests between their arrival and their reply. Belongs to the event loop.

    Lets a reset end those that wait and outwait those that are worked on, so that nothing of one test
    reaches the next.
    """

    def __init__(self) -> None:
        self._era = asyncio.Event()
        self._active_count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def era(self) -> asyncio.Event:
        """:return: a token for requests that arrive now, set by the next reset"""
        return self._era

    async def wait(self, seconds: float, *, era: asyncio.Event) -> bool:
        """
        :param seconds: real seconds to wait
        :param era: token of the request
        :return: whether the request may go on; False when a reset came in between
        """
        if seconds > 0 and not era.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(era.wait(), seconds)
        return not era.is_set()

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Mark a request as being worked on."""
        self._active_count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._active_count -= 1
            if not self._active_count:
                self._idle.set()

    async def stop(self) -> None:
        """End the requests that wait, and let those that are worked on come to their end."""
        self._era.set()
        self._era = asyncio.Event()
        await self._idle.wait()
