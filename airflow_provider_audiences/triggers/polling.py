"""
Waiting in the triggerer, and in the worker as the triggerer does: poll, pause, poll again, until it is over.

A trigger only polls (GETs that change nothing), so a restart of the triggerer does no harm. Its arguments are
small, hold no secret, and carry an absolute deadline: Airflow 3 enforces no execution timeout while deferred.
"""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.http.exchange import ending_within
from airflow_provider_audiences.triggers.shared_clients import (
    ClientHook,
    InTriggerer,
    connection_digest,
    fetching,
    open_client,
)
from airflow_provider_audiences.waiting.outcomes import Outcome
from airflow_provider_audiences.waiting.polls import Poll, Request
from airflow_provider_audiences.waiting.wait import Connected, Pause, Schedule, Step, Wait, carried_out

if TYPE_CHECKING:
    from airflow_provider_audiences.common.connections import ConnectionLike


_ARGUMENTS = (
    "conn_id",
    "poll_interval_seconds",
    "deadline_epoch_seconds",
    "max_poll_failures",
    "max_poll_interval_seconds",
    "first_poll_epoch_seconds",
    "passed_on",
)


class PollingTrigger(BaseTrigger):
    """
    Polls until what it waits for is ready, failed, or the deadline has passed.

    :param conn_id: id of the connection.
    :param poll_interval_seconds: pause between the first two polls; it doubles from poll to poll. Each pause is up to
        a fifth longer, so that triggers that began together don't poll together.
    :param max_poll_interval_seconds: the pause grows to this; None to keep it as it is.
    :param deadline_epoch_seconds: when to give up, in seconds since 1970 (UTC).
    :param max_poll_failures: transient failures in a row that are borne.
    :param first_poll_epoch_seconds: no poll before that: the sensor has just polled, and polls may be billed. 0: at
        once.
    :param passed_on: small JSON that the event carries back to the operator, as ``passed_on``. Airflow has arguments of
        the resumed method for that, and ``dag.test`` forgets them.
    """

    arguments: ClassVar[Sequence[str]] = ()
    """Names of the arguments that a subclass adds."""

    def __init__(
        self,
        *,
        conn_id: str,
        poll_interval_seconds: float,
        deadline_epoch_seconds: float,
        max_poll_failures: int,
        max_poll_interval_seconds: float | None = None,
        first_poll_epoch_seconds: float = 0.0,
        passed_on: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # Rows that an earlier version has stored have this name for it, and ``jitter``.
        self.first_poll_epoch_seconds = kwargs.pop("first_look_epoch_seconds", first_poll_epoch_seconds)
        kwargs.pop("jitter", None)
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.conn_id = conn_id
        self.poll_interval_seconds = poll_interval_seconds
        self.deadline_epoch_seconds = deadline_epoch_seconds
        self.max_poll_failures = max_poll_failures
        self.max_poll_interval_seconds = max_poll_interval_seconds
        self.passed_on = passed_on

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, as JSON."""
        names = (*_ARGUMENTS, *self.arguments)
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: _as_json(getattr(self, name)) for name in names}

    @staticmethod
    @abstractmethod
    def hook_class() -> type[ClientHook]:
        """Return the platform's hook, which takes its time to be imported."""

    def fetch_connection(self) -> ConnectionLike:
        """Fetch the Airflow connection, in a worker."""
        connection: ConnectionLike = self.hook_class().get_connection(self.conn_id)
        return connection

    @abstractmethod
    def poll(self) -> Poll:
        """
        Return what a wait polls, for one wait.

        :raises InvalidInputError: an argument is wrong.
        """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: ready, failed, timeout or error."""
        try:
            waiting = InTriggerer(self.wait(self.poll()), conn_id=self.conn_id, hook_class=self.hook_class)
            (outcome,) = [outcome async for outcome in waiting.outcomes()]
        except InvalidInputError as error:
            outcome = Outcome.of_error(error)
        event = outcome.as_event()
        yield TriggerEvent(event if self.passed_on is None else {**event, "passed_on": self.passed_on})

    def wait_here(self, poll: Poll, *, sleep: Callable[[float], None] = time.sleep) -> Outcome:
        """
        Wait in this thread, as the triggerer does: the same polls, the same deadline, the same outcome.

        :param poll: what :meth:`poll` returns; it counts what may be billed from poll to poll, so that it tells what a
            wait cost that is interrupted.
        :param sleep: waits that many seconds.
        :raises AirflowNotFoundException: there is no such connection.
        """
        with closing(self.polls_here(poll)) as steps:
            while isinstance(step := next(steps), Pause):
                sleep(step.seconds)
            return step

    def polls_here(self, poll: Poll) -> Generator[Pause | Outcome, None, None]:
        """
        Poll in this thread, as the triggerer does, and yield the pauses before further polls, and the outcome.

        The client is closed with the generator.

        :param poll: what :meth:`poll` returns.
        """
        wait = self.wait(poll)
        with ExitStack() as clients:

            def carry_out(step: Step) -> Any:
                if isinstance(step, Request):
                    with ending_within(wait.seconds_left()):
                        return step.send()
                clients.close()
                with fetching():
                    connection = self.fetch_connection()
                client = clients.enter_context(open_client(self.hook_class, connection))
                return Connected(client=client, connection_digest=connection_digest(connection))

            yield from carried_out(wait.steps(), carry_out)

    def wait(self, poll: Poll) -> Wait:
        """
        Return the wait of this trigger.

        :param poll: what is polled.
        """
        return Wait(
            poll=poll,
            schedule=Schedule(
                poll_interval_seconds=self.poll_interval_seconds,
                max_poll_interval_seconds=self.max_poll_interval_seconds,
                first_poll_epoch_seconds=self.first_poll_epoch_seconds,
                # The same in each life of this trigger, and another for each trigger.
                jitter_seed=json.dumps(self.serialize()),
            ),
            deadline_epoch_seconds=self.deadline_epoch_seconds,
            max_poll_failures=self.max_poll_failures,
            log=self.log,
        )


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
