"""
A cluster in small: parts in sessions of their own, of which some outlive their parent, and one ignores SIGTERM.

A script, for the test of what is left behind: ``python small_cluster.py FOLDER``. It fails when it is given a line.
"""

import signal
import subprocess
import sys
from pathlib import Path

from support.cluster.keeper import kept
from support.cluster.processes import processes_below, wait_until

PARTS = ("sleep 300 & sleep 300 & exit", "trap '' TERM; sleep 300; true")
PROCESSES = 4

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs the tests in the background has it ignored
folder = Path(sys.argv[1])
with kept(folder):
    for part in PARTS:
        subprocess.Popen(["sh", "-c", part], cwd=folder, start_new_session=True)
    wait_until("all processes", lambda: len(processes_below(folder)) == PROCESSES, seconds=30)
    print("ready", flush=True)  # noqa: T201 - the test waits for it
    sys.stdin.readline()
    raise SystemExit("as a test that fails")
