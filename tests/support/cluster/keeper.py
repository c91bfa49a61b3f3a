"""
Ends all processes of a folder, and removes it, when its standard input closes.

A process of its own, so that nothing is left behind even if who started the cluster was killed:
``python keeper.py FOLDER``. It prints a line when it is ready.
"""

import shutil
import signal
import sys
from pathlib import Path

from support.cluster.processes import kill_below


def main(folder: Path) -> None:
    """
    Wait for the end, and clean up.

    :param folder: of the cluster.
    """
    # Ctrl-C is for who started the cluster: then the input closes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)  # noqa: T201 - who started this waits for it
    sys.stdin.read()
    try:
        kill_below(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
