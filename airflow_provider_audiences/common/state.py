"""What syncs need of Airflow: where their state lies, and who they are."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import conf

from airflow_provider_audiences.common.paths import local_path, store_path
from airflow_provider_audiences.common.recognition import shown_address
from airflow_provider_audiences.common.stores import MISTAKES, store_mistake
from airflow_provider_audiences.common.workers import executor_of, is_shared_disk, workers_of
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.sync.state.file_store import FileStore, LocalFileStore, ObjectFileStore
from airflow_provider_audiences.sync.state.lease import Holder
from airflow_provider_audiences.validation import true_or_false

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

_SETTING = "[audiences] state_path"
_SWITCHES = {"t": "true", "1": "true", "f": "false", "0": "false", "": "false"}


_LONGEST_NAME = 255
"""Bytes that file systems take."""

_SHOWN_OF_NAME = 100


def state_store(*names: str) -> FileStore:
    """
    Return a folder below the ``state_path`` of Airflow's configuration, section ``[audiences]``.

    :param names: of the folders on the way; each may hold any characters.
    :raises InvalidInputError: the setting is wrong.
    """
    return folder_at(_state_path(), *map(_file_name, names), setting=_SETTING)


def ledger_store(*names: str) -> FileStore | None:
    """
    Return the folder of an audience that is synced; None if there is nothing in it.

    :param names: as for :func:`state_store`.
    :raises InvalidInputError: the setting is wrong.
    :raises StateUnavailableError: it is not known, as the place fails.
    """
    folder = state_store(*names)
    return folder if any(name.startswith(("head", "ledger-")) for name in folder.names()) else None


def check_state_path(task: Any) -> None:
    """
    Refuse a ``state_path`` that is wrong, or that each worker has for itself: each would have ledgers of its own.

    :param task: the operator whose state it is.
    :raises InvalidInputError: the setting is wrong, or the task's executor has several workers and the path is on the
        disk of this one.
    """
    address = _state_path()
    folder_at(address, setting=_SETTING)
    local = local_path(address)
    if local is None or _is_said_to_be_shared() or is_shared_disk(local):
        return
    workers = workers_of(task)
    if workers == "pods":
        log.warning(
            "%s %s is in a pod. If that is no volume that all tasks share, the ledger is lost with the pod, and the "
            "next sync does not know what was sent: give a folder of an object store. If it is one, set [audiences] "
            "state_path_is_shared = True.", _SETTING, local,
        )  # fmt: skip
    elif workers == "several":
        raise InvalidInputError(
            f"{_SETTING} {local} is on this worker's own disk, and tasks of {executor_of(task)} run on any worker: "
            "each would have a ledger of its own, and know nothing of what the others have sent; nothing was sent",
            advice="Give a folder of an object store, such as s3://connection@bucket/audiences. If all workers see "
            "this disk, or there is only one worker, set [audiences] state_path_is_shared = True.",
        )


def _state_path() -> str:
    address = (conf.get("audiences", "state_path", fallback="") or "").strip()
    return address or str(Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "audiences")


def _is_said_to_be_shared() -> bool:
    text = (conf.get("audiences", "state_path_is_shared", fallback="") or "False").strip().lower()
    # The words that Airflow takes for its own switches.
    return true_or_false("[audiences] state_path_is_shared", _SWITCHES.get(text, text))


def folder_at(address: Any, *names: str, setting: str, conn_id: str | None = None) -> FileStore:
    """
    Return a folder of this machine or of a store.

    :param address: text, a path object, or an ObjectStoragePath.
    :param names: of folders below it.
    :param setting: where the address comes from, for messages.
    :param conn_id: the Airflow connection of the store; None for what the address names.
    :raises InvalidInputError: the address is wrong.
    """
    shown = shown_address(str(address))
    local = local_path(address)
    if local is not None:
        if not local.is_absolute():
            raise InvalidInputError(f"{setting} {shown} must be absolute: a task may run in any folder")
        return LocalFileStore(local.joinpath(*names))
    try:
        base = store_path(address, conn_id=conn_id)
        file_system = base.fs
    except MISTAKES as error:
        raise store_mistake(error, address, what=f"{setting} {shown}", conn_id=conn_id) from None
    path = "/".join((base.path.rstrip("/"), *names))
    return ObjectFileStore(file_system, path, name="/".join((shown.rstrip("/"), *names)))


def _file_name(name: str) -> str:
    """Return a name that a file system takes, and takes for no path; different names stay different."""
    quoted = quote(name, safe="")
    if len(quoted) > _LONGEST_NAME:
        # No quoted name has an equals sign in it.
        return f"{quoted[:_SHOWN_OF_NAME]}={hashlib.sha256(quoted.encode()).hexdigest()}"
    return quoted.replace(".", "%2E") if quoted in {".", ".."} else quoted


def holder_of(context: Context) -> Holder:
    """
    Return who a task is: the same over all of its tries.

    :param context: the task's context.
    """
    ti = context["ti"]
    mapped = f", map index {ti.map_index}" if ti.map_index is not None and ti.map_index >= 0 else ""
    key = f"DAG {ti.dag_id}, run {ti.run_id}, task {ti.task_id}{mapped}"
    return Holder(key=key, try_number=ti.try_number)
