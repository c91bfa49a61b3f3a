"""
Runs a full Airflow on loopback, with the example DAGs, their connections and data, the emulator, and a PostgreSQL.

``make airflow`` runs it until Ctrl-C. Environment variables: ``PORT`` of Airflow, ``HISTORY_DAYS``, and ``WORKSPACE``,
the folder below ``.demo``.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.redaction import Secret
from demo.days import OPT_OUTS
from demo.device_ids import new_ids, write_device_ids
from demo.environment import Workspace, free_port
from demo.warehouse import CONN_ID, running_warehouse, write_players

LINES = 20_000
HISTORY_DAYS = 14
"""Days of history, unless the environment variable of this name says otherwise."""

_END_SECONDS = 20


def main() -> int:
    """Run Airflow until it ends or is interrupted."""
    workspace = Workspace.named(os.environ.get("WORKSPACE", "standalone"))
    is_first_start = not (workspace.folder / "airflow" / "airflow.db").exists()
    today = datetime.now(UTC).date()
    history = int(os.environ.get("HISTORY_DAYS", HISTORY_DAYS)) if is_first_start else 0
    days = [str(today + timedelta(days=offset)) for offset in range(-max(1, history), 2)]
    write_files(workspace.data, days)
    port = os.environ.get("PORT") or str(free_port())
    with workspace.running_emulator() as (url, api_key), running_warehouse(workspace.data) as warehouse:
        environment = {
            **workspace.environment(url, api_key),
            f"AIRFLOW_CONN_{CONN_ID.upper()}": warehouse,
            "AIRFLOW__API__PORT": port,
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            # Fixed by default, which a second Airflow on this machine would not like.
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        }
        workspace.migrate_database(environment)
        variables = {"audiences_applovin_id": new_audience(url, api_key)}
        environment = workspace.store_in_airflow(environment, variables=variables)
        if history:
            print(f"Two examples run for the past {history} days first, each day with its own clock.", flush=True)
            run_history(workspace, url, environment, days[:history])
        print("Airflow starts; this takes about half a minute.", flush=True)
        welcome = (
            f"Airflow:  http://127.0.0.1:{port} (no login: everybody on this machine is admin)\n"
            f"Emulator: {url} (what it was asked: {url}/_emulator/requests)\n"
            f"Output:   {workspace.logs / 'airflow.log'}\n"
            "Browse, Audiences shows an audience of past weeks, and a suppression list that a guard has stopped.\n"
            f"Unpause a DAG and it runs for today; there are files for {', '.join(days[-3:])}. Ctrl-C stops everything."
        )
        with (workspace.logs / "airflow.log").open("wb") as log:
            airflow = [str(Path(sys.executable).with_name("airflow")), "standalone"]
            process = subprocess.Popen(  # noqa: S603 - our own program
                airflow, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            return run_until_interrupted(process, f"http://127.0.0.1:{port}/api/v2/monitor/health", welcome)


def write_files(folder: Path, days: Sequence[str]) -> None:
    """
    Write the files that the example DAGs read, and those that the warehouse's tables are made of.

    :param folder: where they lie.
    :param days: days of the files, in order, the last two of which are today and tomorrow. Each day some people are
        new, and fewer are gone. Of yesterday's existing users, only half have arrived.
    """
    chance = random.Random(LINES)  # noqa: S311 - test data, not secrets
    people = new_ids(LINES, chance=chance)
    (folder / OPT_OUTS).write_text("".join(f"{person}\n" for person in people[-LINES // 500 :]), encoding="utf-8")
    for number, day in enumerate(days):
        gone, new = (int(LINES * chance.uniform(*part)) for part in ((0.001, 0.004), (0.003, 0.012)))
        people = [*people[gone:], *new_ids(new, chance=chance)]
        write_device_ids(folder / f"device_ids_{day}.txt", lines=len(people), seed=number, ids=people)
        users = people[: LINES // 10 if number != len(days) - 3 else LINES // 20]
        write_device_ids(folder / f"existing_users_{day}.txt", lines=len(users), seed=number, ids=users)
        rows = [f"{row},1390000{row:04d}" for row in range(number, 500 + number)]
        (folder / f"phones_{day}.csv").write_text("\n".join(["id,phone", *rows]), encoding="utf-8")
    write_players(folder, people)


def run_history(workspace: Workspace, url: str, environment: dict[str, str], days: Sequence[str]) -> None:
    """
    Run two examples for days of the past.

    :param workspace: workspace with their files.
    :param url: address of the emulator.
    :param environment: environment of Airflow's processes.
    :param days: the days, in order.
    """
    log_path = workspace.logs / "history.log"
    with log_path.open("wb") as log:
        command = [sys.executable, "-m", "demo.history", url, *days]
        done = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False)  # noqa: S603 - our own program
    if done.returncode:
        raise SystemExit(f"the history could not be made: see {log_path}")


def new_audience(url: str, api_key: str) -> str:
    """
    Create an audience at the emulator, and return its id.

    :param url: address of the emulator.
    :param api_key: the key that it takes.
    """
    with AppLovinClient(api_key=Secret(api_key), base_url=url) as client:
        return client.create_audience(
            name="Approved players", platform="android", package_name="com.example.game"
        ).audience_id


def run_until_interrupted(process: subprocess.Popen[bytes], health_url: str, welcome: str) -> int:
    """
    Say when a server is ready, wait for its end, and end its whole process group.

    :param process: leader of a process group of its own.
    :param health_url: answers when the server is ready.
    :param welcome: what to say then.
    :return: its exit status; 0 after an interrupt.
    """
    # A terminal's Ctrl-C and a service manager's SIGTERM end it the same way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        while process.poll() is None and not is_healthy(health_url):
            time.sleep(0.5)
        if process.poll() is None:
            print(welcome, flush=True)
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        end_group(process.pid)
        print("Stopped.", flush=True)


def is_healthy(health_url: str) -> bool:
    """
    Ask Airflow whether scheduler and triggerer are up.

    :param health_url: address of Airflow's health API.
    """
    try:
        with urllib.request.urlopen(health_url, timeout=5) as reply:  # noqa: S310 - loopback
            health = json.load(reply)
    except (OSError, ValueError):
        return False
    return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "triggerer"))


def end_group(group_id: int) -> None:
    """
    End all processes of a group: politely first, and for good after 20 seconds.

    :param group_id: id of the group.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group_id, signal.SIGTERM)
        deadline = time.monotonic() + _END_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-group_id, os.WNOHANG)
            os.killpg(group_id, 0)
            time.sleep(0.2)
        os.killpg(group_id, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
