"""
Base class of the operators that send members to a destination, whatever the platform.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_audiences.common.busy import DEFAULT_WAIT_SECONDS
from airflow_provider_audiences.operators.write_base import WriteOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.assets.state import Result
    from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind
    from airflow_provider_audiences.sync.delivery.progress import OnProgress, Progress
    from airflow_provider_audiences.sync.destination import DeliveryLimits, Destination


class DeliveryOperator(WriteOperator):
    """
    Base of the operators that send members.

    A platform's mixin says where to: it has the connection, and implements what is abstract here.

    :param batch_size: most members in one request, from 1 to what the platform takes; each platform's mixin has its own
        default. A batch that the platform can't finish in time is halved, and so are the batches after it.
    :param max_parallel_requests: requests in flight at the same time, from 1 to what the platform takes; default 4.
    :param wait_for_audience_seconds: longest wait for another task that is changing the same members, in seconds or as
        a timedelta; default one hour, 0 fails at once.
    """

    target_argument: ClassVar[str]
    """Name of the argument that says where the members go."""

    def __init__(
        self,
        *,
        batch_size: int,
        max_parallel_requests: int = 4,
        wait_for_audience_seconds: int | str | timedelta = DEFAULT_WAIT_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.batch_size = batch_size
        self.max_parallel_requests = max_parallel_requests
        self.wait_for_audience_seconds = wait_for_audience_seconds

    @property
    @abstractmethod
    def delivery_limits(self) -> DeliveryLimits:
        """Limits of the platform for this kind of target, such as the most requests at the same time."""

    @abstractmethod
    def target_id(self) -> str:
        """
        Return the id of the target, such as the audience's id.

        :raises InvalidInputError: the argument is no such id; nothing was sent.
        """

    @abstractmethod
    def open_client(self, *, notes_errors: bool = True) -> AbstractContextManager[Any]:
        """
        Return a client of the target's API, as a context manager that closes it.

        :param notes_errors: whether failed requests are noted below ``state_path``, so that all tasks of the account
            count them together.
        """

    @abstractmethod
    def destination_at(self, client: Any, target: str) -> Destination:
        """
        Return the destination that members are sent to.

        :param client: client that :meth:`open_client` opened.
        :param target: id that :meth:`target_id` returned.
        """

    @property
    @abstractmethod
    def identifier_kind(self) -> IdentifierKind:
        """
        Identifier kind of the members, and how they are written.

        :raises InvalidInputError: an argument about that is wrong.
        """

    def watch(self, result: Result, destination: Destination, context: Context) -> OnProgress:
        """
        Note what members are sent to, and return a function that notes the progress of the sending.

        :param result: takes both.
        :param destination: what members are sent to.
        :param context: context of the task; Airflow is told of the progress, if it takes that.
        """
        from airflow_provider_audiences.common.progress import progress_of

        result.destination = destination
        tell = progress_of(context)

        def note(progress: Progress) -> None:
            result.progress = progress
            if tell is not None:
                tell(progress)

        return note

    @property
    def wait_seconds(self) -> float:
        """
        ``wait_for_audience_seconds`` as a number of seconds.

        :raises InvalidInputError: the argument is negative, or not a length of time.
        """
        from airflow_provider_audiences.validation import seconds

        return seconds("wait_for_audience_seconds", self.wait_for_audience_seconds)
