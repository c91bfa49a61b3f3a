"""What syncs need of Airflow: where their state lies, and who they are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_provider_audiences.common.paths import local_path, store_path
from airflow_provider_audiences.common.recognition import shown_address
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.sync.state.folder import LocalFolder, StateFolder, StoreFolder
from airflow_provider_audiences.sync.state.lease import Holder

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


_LONGEST_NAME = 255
"""Bytes that file systems take."""

_SHOWN_OF_NAME = 100


def state_folder(*names: str) -> StateFolder:
    """
    Return a folder below the ``state_path`` of Airflow's configuration, section ``[audiences]``.

    :param names: of the folders on the way; each may hold any characters.
    :raises InvalidInputError: the setting is wrong.
    """
    address = (conf.get("audiences", "state_path", fallback="") or "").strip()
    if not address:
        address = str(Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "audiences")
    return folder_at(address, *map(_file_name, names), setting="[audiences] state_path")


def folder_at(address: Any, *names: str, setting: str, conn_id: str | None = None) -> StateFolder:
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
        return LocalFolder(local.joinpath(*names))
    try:
        base = store_path(address, conn_id=conn_id)
        file_system = base.fs
    except InvalidInputError as error:  # what our own file system says
        raise InvalidInputError(f"{setting} {shown}: {error.message}") from None
    except (ValueError, ImportError) as error:
        raise InvalidInputError(
            f"{setting} {shown}: no file system takes it ({type(error).__name__}); install the provider package that "
            f"serves {urlsplit(str(address)).scheme}://, with its extra for file systems"
        ) from None
    path = "/".join((base.path.rstrip("/"), *names))
    return StoreFolder(file_system, path, name="/".join((shown.rstrip("/"), *names)))


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
