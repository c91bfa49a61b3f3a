"""
One client for all waits with the same connection in one event loop: one pool of HTTP connections, and a few threads.

The threads are the client's own. Those of the loop belong to all triggers of the triggerer, and a platform that is slow
must not use them all up. A wait whose request is not yet allowed by the account's rate limit waits in the loop, not in
a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_audiences.exceptions import AudienceError, ConnectionFailedError
from airflow_provider_audiences.http.exchange import ending_within
from airflow_provider_audiences.triggers.lanes import Lanes, Pace, Place
from airflow_provider_audiences.waiting.polls import Request
from airflow_provider_audiences.waiting.wait import Connected, Pause, carried_out_async

if TYPE_CHECKING:
    from airflow_provider_audiences.common.connections import ConnectionLike
    from airflow_provider_audiences.http.api_client import ApiClient
    from airflow_provider_audiences.http.rate_limiter import RateLimiter
    from airflow_provider_audiences.waiting.outcomes import WaitOutcome
    from airflow_provider_audiences.waiting.wait import Step, Wait

T = TypeVar("T")

_RELEASE_SECONDS = 0.5
"""How long a step's own error may come after its time is over; then nobody waits for it."""

_FIELDS = ("conn_id", "conn_type", "host", "port", "schema", "login", "password", "extra")


class ClientHook(Protocol):
    """The part of a platform's hook that waits need."""

    @classmethod
    def client_of(cls, connection: ConnectionLike, *, max_retries: int | None = None) -> ApiClient:
        """Open a client. Blocks."""

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        """Fetch an Airflow connection. Blocks."""


HookClass = Callable[[], type[ClientHook]]
"""Returns a platform's hook, which takes its time to be imported; the same function for all who share a client."""


def open_client(hook_class: HookClass, connection: ConnectionLike) -> ApiClient:
    """
    Open a client that never repeats a request: the next poll is the repetition.

    :param hook_class: function that imports and returns the platform's hook class.
    :param connection: the Airflow connection.
    """
    return hook_class().client_of(connection, max_retries=0)


def connection_digest(connection: ConnectionLike) -> str:
    """
    Return a digest of all fields of a connection, which differs once any of them changes.

    :param connection: the Airflow connection.
    """
    # Not extra_dejson, which sends the values to Airflow's supervisor for masking, and waits for its reply.
    values = [repr(getattr(connection, name, None)) for name in _FIELDS]
    return hashlib.sha256("\n".join(values).encode()).hexdigest()


@contextmanager
def fetching() -> Iterator[None]:
    """
    Wrap the fetching of an Airflow connection: a passing error becomes one that counts as a failed poll.

    :raises ConnectionFailedError: Airflow could not say whether there is such a connection, or what is in it.
    """
    try:
        yield
    except (AudienceError, AirflowNotFoundException):
        raise
    except Exception as error:
        # The error's text may hold anything, such as an address with a token in it.
        raise ConnectionFailedError(
            f"the Airflow connection could not be fetched: {type(error).__name__}",
            advice="Check that Airflow's API server, and its secrets backend if it has one, are reached from here.",
        ) from error


class InTriggerer:
    """
    Runs the steps of a wait in the triggerer, each within the time that is left until the deadline.

    :param wait: wait to run.
    :param conn_id: id of the Airflow connection.
    :param hook_class: function that imports and returns the platform's hook class.
    """

    def __init__(self, wait: Wait, *, conn_id: str, hook_class: HookClass) -> None:
        self._wait = wait
        self._conn_id = conn_id
        self._hook_class = hook_class
        self._pace = Pace()
        self._lent = AsyncExitStack()
        self._shared: SharedClient | None = None

    _sleep = staticmethod(asyncio.sleep)

    async def outcomes(self) -> AsyncIterator[WaitOutcome]:
        """Yield the outcomes of the wait: one, or for a wait without end one after another."""
        async with self._lent:
            async for outcome in carried_out_async(self._wait.steps(), self._carry_out):
                yield outcome

    async def _carry_out(self, step: Step) -> Any:
        if isinstance(step, Pause):
            return await self._sleep(step.seconds)
        seconds = self._wait.seconds_left()
        try:
            async with asyncio.timeout(None if math.isinf(seconds) else seconds + _RELEASE_SECONDS):
                if isinstance(step, Request) and self._shared is not None:
                    return await self._shared.send(step.send, pace=self._pace, seconds=seconds)
                return await self._connect()
        except TimeoutError:
            raise ConnectionFailedError("the last poll was not answered in time", maybe_applied=True) from None

    async def _connect(self) -> Connected:
        await self._lent.aclose()
        with fetching():
            try:
                connection = await get_async_connection(self._conn_id)
            except AirflowNotFoundException as error:
                raise AudienceError(str(error)) from error
        self._shared = await self._lent.enter_async_context(shared_client(connection, self._hook_class))
        return Connected(client=await self._shared.client(), connection_digest=connection_digest(connection))


