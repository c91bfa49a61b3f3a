"""
Reading PAI's credentials from a connection; the kind of credentials decides the dialect.

===============================================  =======================================
connection                                       credentials, dialect
===============================================  =======================================
password                                         API key, ``bearer``
login and password                               AccessKey, ``openapi``
the same with ``security_token``                 temporary AccessKey (STS), ``openapi``
type ``alibaba_cloud`` with its extras           AccessKey, ``openapi``
``dialect: openapi`` and none of these           this machine's credentials, ``openapi``
nothing                                          API key of the environment, ``bearer``
===============================================  =======================================
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from airflow_provider_audiences.common.connections import ConnectionReader
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.platforms.pai.auth import AccessKeyAuth, ApiKeyAuth, ChangingKeyAuth, PaiAuth
from airflow_provider_audiences.platforms.pai.dialects import OPENAPI_BASE_URL, OPENAPI_REGION, checked_region
from airflow_provider_audiences.platforms.pai.signing import AccessKey
from airflow_provider_audiences.redaction import Secret
from airflow_provider_audiences.validation import one_of

log = logging.getLogger(__name__)

ALIBABA_CLOUD = "alibaba_cloud"
"""Connection type of the provider package for Alibaba Cloud."""

ALIBABA_CLOUD_EXTRAS = ("access_key_id", "access_key_secret", "auth_type", "endpoint")
"""Extras of such connections."""


def pai_auth(reader: ConnectionReader, *, environment_key: str | None, on_secret: Callable[[str], None]) -> PaiAuth:
    """
    Return the connection's credentials.

    :param reader: reader of the connection.
    :param environment_key: API key to use if the connection has no credentials; None for none.
    :param on_secret: called with each secret, to mask it in logs.
    :raises InvalidInputError: the credentials are missing, incomplete or contradictory.
    """
    dialect = _dialect_of(reader)
    token = reader.secret_of(reader.value("security_token"), what="security_token", where="extra")
    key_id, secret = key_pair_of(reader, dialect)
    if key_id is not None and secret is not None:
        if dialect == "bearer":
            raise reader.error(
                "dialect is bearer, which takes an API key in the password and nothing else: take the AccessKey id "
                "out, or leave the dialect to the credentials"
            )
        key = AccessKey(key_id=key_id.reveal(), secret=secret, security_token=token)
        _tell(on_secret, secret, token)
        return AccessKeyAuth(key)
    if token is not None:
        raise reader.error("security_token in the extra is of temporary credentials: their AccessKey is missing")
    if dialect == "openapi":
        return _chain_of(reader, on_secret)
    api_key = secret or reader.secret(what="API key", fallback=environment_key)
    _tell(on_secret, api_key)
    return ApiKeyAuth(api_key)


def region_of(reader: ConnectionReader) -> str:
    """
    Return the region that the connection names; by default, cn-hangzhou.

    :param reader: reader of the connection.
    :raises InvalidInputError: the text can't be the id of a region.
    """
    try:
        return checked_region(reader.text("region", OPENAPI_REGION))
    except InvalidInputError as error:
        raise reader.error(f"{error.message} (extra)") from None


def warn_of_other_region(reader: ConnectionReader, auth: PaiAuth) -> None:
    """
    Log a warning if the connection names a region for which its dialect has no address.

    :param reader: reader of the connection.
    :param auth: credentials of the connection.
    :raises InvalidInputError: the text can't be the id of a region.
    """
    if auth.dialect.name != "openapi" or reader.connection.host:
        return
    region = region_of(reader)
    if region != OPENAPI_REGION:
        log.warning(
            "Connection %r names the region %r: with an AccessKey, PAI's only public address is used all the same, %s.",
            reader.connection.conn_id,
            region,
            OPENAPI_BASE_URL,
        )


def _dialect_of(reader: ConnectionReader) -> str | None:
    named = reader.text("dialect", "")
    try:
        return one_of("dialect in the extra", named, ("bearer", "openapi")) if named else None
    except InvalidInputError as error:
        raise reader.error(error.message) from None


def key_pair_of(reader: ConnectionReader, dialect: str | None) -> tuple[Secret | None, Secret | None]:
    """
    Return the id and the secret of the connection's AccessKey. If the id is None, the secret is an API key, or None.

    :param reader: reader of the connection.
    :param dialect: dialect that the connection names; None if it names none.
    :raises InvalidInputError: one of the two is missing.
    """
    connection = reader.connection
    if connection.conn_type == ALIBABA_CLOUD:
        key_id = reader.secret_of(reader.value("access_key_id"), what="access_key_id", where="extra")
        secret = reader.secret_of(reader.value("access_key_secret"), what="access_key_secret", where="extra")
        if key_id is None and secret is None and dialect == "openapi":
            return None, None
        for part, name in ((key_id, "access_key_id"), (secret, "access_key_secret")):
            if part is None:
                raise reader.error(f"{name} is missing: put it in the extra")
        return key_id, secret
    key_id = reader.secret_of(connection.login, what="AccessKey id", where="login")
    secret = reader.secret_of(connection.password, what="AccessKey secret" if key_id else "API key", where="password")
    if key_id is not None and secret is None:
        raise reader.error(
            "the AccessKey secret is missing: the login is an AccessKey id, put the secret in the password"
        )
    if key_id is None and secret is not None and dialect == "openapi":
        raise reader.error("the AccessKey id is missing: put it in the login (dialect openapi takes no API key)")
    return key_id, secret


def _chain_of(reader: ConnectionReader, on_secret: Callable[[str], None]) -> PaiAuth:
    # The library is imported only if it is needed, as it is optional.
    from airflow_provider_audiences.platforms.pai.alibaba_chain import credential_chain

    try:
        chain = credential_chain()
    except InvalidInputError as error:
        raise reader.error(error.message) from None
    return ChangingKeyAuth(chain, account="this machine's credentials", on_new_secret=on_secret)


def _tell(on_secret: Callable[[str], None], *secrets: Secret | None) -> None:
    for secret in secrets:
        if secret is not None:
            on_secret(secret.reveal())
