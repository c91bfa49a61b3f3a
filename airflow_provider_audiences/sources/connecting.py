"""Finds the Airflow connection of a query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import InvalidInputError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection


def connection_of(conn_id: str) -> Connection:
    """
    Return the connection that an ``SqlSource`` names.

    :param conn_id: id of the Airflow connection.
    :raises InvalidInputError: there is no such connection.
    """
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise InvalidInputError(
            f"SqlSource of connection {conn_id}: there is no such connection",
            advice=f"Make it in Airflow, or set AIRFLOW_CONN_{conn_id.upper()} where the task runs.",
        ) from None
