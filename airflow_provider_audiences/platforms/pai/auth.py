"""Authentication of a PAI client: by an API key, or by signatures. The dialect follows from it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Protocol

import requests

from airflow_provider_audiences.http.session import BearerAuth
from airflow_provider_audiences.platforms.pai.dialects import BEARER, OPENAPI, PaiDialect
from airflow_provider_audiences.platforms.pai.signing import AccessKey, Acs3Auth
from airflow_provider_audiences.redaction import Redactor, Secret


class PaiAuth(Protocol):
    """Credentials, as a client needs them."""

    @property
    def dialect(self) -> PaiDialect:
        """The dialect that the service speaks with these credentials."""

    @property
    def account(self) -> str:
        """Digest of what the platform counts requests by."""

    @property
    def lasting_secret(self) -> Secret | None:
        """A secret that does not change; None if all secrets expire."""

    def on_requests(self, redactor: Redactor) -> requests.auth.AuthBase:
        """
        Return the object that authenticates each request, for the requests library.

        :param redactor: learns each secret before it is used, so that it is removed from messages.
        """


class ApiKeyAuth:
    """
    An API key, sent as a Bearer token.

    :param api_key: the API key of the account.
    """

    dialect = BEARER

    def __init__(self, api_key: Secret) -> None:
        self._api_key = api_key
        self.account = _digest(api_key.reveal())
        self.lasting_secret: Secret | None = api_key

    def on_requests(self, redactor: Redactor) -> requests.auth.AuthBase:
        """
        Return the object that authenticates each request.

        :param redactor: learns the key, so that it is removed from messages.
        """
        redactor.learn(self._api_key)
        return BearerAuth(self._api_key)


class AccessKeyAuth:
    """
    An AccessKey, with which each request is signed.

    :param access_key: the AccessKey; with its security token if it is temporary.
    """

    dialect = OPENAPI

    def __init__(self, access_key: AccessKey) -> None:
        self._access_key = access_key
        self.account = _digest(access_key.key_id)
        self.lasting_secret = None if access_key.security_token else access_key.secret

    def on_requests(self, redactor: Redactor) -> requests.auth.AuthBase:
        """
        Return the object that authenticates each request.

        :param redactor: learns secret and token, so that they are removed from messages.
        """
        _learn(redactor, self._access_key)
        return Acs3Auth(lambda: self._access_key)


class ChangingKeyAuth:
    """
    An AccessKey that another source provides and renews.

    :param source: returns the present AccessKey; called for each request.
    :param account: text that identifies the source.
    :param on_new_secret: called with each new secret and token before it is used, so that logs can mask it.
    """

    dialect = OPENAPI
    lasting_secret: Secret | None = None

    def __init__(
        self,
        source: Callable[[], AccessKey],
        *,
        account: str,
        on_new_secret: Callable[[str], None] = lambda _secret: None,
    ) -> None:
        self._source = source
        self._on_new_secret = on_new_secret
        self.account = _digest(account)

    def on_requests(self, redactor: Redactor) -> requests.auth.AuthBase:
        """
        Return the object that authenticates each request.

        :param redactor: learns each new secret and token, so that they are removed from messages.
        """
        known: set[str] = set()
        lock = threading.Lock()

        def current() -> AccessKey:
            key = self._source()
            digest = _digest(key.key_id + key.secret.reveal())
            with lock:
                if digest not in known:
                    _learn(redactor, key)
                    for secret in _secrets_of(key):
                        self._on_new_secret(secret.reveal())
                    known.add(digest)
            return key

        return Acs3Auth(current)


def _secrets_of(key: AccessKey) -> list[Secret]:
    return [key.secret] if key.security_token is None else [key.secret, key.security_token]


def _learn(redactor: Redactor, key: AccessKey) -> None:
    for secret in _secrets_of(key):
        redactor.learn(secret)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
