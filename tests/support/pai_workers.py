"""Worker processes that run tries of PAI tasks one after another, and can be suspended and killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection

from support.pai_tasks import Outcome, PaiTry

_CONTEXT = multiprocessing.get_context("forkserver")
# Imported once, for all of them; this package's own tests are not on the path of the server that forks.
_CONTEXT.set_forkserver_preload(
    [f"airflow_provider_audiences.{name}" for name in ("operators.pai_sync", "operators.pai_refresh", "triggers.pai")]
)
_SECONDS = 60


class Worker:
    """A process of its own."""

    def __init__(self) -> None:
        self._ours, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def start(self, given: PaiTry, *, environment: Mapping[str, str], at_epoch_seconds: float) -> None:
        """
        Have it begin a try.

        :param given: try that the process runs.
        :param environment: variables to set before, such as connections.
        :param at_epoch_seconds: when to begin, in seconds since the epoch.
        """
        self._ours.send((given, dict(environment), at_epoch_seconds))

    def outcome(self) -> Outcome | None:
        """Wait until the try has ended, and return how; None if the process was killed."""
        if not self._ours.poll(_SECONDS):
            raise TimeoutError("the try did not end")
        try:
            outcome: Outcome = self._ours.recv()
        except (EOFError, ConnectionResetError):
            return None
        return outcome

    def suspend(self) -> None:
        """Let it stand still, as on a machine that is suspended."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.join()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)


def _serve(theirs: Connection) -> None:
    while True:
        given, environment, at_epoch_seconds = theirs.recv()
        os.environ.update(environment)
        time.sleep(max(0.0, at_epoch_seconds - time.time()))
        theirs.send(given.run())
