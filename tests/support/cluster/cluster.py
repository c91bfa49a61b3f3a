"""A running cluster: what tests do to it, and what they see of it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg2

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from support.cluster.processes import kill_below, processes_below, wait_until
from support.cluster.rest import AirflowApi, Run, Task

T = TypeVar("T")

WORKERS = ("first", "second")
"""Each takes tasks of the default queue, and those of the queue with its name."""

BUCKET = "cluster"
"""In the object store."""

PROGRAMS = Path(sys.executable).parent
"""Where those of this Python's environment are."""

_DAG_IDS = {
    "cluster_sync",
    "cluster_many",
    "cluster_apply",
    "cluster_pair",
    "cluster_partitioned_1",
    "cluster_partitioned_16",
    "cluster_changes",
}
_START_SECONDS = 180
_RUN_SECONDS = 300


@dataclass(kw_only=True)
class Cluster:
    """
    A running cluster.

    :param folder: folder with all files of the cluster.
    :param emulator: control of the emulated platforms.
    :param s3: client of the object store.
    :param api: client of Airflow's REST API.
    :param postgres: folder of the database server's socket.
    :param environment: environment variables that all Airflow processes share.
    :param workers: names of its Celery workers; none if the scheduler runs all tasks.
    """

    folder: Path
    emulator: AudiencesEmulator
    s3: Any
    api: AirflowApi
    postgres: Path
    environment: dict[str, str]
    workers: tuple[str, ...] = WORKERS
    _parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def put_members(self, name: str, ids: list[str]) -> str:
        """
        Put members into the object store, and return the address of the object.

        :param name: name of the object.
        :param ids: advertising IDs to put there.
        """
        self.s3.put_object(Bucket=BUCKET, Key=name, Body="".join(f"{item}\n" for item in ids).encode())
        return f"s3://store@{BUCKET}/{name}"

    def make_database(self, name: str) -> Any:
        """
        Make an empty database, with an Airflow connection of its name; return a connection that commits at once.

        :param name: name of the database, which no other test has.
        """
        self.connect("postgres").cursor().execute(f"CREATE DATABASE {name}")
        self.api.add_connection(name, conn_type="postgres", host=str(self.postgres), login="postgres", schema=name)
        return self.connect(name)

    def connect(self, database: str) -> Any:
        """
        Return a connection to a database, which commits at once.

        :param database: name of the database.
        """
        connection = psycopg2.connect(host=str(self.postgres), user="postgres", dbname=database)
        connection.autocommit = True
        return connection

    def leases(self, audience_id: str) -> list[str]:
        """
        Return the names of the leases of an audience: whoever syncs it has one.

        :param audience_id: id of the audience.
        """
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix="state/applovin/").get("Contents", [])
        return [entry["Key"] for entry in found if f"/{audience_id}/lease-" in entry["Key"]]

    def start_worker(self, name: str) -> None:
        """
        Start a Celery worker on an empty disk.

        :param name: name of the worker, one of :data:`WORKERS`.
        """
        shutil.rmtree(self.folder / name, ignore_errors=True)
        options = ["--celery-hostname", f"{name}@%h", "--queues", f"default,{name}", "--concurrency", "4"]
        quiet = ["--without-gossip", "--without-mingle", "--skip-serve-logs", "--pid", str(self.folder / name / "pid")]
        # The name that Airflow shows as the worker's host: see AIRFLOW__CORE__HOSTNAME_CALLABLE.
        self.start(name, "airflow", "celery", "worker", *options, *quiet, LOGNAME=name)

    def wait_for_worker(self, name: str) -> None:
        """
        Wait until a worker takes tasks.

        :param name: name of the worker, one of :data:`WORKERS`.
        """
        self.wait_until(f"a worker {name}", lambda: " ready." in self.log(name), seconds=_START_SECONDS)

    def start(self, name: str, program: str | Path, *arguments: str | Path, **environment: str) -> None:
        """
        Start a program as a part of the cluster, in a folder of its own.

        :param name: name of the part and of its folder.
        :param program: path of the program, or its name in this Python environment.
        :param arguments: command-line arguments of the program.
        :param environment: further environment variables.
        """
        home = self.folder / name
        (home / "tmp").mkdir(parents=True)
        with (home / "log").open("wb") as log:
            self._parts[name] = subprocess.Popen(
                [PROGRAMS / program, *arguments],
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

        :param name: name of the part.
        """
        kill_below(self.folder / name)
        self._parts.pop(name).wait()

    def kill_main_process(self, name: str) -> None:
        """
        End only the process that a part was started as; its children live on.

        :param name: name of the part.
        """
        part = self._parts.pop(name)
        part.kill()
        part.wait()

    def wait_for_end(self, name: str, *, seconds: float) -> None:
        """
        Wait until a part has ended, with all its processes.

        :param name: name of the part.
        :param seconds: longest wait in seconds.
        """
        part = self._parts.pop(name, None)
        self.wait_until(f"an end of all processes of {name}", lambda: not self.processes(name), seconds=seconds)
        if part:
            part.wait()

    def processes(self, name: str) -> list[psutil.Process]:
        """
        Return the processes of a part, those that have lost their parent too.

        :param name: name of the part.
        """
        return processes_below(self.folder / name)

    def begin_anew(self) -> None:
        """Bring back workers that were ended, and forget what the platform has been asked and has answered."""
        self.emulator.reset()
        # Errors of the platform are counted for all tasks together.
        noted = self.s3.list_objects_v2(Bucket=BUCKET, Prefix="state/accounts/").get("Contents", [])
        for entry in noted:
            self.s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
        self.bring_back_workers()

    def bring_back_workers(self) -> None:
        """Start the workers that were ended, and wait until they take tasks."""
        missing = [name for name in self.workers if name not in self._parts]
        for name in missing:
            kill_below(self.folder / name)
            self.start_worker(name)
        for name in missing:
            self.wait_for_worker(name)

    def signal(self, name: str, number: int) -> None:
        """
        Send a signal to all processes of a part, as a service manager does.

        :param name: name of the part.
        :param number: number of the signal.
        """
        for process in self.processes(name):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def log(self, name: str) -> str:
        """
        Return what a part has written.

        :param name: name of the part.
        """
        path = self.folder / name / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def task_logs(self, worker: str) -> str:
        """
        Return what the tasks of a worker have logged, one log behind the other.

        :param worker: name of the worker.
        """
        paths = sorted((self.folder / worker / "logs").rglob("attempt=*.log"))
        return "\n".join(path.read_text(errors="replace") for path in paths)

    def ended(self, run: Run, *, state: str = "success", seconds: float = _RUN_SECONDS) -> dict[str, Task]:
        """
        Wait for the end of a run, and return its tasks.

        :param run: the run.
        :param state: state that it has to end in.
        :param seconds: longest wait in seconds; default 300.
        """
        self.wait_until("an end of the run", run.is_over, seconds=seconds)
        assert run.state() == state, run.tasks()
        return run.tasks()

    def wait_until(self, what: str, look: Callable[[], T | None], *, seconds: float) -> T:
        """
        Wait as :func:`wait_until` does. An error has the ends of all logs, and comes at once when a part has failed.

        :param what: name of what is waited for, for the error.
        :param look: function that returns it, or something false while it is not there.
        :param seconds: longest wait in seconds.
        """

        def look_at_parts() -> T | None:
            ended = {name: part.returncode for name, part in self._parts.items() if part.poll()}
            if ended:
                raise RuntimeError(f"parts of the cluster have ended: {ended}")
            return look()

        try:
            return wait_until(what, look_at_parts, seconds=seconds)
        except (TimeoutError, RuntimeError) as error:
            tails = "\n".join(f"--- {path}\n{_tail(path)}" for path in sorted(self.folder.rglob("*log")))
            raise AssertionError(f"{error}\n{tails}") from None

    def start_airflow(self, port: int) -> None:
        """
        Make the database, and start Airflow.

        :param port: port of its API server.
        """
        self.start("migrate", "airflow", "db", "migrate")
        self.wait_until("a database", lambda: self._parts["migrate"].poll() == 0, seconds=_START_SECONDS)
        self._parts.pop("migrate")
        self.start("api", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
        self.start("scheduler", "airflow", "scheduler", "--skip-serve-logs")
        self.start("dags", "airflow", "dag-processor")
        for name in self.workers:
            self.start_worker(name)
        self.wait_until("an Airflow that is healthy", self.api.is_healthy, seconds=_START_SECONDS)
        self.api.log_in()
        self.wait_until("all DAGs", lambda: self.api.dag_ids() >= _DAG_IDS, seconds=_START_SECONDS)
        for name in self.workers:
            self.wait_for_worker(name)


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-3000:] if path.is_file() else ""
