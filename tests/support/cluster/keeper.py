"""
Ends all processes of some folders, and deletes the folders, when its standard input closes.

It is a process of its own, so that nothing is left behind even if the process that started the cluster was killed.
Usage: ``python keeper.py FOLDER…``; it prints a line when it is ready.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from support.cluster.processes import kill_below


@contextlib.contextmanager
def kept(*folders: Path) -> Iterator[None]:
    """
    Have the processes of folders ended, and the folders removed, at the end or when this process is gone.

    :param folders: absolute paths without links.
    """
    command = [sys.executable, "-m", "support.cluster.keeper", *map(str, folders)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    keeper = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
    )
    assert keeper.stdout
    assert keeper.stdout.readline() == b"ready\n"
    try:
        yield
    finally:
        keeper.communicate(timeout=90)


def main(folders: list[Path]) -> None:
    """
    Wait for the end, and clean up.

    :param folders: absolute paths of the cluster's folders.
    """
    # Ctrl-C is for who started the cluster: then the input closes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)  # noqa: T201 - who started this waits for it
    sys.stdin.read()
    for folder in folders:
        with contextlib.suppress(TimeoutError):
            kill_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
