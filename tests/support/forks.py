"""
A process that has its imports behind it, and forks one for each job.

A script imports what its jobs need, and calls :func:`serve`; a test makes :class:`Forks` of the script.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any


class Forks:
    """
    The process of a script, and those that it forks.

    :param script: its file.
    :param environment: more of its environment.
    """

    def __init__(self, script: Path, **environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="forks-")
        self._numbers = itertools.count()
        answers, told = os.pipe()  # imports may write to the standard output
        self._server = subprocess.Popen(
            [sys.executable, str(script), str(told)],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[told],
            text=True,
        )
        os.close(told)
        self._answers = os.fdopen(answers)
        # Only what has no other threads may be forked.
        assert self._read() == {"threads": 1}

    def _read(self) -> Any:
        line = self._answers.readline()
        assert line, "the process has ended"
        return json.loads(line)

    def _ask(self, **question: Any) -> Any:
        assert self._server.stdin
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        return self._read()

    def begin(self, job: dict[str, Any]) -> "Fork":
        """Begin a job in a process of its own."""
        output = Path(self._folder.name, f"{next(self._numbers)}.output")
        os.mkfifo(output)
        return Fork(self, self._ask(job=job, output=str(output)), output)

    def exit_code(self, pid: int, *, wait: bool) -> int | None:
        """Return how a process ended; None if it has not, and is not waited for."""
        code: int | None = self._ask(ended=pid, wait=wait)
        return code

    def close(self) -> None:
        self._server.kill()
        self._server.communicate()
        self._answers.close()
        self._folder.cleanup()


class Fork:
    """
    One of the forked processes, with as much of :class:`subprocess.Popen` as tests use.

    :param forks: has its parent.
    :param pid: of the process.
    :param output: where it writes to; its errors stand beside that.
    """

    def __init__(self, forks: Forks, pid: int, output: Path) -> None:
        self._forks, self._pid = forks, pid
        self._errors = output.with_suffix(".errors")
        self.stdout = output.open(errors="replace")
        self.returncode: int | None = None

    def send_signal(self, number: Signals) -> None:
        os.kill(self._pid, number)

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._forks.exit_code(self._pid, wait=False)
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """
        Wait for its end; return the rest of what it says, and its errors.

        :param timeout: seconds after which it is killed.
        """
        watch = threading.Timer(timeout, os.kill, (self._pid, SIGKILL))
        watch.daemon = True
        watch.start()
        with self.stdout:
            said = self.stdout.read()
        watch.cancel()
        if self.returncode is None:
            self.returncode = self._forks.exit_code(self._pid, wait=True)
        return said, self._errors.read_text(errors="replace")


def serve(work: Callable[[dict[str, Any]], None]) -> None:
    """
    Begin jobs in forks, and tell how they ended, until nobody asks any more.

    :param work: does a job; what it writes to the standard output goes to the one who began it.
    """
    answers = os.fdopen(int(sys.argv[1]), "w", buffering=1)
    answers.write(json.dumps({"threads": threading.active_count()}) + "\n")
    for line in sys.stdin:
        asked = json.loads(line)
        if "job" in asked:
            answer: int | None = _begin(work, asked["job"], asked["output"])
        else:
            ended, status = os.waitpid(asked["ended"], 0 if asked["wait"] else os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        answers.write(json.dumps(answer) + "\n")


def _begin(work: Callable[[dict[str, Any]], None], job: dict[str, Any], output: str) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.dup2(os.open(output.removesuffix(".output") + ".errors", os.O_WRONLY | os.O_CREAT, 0o600), 2)
        os.dup2(os.open(output, os.O_WRONLY), 1)
        work(job)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the test reads which it was
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
