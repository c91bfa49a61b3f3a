"""One poll of a platform, as a generator of requests. The caller sends them: in this thread, or in the triggerer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from airflow_provider_audiences.exceptions import PermanentError

T = TypeVar("T")


class PollState(StrEnum):
    """What a poll has found."""

    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class PollResult:
    """
    The result of one poll.

    :param state: ready, waiting, or failed for good.
    :param reason: the state in words, for logs and messages.
    :param seen: JSON of what the poll showed; None if nothing was there.
    :param unknown_status: whether the platform showed a status that its documents don't name.
    """

    state: PollState
    reason: str
    seen: Any = None
    unknown_status: bool = False


@dataclass(frozen=True, kw_only=True)
class Request:
    """
    One request of a poll, to be sent by the caller.

    :param send: sends the request and returns the answer. It blocks, and raises :class:`AudienceError`.
    """

    send: Callable[[], Any]


class Poll(ABC):
    """What a wait polls. A poll may remember results of earlier polls of the same wait."""

    failure_type: type[PermanentError] = PermanentError
    """Error of a wait that ends with the state ``failed``."""

    price_per_call: float | None = None
    """Price of a call, as the client of the last poll has it; None if it is not known."""

    @property
    def billable_calls(self) -> Mapping[str, int]:
        """Number of requests so far that the platform may bill, by call; empty if the platform bills none."""
        return {}

    @abstractmethod
    def __call__(self, client: Any) -> Generator[Request, Any, PollResult]:
        """
        Poll once: yield requests, receive their answers, return the result. An error of a request ends the poll.

        :param client: client of the platform, made from the connection.
        """


def answered(requests: Generator[Request, Any, T]) -> T:
    """
    Send all requests of a generator in this thread, one after the other, and return the generator's result.

    :param requests: generator of requests; an error of a request passes through it.
    """
    try:
        request = next(requests)
        while True:
            request = requests.send(request.send())
    except StopIteration as end:
        result: T = end.value
        return result
