"""What the platform may bill: creates and deletes that reached it, failed ones too, and gets that succeeded."""

from __future__ import annotations

import threading

from airflow_provider_audiences.exceptions import ConnectionFailedError, UnexpectedReplyError

_BILLED_WHEN_FAILED = {"pai.create": True, "pai.get": False, "pai.delete": True}


class PaiBill:
    """
    Counts requests that the platform may bill; what it does is unknown where a reply was lost. Safe among threads.

    Source: the price table of Alibaba Cloud's document. It names no price for ListGroups.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(_BILLED_WHEN_FAILED, 0)

    def record(self, operation: str, error: BaseException | None) -> None:
        """
        Count one request.

        :param operation: such as ``pai.create``.
        :param error: what it came to; None for success.
        """
        if operation not in self._counts:
            return
        # One without a status that can't have been applied never left: there was no connection.
        status = getattr(error, "http_status", None)
        maybe_applied = getattr(error, "maybe_applied", True)
        if error is not None and status is None and not maybe_applied:
            return
        lost = isinstance(error, ConnectionFailedError | UnexpectedReplyError) and maybe_applied
        known = error is None or lost or not isinstance(error, Exception)
        if known or _BILLED_WHEN_FAILED[operation]:
            with self._lock:
                self._counts[operation] += 1

    def counts(self) -> dict[str, int]:
        """Return the counts by call: create, get, delete."""
        with self._lock:
            return {operation.removeprefix("pai."): count for operation, count in self._counts.items()}
