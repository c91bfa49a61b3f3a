"""Airflow hook of AppLovin's Audience API and Suppression API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from airflow_provider_audiences.common.account_errors import error_budget
from airflow_provider_audiences.common.connection_fields import (
    APPLOVIN_FIELDS,
    APPLOVIN_UI,
    SUPPRESSION_KEY_FIELD,
    form_widgets,
)
from airflow_provider_audiences.common.connections import ConnectionLike, ConnectionReader
from airflow_provider_audiences.common.errors import task_errors
from airflow_provider_audiences.exceptions import AudienceError
from airflow_provider_audiences.http.error_budget import account_digest
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.platforms.applovin.defaults import (
    DEFAULT_BASE_URL,
    DEFAULT_CONTENT_TYPE,
    DEFAULT_SETTINGS,
)
from airflow_provider_audiences.platforms.applovin.suppression import AppLovinSuppressionClient

if TYPE_CHECKING:
    from airflow_provider_audiences.http.api_client import ApiClient
    from airflow_provider_audiences.redaction import Secret


class AppLovinHook(BaseHook):
    """
    Connects to AppLovin's Audience API and Suppression API.

    The connection has the Management Key as password, and optionally another host. Its extras, all optional:
    ``suppression_api_key`` (for suppression lists, in place of the Management Key), ``content_type``,
    ``connect_timeout_seconds``, ``read_timeout_seconds``, ``request_deadline_seconds``, ``max_retries``,
    ``backoff_seconds``, ``max_errors``, ``allow_insecure_http``. ``docs/connections.md`` describes them.

    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default``.
    """

    conn_name_attr = "applovin_conn_id"
    default_conn_name = "applovin_default"
    conn_type = "applovin"
    hook_name = "AppLovin"

    def __init__(self, applovin_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.applovin_conn_id = applovin_conn_id

    def get_conn(self, *, notes_errors: bool = True) -> AppLovinClient:
        """
        Return a client of the Audience API. Use it as a context manager, so that its HTTP connections are closed.

        :param notes_errors: whether failed requests are noted below ``state_path``, so that all tasks count them
            together; default True.
        :raises InvalidInputError: the connection lacks a value, or has a wrong one.
        """
        with task_errors():
            return self.client_of(self.get_connection(self.applovin_conn_id), notes_errors=notes_errors)

    def get_suppression_conn(self, *, notes_errors: bool = True) -> AppLovinSuppressionClient:
        """
        Return a client of the Suppression API. Use it as a context manager, so that its HTTP connections are closed.

        It authenticates with the extra ``suppression_api_key``, or with the Management Key if there is no such extra.

        :param notes_errors: as for :meth:`get_conn`.
        :raises InvalidInputError: the connection lacks a value, or has a wrong one.
        """
        with task_errors():
            return self.suppression_client_of(self.get_connection(self.applovin_conn_id), notes_errors=notes_errors)

    @classmethod
    def client_of(
        cls, connection: ConnectionLike, *, max_retries: int | None = None, notes_errors: bool = True
    ) -> AppLovinClient:
        """
        Return a client of the Audience API for a connection that was fetched already, as triggers do.

        :param connection: the Airflow connection, or anything with its attributes.
        :param max_retries: how often a request is repeated; None (default) for what the connection says.
        :param notes_errors: as for :meth:`get_conn`; a client with ``max_retries`` notes none.
        :raises InvalidInputError: the connection lacks a value, or has a wrong one.
        """
        reader = _reader(connection)
        key = _management_key(reader)
        return AppLovinClient(**_client_arguments(reader, key, max_retries=max_retries, notes_errors=notes_errors))

    @classmethod
    def suppression_client_of(
        cls, connection: ConnectionLike, *, notes_errors: bool = True
    ) -> AppLovinSuppressionClient:
        """
        Return a client of the Suppression API for a connection that was fetched already.

        :param connection: the Airflow connection, or anything with its attributes.
        :param notes_errors: as for :meth:`get_conn`.
        :raises InvalidInputError: the connection lacks a value, or has a wrong one.
        """
        reader = _reader(connection)
        key = reader.secret_of(reader.value(SUPPRESSION_KEY_FIELD), what=SUPPRESSION_KEY_FIELD, where="extra")
        if key:
            mask_secret(key.reveal())
        return AppLovinSuppressionClient(
            key_name="Suppression API Key" if key else "Management Key",
            **_client_arguments(reader, key or _management_key(reader), notes_errors=notes_errors),
        )

    @classmethod
    def clients_of(cls, connection: ConnectionLike) -> list[ApiClient]:
        """
        Return a client of each API that a connection is for, without repetitions.

        :param connection: the Airflow connection, or anything with its attributes.
        :raises InvalidInputError: the connection lacks a value, or has a wrong one.
        """
        return [
            cls.client_of(connection, max_retries=0),
            cls.suppression_client_of(connection, notes_errors=False),
        ]

    def test_connection(self) -> tuple[bool, str]:
        """
        List the audiences once; return whether the Management Key works, and a message.

        No request tests the Suppression API Key: that API has no call that changes nothing.
        """
        try:
            with self.client_of(self.get_connection(self.applovin_conn_id), max_retries=0) as client:
                audiences = client.list_audiences()
        except AudienceError as error:
            return False, str(error)
        return True, f"AppLovin accepted the Management Key. Audiences in the account: {len(audiences)}."

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the extra fields of the connection form for Airflow 2; Airflow 3 reads the provider's metadata."""
        return form_widgets(APPLOVIN_FIELDS)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return which standard fields the connection form shows, and under which labels, for Airflow 2."""
        return APPLOVIN_UI


def _reader(connection: ConnectionLike) -> ConnectionReader:
    reader = ConnectionReader(connection=connection, fields=APPLOVIN_FIELDS)
    reader.warn_of_unknown_extras()
    return reader


def _management_key(reader: ConnectionReader) -> Secret:
    key = reader.secret(what="Management Key")
    mask_secret(key.reveal())
    return key


def _client_arguments(
    reader: ConnectionReader, key: Secret, *, max_retries: int | None = None, notes_errors: bool
) -> dict[str, Any]:
    """
    Return the arguments that the clients of both APIs share.

    :param reader: reader of the connection's fields.
    :param key: API key to send.
    :param max_retries: how often a request is repeated; None for what the connection says.
    :param notes_errors: whether failed requests are noted below ``state_path``.
    """
    base_url = reader.base_url(DEFAULT_BASE_URL)
    return {
        "api_key": key,
        "base_url": base_url,
        "settings": reader.settings(DEFAULT_SETTINGS, max_retries=max_retries),
        "content_type": reader.text("content_type", DEFAULT_CONTENT_TYPE),
        # Clients without retries are those of waits, which must not block the triggerer's loop.
        "error_budget": error_budget(
            reader,
            account_digest(base_url, key.reveal()),
            is_shared=notes_errors and max_retries is None,
        ),
    }
