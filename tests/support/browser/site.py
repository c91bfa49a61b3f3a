"""A real Airflow web server with audiences that real DAG runs have written to."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

PATH = "/team/airflow"
"""Below which the server is, as behind a proxy: the page has to find the API there."""

ADMIN, NOBODY = "admin", "nobody"
"""Users: one who may see everything, and one who may see nothing."""

PYTHON = Path(os.environ.get("AUDIENCES_PAGE_PYTHON") or sys.executable)
"""Interpreter of the Airflow that serves the page and runs DAGs: by default, the tests' own."""

_SCRIPT = Path(__file__).parents[1] / "dags" / "audience_pages.py"
_START_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Site:
    """
    A running web server.

    :param folder: Airflow's home.
    :param environment: environment of its processes.
    :param url: address of Airflow's pages, without a slash at its end.
    """

    folder: Path
    environment: dict[str, str]
    url: str

    def said(self, name: str) -> str:
        """
        Return what a process has written.

        :param name: ``server`` or ``runs``.
        """
        return (self.folder / f"{name}.log").read_text("utf-8", errors="replace")

    @property
    def release(self) -> Path:
        """The file that ends a running sync."""
        return Path(self.environment["AUDIENCE_PAGES_RELEASE"])

    def token(self, user: str) -> str:
        """
        Log in, and return the token that the browser keeps as its cookie.

        :param user: name of the user.
        """
        body = {"username": user, "password": user}
        reply = requests.post(f"{self.url}/auth/token", json=body, timeout=30)
        reply.raise_for_status()
        return str(reply.json()["access_token"])

    def ask(self, path: str, **query: Any) -> Any:
        """
        Ask the API as the admin.

        :param path: below the API's root.
        :param query: parameters of the request.
        """
        return self._answer("GET", path, params=query)

    def tell(self, path: str, **body: Any) -> Any:
        """
        Make something by the API, as the admin.

        :param path: below the API's root.
        :param body: what to make.
        """
        return self._answer("POST", path, json=body)

    def _answer(self, method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token(ADMIN)}"}
        reply = requests.request(method, f"{self.url}/api/v2/{path}", headers=headers, timeout=30, **more)
        reply.raise_for_status()
        return reply.json()


def environment_of(folder: Path, *, path: str) -> dict[str, str]:
    """
    Return the environment of an Airflow of its own.

    :param folder: its home.
    :param path: below which its pages are.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "dags").mkdir(parents=True, exist_ok=True)
    shutil.copy(_SCRIPT, folder / "dags")
    passwords = folder / "passwords.json"
    passwords.write_text(json.dumps({ADMIN: ADMIN, NOBODY: NOBODY}))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return kept | {
        # Airflow starts some of its parts by name.
        "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin,{NOBODY}:",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}{path}",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AUDIENCE_PAGES_RELEASE": str(folder / "release"),
        "NO_PROXY": "127.0.0.1",
    }


def new_database(home: Path) -> Path:
    """
    Make an empty database of the Airflow that serves the page, and return its path.

    :param home: an empty folder for it.
    """
    environment = environment_of(home, path="")
    subprocess.run(
        [PYTHON, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True, timeout=300
    )
    return home / "airflow.db"


@contextlib.contextmanager
def serving(folder: Path, database: Path, *runs: str, path: str = PATH) -> Iterator[Site]:
    """
    Run a web server, and hand it out when all runs have ended, but for those that last until they are released.

    :param folder: Airflow's home.
    :param database: an empty database of Airflow, which is copied.
    :param runs: runs of DAGs, as the script takes them; the last one may be one that lasts.
    :param path: below which its pages are.
    """
    environment = environment_of(folder, path=path)
    shutil.copy(database, folder / "airflow.db")
    site = Site(folder=folder, environment=environment, url=environment["AIRFLOW__API__BASE_URL"])
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_program(site, "server", PYTHON.with_name("airflow"), "api-server"))
        if runs:
            script = stack.enter_context(_program(site, "runs", PYTHON, folder / "dags" / _SCRIPT.name, *runs))
            last = f"BEGUN {runs[-1]}" if runs[-1].endswith("@again") else "ENDED"
            wait_until(site, "runs", script, lambda: last in site.said("runs"))
        wait_until(site, "server", server, lambda: _answers(site))
        yield site


@contextlib.contextmanager
def _program(site: Site, name: str, *command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    with (site.folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=site.environment, stdout=log, stderr=log, cwd=site.folder, start_new_session=True
        )
    try:
        yield process
    finally:
        # Nothing that they write is read again, so they need not end in order.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=20)


def wait_until(site: Site, name: str, process: subprocess.Popen[bytes], look: Callable[[], bool]) -> None:
    """
    Wait for something that a process does.

    :param site: the site.
    :param name: name of the process's log.
    :param process: the process; its end without what is waited for is an error.
    :param look: function that tells whether it is done.
    """
    until = time.monotonic() + _START_SECONDS
    while not look():
        ended = process.poll() is not None and not look()
        assert not ended, site.said(name)[-6000:]
        assert time.monotonic() < until, f"it takes too long: {site.said(name)[-6000:]}"
        time.sleep(0.2)


def _answers(site: Site) -> bool:
    try:
        return requests.get(f"{site.url}/api/v2/version", timeout=5).ok
    except requests.RequestException:
        return False
