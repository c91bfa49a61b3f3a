"""
One look at a platform, as a row of requests that somebody else sends.

The triggerer sends them in threads of a client that many triggers share, a worker sends them one after the other. So
what a look asks, and what it makes of the answers, is written once and waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

from airflow_provider_audiences.exceptions import AudienceApiError, ServerError

T = TypeVar("T")


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
    seen: Any = None
    unknown_status: bool = False


@dataclass(frozen=True, kw_only=True)
class Request:
    """
    One request of a look.

    :param send: sends it and returns the answer; it blocks, and raises :class:`AudienceApiError`.
    :param billed_as: the call that a success goes on the bill as; None if it is free.
    """

    send: Callable[[], Any]
    billed_as: str | None = None


Steps = Generator[Request, Any, Sighting]
"""A look: yields requests, is sent their answers (or thrown their errors), and returns what was seen."""

Watch = Callable[[Any], Steps]
"""Begins a look with a client; it may remember what earlier looks saw."""


class Bill:
    """
    Requests of a wait that the platform may bill: those that succeeded, and those whose reply was lost.

    :param names: calls to count.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.calls = dict.fromkeys(names, 0)

    def add(self, request: Request, error: AudienceApiError | None = None) -> None:
        """
        Count a request.

        :param request: was sent.
        :param error: what it ended in.
        """
        # An error that the platform itself told is a failed call, and only successful looks are billed.
        lost = error is not None and error.maybe_applied and not isinstance(error, ServerError)
        if request.billed_as is not None and (error is None or lost):
            self.calls[request.billed_as] = self.calls.get(request.billed_as, 0) + 1


def estimated_cost(calls: Mapping[str, int], price_per_call: float | None) -> float | None:
    """
    Return what calls may cost. Calls that are free each month are not deducted: nobody here knows how many are left.

    :param calls: numbers by call.
    :param price_per_call: the price of each; None if it is not known.
    :return: in the price's currency; None if it is not known.
    """
    if price_per_call is None:
        return None
    # 3 times 0.001 is to be 0.003.
    return float(Decimal(str(price_per_call)) * sum(calls.values()))


class LookUnderWay(Generic[T]):
    """
    A look between two of its requests.

    :param steps: the look.
    :param bill: counts its requests.
    """

    def __init__(self, steps: Generator[Request, Any, T], bill: Bill) -> None:
        self._steps = steps
        self._bill = bill
        self._result: list[T] = []
        self.request: Request | None = None
        self._go(lambda: next(steps))

    def answered(self, answer: object) -> None:
        """
        Go on to the next request, or to the end.

        :param answer: to the present one.
        """
        self._count(None)
        self._go(lambda: self._steps.send(answer))

    def failed(self, error: AudienceApiError) -> None:
        """
        Go on after an error, or raise it if the look can't.

        :param error: what the present request ended in.
        """
        self._count(error)
        self._go(lambda: self._steps.throw(error))

    def result(self) -> T:
        """Return what was seen; there is something when there is no further request."""
        return self._result[0]

    def _count(self, error: AudienceApiError | None) -> None:
        if self.request is not None:
            self._bill.add(self.request, error)

    def _go(self, step: Callable[[], Request]) -> None:
        try:
            self.request = step()
        except StopIteration as end:
            self.request, self._result = None, [end.value]


def look_here(steps: Generator[Request, Any, T], bill: Bill) -> T:
    """
    Look once, in this thread.

    :param steps: the look.
    :param bill: counts its requests.
    """
    look = LookUnderWay(steps, bill)
    while look.request is not None:
        try:
            answer = look.request.send()
        except AudienceApiError as error:
            look.failed(error)
        except BaseException as error:
            if not isinstance(error, Exception):
                # Such as a task's timeout: the request may have been sent.
                bill.add(look.request)
            raise
        else:
            look.answered(answer)
    return look.result()
