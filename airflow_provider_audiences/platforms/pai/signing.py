"""
Alibaba Cloud's request signature, ACS3-HMAC-SHA256, as an authentication of the requests library.

It signs what is sent: path and query as sent, the Host header with its port, and the bytes of the body. Each request is
signed anew, repetitions too, as the platform accepts a nonce only once.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

import requests

from airflow_provider_audiences.redaction import MaskedBytes, Secret

ALGORITHM = "ACS3-HMAC-SHA256"
_SIGNED_BESIDES = ("host", "content-type")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class AccessKey:
    """
    An AccessKey, with which requests are signed.

    :param key_id: id of the AccessKey.
    :param secret: secret of the AccessKey.
    :param security_token: security token of temporary credentials (STS); None for a permanent AccessKey.
    """

    key_id: str
    secret: Secret = field(repr=False)
    security_token: Secret | None = field(default=None, repr=False)


class Acs3Auth(requests.auth.AuthBase):
    """
    Signs requests.

    :param access_key: returns the present AccessKey; called for each request.
    :param clock: returns the present time.
    :param nonce: returns a text that was never used before.
    """

    def __init__(
        self,
        access_key: Callable[[], AccessKey],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._access_key = access_key
        self._clock = clock
        self._nonce = nonce

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the signature's headers to a request."""
        key = self._access_key()
        url = str(request.url)
        body_digest = hashlib.sha256(_bytes_of(request.body)).hexdigest()
        # Set here, so that what is signed and what is sent can't differ.
        request.headers["Host"] = _host_header(url)
        request.headers["x-acs-date"] = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        request.headers["x-acs-signature-nonce"] = self._nonce()
        request.headers["x-acs-content-sha256"] = body_digest
        if key.security_token is not None:
            request.headers["x-acs-accesskey-id"] = key.key_id
            request.headers["x-acs-security-token"] = key.security_token.reveal()
        signed = {
            name.lower(): _text(value).strip()
            for name, value in request.headers.items()
            if name.lower().startswith("x-acs-") or name.lower() in _SIGNED_BESIDES
        }
        target = _target(request.path_url)
        signature = sign(
            method=str(request.method), target=target, headers=signed, body_digest=body_digest, secret=key.secret
        )
        request.headers["Authorization"] = (
            f"{ALGORITHM} Credential={key.key_id},SignedHeaders={';'.join(sorted(signed))},Signature={signature}"
        )
        return request


def sign(*, method: str, target: str, headers: dict[str, str], body_digest: str, secret: Secret) -> str:
    """
    Return the signature of a request.

    :param method: HTTP method of the request.
    :param target: path and query, as they are sent.
    :param headers: headers to sign, by lower-case name.
    :param body_digest: SHA-256 of the body, as hex.
    :param secret: secret of the AccessKey.
    """
    path, _, query = target.partition("?")
    canonical = "\n".join(
        (
            method,
            path,
            _canonical_query(query),
            "".join(f"{name}:{headers[name]}\n" for name in sorted(headers)),
            ";".join(sorted(headers)),
            body_digest,
        )
    )
    text = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.new(secret.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()


def _canonical_query(query: str) -> str:
    """Return the query's parameters, sorted and in the encoding that is signed, however they are encoded when sent."""
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)


def _target(path_and_query: str) -> str:
    # requests sends one slash where there are several at the beginning.
    return f"/{path_and_query.lstrip('/')}" if path_and_query.startswith("//") else path_and_query


def _host_header(url: str) -> str:
    parts = urlsplit(url)
    name = parts.hostname or ""
    name = f"[{name}]" if ":" in name else name
    return name if parts.port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f"{name}:{parts.port}"


def _bytes_of(body: object) -> bytes:
    if isinstance(body, MaskedBytes):
        return body.reveal()
    return body.encode() if isinstance(body, str) else bytes(body or b"")  # type: ignore[call-overload] # bytes


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
