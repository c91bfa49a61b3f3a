"""
Runs tries of the refresh operators in processes, each of which may stop for good at one point, to be killed there.

It has its imports behind it and forks a process for each job, one line of JSON. That process says ``stopped`` with its
id, or what the try came to; this one says how it ended. What the platform holds goes to a log after every request.
"""

import json
import os
import sys
import threading
import time
import traceback
import types
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb  # noqa: F401
from requests.adapters import BaseAdapter

from airflow_provider_audiences.common.pai import group_files
from airflow_provider_audiences.emulator.testing import AudiencesEmulatorControl
from airflow_provider_audiences.exceptions import AudienceError
from airflow_provider_audiences.hooks.pai import PaiHook
from airflow_provider_audiences.operators.pai import PaiCreateGroupOperator
from airflow_provider_audiences.operators.pai_refresh import PaiReplaceGroupOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator
from airflow_provider_audiences.platforms.pai import refresh as group_refresh  # noqa: F401

# Some of these are here so that forks need not import them.
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.sources import opening as sources  # noqa: F401
from airflow_provider_audiences.sources import staging  # noqa: F401
from airflow_provider_audiences.sync import ledger  # noqa: F401
from airflow_provider_audiences.triggers import pai  # noqa: F401
from airflow_provider_audiences.waiting import wait  # noqa: F401
from support.synced import HookedFolder

OPERATORS = {"create": PaiCreateGroupOperator, "replace": PaiReplaceGroupOperator, "sync": PaiSyncGroupOperator}
WAITS = {"create": {}, "replace": {"deferrable": False, "poke_interval": 0.02}}
WAITS["sync"] = WAITS["replace"]


# Airflow writes the lines of tasks to what was the standard output.
WORDS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def say(**what: Any) -> None:
    """Tell the parent."""
    WORDS.write(json.dumps(what) + "\n")


class Stop:
    """Stops this process at a point: ``[when, what, number]``; ``what`` is a request or a method of the folder."""

    def __init__(self, point: list[Any] | None) -> None:
        self.point = point
        self.count = 0

    def at(self, when: str, what: str) -> None:
        if not self.point or [when, what] != self.point[:2]:
            return
        self.count += 1
        if self.count == self.point[2]:
            say(stopped=os.getpid())
            time.sleep(600)


class Wire(BaseAdapter):
    """Lies between a client and the emulator, which it looks at after every request that changes something."""

    def __init__(self, inner: Any, stop: Stop, emulator: AudiencesEmulatorControl, log: Path) -> None:
        super().__init__()
        self._inner, self._stop, self._emulator, self._log = inner, stop, emulator, log

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        is_list = urlsplit(request.url).path.endswith(("/ListGroups", "/groups"))
        what = {"POST": "create", "DELETE": "delete"}.get(request.method, "list" if is_list else "get")
        self._stop.at("before", what)
        response = self._inner.send(request, *args, **kwargs)
        if what in {"create", "delete"}:
            with self._log.open("a") as log:
                statuses = [group["Status"] for group in self._emulator.groups()]
                log.write(json.dumps({"call": what, "ok": response.ok, "statuses": statuses}) + "\n")
        self._stop.at("after", what)
        return response

    def close(self) -> None:
        self._inner.close()


def run(job: dict[str, Any]) -> None:
    """Run one try, and tell what it came to."""
    os.environ["AIRFLOW_CONN_PAI_DEFAULT"] = job["connection"]
    stop = Stop(job["stop"])
    emulator = AudiencesEmulatorControl(job["url"])
    client_of, folder_at = PaiHook.client_of, vars(group_files)["folder_at"]

    def wired(connection: Any, **options: Any) -> PaiClient:
        client = client_of(connection, **options)
        session = client._transport._session
        session.mount("http://", Wire(session.get_adapter(job["url"]), stop, emulator, Path(job["log"])))
        return client

    def hooked(*args: Any, **options: Any) -> HookedFolder:
        folder = HookedFolder(folder_at(*args, **options))
        folder.before = lambda method, _name: stop.at("before", method + " file")
        folder.after = lambda method, _name: stop.at("after", method + " file")
        return folder

    setattr(PaiHook, "client_of", staticmethod(wired))  # noqa: B010 - there is no other way that mypy takes
    vars(group_files)["folder_at"] = hooked
    pushed: dict[str, Any] = {}
    identity = {"dag_id": "dag", "task_id": "refresh", "map_index": -1, "max_tries": 0, **job["identity"]}
    ti = types.SimpleNamespace(xcom_push=lambda *, key, value: pushed.update({key: value}), **identity)
    operator = OPERATORS[job["work"]](task_id="refresh", **WAITS[job["work"]], **job["arguments"])
    try:
        say(report=operator.execute({"ti": ti}), pushed=pushed)
    except AudienceError as error:
        say(error=type(error).__name__, text=str(error), pushed=pushed)


def serve() -> None:
    """Do the jobs, each in a process of its own."""
    say(threads=threading.active_count())
    for line in sys.stdin:
        process = os.fork()
        if not process:
            try:
                run(json.loads(line))
            except BaseException:  # noqa: BLE001 - whatever is wrong with the test itself
                say(broken=traceback.format_exc())
            finally:
                os._exit(0)
        _, status = os.waitpid(process, 0)
        say(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    serve()
