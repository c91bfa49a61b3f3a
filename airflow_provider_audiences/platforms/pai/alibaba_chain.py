"""
Alibaba Cloud's own chain of credential sources: environment, OIDC, profile, RAM role of the machine.

The chain is in the library ``alibabacloud-credentials``, which is an extra. It caches and renews credentials, with a
thread of its own; so there is one chain in each process. Its logs and errors may quote credentials, and are withheld.
"""

from __future__ import annotations

import importlib
import logging
import re
import threading
from typing import Any

from airflow_provider_audiences.exceptions import AudienceError, ConnectionFailedError, InvalidInputError
from airflow_provider_audiences.http.exchange import current_exchange
from airflow_provider_audiences.http.timed_calls import call_with_timeout
from airflow_provider_audiences.platforms.pai.signing import AccessKey
from airflow_provider_audiences.redaction import Secret

_LIBRARY = "alibabacloud_credentials.client"
_LOGGERS = ("credentials", "alibabacloud")
_PROVIDER_PATTERN = re.compile(r"\b([A-Z][A-Za-z]*)CredentialsProvider: ")

_MAX_SECONDS = 30.0
"""Longest time to find credentials: the chain asks one source after the other."""

_lock = threading.Lock()
_chain: list[CredentialChain] = []


class CredentialChain:
    """
    Returns the present AccessKey of the chain.

    :param client: client object of the library.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def __call__(self) -> AccessKey:
        """
        Return the AccessKey, renewed if it was about to expire.

        :raises ConnectionFailedError: no source of the chain has credentials, or one did not answer in time.
        """
        failure: AudienceError
        try:
            # The library's requests have no timeout.
            found = call_with_timeout(self._client.get_credential, name=id(self), seconds=_patience_seconds())
            if found.access_key_id and found.access_key_secret:
                return AccessKey(
                    key_id=str(found.access_key_id),
                    secret=Secret(str(found.access_key_secret)),
                    security_token=Secret(str(found.security_token)) if found.security_token else None,
                )
            failure = _failure("")
        except Exception as error:  # noqa: BLE001 - whatever a provider of the chain raises
            # Only names of providers are taken from the library's text, which may quote replies with secrets.
            failure = _failure(str(error))
        # Raised outside the handler: otherwise the library's error would be attached to it.
        try:
            raise failure
        finally:
            del failure


def _patience_seconds() -> float:
    exchange = current_exchange()
    return _MAX_SECONDS if exchange is None else exchange.patience(_MAX_SECONDS)


def credential_chain() -> CredentialChain:
    """
    Return the chain of this process.

    :raises InvalidInputError: the library is not installed, or does not accept the environment's variables.
    """
    with _lock:
        if not _chain:
            _chain.append(CredentialChain(_new_client()))
        return _chain[0]


def _new_client() -> Any:
    refusal: InvalidInputError
    try:
        client = importlib.import_module(_LIBRARY).Client()
    except ModuleNotFoundError:
        refusal = InvalidInputError(
            "credentials of this machine need the library alibabacloud-credentials: "
            "pip install 'airflow-provider-audiences[alibaba]'"
        )
    except Exception:  # noqa: BLE001 - its text may quote what it read
        refusal = InvalidInputError(
            "alibabacloud-credentials refuses what it finds: check the variables ALIBABA_CLOUD_* of this process"
        )
    else:
        for name in [name for name in logging.root.manager.loggerDict if name.startswith(_LOGGERS)]:
            logging.getLogger(name).addFilter(_withhold)
        return client
    raise refusal


def _withhold(record: logging.LogRecord) -> bool:
    """Replace the text of the library's log records; let only warnings and errors through."""
    record.msg = "Alibaba Cloud credentials were not read or renewed as they should; details are withheld."
    record.args, record.exc_info, record.exc_text = (), None, None
    return record.levelno >= logging.WARNING


def _failure(text: str) -> ConnectionFailedError:
    tried = ", ".join(dict.fromkeys(_PROVIDER_PATTERN.findall(text)))
    return ConnectionFailedError(
        "no Alibaba Cloud credentials were found on this machine" + (f"; tried: {tried}" if tried else ""),
        advice=(
            "Give the machine a RAM role, set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or put "
            "an AccessKey in the connection's login and password."
        ),
    )
