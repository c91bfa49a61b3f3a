"""Verifies requests signed by ACS3-HMAC-SHA256, as PAI's gateway does; written from its public description."""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from .access_keys import AccessKey
from .replies import BAD_REQUEST, NOT_FOUND, GatewayError

ALGORITHM = "ACS3-HMAC-SHA256"
API_VERSION = "2022-01-12"
MAX_SKEW_SECONDS = 15 * 60
MAX_NONCES = 100_000
# Each of these headers must be there, and be signed.
REQUIRED_HEADERS = {
    "host": "Host",
    "x-acs-action": "Action",
    "x-acs-version": "Version",
    "x-acs-date": "Timestamp",
    "x-acs-signature-nonce": "SignatureNonce",
    "x-acs-content-sha256": "ContentSha256",
}
HEADER_PREFIX = "x-acs-"

_AUTHORIZATION = re.compile(r"Credential=([^,\s]+), ?SignedHeaders=([a-z0-9;\-]+), ?Signature=([0-9a-f]{64})")
_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z")


def _refuse(code: str, message: str, *, status: int = BAD_REQUEST) -> GatewayError:
    return GatewayError(status, code, message)


@dataclass(frozen=True, kw_only=True)
class SignedRequest:
    """
    The parts of an HTTP request that take part in its signature.

    :param path: path as it was sent, with its escapes.
    :param query: query as it was sent.
    :param headers: values of each header in the order in which they came, by its name in lower case.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, tuple[str, ...]] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """Return a header's value as it is signed: several values joined; an empty text for a missing header."""
        return ",".join(sorted(value.strip() for value in self.headers.get(name, ())))


def read_request(scope: Mapping[str, Any], body: bytes) -> SignedRequest:
    """
    Return the parts of a request that take part in its signature.

    :param scope: ASGI scope of the request.
    :param body: whole body of the request.
    """
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        headers[key] = (*headers.get(key, ()), value.decode("latin-1"))
    raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
    return SignedRequest(
        method=scope["method"],
        path=raw_path.decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
    )


def _encode(text: str | bytes) -> str:
    """Return a text with the escapes of RFC 3986, which leave letters, digits and ``-_.~`` alone."""
    return quote(text, safe="")


def canonical_request(request: SignedRequest, *, signed_headers: Iterable[str]) -> str:
    """
    Return the canonical form of a request, from which its signature is made.

    :param request: request that was sent.
    :param signed_headers: names of the headers that are signed, in lower case.
    """
    names = sorted(signed_headers)
    path = "/".join(_encode(unquote_to_bytes(part)) for part in request.path.encode("latin-1").split(b"/"))
    # surrogateescape keeps bytes that are not UTF-8, so that they are compared as they are.
    pairs = parse_qsl(request.query, keep_blank_values=True, errors="surrogateescape")
    encoded = sorted(
        (_encode(name.encode(errors="surrogateescape")), _encode(value.encode(errors="surrogateescape")))
        for name, value in pairs
    )
    query = "&".join(f"{name}={value}" for name, value in encoded)
    headers = "".join(f"{name}:{request.header(name)}\n" for name in names)
    body_hash = hashlib.sha256(request.body).hexdigest()
    return "\n".join([request.method, path, query, headers, ";".join(names), body_hash])


def string_to_sign(canonical: str) -> str:
    """Return the text that the secret signs, made of a canonical request."""
    # Characters that are not ASCII come from headers, whose bytes were read as Latin-1.
    return f"{ALGORITHM}\n{hashlib.sha256(canonical.encode('latin-1')).hexdigest()}"


class Nonces:
    """
    The nonces of recent requests. Not thread-safe: use it on the event loop.

    :param limit: how many nonces are remembered; the oldest are forgotten first.
    """

    def __init__(self, *, limit: int = MAX_NONCES) -> None:
        self._limit = limit
        self._seen: dict[str, float] = {}

    def take(self, nonce: str, *, now: float) -> bool:
        """
        Remember a nonce, and return whether it is new.

        :param nonce: nonce of a request whose signature is right.
        :param now: present time in seconds since the epoch.
        """
        # A request's date may be early or late by the skew, so its nonce has to be remembered for twice as long.
        while self._seen and (
            len(self._seen) >= self._limit or now - next(iter(self._seen.values())) > 2 * MAX_SKEW_SECONDS
        ):
            del self._seen[next(iter(self._seen))]
        if nonce in self._seen:
            return False
        self._seen[nonce] = now
        return True


