"""How work ends that somebody outside ends: no further request begins, and what is under way may still land."""

from __future__ import annotations

LANDING_SECONDS = 2.0
"""How long requests that are under way are waited for; Airflow kills the process 5 seconds after it has asked."""


class Stopped(BaseException):
    """
    Raised in the thread that works, from a signal handler.

    It is no ``Exception``: whatever handles those on the way, to clean up or to try again, lets it pass.
    """

    landed: str | None = None
    """What the platform had accepted before, for work of more than one request."""
