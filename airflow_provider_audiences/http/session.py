"""
The pooled HTTP session, with the key out of sight.

AppLovin takes its key in the query, and a URL gets everywhere: into urllib3's debug log, into the text of
connection errors, into the request object that an exception holds on to. So the key is added by the
connection itself, just before the bytes are written: no URL above it ever has the key in it. The same
connection ignores ``http.client``'s global debug switch, which would print the request line and headers.
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
"""Idle connections that are kept: as many as threads of one process use a client at once."""


def _pool_classes(secret_query: str) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3's pool classes by scheme, with connections that add ``secret_query`` to the target."""

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


def _with_query(target: str, secret_query: str) -> str:
    if not secret_query:
        return target
    return f"{target}{'&' if '?' in target else '?'}{secret_query}"


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
        Send a request; one to this machine goes to it, whatever proxies the environment names.

        :param request: prepared.
        """
        if is_loopback((parse_url(request.url or "").host or "").strip("[]")):
            kwargs["proxies"] = {}
        return super().send(request, *args, **kwargs)


class _Session(requests.Session):
    """A session that does not even look at where a redirect leads; requests would parse it, and may fail."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - requests' own signature
        return None


class _NoAuth(requests.auth.AuthBase):
    """Leaves the request alone; its presence keeps requests from sending what a .netrc file says."""

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
    Return a session that adds a key to every request's query, below all logging.

    :param parameter: name of the query parameter.
    :param key: its value.
    """
    return _session(f"{parameter}={quote(key.reveal(), safe='')}", _NoAuth())


def header_key_session(*, auth: requests.auth.AuthBase) -> requests.Session:
    """
    Return a session that authenticates by header.

    :param auth: puts the header on each request.
    """
    return _session("", auth)


def link_session(*, query: Secret, user: tuple[str, str] | None = None) -> requests.Session:
    """
    Return a session for one link whose query is a secret: it is added to every request, below all logging.

    :param query: what follows the question mark, percent-encoded; empty for none.
    :param user: name and password for basic authentication; None for none.
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
