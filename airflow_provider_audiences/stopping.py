"""Stopping work from outside: no further request begins, but requests in flight may still take effect."""

from __future__ import annotations

IN_FLIGHT_SECONDS = 2.0
"""How long to wait for requests in flight; Airflow kills the process 5 seconds after it has asked it to stop."""


class Stopped(BaseException):
    """
    Raised by a signal handler in the thread that works.

    It is not an ``Exception``; so code that handles exceptions, to clean up or to retry, lets it pass.
    """

    so_far: str | None = None
    """What was done before the stop, as a sentence; None if that is not known."""
