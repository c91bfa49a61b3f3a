"""
Stopping the work of a task that Airflow ends: a user marks or clears the running task, or its worker is stopped.

Airflow sends SIGTERM, and calls ``on_kill`` in the handler of that signal. The handler runs in the working thread,
between any two of its instructions. Since version 3.3, the work then goes on, and Airflow kills the process 5 seconds
later. So ``on_kill`` takes no lock and makes no request. It only raises an exception, as a timeout does; the work
releases everything that it holds as the exception passes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_audiences.exceptions import TaskStoppedError
from airflow_provider_audiences.stopping import Stopped


class StoppableMixin:
    """Base of operators and sensors whose work ends at once when Airflow ends the task."""

    _working_thread: int | None = None

    def on_kill(self) -> None:
        """End the work under way: no further request begins, and the work releases what it holds."""
        if self._working_thread == threading.get_ident():
            self._working_thread = None  # raise only once: a second signal must not interrupt the release
            raise Stopped

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """
        Let :meth:`on_kill` end the work that the block does.

        :raises TaskStoppedError: Airflow has ended the task.
        """
        self._working_thread = threading.get_ident()
        try:
            yield
        except Stopped as stopped:
            error = TaskStoppedError("Airflow has ended this task; no further request began")
            error.so_far = stopped.so_far
            raise error from None
        finally:
            self._working_thread = None
