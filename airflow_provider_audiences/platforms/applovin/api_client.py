"""What the clients of AppLovin's APIs share: the key in the query, and the upload of IDs, one a line."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from airflow_provider_audiences.http.api_client import ApiClient
from airflow_provider_audiences.http.calls import Call, GiveUp, TransportSettings
from airflow_provider_audiences.http.error_budget import ErrorBudget
from airflow_provider_audiences.http.session import query_key_session
from airflow_provider_audiences.http.transport import Transport
from airflow_provider_audiences.members.identifiers.patterns import ADVERTISING_ID_PATTERNS
from airflow_provider_audiences.platforms.applovin.defaults import (
    DEFAULT_BASE_URL,
    DEFAULT_CONTENT_TYPE,
    DEFAULT_SETTINGS,
    UPLOAD_DEADLINE_SECONDS,
)
from airflow_provider_audiences.platforms.applovin.replies import Advice, AppLovinReplies
from airflow_provider_audiences.redaction import MaskedBytes, Redactor, Secret
from airflow_provider_audiences.sync.destination import BatchResult


class AppLovinApiClient(ApiClient):
    """
    Base of the clients of AppLovin's APIs, for one account.

    :param api_key: key of the account.
    :param advice: says what to do about an error of this API.
    :param base_url: scheme, host and path prefix of the API.
    :param settings: timeouts, and how often to repeat a request.
    :param content_type: content type of uploads.
    :param sleep: sleeps for a number of seconds before a repetition.
    :param error_budget: limit on the account's failed requests; None for no limit.
    """

    def __init__(
        self,
        *,
        api_key: Secret,
        advice: Advice,
        base_url: str = DEFAULT_BASE_URL,
        settings: TransportSettings = DEFAULT_SETTINGS,
        content_type: str = DEFAULT_CONTENT_TYPE,
        sleep: Callable[[float], None] = time.sleep,
        error_budget: ErrorBudget | None = None,
    ) -> None:
        self._redact = Redactor(api_key, ADVERTISING_ID_PATTERNS.in_server_replies)
        self._replies = AppLovinReplies(self._redact, advice)
        self._content_type = content_type
        super().__init__(
            Transport(
                base_url=base_url,
                session=query_key_session(parameter="api_key", key=api_key),
                settings=settings,
                redact=self._redact,
                sleep=sleep,
                error_budget=error_budget,
            )
        )

    @property
    def request_deadline_seconds(self) -> float | None:
        """The connection's deadline for each request; None if it has none."""
        return self._transport.settings.request_deadline_seconds

    def _upload(
        self,
        operation: str,
        path: str,
        *,
        query: Mapping[str, str],
        advertising_ids: MaskedBytes,
        give_up: GiveUp | None,
    ) -> BatchResult:
        """Send IDs, and return how the platform counted them."""
        call = Call(
            operation=operation,
            method="POST",
            path=path,
            query=query,
            body=advertising_ids,
            content_type=self._content_type,
            deadline_seconds=UPLOAD_DEADLINE_SECONDS,
            read=self._replies.batch_result,
            give_up=give_up,
        )
        return self._transport.send(call)
