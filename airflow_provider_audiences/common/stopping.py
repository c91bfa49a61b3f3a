"""
Tasks that Airflow ends: marked as failed or cleared while they run, or on a worker that is stopped.

Airflow sends SIGTERM, and calls ``on_kill`` in the handler of that signal: in the thread that works, between any two
of its instructions. From version 3.3 on it goes on then, and kills the process 5 seconds later. So ``on_kill`` takes no
lock and makes no request: it raises, as a timeout does, and whatever the work holds is let go on the way out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_audiences.exceptions import TaskStoppedError
from airflow_provider_audiences.stopping import Stopped


class Stoppable:
    """For operators and sensors: their work ends at once when Airflow ends the task."""

    _working_thread: int | None = None

    def on_kill(self) -> None:
        """End the work under way: no further request begins, and what is held is let go."""
        if self._working_thread == threading.get_ident():
            self._working_thread = None  # once: a second signal must not break the way out
            raise Stopped

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """
        Do the task's work in the block.

        :raises TaskStoppedError: Airflow has ended the task.
        """
        self._working_thread = threading.get_ident()
        try:
            yield
        except Stopped as stopped:
            error = TaskStoppedError("Airflow has ended this task; no further request began")
            error.landed = stopped.landed
            raise error from None
        finally:
            self._working_thread = None
