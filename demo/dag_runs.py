"""Runs example DAGs, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from demo.environment import Workspace
from demo.output import DemoError, say

RUN_DAG = [sys.executable, "-m", "demo.run_dag"]

_TIMEOUT_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class DagResult:
    """
    The result of a DAG run.

    :param state: state of the run, as Airflow calls it.
    :param tasks: number of tasks in the run.
    :param failures: reason of each failed task, by its id.
    :param returned: return value of each task, by its id.
    :param seconds: wall time of the process.
    :param peak_megabytes: largest memory of the process, Airflow included.
    """

    state: str
    tasks: int
    failures: dict[str, str]
    returned: dict[str, Any]
    seconds: float
    peak_megabytes: float


def run_dag(
    workspace: Workspace,
    dag_id: str,
    day: str,
    environment: dict[str, str],
    *,
    must_fail: bool = False,
    stop: threading.Event | None = None,
) -> DagResult:
    """Run a DAG for a day in a process of its own."""
    log_path = workspace.logs / f"{dag_id}_{day}.log"
    result_path = workspace.folder / f"{dag_id}_{day}.json"
    started = time.monotonic()
    with log_path.open("wb") as log:
        command = [*RUN_DAG, dag_id, day, str(result_path)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)  # noqa: S603 - our own program
        try:
            exit_code, peak_kilobytes = wait_for(process.pid, stop or threading.Event())
        except TimeoutError:
            late = f"took longer than {_TIMEOUT_SECONDS} s"
            why = "was not wanted any more" if stop and stop.is_set() else late
            raise DemoError(f"{dag_id} for {day} {why} and was ended\nThe whole log: {log_path}") from None
    seconds = time.monotonic() - started
    result = json.loads(result_path.read_text(encoding="utf-8")) if result_path.exists() else {}
    if not result or (exit_code and not must_fail):
        raise DemoError(why_failed(dag_id, day, result) + f"\nThe whole log: {log_path}")
    if must_fail and not exit_code:
        raise DemoError(f"{dag_id} for {day} ended as {result['state']}, and should have failed")
    return DagResult(
        state=result["state"],
        tasks=len(result["tasks"]),
        failures=result["failures"],
        returned=result["returned"],
        seconds=seconds,
        peak_megabytes=peak_kilobytes / 1024,
    )


def wait_for(pid: int, stop: threading.Event) -> tuple[int, int]:
    """Wait for a process and return its exit code and peak memory in kilobytes; end it if it is late or not wanted."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    try:
        while time.monotonic() < deadline and not stop.is_set():
            done, status, usage = os.wait4(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status), usage.ru_maxrss
            time.sleep(0.05)
    except KeyboardInterrupt:
        os.kill(pid, signal.SIGKILL)
        raise
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError


def say_ended(dag_id: str, day: str, result: DagResult) -> None:
    """Print how a run ended."""
    say(f"{dag_id} for {day}: {result.state}, {result.tasks} tasks, {result.seconds:.0f} s.")


def why_failed(dag_id: str, day: str, result: dict[str, Any]) -> str:
    """Say which task failed and why."""
    if not result:
        return f"the run of {dag_id} for {day} crashed"
    states = ", ".join(f"{task}={state}" for task, state in result["tasks"].items()) or "no task ran"
    reasons = "\n".join(f"  {task}: {reason}" for task, reason in result["failures"].items())
    return f"{dag_id} for {day} ended as {result['state']} ({states})\n{reasons}"
