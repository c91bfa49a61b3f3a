"""A client of Airflow's REST API, as far as the tests of the cluster need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Task:
    """
    A task instance, or one of its tries.

    :param name: its id, with the map index of a mapped one: ``sync[3]``.
    :param state: such as ``success``; None before it is scheduled.
    :param try_number: from 1; 0 before the first.
    :param worker: the name of the worker that has it; empty before that.
    :param pid: number of its process; None before it has one.
    """

    name: str
    state: str | None
    try_number: int
    worker: str
    pid: int | None


class AirflowApi:
    """
    Talks to an API server.

    :param url: address of the API server.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False  # proxies of this machine are not for loopback

    def log_in(self) -> None:
        """Take a token; everybody on this machine is admin."""
        token = self.call("GET", f"{self._url}/auth/token")["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def is_healthy(self) -> bool:
        """Tell whether database, scheduler and DAG processor are up."""
        try:
            health = self.call("GET", f"{self._url}/api/v2/monitor/health")
        except requests.RequestException:
            return False
        return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))

    def dag_ids(self) -> set[str]:
        """Return the DAGs that were found and can be run."""
        dags = self.call("GET", f"{self._url}/api/v2/dags")["dags"]
        return {dag["dag_id"] for dag in dags if not dag["is_paused"]}

    def run(self, dag_id: str, **conf: Any) -> Run:
        """
        Begin a run of a DAG.

        :param dag_id: id of the DAG.
        :param conf: configuration of the run.
        """
        body = {"logical_date": None, "conf": conf}
        run = self.call("POST", f"{self._url}/api/v2/dags/{dag_id}/dagRuns", json=body)
        return Run(self, f"{self._url}/api/v2/dags/{dag_id}/dagRuns/{run['dag_run_id']}")

    def add_connection(self, conn_id: str, **connection: Any) -> None:
        """
        Store a connection in Airflow.

        :param conn_id: id of the connection.
        :param connection: its fields, such as ``conn_type`` and ``host``.
        """
        self.call("POST", f"{self._url}/api/v2/connections", json={"connection_id": conn_id, **connection})

    def call(self, method: str, url: str, **arguments: Any) -> Any:
        """
        Send a request, and return what the JSON of its reply says.

        :param method: HTTP method of the request.
        :param url: path or address of the request.
        :param arguments: for the library of requests.
        :raises requests.RequestException: there is no reply, or none of success.
        """
        reply = self._session.request(method, url, timeout=_SECONDS, **arguments)
        reply.raise_for_status()
        return reply.json()


class Run:
    """
    A run of a DAG.

    :param api: client of its Airflow.
    :param url: address of the run in the API.
    """

    def __init__(self, api: AirflowApi, url: str) -> None:
        self._api = api
        self._url = url

    def state(self) -> str:
        """Return its state, such as ``running``."""
        return str(self._api.call("GET", self._url)["state"])

    def is_over(self) -> bool:
        """Tell whether it has ended, well or not."""
        return self.state() in {"success", "failed"}

    def tasks(self) -> dict[str, Task]:
        """Return its tasks by their names, each as it is now."""
        found = self._api.call("GET", f"{self._url}/taskInstances", params={"limit": 100})["task_instances"]
        tasks = [_task(entry) for entry in found]
        return {task.name: task for task in tasks}

    def tries(self, name: str) -> list[Task]:
        """
        Return all tries of a task, the first one first.

        :param name: name of the task, as in :meth:`tasks`.
        """
        path = name.replace("[", "/").removesuffix("]")
        found = self._api.call("GET", f"{self._url}/taskInstances/{path}/tries")["task_instances"]
        return sorted((_task(entry) for entry in found), key=lambda task: task.try_number)

    def returned(self, task_id: str) -> Any:
        """
        Return what a task that is not mapped has returned.

        :param task_id: id of the task.
        """
        url = f"{self._url}/taskInstances/{task_id}/xcomEntries/return_value"
        return self._api.call("GET", url)["value"]


def _task(entry: dict[str, Any]) -> Task:
    name = entry["task_id"] if entry["map_index"] < 0 else f"{entry['task_id']}[{entry['map_index']}]"
    return Task(
        name=name,
        state=entry["state"],
        try_number=entry["try_number"],
        worker=entry["hostname"] or "",
        pid=entry["pid"],
    )
