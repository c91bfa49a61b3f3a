"""Processes that sync, for tests that kill or suspend them."""

import json
import os
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("crash_process.py")


class Processes:
    """Processes that have their imports behind them and wait for a job: the next one comes up meanwhile."""

    def __init__(self) -> None:
        self._waiting: deque[subprocess.Popen[str]] = deque()
        self._fill()

    def _fill(self) -> None:
        while len(self._waiting) < 2:
            command = [sys.executable, str(SCRIPT)]
            self._waiting.append(
                subprocess.Popen(
                    command,
                    env=os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )

    def begin(self, job: dict[str, Any]) -> subprocess.Popen[str]:
        process = self._waiting.popleft()
        self._fill()
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        return process

    def close(self) -> None:
        for process in self._waiting:
            process.kill()
            process.communicate()
