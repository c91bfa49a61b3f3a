"""The demo's own Airflow installations: home, database, connections and variables, all below ``.demo``."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_audiences.emulator.testing import AudiencesEmulatorControl

ROOT = Path(__file__).resolve().parent.parent

PAI_TABLES = {"crm": {"lapsed_buyers": 48_213}}
STAGE_URI = "https://demo-audiences.oss-cn-hangzhou.aliyuncs.com/"
TEST_PHONES = "\n".join(f"1390000{number:04d}" for number in range(1, 13))
_START_SECONDS = 30
_CONNECTION = "AIRFLOW_CONN_"
_VARIABLE = "AIRFLOW_VAR_"


def _is_passed_on(variable: str) -> bool:
    """Return whether a variable of this process is one for Airflow's: only of Airflow's own, where lineage goes."""
    return not variable.startswith("AIRFLOW_") or variable.startswith("AIRFLOW__OPENLINEAGE__")


@dataclass(frozen=True)
class Workspace:
    """
    A folder with everything that one installation writes.

    :param folder: the folder, below ``.demo``.
    """

    folder: Path

    @classmethod
    def named(cls, name: str) -> Workspace:
        """
        Return a workspace, with its folders made.

        :param name: name of the folder below ``.demo``.
        """
        workspace = cls(ROOT / ".demo" / name)
        workspace.data.mkdir(parents=True, exist_ok=True)
        workspace.logs.mkdir(parents=True, exist_ok=True)
        return workspace

    @property
    def data(self) -> Path:
        """Where the files of device IDs are."""
        return self.folder / "data"

    @property
    def stage(self) -> Path:
        """What stands for a bucket in OSS: the emulator reads here what lies there."""
        return self.folder / "stage"

    @property
    def logs(self) -> Path:
        """Where the processes' output goes."""
        return self.folder / "logs"

    def environment(self, emulator_url: str, api_key: str) -> dict[str, str]:
        """
        Return the environment of this installation's Airflow processes.

        :param emulator_url: where the emulator listens.
        :param api_key: the key that it takes.
        """
        # With the port once more, which the test button of Airflow 3.3 needs.
        shared = {"port": urlsplit(emulator_url).port, "password": api_key}
        applovin = {"conn_type": "applovin", "host": emulator_url, **shared}
        pai = {"conn_type": "pai", "host": f"{emulator_url}/api/PaiPlugin/2022-01-12", **shared}
        return {
            **{name: value for name, value in os.environ.items() if _is_passed_on(name)},
            # Airflow's standalone starts its parts by name.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags_examples"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW_CONN_APPLOVIN_DEFAULT": json.dumps(applovin),
            "AIRFLOW_CONN_PAI_DEFAULT": json.dumps(pai),
            "AIRFLOW_VAR_AUDIENCES_DATA_FOLDER": str(self.data),
            "AIRFLOW_VAR_AUDIENCES_STAGE_PATH": str(self.stage),
            "AIRFLOW_VAR_AUDIENCES_STAGE_URI": f"{STAGE_URI}{{key}}",
            "AIRFLOW_VAR_AUDIENCES_TEST_PHONES": TEST_PHONES,
        }

    @contextmanager
    def running_emulator(self) -> Iterator[tuple[str, str]]:
        """Run the emulator in a process of its own; yield its address and key."""
        api_key = secrets.token_urlsafe(24)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        program = [sys.executable, "-m", "airflow_provider_audiences.emulator"]
        environment = {**os.environ, "AUDIENCES_EMULATOR_API_KEY": api_key}
        log_path = self.logs / "emulator.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [*program, "--port", str(port), "--processing-seconds", "3"], stdout=log, stderr=log, env=environment
            )
            try:
                _wait_for(url, process, log_path)
                AudiencesEmulatorControl(url).settings(maxcompute=PAI_TABLES, file_roots={STAGE_URI: str(self.stage)})
                yield url, api_key
            finally:
                process.terminate()
                process.wait(timeout=10)

    def migrate_database(self, environment: dict[str, str]) -> None:
        """
        Create or upgrade this installation's SQLite database.

        :param environment: environment that :meth:`environment` returned.
        """
        log_path = self.logs / "migrate.log"
        with log_path.open("wb") as log:
            command = [str(Path(sys.executable).with_name("airflow")), "db", "migrate"]
            done = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False)  # noqa: S603
        if done.returncode:
            raise SystemExit(f"airflow db migrate failed: see {log_path}")

    def store_in_airflow(self, environment: dict[str, str], *, variables: dict[str, str]) -> dict[str, str]:
        """
        Store the connections and variables in Airflow's database, where its pages show them and can test them.

        :param environment: environment that :meth:`environment` returned.
        :param variables: more variables than the environment has, by name.
        :return: the environment without what is stored now.
        """
        connections = {
            name.removeprefix(_CONNECTION).lower(): json.loads(value)
            for name, value in environment.items()
            if name.startswith(_CONNECTION)
        }
        stored = {
            name.removeprefix(_VARIABLE).lower(): value
            for name, value in environment.items()
            if name.startswith(_VARIABLE)
        }
        rest = {name: value for name, value in environment.items() if not name.startswith((_CONNECTION, _VARIABLE))}
        # Both at once: most of their time goes into their start.
        imports = {
            "connections": self._importing("connections", connections, rest, "--overwrite"),
            "variables": self._importing("variables", stored | variables, rest),
        }
        codes = {what: process.wait() for what, process in imports.items()}
        for what, code in codes.items():
            (self.folder / f"{what}.json").unlink()
            if code:
                raise SystemExit(f"airflow {what} import failed: see {self.logs / f'{what}.log'}")
        return rest

    def _importing(
        self, what: str, content: dict[str, Any], environment: dict[str, str], *options: str
    ) -> subprocess.Popen[bytes]:
        """Begin to store something in Airflow; return the process."""
        path = self.folder / f"{what}.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(content), encoding="utf-8")
        command = [str(Path(sys.executable).with_name("airflow")), what, "import", str(path), *options]
        with (self.logs / f"{what}.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)  # noqa: S603

    def second_home(self, environment: dict[str, str]) -> dict[str, str]:
        """
        Return the environment of a second Airflow, whose processes do not wait for those of the first.

        :param environment: of the first; its database is copied.
        """
        home = self.folder / "airflow-2"
        home.mkdir()
        shutil.copy(Path(environment["AIRFLOW_HOME"], "airflow.db"), home)
        return {**environment, "AIRFLOW_HOME": str(home)}


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(url: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the emulator stopped at once: see {log_path}")
        try:
            with urllib.request.urlopen(f"{url}/_emulator/health", timeout=5):  # noqa: S310 - loopback
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"the emulator did not answer within {_START_SECONDS} s: see {log_path}")
