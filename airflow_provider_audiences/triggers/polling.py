"""
Polling in the triggerer: look, wait, look again, until ready, failed, or too late.

A trigger only looks (GETs that change nothing), so a restart of the triggerer does no harm. Its arguments are
small, hold no secret, and carry an absolute deadline: Airflow 3 enforces no execution timeout while deferred.
"""

from __future__ import annotations

import asyncio
import json
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_audiences.exceptions import AudienceApiError, AuthenticationError, TransientError
from airflow_provider_audiences.http.exchange import ending_within
from airflow_provider_audiences.triggers.course import Course, Schedule, ended, ended_by
from airflow_provider_audiences.triggers.lanes import Pace
from airflow_provider_audiences.triggers.shared_clients import fetching, fingerprint, shared_client
from airflow_provider_audiences.waiting.looks import Bill, Watch, look_here

if TYPE_CHECKING:
    from airflow_provider_audiences.common.connections import ConnectionLike
    from airflow_provider_audiences.http.transport import ApiClient

_RELEASE_SECONDS = 0.5
"""How long a look's own error may come after its time is over; then nobody waits for it."""


class PollingTrigger(BaseTrigger):
    """
    Looks until what it looks for is ready, failed, or the deadline has passed.

    :param conn_id: id of the connection.
    :param poll_interval_seconds: wait between the first two looks; it doubles from look to look.
    :param max_poll_interval_seconds: the wait grows to this; None to keep it as it is.
    :param deadline_epoch_seconds: when to give up, in seconds since 1970 (UTC).
    :param max_poll_failures: transient failures in a row that are borne.
    :param first_look_epoch_seconds: no look before that: the sensor has just looked, and looks may be billed. 0: at
        once.
    :param jitter: make each wait up to a fifth longer, so that triggers that began together don't look together.
    :param passed_on: small JSON that the event carries back to the operator, as ``passed_on``. Airflow has arguments of
        the resumed method for that, and ``dag.test`` forgets them.
    """

    billed_calls: ClassVar[Sequence[str]] = ()
    """Calls of its looks that the platform bills."""

    def __init__(
        self,
        *,
        conn_id: str,
        poll_interval_seconds: float,
        deadline_epoch_seconds: float,
        max_poll_failures: int,
        max_poll_interval_seconds: float | None = None,
        first_look_epoch_seconds: float = 0.0,
        jitter: bool = True,
        passed_on: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.conn_id = conn_id
        self.poll_interval_seconds = poll_interval_seconds
        self.deadline_epoch_seconds = deadline_epoch_seconds
        self.max_poll_failures = max_poll_failures
        self.max_poll_interval_seconds = max_poll_interval_seconds
        self.first_look_epoch_seconds = first_look_epoch_seconds
        self.jitter = jitter
        self.passed_on = passed_on

    def polling_arguments(self) -> dict[str, Any]:
        """Return the arguments of this class, for ``serialize``."""
        return {
            "conn_id": self.conn_id,
            "poll_interval_seconds": self.poll_interval_seconds,
            "deadline_epoch_seconds": self.deadline_epoch_seconds,
            "max_poll_failures": self.max_poll_failures,
            "max_poll_interval_seconds": self.max_poll_interval_seconds,
            "first_look_epoch_seconds": self.first_look_epoch_seconds,
            "jitter": self.jitter,
            "passed_on": None if self.passed_on is None else dict(self.passed_on),
        }

    @staticmethod
    @abstractmethod
    def open_client(connection: ConnectionLike) -> ApiClient:
        """
        Open a client that sends each request once: waiting is the repetition. Triggers with the same function share it.

        :param connection: the Airflow connection.
        """

    @abstractmethod
    def watch(self) -> Watch:
        """
        Return what begins each look of this wait.

        :raises InvalidInputError: an argument is wrong.
        """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: ready, failed, timeout or error."""
        bill = self.new_bill()
        try:
            payload = ended(await self._wait(self.watch(), bill), bill)
        except (AudienceApiError, AirflowNotFoundException) as error:
            payload = ended_by(error, bill)
        yield TriggerEvent(payload if self.passed_on is None else {**payload, "passed_on": self.passed_on})

    async def _wait(self, watch: Watch, bill: Bill) -> dict[str, Any]:
        course, pace = self._course(), Pace()
        connection: ConnectionLike | None = None
        is_first = True
        async with AsyncExitStack() as stack:
            while True:
                payload = None
                seconds = course.poll_seconds()
                try:
                    async with asyncio.timeout(seconds + _RELEASE_SECONDS):
                        if connection is None:
                            fetched = await self._fetch()
                            client, shared = await stack.enter_async_context(shared_client(fetched, self.open_client))
                            connection = fetched
                        # A connection that is wrong shows before the first wait.
                        if not is_first:
                            payload = course.saw(await shared.look(watch(client), bill, pace=pace, seconds=seconds))
                except TimeoutError:
                    payload = course.cut_off()
                except TransientError as error:
                    payload = course.failed(error)
                except AuthenticationError as error:
                    payload = await self._refused(error, connection, course)
                    # Fetched once more after the wait: by then it may be newer still.
                    connection = None
                    await stack.aclose()
                if payload is not None:
                    return payload
                is_first = False
                await self._sleep(course.wait_seconds())

    async def _fetch(self) -> ConnectionLike:
        with fetching():
            return await get_async_connection(self.conn_id)

    async def _refused(
        self, error: AuthenticationError, connection: ConnectionLike | None, course: Course
    ) -> dict[str, Any] | None:
        """Go on if the connection's token was renewed since it was fetched: then it is another connection."""
        try:
            async with asyncio.timeout(course.poll_seconds() + _RELEASE_SECONDS):
                now = await self._fetch()
        except TimeoutError:
            return course.cut_off()
        except TransientError as failure:
            return course.failed(failure)
        return course.refused(error, is_renewed=_is_renewed(connection, now))

    def wait_here(
        self,
        fetch_connection: Callable[[], ConnectionLike],
        *,
        bill: Bill | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> dict[str, Any]:
        """
        Wait in this thread, as the triggerer does: the same looks, the same deadline, the same payload.

        :param fetch_connection: fetches the Airflow connection; again when its key or token is refused.
        :param bill: what :meth:`new_bill` returns; it is counted on from look to look, so that it tells what a wait
            cost that is interrupted. None for one of its own.
        :param sleep: waits that many seconds.
        :return: the event's payload, for :func:`..course.outcome_of`.
        """
        bill = self.new_bill() if bill is None else bill
        try:
            return ended(self._wait_here(self.watch(), fetch_connection, bill, sleep), bill)
        except (AudienceApiError, AirflowNotFoundException) as error:
            return ended_by(error, bill)

    def _wait_here(
        self,
        watch: Watch,
        fetch_connection: Callable[[], ConnectionLike],
        bill: Bill,
        sleep: Callable[[float], None],
    ) -> dict[str, Any]:
        course = self._course()
        connection: ConnectionLike | None = None
        is_first = True
        with ExitStack() as stack:
            while True:
                payload = None
                try:
                    if connection is None:
                        with fetching():
                            fetched = fetch_connection()
                        client = stack.enter_context(self.open_client(fetched))
                        connection = fetched
                    if not is_first:
                        with ending_within(course.poll_seconds()):
                            payload = course.saw(look_here(watch(client), bill))
                except TransientError as error:
                    payload = course.failed(error)
                except AuthenticationError as error:
                    try:
                        with fetching():
                            now = fetch_connection()
                        payload = course.refused(error, is_renewed=_is_renewed(connection, now))
                    except TransientError as failure:
                        payload = course.failed(failure)
                    connection = None
                    stack.close()
                if payload is not None:
                    return payload
                is_first = False
                sleep(course.wait_seconds())

    def new_bill(self) -> Bill:
        """Return an empty bill of a wait."""
        return Bill(self.billed_calls)

    def _course(self) -> Course:
        return Course(
            schedule=Schedule(
                poll_interval_seconds=self.poll_interval_seconds,
                max_poll_interval_seconds=self.max_poll_interval_seconds,
                first_look_epoch_seconds=self.first_look_epoch_seconds,
                # The same in each life of this trigger, and another for each trigger.
                jitter_seed=json.dumps(self.serialize()) if self.jitter else None,
            ),
            deadline_epoch_seconds=self.deadline_epoch_seconds,
            max_poll_failures=self.max_poll_failures,
            log=self.log,
        )

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _is_renewed(before: ConnectionLike | None, now: ConnectionLike) -> bool:
    return before is not None and fingerprint(before) != fingerprint(now)
