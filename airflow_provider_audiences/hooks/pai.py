"""Airflow hook of Alibaba PAI's audience group API."""

from __future__ import annotations

import os
from typing import Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, Connection, mask_secret

from airflow_provider_audiences.common.account_errors import error_budget
from airflow_provider_audiences.common.connection_fields import PAI_FIELDS, PAI_UI, form_widgets
from airflow_provider_audiences.common.connections import ConnectionLike, ConnectionReader
from airflow_provider_audiences.common.errors import task_errors
from airflow_provider_audiences.common.pai.credentials import (
    ALIBABA_CLOUD,
    ALIBABA_CLOUD_EXTRAS,
    pai_auth,
    region_of,
    warn_of_other_region,
)
from airflow_provider_audiences.exceptions import AudienceError, InvalidInputError
from airflow_provider_audiences.http.api_client import ApiClient
from airflow_provider_audiences.http.error_budget import account_digest
from airflow_provider_audiences.platforms.pai.client import (
    ACCOUNT_REQUESTS_PER_SECOND,
    DEFAULT_REQUESTS_PER_SECOND,
    DEFAULT_SETTINGS,
    PaiClient,
)

API_KEY_VARIABLE = "DASHSCOPE_API_KEY"


class PaiHook(BaseHook):
    """
    Connects to Alibaba PAI's audience group API.

    The connection has an API key as password, or an AccessKey: its id as login and its secret as password. Without a
    key, the environment variable ``DASHSCOPE_API_KEY`` is used. An optional host replaces the region's. Extras, all
    optional: ``region``, ``dialect``, ``security_token``, ``max_requests_per_second``, ``price_per_call``,
    ``connect_timeout_seconds``, ``read_timeout_seconds``, ``request_deadline_seconds``, ``max_retries``,
    ``backoff_seconds``, ``max_errors``, ``allow_insecure_http``. ``docs/connections.md`` describes them.

    A connection of the type ``alibaba_cloud`` works too, with its extras ``access_key_id`` and ``access_key_secret``.
    With the ``dialect`` ``openapi`` and no key, this machine's own Alibaba Cloud credentials are used.

    :param pai_conn_id: Airflow connection of the type ``pai`` or ``alibaba_cloud``; default ``pai_default``.
    """

    conn_name_attr = "pai_conn_id"
    default_conn_name = "pai_default"
    conn_type = "pai"
    hook_name = "Alibaba PAI audiences"

    def __init__(self, pai_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pai_conn_id = pai_conn_id

    def get_conn(self) -> PaiClient:
        """
        Return a client. Use it as a context manager, so that its HTTP connections are closed.

        :raises InvalidInputError: the connection lacks a value, or has a wrong one.
        """
        with task_errors():
            return self.client_of(self.get_connection(self.pai_conn_id))

    @classmethod
    def client_of(cls, connection: ConnectionLike, *, max_retries: int | None = None) -> PaiClient:
        """
        Return a client for a connection that was fetched already, as triggers do.

        :param connection: the Airflow connection, or anything with its attributes.
        :param max_retries: how often a request is repeated; None (default) for what the connection says.
        :raises InvalidInputError: the connection lacks a value, or has a wrong one.
        """
        reader = ConnectionReader(connection=connection, fields=PAI_FIELDS)
        reader.warn_of_unknown_extras(*(ALIBABA_CLOUD_EXTRAS if connection.conn_type == ALIBABA_CLOUD else ()))
        auth = pai_auth(reader, environment_key=os.environ.get(API_KEY_VARIABLE), on_secret=mask_secret)
        warn_of_other_region(reader, auth)
        rate = reader.number(
            "max_requests_per_second", DEFAULT_REQUESTS_PER_SECOND, above=0, below=ACCOUNT_REQUESTS_PER_SECOND
        )
        # A host overrides the region.
        base_url = reader.base_url("") or auth.dialect.base_url(region_of(reader))
        account = account_digest(base_url, auth.account)
        return PaiClient(
            auth=auth,
            base_url=base_url,
            settings=reader.settings(DEFAULT_SETTINGS, max_retries=max_retries),
            requests_per_second=rate,
            price_per_call=reader.optional_number("price_per_call"),
            # Clients without retries are those of waits, which must not block the triggerer's loop.
            error_budget=error_budget(reader, account, is_shared=max_retries is None),
        )

    @classmethod
    def clients_of(cls, connection: ConnectionLike) -> list[ApiClient]:
        """
        Return a client of each API that a connection is for, without repetitions.

        :param connection: the Airflow connection, or anything with its attributes.
        :raises InvalidInputError: the connection lacks a value, or has a wrong one.
        """
        return [cls.client_of(connection, max_retries=0)]

    @classmethod
    def get_connection(cls, conn_id: str) -> Connection:
        """
        Fetch an Airflow connection.

        :param conn_id: id of the connection.
        :raises InvalidInputError: there is no such connection, although the environment variable with an API key is
            set: a connection has to exist for the key to be used.
        :raises AirflowNotFoundException: there is no such connection.
        """
        try:
            return super().get_connection(conn_id)
        except AirflowNotFoundException:
            if not os.environ.get(API_KEY_VARIABLE):
                raise
        raise InvalidInputError(
            f"there is no connection {conn_id!r}. {API_KEY_VARIABLE} is set, but a connection has to take it: "
            f"""make one without a password, such as AIRFLOW_CONN_{conn_id.upper()}='{{"conn_type": "pai"}}'"""
        )

    def test_connection(self) -> tuple[bool, str]:
        """Count the account's groups, which is free; return whether the credentials work, and a message."""
        try:
            with self.client_of(self.get_connection(self.pai_conn_id), max_retries=0) as client:
                total = client.count_groups()
        except AudienceError as error:
            return False, str(error)
        key = "API key" if client.dialect.name == "bearer" else "AccessKey"
        return True, f"PAI accepted the {key}. Audience groups in the account: {total}."

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the extra fields of the connection form for Airflow 2; Airflow 3 reads the provider's metadata."""
        return form_widgets(PAI_FIELDS)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return which standard fields the connection form shows, and under which labels, for Airflow 2."""
        return PAI_UI
