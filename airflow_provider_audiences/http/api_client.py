"""The base class of all API clients."""

from __future__ import annotations

from typing import Self

from airflow_provider_audiences.http.transport import Transport


class ApiClient:
    """
    A client of an API; closing the client closes its transport.

    :param transport: transport that sends the calls.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the pooled connections."""
        self._transport.close()

    @property
    def requests_sent(self) -> int:
        """Number of requests sent so far, repetitions included."""
        return self._transport.requests_sent

    @property
    def base_url(self) -> str:
        """Scheme, host, port and path prefix that requests go to."""
        return self._transport.base_url

    @property
    def host(self) -> str:
        """Host, port and path prefix that requests go to."""
        return self.base_url.partition("://")[2]
