"""
Runs a process and tells what it took: time, processor, memory, open files, and what it wrote to disks.

Bytes written are the process's ``write_bytes`` in Linux's ``/proc/PID/io``: what it has caused to go to a disk, by
whichever call. The kernel counts a page when it gets its first change. So a file that DuckDB or the kernel itself
copies counts as much as one that Python writes, sockets don't count, and it makes no difference whether the disk has
the page when the process ends. (``wchar`` counts calls of ``write`` alone, those to sockets and the log among them.)
Open files and temporary files are looked at five times a second.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import BenchmarkError

_LOOK_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Cost:
    """
    What one process took.

    :param seconds: wall time from start to end.
    :param cpu_seconds: its user and system time.
    :param written: bytes that it wrote to disks.
    :param peak_megabytes: its largest memory.
    :param open_files: most descriptors that it had at a time.
    :param temporary_bytes: most room that files of its temporary folder took at a time.
    """

    seconds: float
    cpu_seconds: float
    written: int
    peak_megabytes: float
    open_files: int
    temporary_bytes: int


def cost_of(
    command: Sequence[str], *, environment: Mapping[str, str], log: Path, cwd: Path, temporary: Path | None = None
) -> Cost:
    """
    Run a command to its end.

    :param command: program and arguments.
    :param environment: all variables of the process.
    :param log: file for its output.
    :param cwd: folder in which it runs.
    :param temporary: its temporary folder, to be watched; None (default) for none.
    :raises BenchmarkError: it failed.
    """
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        watch = _Watch(process.pid, temporary)
        # The process has ended and is still there, with its counters, until it is waited for.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        seconds = time.perf_counter() - started
        watch.end()
        written = _written(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchmarkError(f"exit status {process.returncode}: see {log.parent.name}/{log.name}")
    return Cost(
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        written=written,
        peak_megabytes=usage.ru_maxrss * 1024 / 1e6,
        open_files=watch.open_files,
        temporary_bytes=watch.temporary_bytes,
    )


class _Watch:
    """Looks at a process from time to time, in a thread."""

    def __init__(self, pid: int, temporary: Path | None) -> None:
        self.open_files = 0
        self.temporary_bytes = 0
        self._descriptors = Path(f"/proc/{pid}/fd")
        self._temporary = temporary
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            with suppress(OSError):
                self.open_files = max(self.open_files, sum(1 for _ in self._descriptors.iterdir()))
            if self._temporary is not None:
                self.temporary_bytes = max(self.temporary_bytes, self._room())

    def _room(self) -> int:
        """Return what the temporary files take, those among them that have no name any more."""
        found: dict[tuple[int, int], int] = {}
        paths = list(self._temporary.rglob("*")) if self._temporary else []
        with suppress(OSError):
            paths += self._descriptors.iterdir()
        for path in paths:
            with suppress(OSError):
                target = path if path.parent != self._descriptors else path.readlink()
                if self._temporary is not None and str(target).startswith(str(self._temporary)):
                    stat = path.lstat() if target is path else path.stat()  # a link takes no room
                    found[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
        return sum(found.values())


def _written(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])
