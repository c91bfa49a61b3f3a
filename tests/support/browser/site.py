"""A real Airflow web server with audiences that real DAG runs have written to."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

PATH = "/team/airflow"
"""Below which the server is, as behind a proxy: the page has to find the API there."""

ADMIN, NOBODY = "admin", "nobody"
"""Users: one who may see everything, and one who may see nothing."""

_SCRIPT = Path(__file__).parents[1] / "dags" / "audience_pages.py"
_START_SECONDS = 90


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

    def run(self, *dags: str) -> dict[str, list[str]]:
        """
        Run DAGs for real, each once, and return the states of their tasks.

        :param dags: ids of DAGs, with ``@again`` at their end for a run that comes to their fate.
        """
        with self.running(*dags) as process:
            said, errors = process.communicate(timeout=120)
        assert "\nENDED " in said, (said + errors)[-6000:]
        ended: dict[str, list[str]] = json.loads(said.rpartition("\nENDED ")[2].splitlines()[0])
        return ended

    @contextlib.contextmanager
    def running(self, *dags: str) -> Iterator[subprocess.Popen[str]]:
        """
        Begin runs of DAGs, and end the process at the end.

        :param dags: as those of :meth:`run`.
        """
        process = subprocess.Popen(
            [sys.executable, str(self.folder / "dags" / _SCRIPT.name), *dags],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(timeout=30)

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
        headers = {"Authorization": f"Bearer {self.token(ADMIN)}"}
        reply = requests.get(f"{self.url}/api/v2/{path}", params=query, headers=headers, timeout=30)
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
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
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


@contextlib.contextmanager
def serving(folder: Path, *, path: str = PATH) -> Iterator[Site]:
    """
    Run a web server with an empty database.

    :param folder: Airflow's home; a database that lies there is taken.
    :param path: below which its pages are.
    """
    environment = environment_of(folder, path=path)
    airflow = str(Path(sys.executable).with_name("airflow"))
    with (folder / "migrate.log").open("wb") as log:
        subprocess.run([airflow, "db", "migrate"], env=environment, stdout=log, stderr=log, check=True, timeout=300)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([airflow, "api-server"], env=environment, stdout=log, stderr=log, cwd=folder)
    site = Site(folder=folder, environment=environment, url=environment["AIRFLOW__API__BASE_URL"])
    try:
        _wait_for(site, process)
        yield site
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        process.kill()
        process.wait(timeout=20)


def _wait_for(site: Site, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, (site.folder / "server.log").read_text()[-6000:]
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{site.url}/api/v2/version", timeout=5).ok:
                return
        time.sleep(0.2)
    raise TimeoutError((site.folder / "server.log").read_text()[-6000:])
