"""
The pooled HTTP session, which keeps the key out of logs and errors.

AppLovin takes its key in the query. Libraries write URLs into many places: urllib3's debug log, the texts of connection
errors, and the request object that an exception refers to. So the connection itself adds the key, just before it writes
the bytes; no URL in the layers above has the key in it. The connection also ignores ``http.client``'s global debug
switch, which would print the request line and headers.
"""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import parse_url

from airflow_provider_audiences import USER_AGENT
from airflow_provider_audiences.http.addresses import is_loopback
from airflow_provider_audiences.http.bodies import ACCEPTED_ENCODING
from airflow_provider_audiences.http.sockets import BoundedConnection, BoundedSecureConnection
from airflow_provider_audiences.redaction import Secret

if TYPE_CHECKING:
    from urllib3 import ProxyManager

_POOL_SIZE = 64
"""Most idle connections that are kept; a client is used by fewer threads at the same time."""


def _pool_classes(secret_query: str) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3's pool classes by scheme, with connections that add ``secret_query`` to the request_target."""

    class QuietConnection(BoundedConnection):
        debuglevel = 0

        def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
            super().putrequest(method, _with_query(url, secret_query), *args, **kwargs)

    class QuietSecureConnection(BoundedSecureConnection):
        debuglevel = 0

        def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
            super().putrequest(method, _with_query(url, secret_query), *args, **kwargs)

    class Pool(HTTPConnectionPool):
        ConnectionCls = QuietConnection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = QuietSecureConnection

    return {"http": Pool, "https": SecurePool}


def _with_query(request_target: str, secret_query: str) -> str:
    if not secret_query:
        return request_target
    return f"{request_target}{'&' if '?' in request_target else '?'}{secret_query}"


class _QuietAdapter(HTTPAdapter):
    def __init__(self, secret_query: str) -> None:
        self._pool_classes_by_scheme = _pool_classes(secret_query)
        super().__init__(pool_connections=1, pool_maxsize=_POOL_SIZE, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes_by_scheme

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pool_classes_by_scheme
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """
        Send a request. A request to this machine is never sent through a proxy of the environment.

        :param request: prepared request.
        """
        if is_loopback((parse_url(request.url or "").host or "").strip("[]")):
            kwargs["proxies"] = {}
        return super().send(request, *args, **kwargs)


class _Session(requests.Session):
    """A session that ignores redirects; the library would parse the request_target's address, and may fail."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - requests' own signature
        return None


class _NoAuth(requests.auth.AuthBase):
    """Adds no credentials; without any auth object, the library would send those of a .netrc file."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class BearerAuth(requests.auth.AuthBase):
    """
    Sends ``Authorization: Bearer KEY``.

    :param key: the API key.
    """

    def __init__(self, key: Secret) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header to a request."""
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request


def query_key_session(*, parameter: str, key: Secret) -> requests.Session:
    """
    Return a session that adds a key to every request's query, where no log and no error shows it.

    :param parameter: name of the query parameter.
    :param key: the key, which is the parameter's value.
    """
    return _session(f"{parameter}={quote(key.reveal(), safe='')}", _NoAuth())


def header_key_session(*, auth: requests.auth.AuthBase) -> requests.Session:
    """
    Return a session that authenticates by a header.

    :param auth: adds the header to each request.
    """
    return _session("", auth)


def link_session(*, query: Secret, user: tuple[str, str] | None = None) -> requests.Session:
    """
    Return a session for a link whose query is a secret; the query is added where no log and no error shows it.

    :param query: part of the link after the question mark, percent-encoded; empty for no query.
    :param user: user name and password for basic authentication; None for no authentication.
    """
    return _session(query.reveal(), requests.auth.HTTPBasicAuth(*user) if user else _NoAuth())


def _session(secret_query: str, auth: requests.auth.AuthBase) -> requests.Session:
    session = _Session()
    session.auth = auth
    session.headers["User-Agent"] = USER_AGENT
    session.headers["Accept"] = "application/json"
    session.headers["Accept-Encoding"] = ACCEPTED_ENCODING
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _QuietAdapter(secret_query)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
