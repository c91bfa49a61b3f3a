"""AppLovin's Audience API and Suppression API as an Airflow hook."""

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
from airflow_provider_audiences.exceptions import AudienceApiError
from airflow_provider_audiences.http.error_budget import account_digest
from airflow_provider_audiences.platforms.applovin.client import (
    DEFAULT_BASE_URL,
    DEFAULT_CONTENT_TYPE,
    DEFAULT_SETTINGS,
    AppLovinClient,
)
from airflow_provider_audiences.platforms.applovin.suppression import AppLovinSuppressionClient

if TYPE_CHECKING:
    from airflow_provider_audiences.redaction import Secret


class AppLovinHook(BaseHook):
    """
    Connects to AppLovin's Audience API and its Suppression API.

    Connection: password = Management Key; host (optional) = another address; extras: ``suppression_api_key`` (for
    suppression lists, in place of the Management Key), ``content_type``,
    ``connect_timeout_seconds``, ``read_timeout_seconds``, ``request_deadline_seconds``, ``max_retries``,
    ``backoff_seconds``, ``max_errors``, ``allow_insecure_http``.

    :param applovin_conn_id: id of the connection.
    """

    conn_name_attr = "applovin_conn_id"
    default_conn_name = "applovin_default"
    conn_type = "applovin"
    hook_name = "AppLovin"

    def __init__(self, applovin_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.applovin_conn_id = applovin_conn_id

    def get_conn(self) -> AppLovinClient:
        """
        Return a client; use it as a context manager, so that its connections are closed.

        :raises InvalidInputError: the connection lacks something or has something wrong.
        """
        with task_errors():
            return self.client_of(self.get_connection(self.applovin_conn_id))

    def get_suppression_conn(self) -> AppLovinSuppressionClient:
        """
        Return a client of the Suppression API; use it as a context manager, so that its connections are closed.

        It has the Suppression API Key of the extra ``suppression_api_key``; without, the Management Key.

        :raises InvalidInputError: the connection lacks something or has something wrong.
        """
        with task_errors():
            return self.suppression_client_of(self.get_connection(self.applovin_conn_id))

    @classmethod
    def client_of(cls, connection: ConnectionLike, *, max_retries: int | None = None) -> AppLovinClient:
        """
        Return a client for a connection that was fetched already, as triggers do.

        :param connection: the connection.
        :param max_retries: instead of the connection's.
        :raises InvalidInputError: the connection lacks something or has something wrong.
        """
        reader = _reader(connection)
        return AppLovinClient(**_client_arguments(reader, _management_key(reader), max_retries=max_retries))

    @classmethod
    def suppression_client_of(cls, connection: ConnectionLike) -> AppLovinSuppressionClient:
        """
        Return a client of the Suppression API for a connection.

        :param connection: the connection.
        :raises InvalidInputError: the connection lacks something or has something wrong.
        """
        reader = _reader(connection)
        key = reader.secret_of(reader.value(SUPPRESSION_KEY_FIELD), what=SUPPRESSION_KEY_FIELD, where="extra")
        if key:
            mask_secret(key.reveal())
        return AppLovinSuppressionClient(
            key_name="Suppression API Key" if key else "Management Key",
            **_client_arguments(reader, key or _management_key(reader)),
        )

    def test_connection(self) -> tuple[bool, str]:
        """Return whether the key works, by listing the audiences once, and what happened."""
        try:
            with self.client_of(self.get_connection(self.applovin_conn_id), max_retries=0) as client:
                audiences = client.list_audiences()
        except AudienceApiError as error:
            return False, str(error)
        return True, f"AppLovin accepted the Management Key. Audiences in the account: {len(audiences)}."

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the extra fields of the connection form (Airflow 2; Airflow 3 reads the metadata)."""
        return form_widgets(APPLOVIN_FIELDS)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the standard fields of the connection form look (Airflow 2)."""
        return APPLOVIN_UI


def _reader(connection: ConnectionLike) -> ConnectionReader:
    reader = ConnectionReader(connection=connection, fields=APPLOVIN_FIELDS)
    reader.warn_of_unknown_extras()
    return reader


def _management_key(reader: ConnectionReader) -> Secret:
    key = reader.secret(what="Management Key")
    mask_secret(key.reveal())
    return key


def _client_arguments(reader: ConnectionReader, key: Secret, *, max_retries: int | None = None) -> dict[str, Any]:
    """
    Return what the clients of both APIs take.

    :param reader: of the connection.
    :param key: of the account.
    :param max_retries: instead of the connection's.
    """
    base_url = reader.base_url(DEFAULT_BASE_URL)
    return {
        "api_key": key,
        "base_url": base_url,
        "settings": reader.settings(DEFAULT_SETTINGS, max_retries=max_retries),
        "content_type": reader.text("content_type", DEFAULT_CONTENT_TYPE),
        # Who polls, polls from the triggerer's loop.
        "errors": error_budget(reader, account_digest(base_url, key.reveal()), is_shared=max_retries is None),
    }
