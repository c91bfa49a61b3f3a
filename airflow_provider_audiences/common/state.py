"""What syncs need of Airflow: where their state lies, and who they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_provider_audiences.common.hidden import shown_address
from airflow_provider_audiences.common.paths import local_path, store_path
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.sync.lease import Holder
from airflow_provider_audiences.sync.state_folder import LocalFolder, StateFolder, StoreFolder

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


def state_folder(*names: str) -> StateFolder:
    """
    Return a folder below the ``state_path`` of Airflow's configuration, section ``[audiences]``.

    :param names: of the folders on the way; each may hold any characters.
    :raises InvalidInputError: the setting is wrong.
    """
    address = (conf.get("audiences", "state_path", fallback="") or "").strip()
    if not address:
        address = str(Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "audiences")
    below = [_file_name(name) for name in names]
    local = local_path(address)
    if local is not None:
        if not local.is_absolute():
            raise InvalidInputError(f"[audiences] state_path {address} must be absolute: a task may run in any folder")
        return LocalFolder(local.joinpath(*below))
    try:
        base = store_path(address)
        file_system = base.fs
    except (ValueError, ImportError) as error:
        raise InvalidInputError(
            f"[audiences] state_path {shown_address(address)}: no file system takes it ({type(error).__name__}); "
            f"install the provider package that serves {urlsplit(address).scheme}://, with its extra for file systems"
        ) from None
    path = "/".join((base.path.rstrip("/"), *below))
    return StoreFolder(file_system, path, name="/".join((shown_address(address).rstrip("/"), *below)))


def _file_name(name: str) -> str:
    """Return a name that a file system takes, and takes for no path; different names stay different."""
    quoted = quote(name, safe="")
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
