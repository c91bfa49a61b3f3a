"""
One client for all who wait at the same connection in the same event loop: one pool of connections, a few threads.

The threads are its own: those of the loop belong to all triggers of the triggerer, and a platform that is slow must
not keep them all. Who waits for a turn within the account's rate waits in the loop, not in a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_audiences.exceptions import AudienceApiError, ConnectionFailedError
from airflow_provider_audiences.http.exchange import ending_within
from airflow_provider_audiences.triggers.lanes import Lanes, Pace, Place
from airflow_provider_audiences.waiting.looks import LookUnderWay

if TYPE_CHECKING:
    from airflow_provider_audiences.common.connections import ConnectionLike
    from airflow_provider_audiences.http.rate_limiter import RateLimiter
    from airflow_provider_audiences.http.transport import ApiClient
    from airflow_provider_audiences.waiting.looks import Bill, Request

T = TypeVar("T")
OpenClient = Callable[["ConnectionLike"], "ApiClient"]

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
        self._lanes = Lanes()
        self._gate = asyncio.Lock()
        self.opening = asyncio.ensure_future(self._lanes.run(partial(open_client, connection)))

    async def client(self) -> ApiClient:
        """Return the client, once it is open."""
        # One user's cancellation must not end the opening that others wait for.
        return await asyncio.shield(self.opening)

    async def look(
        self,
        steps: Generator[Request, Any, T],
        bill: Bill,
        *,
        pace: Pace,
        seconds: float = math.inf,
    ) -> T:
        """
        Look once, with each request in its turn.

        :param steps: the look, with the client of this.
        :param bill: counts its requests.
        :param pace: of who looks; the same from look to look.
        :param seconds: its requests end by then, with an error if they have to.
        """
        look = LookUnderWay(steps, bill)
        until = time.monotonic() + seconds
        while look.request is not None:
            asked = _Asked(look.request.send, until)
            try:
                answer = await self._ask(asked, pace)
            except AudienceApiError as error:
                look.failed(error)
            except asyncio.CancelledError:
                if asked.has_begun:  # and may go on without us
                    bill.add(look.request, ConnectionFailedError("nobody waited for the reply", maybe_applied=True))
                raise
            else:
                look.answered(answer)
        return look.result()

    async def _ask(self, asked: _Asked[T], pace: Pace) -> T:
        limiter: RateLimiter | None = getattr(await self.client(), "limiter", None)
        place = await self._lanes.place(pace)
        try:
            if limiter is None:
                sending = place.use(asked)
            else:
                sending = await self._begin_in_turn(asked, place, limiter)
        except BaseException:
            place.give_back()
            raise
        # Who is cancelled does not wait for the thread; the place does.
        return await asyncio.shield(sending)

    async def _begin_in_turn(self, asked: _Asked[T], place: Place, limiter: RateLimiter) -> asyncio.Future[T]:
        # A turn is taken only when its request can go at once, and when the one before it has gone: so what comes
        # late, on a machine that is busy, does not come in a burst.
        began = asyncio.Event()
        tell_begun = partial(asyncio.get_running_loop().call_soon_threadsafe, began.set)
        async with self._gate:
            await asyncio.sleep(limiter.reserve())
            sending = place.use(partial(_send_in_turn, limiter, asked, tell_begun))
            await began.wait()
        return sending

    def close(self) -> None:
        """Close the client, as soon as it is open, and let the threads end."""
        if self.opening.done():
            self._close_opened(self.opening)
        else:
            self.opening.add_done_callback(self._close_opened)

    def _close_opened(self, opening: asyncio.Future[ApiClient]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            opening.result().close()
        self._lanes.close()


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


class _Asked(Generic[T]):
    """A request of a look, and how long it may take."""

    def __init__(self, send: Callable[[], T], until: float) -> None:
        self._send = send
        self._until = until
        self.has_begun = False

    def __call__(self) -> T:
        self.has_begun = True
        with ending_within(self._until - time.monotonic()):
            return self._send()


def _send_in_turn(limiter: RateLimiter, send: Callable[[], T], tell_begun: Callable[[], object]) -> T:
    tell_begun()
    with limiter.turn_taken():
        return send()
