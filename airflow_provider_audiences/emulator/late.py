"""Requests that wait before they are worked on, and requests that take effect some real time after their reply."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any


class LateCalls:
    """Calls that take effect later. Use it on the event loop only."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.TimerHandle] = set()
        self._running: set[asyncio.Future[Any]] = set()

    def start(self, action: Callable[[], Awaitable[Any]], *, delay_seconds: float) -> None:
        """
        Call a function after a delay.

        :param action: function to call.
        :param delay_seconds: real seconds until then.
        """

        def run() -> None:
            self._waiting.discard(handle)
            running = asyncio.ensure_future(action())
            self._running.add(running)
            running.add_done_callback(self._running.discard)

        handle = asyncio.get_running_loop().call_later(delay_seconds, run)
        self._waiting.add(handle)

    async def cancel(self) -> None:
        """Drop the calls that still wait, and wait for those that are running."""
        for handle in self._waiting:
            handle.cancel()
        self._waiting.clear()
        await asyncio.gather(*self._running, return_exceptions=True)


class Traffic:
    """
    The requests between their arrival and their reply. Use it on the event loop only.

    A reset ends the requests that wait, and waits for those that are being worked on, so that nothing of one test
    reaches the next.
    """

    def __init__(self) -> None:
        self._era = asyncio.Event()
        self._active_count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def era(self) -> asyncio.Event:
        """Return the token for requests that arrive now; the next reset sets it."""
        return self._era

    async def wait(self, seconds: float, *, era: asyncio.Event) -> bool:
        """
        Wait, and return whether the request may go on; False after a reset.

        :param seconds: real seconds to wait.
        :param era: token of the request.
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
        """End the requests that wait, and wait for those that are being worked on."""
        self._era.set()
        self._era = asyncio.Event()
        await self._idle.wait()
