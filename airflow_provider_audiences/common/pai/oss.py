"""
Alibaba Cloud OSS as an Airflow file system: ``oss://bucket/key`` in an ``ObjectStoragePath``.

No provider package of Airflow has such a file system. It needs the library ``ossfs``, which the extra ``alibaba``
installs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from airflow_provider_audiences.common.connections import ConnectionReader
from airflow_provider_audiences.common.pai.credentials import key_pair_of, region_of
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.platforms.pai.alibaba_chain import credential_chain
from airflow_provider_audiences.platforms.pai.dialects import OPENAPI_REGION
from airflow_provider_audiences.platforms.pai.signing import AccessKey

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

schemes = ["oss"]


def get_fs(conn_id: str | None, storage_options: Mapping[str, Any] | None = None) -> AbstractFileSystem:
    """
    Return the file system. Airflow calls this function.

    :param conn_id: id of a connection of the type ``alibaba_cloud`` (extras ``access_key_id`` and
        ``access_key_secret``) or ``pai`` (login and password). Its optional extras are ``security_token``, and
        ``endpoint`` or ``region`` (default: cn-hangzhou). None for this machine's own credentials.
    :param storage_options: further arguments for ``ossfs.OSSFileSystem``; None for none.
    :raises InvalidInputError: ``ossfs`` is not installed, or the connection lacks something.
    """
    try:
        from ossfs import OSSFileSystem
    except ModuleNotFoundError:
        raise InvalidInputError(
            "oss:// needs the library ossfs: pip install 'airflow-provider-audiences[alibaba]'"
        ) from None

    key, endpoint = _access(conn_id)
    for secret in (key.secret, key.security_token):
        if secret is not None:
            mask_secret(secret.reveal())
    options = {
        "endpoint": endpoint,
        "key": key.key_id,
        "secret": key.secret.reveal(),
        "token": key.security_token.reveal() if key.security_token else None,
    }
    return OSSFileSystem(**(options | dict(storage_options or {})))


def _access(conn_id: str | None) -> tuple[AccessKey, str]:
    if conn_id is None:
        return credential_chain()(), _endpoint(OPENAPI_REGION)
    reader = ConnectionReader(connection=BaseHook.get_connection(conn_id))
    key_id, secret = key_pair_of(reader, None)
    endpoint = reader.text("endpoint", "") or _endpoint(region_of(reader))
    # The library would use plain http for an address without a scheme.
    endpoint = reader.address(endpoint if "://" in endpoint else f"https://{endpoint}", what="endpoint in the extra")
    if key_id is None or secret is None:
        raise reader.error("OSS takes an AccessKey: put its id in the login and its secret in the password")
    token = reader.secret_of(reader.value("security_token"), what="security_token", where="extra")
    return AccessKey(key_id=key_id.reveal(), secret=secret, security_token=token), endpoint


def _endpoint(region: str) -> str:
    return f"https://oss-{region}.aliyuncs.com"
