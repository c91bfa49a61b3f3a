"""
One client for all who wait at the same connection in the same event loop: one pool of connections, a few threads.

The threads are its own: those of the loop belong to all triggers of the triggerer, and a platform that is slow must
not keep them all. Who waits for a turn within the account's rate waits in the loop, not in a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.sdk import AirflowNotFoundException
from asgiref.sync import sync_to_async

from airflow_provider_audiences.exceptions import AudienceApiError, ConnectionFailedError
from airflow_provider_audiences.waiting.looks import LookUnderWay

if TYPE_CHECKING:
    from airflow_provider_audiences.common.connections import ConnectionLike
    from airflow_provider_audiences.http.rate_limiter import RateLimiter
    from airflow_provider_audiences.http.transport import ApiClient
    from airflow_provider_audiences.waiting.looks import Bill, Request

T = TypeVar("T")
OpenClient = Callable[["ConnectionLike"], "ApiClient"]

MAX_THREADS = 16
"""Requests under way at once; the client's pool keeps as many connections."""

_FIELDS = ("conn_id", "conn_type", "host", "port", "schema", "login", "password", "extra")


def fingerprint(connection: ConnectionLike) -> str:
    """
    Return a digest of all that a connection says; a changed connection has another.

    :param connection: the Airflow connection.
    """
    # Not extra_dejson, which tells Airflow's supervisor what to mask, and waits for it.
    values = [repr(getattr(connection, name, None)) for name in _FIELDS]
    return hashlib.sha256("\n".join(values).encode()).hexdigest()


@contextmanager
def fetching() -> Iterator[None]:
    """
    Fetch an Airflow connection in the block: what fails for a moment there is a failed look, and no end of a wait.

    :raises ConnectionFailedError: Airflow could not tell whether there is a connection, or what it says.
    """
    try:
        yield
    except (AudienceApiError, AirflowNotFoundException):
        raise
    except Exception as error:
        # Its text may be of anything, such as an address with a token in it.
        raise ConnectionFailedError(
            f"the Airflow connection could not be fetched: {type(error).__name__}",
            advice="Check that Airflow's API server, and its secrets backend if it has one, are reached from here.",
        ) from error


class SharedClient:
    """
    A client and its threads. Belongs to one event loop.

    :param connection: what to open the client for.
    :param open_client: opens it; it blocks.
    """

    def __init__(self, connection: ConnectionLike, open_client: OpenClient) -> None:
        self.users = 0
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="audiences")
        self._slots = asyncio.Semaphore(MAX_THREADS)
        self._gate = asyncio.Lock()
        self.opening = asyncio.ensure_future(_in_thread(partial(open_client, connection), self._threads))

    async def client(self) -> ApiClient:
        """Return the client, once it is open."""
        # One user's cancellation must not end the opening that others wait for.
        return await asyncio.shield(self.opening)

    async def look(self, steps: Generator[Request, Any, T], bill: Bill) -> T:
        """
        Look once, with each request in its turn.

        :param steps: the look, with the client of this.
        :param bill: counts its requests.
        """
        look = LookUnderWay(steps, bill)
        while look.request is not None:
            try:
                answer = await self.ask(look.request.send)
            except AudienceApiError as error:
                look.failed(error)
            else:
                look.answered(answer)
        return look.result()

    async def ask(self, send: Callable[[], T]) -> T:
        """
        Send a request in its turn.

        :param send: sends it, with the client of this; it blocks.
        :return: what it returned.
        """
        limiter: RateLimiter | None = getattr(await self.client(), "limiter", None)
        async with self._slots:
            if limiter is None:
                return await _in_thread(send, self._threads)
            # A turn is taken only when its request can go at once, and when the one before it has gone: so what comes
            # late, on a machine that is busy, does not come in a burst.
            began = asyncio.Event()
            step = partial(
                _send_in_turn, limiter, send, partial(asyncio.get_running_loop().call_soon_threadsafe, began.set)
            )
            async with self._gate:
                await asyncio.sleep(limiter.reserve())
                sending = asyncio.ensure_future(_in_thread(step, self._threads))
                try:
                    await began.wait()
                except asyncio.CancelledError:
                    sending.cancel()
                    raise
            return await sending

    def close(self) -> None:
        """Close the client, as soon as it is open, and let the threads end."""
        if self.opening.done():
            self._close_opened(self.opening)
        else:
            self.opening.add_done_callback(self._close_opened)

    def _close_opened(self, opening: asyncio.Future[ApiClient]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            opening.result().close()
        self._threads.shutdown(wait=False)


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[OpenClient, str], SharedClient]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_client(connection: ConnectionLike, open_client: OpenClient) -> AsyncIterator[tuple[Any, SharedClient]]:
    """
    Lend the client of a connection: opened for the first who asks, closed after the last.

    :param connection: the Airflow connection.
    :param open_client: opens a client; the same function for all who shall share it.
    """
    # All of this runs in the loop's thread, so that no lock is needed.
    clients = _shared.setdefault(asyncio.get_running_loop(), {})
    key = (open_client, fingerprint(connection))
    shared = clients.get(key)
    if shared is None:
        shared = clients[key] = SharedClient(connection, open_client)
    shared.users += 1
    try:
        yield await shared.client(), shared
    finally:
        shared.users -= 1
        if not shared.users:
            del clients[key]
            shared.close()


def _send_in_turn(limiter: RateLimiter, send: Callable[[], T], tell_begun: Callable[[], object]) -> T:
    tell_begun()
    with limiter.turn_taken():
        return send()


async def _in_thread(step: Callable[[], T], threads: ThreadPoolExecutor) -> T:
    """
    Run what blocks in a thread.

    Not ``asyncio.to_thread``: from its threads Airflow before 3.2 can't mask a secret, which is a message to the
    triggerer's supervisor that has to be sent from this loop.
    """
    return await sync_to_async(step, thread_sensitive=False, executor=threads)()
