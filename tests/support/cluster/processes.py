"""Finds and ends processes by their working folder, which children inherit, also those that outlive their parents."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")

_END_SECONDS = 30


def processes_below(folder: Path) -> list[psutil.Process]:
    """
    Return the processes whose working folder is this one, or lies in it; the oldest first.

    :param folder: an absolute path without links.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return sorted(found, key=lambda process: process.create_time())


def kill_below(folder: Path) -> None:
    """
    End all processes of a folder with SIGKILL, and those that they start meanwhile.

    :param folder: an absolute path without links.
    :raises TimeoutError: some are still there.
    """
    until = time.monotonic() + _END_SECONDS
    while found := processes_below(folder):
        if time.monotonic() > until:
            raise TimeoutError(f"{len(found)} processes of {folder} do not end")
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=1)


def wait_until(what: str, look: Callable[[], T | None], *, seconds: float, pause_seconds: float = 0.2) -> T:
    """
    Look again and again, and return the first that is not false.

    :param what: name of what is waited for, for the error.
    :param look: function that returns it, or something false while it is not there.
    :param seconds: longest wait in seconds.
    :param pause_seconds: pause between two calls; default 0.2.
    :raises TimeoutError: it did not come.
    """
    until = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        if time.monotonic() > until:
            raise TimeoutError(f"Within {seconds:g} seconds there was not: {what}")
        time.sleep(pause_seconds)
