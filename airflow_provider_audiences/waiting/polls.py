"""One poll of a platform, as a row of requests that somebody else sends: in the triggerer, or in this thread."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

T = TypeVar("T")


class PollState(StrEnum):
    """What a poll says of what is waited for."""

    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class PollResult:
    """
    What one poll came to.

    :param state: ready, waiting, or failed for good.
    :param reason: the same in words.
    :param seen: small JSON of what was seen; None if nothing was there.
    :param unknown_status: the platform shows a status that nobody knows.
    """

    state: PollState
    reason: str
    seen: Any = None
    unknown_status: bool = False


@dataclass(frozen=True, kw_only=True)
class Request:
    """
    One request of a poll.

    :param send: sends it and returns the answer; it blocks, and raises :class:`AudienceApiError`.
    """

    send: Callable[[], Any]


class Poll(ABC):
    """What a wait polls. It may remember what earlier polls of the same wait saw."""

    price_per_call: float | None = None
    """What the platform takes for a call, once a client was seen; None if that is not known."""

    @property
    def billable_calls(self) -> Mapping[str, int]:
        """Requests so far that the platform may bill, by call; empty where it bills none."""
        return {}

    @abstractmethod
    def __call__(self, client: Any) -> Generator[Request, Any, PollResult]:
        """
        Poll once: yield requests, be sent their answers, and return what was seen. It ends with the first error.

        :param client: of the connection.
        """


def answered(requests: Generator[Request, Any, T]) -> T:
    """
    Send requests one after the other, in this thread, and return what comes of them.

    :param requests: they end with the first error.
    """
    try:
        request = next(requests)
        while True:
            request = requests.send(request.send())
    except StopIteration as end:
        result: T = end.value
        return result
