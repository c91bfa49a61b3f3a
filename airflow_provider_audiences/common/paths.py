"""Addresses of files: on this machine, or in a store that an Airflow file system opens."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from airflow_provider_audiences.common.recognition import shown_address
from airflow_provider_audiences.exceptions import InvalidInputError

_LOCAL_PROTOCOLS = frozenset({"", "file", "local"})


def local_path(path: Any) -> Path | None:
    """
    Return an address as a path on this machine; None if it is not on this machine.

    :param path: address as text, as a path object, or as an ObjectStoragePath.
    :raises InvalidInputError: the address begins with ``file://`` and has no path.
    """
    if isinstance(path, str):
        scheme, separator, rest = path.partition("://")
        if not separator:
            return Path(path).expanduser()
        if scheme.casefold() != "file":
            return None
        # Everything after the host is the path: a question mark may be a wildcard, or part of a name.
        _, slash, below = rest.partition("/")
        if not slash:
            raise InvalidInputError(f"{shown_address(path)}: give the whole path, as in file:///data/ids.txt")
        return Path(f"/{unquote(below)}")
    if hasattr(path, "protocol"):
        protocol = path.protocol if isinstance(path.protocol, str) else next(iter(path.protocol), "")
        return Path(path.path) if protocol in _LOCAL_PROTOCOLS else None
    return Path(fspath(path)) if isinstance(path, PathLike) else None


def store_path(path: Any, *, conn_id: str | None = None) -> Any:
    """
    Return an address in a store as Airflow's ObjectStoragePath.

    :param path: address as text or as an ObjectStoragePath.
    :param conn_id: id of the store's Airflow connection; None for the connection that the address names, if any.
    :raises ValueError: no file system takes the address.
    :raises ImportError: the address' file system is not installed.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    conn_id = conn_id or connection_of(path)
    return ObjectStoragePath(str(path), conn_id=conn_id) if conn_id else ObjectStoragePath(str(path))


def connection_of(path: Any) -> str | None:
    """
    Return the id of the Airflow connection that a path object has beside its text; None if it has none.

    :param path: address as an ObjectStoragePath; for an address as text, the result is None.
    """
    if isinstance(path, str):
        return None
    # Airflow 3 keeps the id on the path, Airflow 2 among the options of the store.
    return getattr(path, "conn_id", None) or getattr(path, "storage_options", {}).get("conn_id")
