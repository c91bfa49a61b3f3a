"""What syncs need of Airflow: the folder of their state, and the identity of their task."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from airflow.providers.common.compat.sdk import conf

from airflow_provider_audiences.common.paths import local_path, store_path
from airflow_provider_audiences.common.recognition import shown_address
from airflow_provider_audiences.common.stores import MISTAKES, store_mistake
from airflow_provider_audiences.common.workers import executor_of, is_shared_disk, workers_of
from airflow_provider_audiences.exceptions import InvalidInputError, LedgerLostError
from airflow_provider_audiences.members.partition import Partition, partitions
from airflow_provider_audiences.sync.destination import AudienceAddress
from airflow_provider_audiences.sync.state.file_store import FileStore, LocalFileStore, ObjectFileStore
from airflow_provider_audiences.sync.state.layout import layout_of
from airflow_provider_audiences.sync.state.lease import Holder
from airflow_provider_audiences.validation import true_or_false

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

_SETTING = "[audiences] state_path"
_SWITCHES = {"t": "true", "1": "true", "f": "false", "0": "false", "": "false"}


_MAX_NAME_BYTES = 255
"""Most bytes of a file name; longer names are shortened."""

_SHOWN_OF_NAME = 100
"""Characters of a long name that are kept; a digest of the whole name follows them."""

_SHORTENED = re.compile(r"=[0-9a-f]{64}$")


_NO_AUDIENCES = frozenset({"accounts", "notices"})
"""Folders at the top of ``state_path`` that hold no audiences: notes of errors, and what notifiers have told."""


def state_store(*names: str) -> FileStore:
    """
    Return a folder below ``state_path``, which Airflow's configuration sets in the section ``[audiences]``.

    :param names: names of the folders from ``state_path`` down, with any characters.
    :raises InvalidInputError: ``state_path`` is wrong.
    """
    return folder_at(state_path(), *map(_file_name, names), setting=_SETTING)


def ledger_store(*names: str) -> FileStore | None:
    """
    Return the folder of an audience that is synced; None if it has no ledger, and no sync of it is under way.

    :param names: names of the folders from ``state_path`` down, with any characters.
    :raises InvalidInputError: ``state_path`` is wrong.
    :raises StateUnavailableError: the folder can't be listed.
    """
    folder = state_store(*names)
    return folder if _has_state(folder.names()) else None


@dataclass(frozen=True, kw_only=True)
class StoredAudience:
    """
    An audience that has a folder below ``state_path``.

    :param address: the audience, by the names of the folders.
    :param files: the file store of its state.
    :param partition: folder of one partition of the audience, whose state this is; empty for that of the whole.
    """

    address: AudienceAddress
    files: FileStore
    partition: str = ""

    @property
    def folders(self) -> tuple[str, ...]:
        """Names of the folders of the state, from ``state_path`` down."""
        return (*self.address.folders, *([self.partition] if self.partition else []))

    @property
    def is_shortened(self) -> bool:
        """Whether a name was too long for a folder, so that the address is not the audience's own."""
        return any(_SHORTENED.search(name) for name in self.address.folders)


def stored_audiences() -> Iterator[StoredAudience]:
    """
    Yield all audiences below ``state_path`` that have a ledger, or of which a sync is under way; sorted.

    An audience in partitions is one for each of them.

    :raises InvalidInputError: ``state_path`` is wrong.
    :raises StateUnavailableError: a folder can't be listed.
    """
    root = state_path()
    for api in sorted(set(_folders(root)) - _NO_AUDIENCES):
        for host in _folders(root, api):
            for audience_id in _folders(root, api, host):
                whole = folder_at(root, api, host, audience_id, setting=_SETTING)
                named = AudienceAddress.from_folders(unquote(api), unquote(host), unquote(audience_id))
                for partition in _partition_folders(whole):
                    files = folder_at(root, api, host, audience_id, *filter(None, [partition]), setting=_SETTING)
                    if _has_state(files.names()):
                        yield StoredAudience(address=named, files=files, partition=partition)


def _partition_folders(whole: LocalFileStore | ObjectFileStore) -> list[str]:
    """Return the folders of an audience's partitions; an empty name for its own folder, if the state is in that."""
    folders = whole.folders()
    try:
        count = layout_of(whole).partitions if folders else 1
    except LedgerLostError:
        count = 1  # whoever reads the state says what is wrong with it
    known = {folder_of(partition) for partition in partitions(count)}
    return sorted(known & {"", *folders}) if count > 1 else [""]


def _folders(root: str, *names: str) -> list[str]:
    return sorted(folder_at(root, *names, setting=_SETTING).folders())


def _has_state(names: Iterable[str]) -> bool:
    return any(name.startswith(("head", "ledger-", "lease-")) for name in names)


def folder_of(partition: Partition) -> str:
    """
    Return the name of a partition's folder in that of its audience; empty for the audience's own folder.

    :param partition: the partition.
    """
    return f"partition-{partition.hex}" if partition.hex else ""


def check_state_path(task: Any) -> None:
    """
    Check ``state_path``: all workers that may run the task must see the same folder, or each has its own ledger.

    :param task: operator whose state is stored there.
    :raises InvalidInputError: ``state_path`` is wrong, or is on this worker's own disk while the task's executor has
        several workers.
    """
    address = state_path()
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


def state_path() -> str:
    """Return the address below which syncs keep their ledgers; it may have secrets in it."""
    address = (conf.get("audiences", "state_path", fallback="") or "").strip()
    return address or str(Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "audiences")


def _is_said_to_be_shared() -> bool:
    text = (conf.get("audiences", "state_path_is_shared", fallback="") or "False").strip().lower()
    # Airflow's own switches take these words, too.
    return true_or_false("[audiences] state_path_is_shared", _SWITCHES.get(text, text))


def folder_at(address: Any, *names: str, setting: str, conn_id: str | None = None) -> LocalFileStore | ObjectFileStore:
    """
    Return a folder on this machine or in a store.

    :param address: address as text, as a path object, or as an ObjectStoragePath.
    :param names: names of the folders from the address down.
    :param setting: name of the setting or argument that holds the address, for messages.
    :param conn_id: id of the store's Airflow connection; None for the connection that the address names.
    :raises InvalidInputError: the address is not absolute, or no file system takes it.
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
    """Return a name as a valid file name without slashes; different names give different file names."""
    quoted = quote(name, safe="")
    if len(quoted) > _MAX_NAME_BYTES:
        # A quoted name has no equals sign in it, so no other name can give the same file name.
        return f"{quoted[:_SHOWN_OF_NAME]}={hashlib.sha256(quoted.encode()).hexdigest()}"
    return quoted.replace(".", "%2E") if quoted in {".", ".."} else quoted


def holder_of(context: Context) -> Holder:
    """
    Return what identifies a task as the holder of a lease; its key is the same for all tries of the task.

    :param context: context of the task.
    """
    ti = context["ti"]
    mapped = f", map index {ti.map_index}" if ti.map_index is not None and ti.map_index >= 0 else ""
    key = f"DAG {ti.dag_id}, run {ti.run_id}, task {ti.task_id}{mapped}"
    return Holder(key=key, try_number=ti.try_number)
