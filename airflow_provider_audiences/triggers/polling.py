"""
Base class of the triggers: one loop of polls and pauses, in the triggerer or in a worker.

A trigger only polls, by GETs that change nothing, so a restart of the triggerer does no harm. Its arguments are small,
hold no secret, and have an absolute deadline, because Airflow 3 enforces no execution timeout on a deferred task.
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
from airflow_provider_audiences.waiting.outcomes import WaitOutcome
from airflow_provider_audiences.waiting.polls import Poll, Request
from airflow_provider_audiences.waiting.wait import Connected, Pause, PollSchedule, Step, Wait, run_steps

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
    Polls until what it waits for is ready or has failed, or until the deadline.

    :param conn_id: id of the Airflow connection.
    :param poll_interval_seconds: pause between the first two polls; it doubles from poll to poll. In the triggerer,
        each pause is up to a fifth longer, so that triggers that started together don't poll together.
    :param max_poll_interval_seconds: longest pause; None (default) for a pause that does not grow.
    :param deadline_epoch_seconds: when the wait ends, in seconds since 1970 (UTC).
    :param max_poll_failures: how many polls in a row may fail for a passing reason, such as a server error.
    :param first_poll_epoch_seconds: time of the earliest poll, in seconds since 1970 (UTC); default 0, at once. A
        sensor has just polled when it defers, and polls may be billed.
    :param passed_on: small JSON that the event hands back to the operator under the same name. Airflow's own way,
        arguments of the resumed method, does not work in ``dag.test``.
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
        # Rows stored by an earlier version have ``first_look_epoch_seconds`` instead, and ``jitter``.
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
        """Return the class path and the arguments as JSON, as Airflow stores them."""
        names = (*_ARGUMENTS, *self.arguments)
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: _as_json(getattr(self, name)) for name in names}

    @staticmethod
    @abstractmethod
    def hook_class() -> type[ClientHook]:
        """Return the class of the platform's hook, which is imported only when it is needed."""

    def fetch_connection(self) -> ConnectionLike:
        """Fetch the Airflow connection; for use in a worker."""
        connection: ConnectionLike = self.hook_class().get_connection(self.conn_id)
        return connection

    @abstractmethod
    def poll(self) -> Poll:
        """
        Return a new poll for one wait: what is asked of the platform each time, and what the answer means.

        :raises InvalidInputError: an argument is wrong.
        """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, whose payload says ready, failed, timeout or error."""
        try:
            waiting = InTriggerer(self.wait(self.poll()), conn_id=self.conn_id, hook_class=self.hook_class)
            (outcome,) = [outcome async for outcome in waiting.outcomes()]
        except InvalidInputError as error:
            outcome = WaitOutcome.of_error(error)
        event = outcome.as_event()
        yield TriggerEvent(event if self.passed_on is None else {**event, "passed_on": self.passed_on})

    def wait_here(self, poll: Poll, *, sleep: Callable[[float], None] = time.sleep) -> WaitOutcome:
        """
        Wait in this thread, with the same polls, deadline and outcome as in the triggerer.

        :param poll: poll that :meth:`poll` returned. It counts the calls that may be billed, so that a wait that is
            interrupted can say what it cost.
        :param sleep: function that waits a number of seconds.
        :raises AirflowNotFoundException: there is no such connection.
        """
        with closing(self.polls_here(poll)) as steps:
            while isinstance(step := next(steps), Pause):
                sleep(step.seconds)
            return step

    def polls_here(self, poll: Poll) -> Generator[Pause | WaitOutcome, None, None]:
        """
        Poll in this thread, as in the triggerer. Yield the pause before each further poll, and at the end the outcome.

        Closing the generator closes the client.

        :param poll: poll that :meth:`poll` returned.
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

            yield from run_steps(wait.steps(), carry_out)

    def wait(self, poll: Poll) -> Wait:
        """
        Return the wait of this trigger: its poll with schedule, deadline and limit of failures.

        :param poll: poll that :meth:`poll` returned.
        """
        return Wait(
            poll=poll,
            schedule=PollSchedule(
                poll_interval_seconds=self.poll_interval_seconds,
                max_poll_interval_seconds=self.max_poll_interval_seconds,
                first_poll_epoch_seconds=self.first_poll_epoch_seconds,
                # The same after each restart of this trigger, and different for each trigger.
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