class SharedClient:
    """
    A client with its threads, shared by all waits of a connection. Belongs to one event loop.

    :param connection: Airflow connection to open the client for.
    :param hook_class: function that imports and returns the platform's hook class.
    """

    def __init__(self, connection: ConnectionLike, hook_class: HookClass) -> None:
        self.users = 0
        self._lanes = Lanes()
        self._turn_lock = asyncio.Lock()
        self.opening = asyncio.ensure_future(self._lanes.run(partial(open_client, hook_class, connection)))

    async def client(self) -> ApiClient:
        """Return the client once it is open."""
        # One user's cancellation must not end the opening that others wait for.
        return await asyncio.shield(self.opening)

    async def send(self, send: Callable[[], T], *, pace: Pace, seconds: float) -> T:
        """
        Send a request when the rate limit and the lane allow it, and return its result.

        If the caller is cancelled, this ends at once; the request keeps its place in the lane until its thread has
        ended.

        :param send: function that sends the request, and blocks.
        :param pace: pace of the waiter, the same from poll to poll.
        :param seconds: longest time; a request that takes longer ends with an error.
        """
        limiter: RateLimiter | None = getattr(await self.client(), "limiter", None)
        ending = partial(_ending_at, time.monotonic() + seconds, send)
        place = await self._lanes.place(pace)
        try:
            sending = await self._begin_in_turn(ending, place, limiter) if limiter else place.use(ending)
        except BaseException:
            place.give_back()
            raise
        return await asyncio.shield(sending)

    async def _begin_in_turn(self, send: Callable[[], T], place: Place, limiter: RateLimiter) -> asyncio.Future[T]:
        # A turn is taken only when its request can start at once, and when the request before it has started. So
        # requests that a busy machine delays don't leave in a burst.
        began = asyncio.Event()
        tell_begun = partial(asyncio.get_running_loop().call_soon_threadsafe, began.set)
        async with self._turn_lock:
            await asyncio.sleep(limiter.reserve())
            sending = place.use(partial(_send_in_turn, limiter, send, tell_begun))
            await began.wait()
        return sending

    def close(self) -> None:
        """Close the client, once it is open, and let the threads end."""
        if self.opening.done():
            self._close_opened(self.opening)
        else:
            self.opening.add_done_callback(self._close_opened)

    def _close_opened(self, opening: asyncio.Future[ApiClient]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            opening.result().close()
        self._lanes.close()


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[HookClass, str], SharedClient]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_client(connection: ConnectionLike, hook_class: HookClass) -> AsyncIterator[SharedClient]:
    """
    Lend the client of a connection. The first borrower opens it, and the last one closes it.

    :param connection: the Airflow connection.
    :param hook_class: function that imports and returns the platform's hook class.
    """
    # All of this runs in the loop's thread, so that no lock is needed.
    clients = _shared.setdefault(asyncio.get_running_loop(), {})
    key = (hook_class, connection_digest(connection))
    shared = clients.get(key)
    if shared is None:
        shared = clients[key] = SharedClient(connection, hook_class)
    shared.users += 1
    try:
        await shared.client()
        yield shared
    finally:
        shared.users -= 1
        if not shared.users:
            del clients[key]
            shared.close()


def _ending_at(until: float, send: Callable[[], T]) -> T:
    with ending_within(until - time.monotonic()):
        return send()


def _send_in_turn(limiter: RateLimiter, send: Callable[[], T], tell_begun: Callable[[], object]) -> T:
    tell_begun()
    with limiter.turn_taken():
        return send()
