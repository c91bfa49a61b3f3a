"""
Polling in the triggerer: look, wait, look again, until ready, failed, or too late.

A trigger only looks (GETs that change nothing), so a restart of the triggerer does no harm. Its arguments are
small, hold no secret, and carry an absolute deadline: Airflow 3 enforces no execution timeout while deferred.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_audiences.exceptions import AudienceApiError, PermanentError, TransientError

if TYPE_CHECKING:
    from airflow_provider_audiences.common.connections import ConnectionLike

T = TypeVar("T")

EVENT_VERSION = 1
"""Of what a trigger yields; triggerer and worker may run different versions."""


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """
    What one look came to.

    :param state: ``ready``, ``waiting`` or ``failed``.
    :param reason: the same in words.
    :param seen: small JSON of what was seen; None if nothing was there.
    :param unknown_status: the platform shows a status that nobody knows.
    """

    state: str
    reason: str
    seen: dict[str, Any] | None = None
    unknown_status: bool = False


Look = Callable[[], Sighting]
"""One look; it blocks, and raises :class:`AudienceApiError`."""


class PollingTrigger(BaseTrigger):
    """
    Looks until what it looks for is ready, failed, or the deadline has passed.

    :param conn_id: id of the connection.
    :param poll_interval_seconds: wait between the first two looks; it doubles from look to look.
    :param max_poll_interval_seconds: the wait grows to this; None to keep it as it is.
    :param deadline_epoch_seconds: when to give up, in seconds since 1970 (UTC).
    :param max_poll_failures: transient failures in a row that are borne.
    :param first_look_epoch_seconds: no look before that: the sensor has just looked, and looks may be billed.
    """

    def __init__(
        self,
        *,
        conn_id: str,
        poll_interval_seconds: float,
        deadline_epoch_seconds: float,
        max_poll_failures: int,
        max_poll_interval_seconds: float | None = None,
        first_look_epoch_seconds: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.conn_id = conn_id
        self.poll_interval_seconds = poll_interval_seconds
        self.deadline_epoch_seconds = deadline_epoch_seconds
        self.max_poll_failures = max_poll_failures
        self.max_poll_interval_seconds = max_poll_interval_seconds
        self.first_look_epoch_seconds = first_look_epoch_seconds

    def polling_arguments(self) -> dict[str, Any]:
        """Return the arguments of this class, for ``serialize``."""
        return {
            "conn_id": self.conn_id,
            "poll_interval_seconds": self.poll_interval_seconds,
            "deadline_epoch_seconds": self.deadline_epoch_seconds,
            "max_poll_failures": self.max_poll_failures,
            "max_poll_interval_seconds": self.max_poll_interval_seconds,
            "first_look_epoch_seconds": self.first_look_epoch_seconds,
        }

    @abstractmethod
    def open(self, connection: ConnectionLike) -> AbstractContextManager[Look]:
        """
        Return a context with what looks once.

        :param connection: the Airflow connection.
        """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: ready, failed, timeout or error."""
        try:
            connection = await get_async_connection(self.conn_id)
            with ExitStack() as stack:
                look = await _in_thread(stack.enter_context, self.open(connection))
                event = await self._poll(look)
        except AirflowNotFoundException as error:
            event = _event("error", str(error))
        except PermanentError as error:
            event = _event("failed", str(error), error=error)
        except TransientError as error:
            event = _event("error", str(error), error=error)
        yield event

    async def _poll(self, look: Look) -> TriggerEvent:
        failures = 0
        warned = False
        interval_seconds = self.poll_interval_seconds
        await self._sleep(self.first_look_epoch_seconds - time.time())
        while True:
            try:
                sighting = await _in_thread(look)
            except TransientError as error:
                failures += 1
                if failures > self.max_poll_failures:
                    raise
                self.log.warning("Look %d in a row failed: %s", failures, error)
                reason = str(error)
            else:
                failures = 0
                if sighting.state != "waiting":
                    return _event(sighting.state, sighting.reason, seen=sighting.seen)
                if sighting.unknown_status and not warned:
                    self.log.warning("Unknown status: %s", sighting.reason)
                    warned = True
                reason = sighting.reason
            if time.time() >= self.deadline_epoch_seconds:
                return _event("timeout", f"still not ready at the deadline: {reason}")
            await self._sleep(interval_seconds)
            if self.max_poll_interval_seconds is not None:
                interval_seconds = min(2 * interval_seconds, max(interval_seconds, self.max_poll_interval_seconds))

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the deadline."""
        await asyncio.sleep(max(0.0, min(seconds, self.deadline_epoch_seconds - time.time())))


async def _in_thread(step: Callable[..., T], *arguments: Any) -> T:
    """
    Run what blocks in a thread.

    Not ``asyncio.to_thread``: from its threads Airflow before 3.2 can't mask a secret, which is a message to the
    triggerer's supervisor that has to be sent from this loop.
    """
    return await sync_to_async(step, thread_sensitive=False)(*arguments)


def _event(
    state: str, reason: str, *, seen: dict[str, Any] | None = None, error: AudienceApiError | None = None
) -> TriggerEvent:
    return TriggerEvent(
        {
            "version": EVENT_VERSION,
            "state": state,
            "reason": reason,
            "seen": seen,
            "error_type": type(error).__name__ if error else None,
        }
    )
