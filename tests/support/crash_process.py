"""
Runs syncs in processes, each of which may stop for good at one point of its work, to be killed there.

A process says what its sync came to. Each request, and each request that was written down, goes to a log as it happens.
"""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb  # noqa: F401 - so that forks need not import it

from airflow_provider_audiences.emulator.testing import AudiencesEmulatorControl
from airflow_provider_audiences.http.calls import TransportSettings
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.members.keys import key_set
from airflow_provider_audiences.platforms.applovin.audience_destination import AudienceDestination
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.redaction import Secret
from airflow_provider_audiences.sync.ledger import LedgerRows
from airflow_provider_audiences.sync.state import audience_state
from airflow_provider_audiences.sync.state.file_store import LocalFileStore
from airflow_provider_audiences.sync.state.fold import fold
from support.forks import serve
from support.memory_destination import Post
from support.synced import AudienceOverHttp, HookedFolder, Wire


def say(line: str) -> None:
    """Tell the parent."""
    print(line, flush=True)  # noqa: T201


class Stop:
    """
    Stops this process at a point: ``[when, what, name, number]``.

    ``what`` is ``post`` or a method of the folder; the number counts those whose name has ``name`` in it.
    """

    def __init__(self, point: list[Any] | None) -> None:
        self.point = point or ["", "", "", 0]
        self.count = 0

    def at(self, when: str, what: str, name: str) -> None:
        if [when, what] != self.point[:2] or self.point[2] not in name:
            return
        self.count += 1
        if self.count == self.point[3]:
            say("stopped")
            time.sleep(600)


def run(job: dict[str, Any]) -> Any:
    stop = Stop(job["stop"])
    key_set._COMPARED_KEYS = 1  # a piece of the ledger for each member

    def stopping_fold(*args: Any, **options: Any) -> Iterator[LedgerRows]:
        for rows in fold(*args, **options):
            if len(rows.keys):
                yield rows  # DuckDB has taken it when the next one is asked for
                stop.at("after", "fold", "")

    audience_state.fold = stopping_fold  # type: ignore[attr-defined, assignment]
    settings = TransportSettings(max_retries=0)
    with (
        AppLovinClient(api_key=Secret(job["key"]), base_url=job["url"], settings=settings) as client,
        Path(job["log"]).open("a", encoding="ascii", buffering=1) as log,
    ):
        session = client._transport._session
        wire = Wire(session.get_adapter(job["url"]))
        session.mount("http://", wire)
        path = Path(job["path"])
        folder = HookedFolder(LocalFileStore(path))
        emulator = AudiencesEmulatorControl(job["url"])
        audience: Any = AudienceOverHttp(
            destination=AudienceDestination(client, job["audience_id"], identifier_kind=AdvertisingIds()),
            wire=wire,
            path=path,
            folder=folder,
            emulator=emulator,  # type: ignore[arg-type]
            client=client,
            stranger=client,
        )
        # A request is written down by the thread that got its reply.
        thread = threading.local()

        def note(kind: str, post: Post) -> None:
            log.write(" ".join([kind, post.operation, *post.ids]) + "\n")

        def before_post(post: Post) -> None:
            stop.at("before", "post", post.operation)
            note("sent", post)

        def after_post(post: Post) -> None:
            stop.at("after", "post", post.operation)
            thread.answered = post

        def after_call(method: str, name: str) -> None:
            if method == "create" and name.startswith("head-") and (post := vars(thread).pop("answered", None)):
                note("written", post)
            stop.at("after", method, name)

        wire.before, wire.after = before_post, after_post
        folder.before, folder.after = lambda method, name: stop.at("before", method, name), after_call
        if job["work"] == "apply":
            return audience.apply(job["plan_id"], **job["opened"]).as_dict()
        return audience.run(job["source"], opened=job["opened"], **job["settings"]).as_dict()


if __name__ == "__main__":
    serve(lambda job: say(json.dumps(run(job))))
