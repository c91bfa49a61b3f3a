"""
A full Airflow on loopback, with the examples, their connections, their data and the emulator.

``make airflow`` runs it until Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from demo.device_ids import write_device_ids
from demo.environment import Workspace, free_port

LINES = 50_000


def main() -> int:
    """Run Airflow until it ends or is interrupted."""
    workspace = Workspace.named("standalone")
    today = datetime.now(UTC).date()
    days = [str(today + timedelta(days=offset)) for offset in (-1, 0, 1)]
    for day in days:
        write_device_ids(workspace.data / f"device_ids_{day}.txt", lines=LINES, seed=int(day.replace("-", "")))
    port = os.environ.get("PORT") or str(free_port())
    with workspace.running_emulator() as (url, api_key):
        environment = {
            **workspace.environment(url, api_key),
            "AIRFLOW__API__PORT": port,
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        }
        workspace.migrate_database(environment)
        print(
            f"Airflow:  http://127.0.0.1:{port} (no login: everybody on this machine is admin)\n"
            f"Emulator: {url} (what it was asked: {url}/_emulator/requests)\n"
            f"There are files for the logical dates {', '.join(days)}. Ctrl-C stops everything.",
            flush=True,
        )
        airflow = str(Path(sys.executable).with_name("airflow"))
        return run_until_interrupted([airflow, "standalone"], environment)


def run_until_interrupted(command: list[str], environment: dict[str, str]) -> int:
    """
    Run a command in a process group of its own, and end the whole group with it.

    :param command: what to run.
    :param environment: of the command.
    :return: its exit status; 0 after an interrupt.
    """
    process = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603 - our own program
    # A terminal's Ctrl-C and a service manager's SIGTERM end it the same way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
