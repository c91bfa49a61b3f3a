"""Reading a client's settings from an Airflow connection; every mistake is reported before the first request."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from airflow_provider_audiences.common.connection_fields import ExtraField
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.http.addresses import checked_host, is_loopback
from airflow_provider_audiences.http.calls import TransportSettings
from airflow_provider_audiences.http.error_budget import DEFAULT_MAX_ERRORS
from airflow_provider_audiences.redaction import Secret
from airflow_provider_audiences.validation import OFF

log = logging.getLogger(__name__)

# Without the characters that urlsplit removes, or reads in another way than the HTTP library.
_TEXT_PATTERN = re.compile(r"[!-\[\]-~]*", re.ASCII)
_PORT_PATTERN = re.compile(r"(?::[0-9]{1,5})?", re.ASCII)
_PATH_PATTERN = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*", re.ASCII)


class ConnectionLike(Protocol):
    """The attributes of an Airflow connection that this package reads."""

    conn_id: str
    conn_type: str | None
    host: str | None
    login: str | None
    port: int | None
    schema: str | None
    password: str | None

    @property
    def extra_dejson(self) -> dict[str, Any]:
        """The extra, parsed."""


@dataclass(frozen=True, kw_only=True)
class ConnectionReader:
    """
    Reads and checks the values of one connection.

    :param connection: the Airflow connection.
    :param fields: extra fields of the connection's type.
    """

    connection: ConnectionLike
    fields: Sequence[ExtraField] = ()

    def warn_of_unknown_extras(self, *also_known: str) -> None:
        """
        Log a warning with the names of unknown extras, as a misspelt one would otherwise go unnoticed.

        :param also_known: names of known extras that are not among the fields.
        """
        known = [*(field.name for field in self.fields), *also_known]
        unknown = sorted(str(name) for name in self._extra if name not in known)
        if unknown:
            log.warning(
                "Connection %r has extras that are not known: %s. Known are: %s.",
                self.connection.conn_id,
                ", ".join(unknown),
                ", ".join(known),
            )

    def base_url(self, default: str) -> str:
        """
        Return the base URL that requests go to, without a final slash.

        :param default: base URL to return if the connection has no host.
        :raises InvalidInputError: the host is not an address, or is plain http to another machine.
        """
        host = (self.connection.host or "").strip()
        return self.address(host, what="host", port=self.connection.port) if host else default

    def address(self, text: str, *, what: str, port: int | None = None) -> str:
        """
        Return the address of a service, with its scheme and without a final slash.

        :param text: address as the connection has it. An address without a scheme gets that of the connection's schema;
            otherwise https, or http for this machine.
        :param what: name of the address in messages, such as ``host``.
        :param port: port to use if the text has none; None for the scheme's default.
        :raises InvalidInputError: the text is not an address, or is plain http to another machine.
        """
        try:
            parts = urlsplit(text if "://" in text else f"{self._default_scheme(text)}://{text}")
            port = parts.port or port
        except ValueError:
            raise self.error(f"{what} is not an address") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise self.error(f"{what} must be an https address, such as https://api.example.com/prefix")
        if parts.username is not None or parts.query or parts.fragment:
            raise self.error(f"{what} must be scheme, name, port and path only; the key belongs in the password")
        name = self._checked_host(text, parts, what)
        if parts.scheme == "http" and not is_loopback(name) and not self.flag("allow_insecure_http"):
            raise self.error(
                f"{what} is plain http, and the key would be readable on the way: use https "
                "(or set allow_insecure_http in the extra)"
            )
        name = f"[{name}]" if ":" in name else name
        return f"{parts.scheme}://{name}{f':{port}' if port else ''}{parts.path.rstrip('/')}"

    def _checked_host(self, text: str, parts: SplitResult, what: str) -> str:
        """
        Return the host of an address, if all libraries read it as the same host.

        :param text: the address as the connection has it.
        :param parts: the address as urlsplit has parsed it.
        :param what: name of the address in messages.
        """
        try:
            name = checked_host(parts.hostname or "")
        except ValueError:
            name = ""
        port = parts.netloc.lower().removeprefix(f"[{name}]" if ":" in name else name)
        is_written_so = _TEXT_PATTERN.fullmatch(text) and _PORT_PATTERN.fullmatch(port)
        if not name or not is_written_so or not _PATH_PATTERN.fullmatch(parts.path):
            raise self.error(
                f"{what} has characters that no address has, or a number in place of a name: give a name of letters, "
                "digits, hyphens and dots, or an IP address as it is usually written"
            )
        if name in {"http", "https"}:
            raise self.error(f"{what} has a scheme without '://': give an address such as https://api.example.com")
        return name

    def _default_scheme(self, host: str) -> str:
        schema = (self.connection.schema or "").strip().lower()
        if schema in {"http", "https"}:
            return schema
        name = urlsplit(f"//{host}").hostname or ""
        return "http" if is_loopback(name) else "https"

    def secret(self, *, what: str, fallback: str | None = None) -> Secret:
        """
        Return the connection's password as a secret.

        :param what: name of the password in messages, such as ``API key``.
        :param fallback: secret to use if the connection has no password; None for none.
        :raises InvalidInputError: there is no secret, or it has characters that no key has.
        """
        value = (self.connection.password or "").strip() or (fallback or "").strip()
        secret = self.secret_of(value, what=what, where="password")
        if secret is None:
            raise self.error(f"the {what} is missing: put it in the connection's password")
        return secret

    def secret_of(self, value: object, *, what: str, where: str) -> Secret | None:
        """
        Return a part of the connection as a secret.

        :param value: value as the connection has it; None or empty if there is none.
        :param what: name of the secret in messages, such as ``API key``.
        :param where: part of the connection that holds the value, for messages: ``login``, ``password`` or ``extra``.
        :return: the secret; None if there is none.
        :raises InvalidInputError: the value is not text, or has characters that no key has.
        """
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self.error(f"the {what} in the {where} is no text")
        value = value.strip()
        if value.startswith("$"):
            raise self.error(f"the {what} begins with '$': a variable that the shell did not expand")
        if not value.isascii() or not value.isprintable():
            raise self.error(f"the {what} has characters that no key has: copy it again")
        return Secret(value) if value else None

    def settings(self, defaults: TransportSettings, *, max_retries: int | None = None) -> TransportSettings:
        """
        Return the timeouts and retries that the extra sets.

        :param defaults: settings for everything that the extra does not set.
        :param max_retries: number of retries that replaces the connection's; None for the connection's.
        :raises InvalidInputError: a value is not a number, or out of range.
        """
        # The value is checked even if it is not used: a test of the connection is to report all mistakes.
        own_retries = self._whole_number("max_retries", defaults.max_retries)
        return replace(
            defaults,
            connect_timeout_seconds=self.number("connect_timeout_seconds", defaults.connect_timeout_seconds, above=0),
            read_timeout_seconds=self.number("read_timeout_seconds", defaults.read_timeout_seconds, above=0),
            request_deadline_seconds=self.optional_number("request_deadline_seconds", above=0)
            or defaults.request_deadline_seconds,
            backoff_seconds=self.number("backoff_seconds", defaults.backoff_seconds),
            max_retries=own_retries if max_retries is None else max_retries,
        )

    def number(self, name: str, default: float, *, above: float | None = None, below: float = math.inf) -> float:
        """
        Return a number of the extra.

        :param name: key in the extra.
        :param default: number to return if the extra has no such value.
        :param above: the number must be above this; None to allow 0 and more.
        :param below: the number must be below this; by default, any number is allowed.
        :raises InvalidInputError: the value is not a number, or out of range.
        """
        value = self._extra.get(name)
        if value is None or value == "":
            return default
        try:
            number = float(value) if not isinstance(value, bool) else -1.0
        except (TypeError, ValueError):
            number = -1.0
        if not (number > above if above is not None else number >= 0) or not number < below:
            least = f"above {above:g}" if above is not None else "of at least 0"
            most = f" and below {below:g}" if below < math.inf else ""
            raise self.error(f"{name} in the extra must be a number {least}{most}")
        return number

    def optional_number(self, name: str, *, above: float | None = None) -> float | None:
        """
        Return a number of the extra; None if the extra has no such value.

        :param name: key in the extra.
        :param above: the number must be above this; None to allow 0 and more.
        :raises InvalidInputError: the value is not a number, or out of range.
        """
        return None if self._extra.get(name) in (None, "") else self.number(name, 0, above=above)

    def _whole_number(self, name: str, default: int) -> int:
        number = self.number(name, default)
        if number != int(number):
            raise self.error(f"{name} in the extra must be a whole number")
        return int(number)

    def max_errors(self) -> int | None:
        """
        Return how many errors the account may have within 5 minutes; None for no limit (0 or ``off`` in the extra).

        :raises InvalidInputError: the value is not a whole number of at least 0.
        """
        if str(self._extra.get("max_errors", "")).strip().lower() == OFF:
            return None
        return self._whole_number("max_errors", DEFAULT_MAX_ERRORS) or None

    def flag(self, name: str) -> bool:
        """
        Return a switch of the extra; False if the extra has no such value.

        :param name: key in the extra.
        """
        return str(self._extra.get(name, "")).strip().lower() in {"true", "1", "yes", "on"}

    def text(self, name: str, default: str) -> str:
        """
        Return a text of the extra, without surrounding white space.

        :param name: key in the extra.
        :param default: text to return if the extra has no such value.
        """
        value = self._extra.get(name)
        return str(value).strip() if value else default

    def value(self, name: str) -> object:
        """
        Return a value of the extra without a check; None if there is none.

        :param name: key in the extra.
        """
        return self._extra.get(name)

    @property
    def _extra(self) -> Mapping[str, Any]:
        extra = self.connection.extra_dejson
        if not isinstance(extra, Mapping):
            raise self.error("the extra must be a JSON object")
        return extra

    def error(self, message: str) -> InvalidInputError:
        """
        Return an error that names the connection.

        :param message: message that says what is wrong, without secrets.
        """
        return InvalidInputError(f"connection {self.connection.conn_id!r}: {message}")
