"""Nothing of a cluster is left behind, however its end comes."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.cluster.processes import processes_below, wait_until

HERE = Path(__file__).parent


@pytest.mark.parametrize("end", ["failure", signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left(tmp_path: Path, end: Any) -> None:
    folder = tmp_path.resolve() / "cluster"
    folder.mkdir()
    starter = subprocess.Popen(
        [sys.executable, HERE / "small_cluster.py", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
    )
    assert starter.stdin
    assert starter.stdout
    assert starter.stdout.readline() == "ready\n"
    if end == "failure":
        starter.stdin.write("\n")
        starter.stdin.flush()
    else:
        starter.send_signal(end)
    assert starter.wait(timeout=180) != 0  # a busy machine takes its time
    wait_until("an empty place", lambda: not folder.exists() and not processes_below(folder), seconds=30)
