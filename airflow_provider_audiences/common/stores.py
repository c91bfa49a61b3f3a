"""Errors for stores that can't be opened: they name the cause (scheme, connection, missing package) and the remedy."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_audiences.exceptions import InvalidInputError

MISTAKES = (ValueError, ImportError, TypeError, AttributeError, AirflowNotFoundException)
"""Errors of opening a store that no later try mends."""

_PACKAGES = {
    **dict.fromkeys(("s3", "s3a", "s3n"), "apache-airflow-providers-amazon[s3fs]"),
    **dict.fromkeys(("gs", "gcs"), "apache-airflow-providers-google (and gcsfs)"),
    **dict.fromkeys(("abfs", "abfss", "adl", "wasb", "wasbs"), "apache-airflow-providers-microsoft-azure (and adlfs)"),
    "oss": "airflow-provider-audiences[alibaba]",
}
_OPTION = re.compile(r"unexpected keyword argument '(\w{1,60})'")


def store_mistake(error: Exception, path: Any, *, what: str, conn_id: str | None = None) -> InvalidInputError:
    """
    Return the error for an address that no file system opens.

    :param error: error that opening the address has raised, one of :data:`MISTAKES`.
    :param path: address of the store.
    :param what: name of the argument or setting and the address without secrets; the message begins with it.
    :param conn_id: id of the store's Airflow connection; None for the connection that the address names.
    """
    return InvalidInputError(f"{what}: {_reason(error, path, conn_id)}")


def _reason(error: Exception, path: Any, conn_id: str | None) -> str:
    scheme = urlsplit(str(path)).scheme
    if isinstance(error, InvalidInputError):  # raised by this package's own file system
        return error.message
    if isinstance(error, AirflowNotFoundException):
        name = conn_id or urlsplit(str(path)).netloc.rpartition("@")[0]
        return f"its connection {name} is not defined" if name else "its connection is not defined"
    if not _paths_work():
        return (
            f"Airflow {_version('apache-airflow')} opens no address with the universal-pathlib {_version()} that is "
            "installed beside it: install the version that Airflow's constraints file names"
        )
    if not _is_served(scheme):
        known = scheme in _PACKAGES
        helps = (
            _install(scheme) if known else "give an address in a store that Airflow has a provider for, such as s3://"
        )
        return f"no file system takes it, as no installed provider serves {scheme}://; {helps}"
    if isinstance(error, ImportError):
        return (
            f"no file system takes it, as the library behind {scheme}:// is missing or does not fit; {_install(scheme)}"
        )
    option = _OPTION.search(str(error))
    said = f"it takes no option {option[1]}" if option else f"{type(error).__name__}"
    return (
        f"its file system can't be made of what its connection and the address say ({said}): mend the extra of the "
        "connection"
    )


def _install(scheme: str) -> str:
    package = f": {_PACKAGES[scheme]}" if scheme in _PACKAGES else ""
    return f"install the provider package that serves {scheme}://, with its extra for file systems{package}"


def _paths_work() -> bool:
    """Return whether Airflow's paths work at all: an old Airflow does not work with a newer universal-pathlib."""
    try:
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        ObjectStoragePath("file:///")
    except MISTAKES:
        return False
    return True


def _is_served(scheme: str) -> bool:
    for module in ("airflow.sdk.io.fs", "airflow.io"):  # Airflow 3, Airflow 2
        try:
            return bool(import_module(module).has_fs(scheme))
        except (ImportError, AttributeError):
            continue
    return True


def _version(package: str = "universal-pathlib") -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(of unknown version)"