class Verifier:
    """
    Verifies that requests are signed by one AccessKey pair.

    :param access_key: the only AccessKey pair that is accepted.
    :param nonces: nonces of earlier requests; None (default) to begin without any.
    :param now: function that returns real time in seconds since the epoch; the emulated clock does not matter here.
    """

    def __init__(
        self,
        access_key: AccessKey,
        *,
        nonces: Nonces | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._access_key = access_key
        self._nonces = nonces or Nonces()
        self._now = now

    def verify(self, request: SignedRequest, *, action: str) -> None:
        """
        Verify one request.

        :param request: request that was sent.
        :param action: name of the API that the request's method and path stand for, such as ``CreateGroup``.
        :raises GatewayError: the request is not signed as it must be.
        """
        key_id, signed, signature = _read_authorization(request)
        _check_headers(request, signed)
        if request.header("x-acs-version") != API_VERSION:
            raise _refuse("InvalidVersion", "Specified parameter Version is not valid.")
        if request.header("x-acs-action") != action:
            message = "Specified api is not found, please check your url and method."
            raise _refuse("InvalidAction.NotFound", message, status=NOT_FOUND)
        now = self._now()
        _check_date(request.header("x-acs-date"), now=now)
        self._check_key(request, key_id)
        self._check_signature(request, signed, signature)
        if not self._nonces.take(request.header("x-acs-signature-nonce"), now=now):
            raise _refuse("SignatureNonceUsed", "Specified signature nonce was used already.")

    def _check_key(self, request: SignedRequest, key_id: str) -> None:
        known = self._access_key
        repeated = request.header("x-acs-accesskey-id")
        if not _same(key_id, known.access_key_id) or (repeated and not _same(repeated, known.access_key_id)):
            message = "Specified access key is not found."
            raise _refuse("InvalidAccessKeyId.NotFound", message, status=NOT_FOUND)
        token = request.header("x-acs-security-token")
        if known.security_token is not None and not token:
            raise _refuse("MissingSecurityToken", "SecurityToken is mandatory for this action.")
        if not _same(token, known.security_token or ""):
            raise _refuse("InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed.")

    def _check_signature(self, request: SignedRequest, signed: tuple[str, ...], signature: str) -> None:
        if not _same(request.header("x-acs-content-sha256"), hashlib.sha256(request.body).hexdigest()):
            message = (
                "Specified signature does not match our calculation. x-acs-content-sha256 is not that of the body."
            )
            raise _refuse("SignatureDoesNotMatch", message)
        text = string_to_sign(canonical_request(request, signed_headers=signed))
        expected = hmac.new(self._access_key.access_key_secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        if not _same(signature, expected):
            message = f"Specified signature does not match our calculation. server StringToSign is [{text}]"
            raise _refuse("SignatureDoesNotMatch", message)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _read_authorization(request: SignedRequest) -> tuple[str, tuple[str, ...], str]:
    """Return the AccessKey id, the names of the signed headers and the signature of an ``Authorization`` header."""
    values = request.headers.get("authorization", ())
    if not values or not values[0].strip():
        raise _refuse("MissingAccessKeyId", "AccessKeyId is mandatory for this action.")
    scheme, _, parameters = values[0].strip().partition(" ")
    if scheme != ALGORITHM:
        raise _refuse("InvalidSignatureMethod", "Specified signature method is not valid.")
    match = _AUTHORIZATION.fullmatch(parameters.strip())
    names = tuple(match.group(2).split(";")) if match else ()
    if match is None or len(values) > 1 or names != tuple(sorted(set(names))):
        raise _refuse("IncompleteSignature", "The request signature does not conform to Aliyun standards.")
    return match.group(1), names, match.group(3)


def _check_headers(request: SignedRequest, signed: tuple[str, ...]) -> None:
    for name, label in REQUIRED_HEADERS.items():
        if not request.header(name):
            raise _refuse(f"Missing{label}", f"{label} is mandatory for this action.")
    needed = {*REQUIRED_HEADERS, *(name for name in request.headers if name.startswith(HEADER_PREFIX))}
    if request.body:
        needed.add("content-type")
    for name in sorted(needed):
        if name not in signed:
            # The name of a header that was made up may be anything, so it is not repeated.
            shown = name if name in REQUIRED_HEADERS or name == "content-type" else f"every {HEADER_PREFIX}* header"
            raise _refuse("IncompleteSignature", f"The request signature does not conform to standards: sign {shown}.")


def _check_date(text: str, *, now: float) -> None:
    try:
        moment = datetime.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        raise _refuse("InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
    if abs(moment.timestamp() - now) > MAX_SKEW_SECONDS:
        raise _refuse("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
