"""Billable calls: creates and deletes that have reached PAI, even if they failed, and gets that succeeded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from airflow_provider_audiences.exceptions import ConnectionFailedError, UnexpectedReplyError

T = TypeVar("T")

CREATE, GET, DELETE = "pai.create", "pai.get", "pai.delete"
_BILLED_WHEN_FAILED = frozenset({CREATE, DELETE})


class BillableCalls:
    """
    Counts the requests that PAI may bill; thread-safe. A request without a reply counts, as it may be billed.

    Source: the price table of Alibaba Cloud's document. It names no price for ListGroups.

    :param operations: operations to count, such as ``pai.get``.
    """

    def __init__(self, *operations: str) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(operations, 0)

    def record(self, operation: str, error: BaseException | None) -> None:
        """
        Count a request that has ended.

        :param operation: operation of the request; ignored if it is not one to count.
        :param error: error that the request ended in; None for success.
        """
        if operation in self._counts and _may_be_billed(operation, error):
            self._add(operation, 1)

    def counted(self, operation: str, send: Callable[[], T]) -> T:
        """
        Send a request and return its result.

        The request counts as soon as it begins, since the caller may not wait for its end. It stops counting if it ends
        in an error that PAI does not bill.

        :param operation: operation of the request, one of those to count.
        :param send: sends the request and returns its result.
        """
        self._add(operation, 1)
        try:
            return send()
        except BaseException as error:
            if not _may_be_billed(operation, error):
                self._add(operation, -1)
            raise

    def counts(self) -> dict[str, int]:
        """Return the counts by call, such as ``get``."""
        with self._lock:
            return {operation.removeprefix("pai."): count for operation, count in self._counts.items()}

    def _add(self, operation: str, count: int) -> None:
        with self._lock:
            self._counts[operation] += count


def _may_be_billed(operation: str, error: BaseException | None) -> bool:
    if error is None or not isinstance(error, Exception):
        return True  # such as a task's timeout, when the request may have been sent
    maybe_applied = getattr(error, "maybe_applied", True)
    if getattr(error, "http_status", None) is None and not maybe_applied:
        return False  # it was never sent: there was no connection
    lost = isinstance(error, ConnectionFailedError | UnexpectedReplyError) and maybe_applied
    return lost or operation in _BILLED_WHEN_FAILED
