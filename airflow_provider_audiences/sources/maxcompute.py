"""Opens a MaxCompute project by the hook of Airflow's provider for Alibaba Cloud, which is no hook of DB-API."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from airflow_provider_audiences.exceptions import InvalidInputError

MAXCOMPUTE = "maxcompute"
"""The connection type of that hook."""


def maxcompute_connection(hook: Any, name: str) -> Any:
    """
    Return a DB-API connection of pyodps.

    :param hook: Airflow's ``MaxComputeHook``.
    :param name: name of the source, for messages.
    :raises InvalidInputError: the connection lacks project, endpoint or access key, or pyodps is missing.
    """
    try:
        return import_module("odps.dbapi").connect(odps=hook.get_client())
    except Exception as error:  # noqa: BLE001 - the hook only looks at its fields, and says so by several classes
        raise InvalidInputError(f"{name} can't be used: {error}") from None
