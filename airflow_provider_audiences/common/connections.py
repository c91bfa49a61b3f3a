"""From an Airflow connection to a client's settings; every mistake in it is named before the first request."""

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

# Not those that urlsplit removes, or takes for others than the HTTP library does.
_TEXT_PATTERN = re.compile(r"[!-\[\]-~]*", re.ASCII)
_PORT_PATTERN = re.compile(r"(?::[0-9]{1,5})?", re.ASCII)
_PATH_PATTERN = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*", re.ASCII)


class ConnectionLike(Protocol):
    """The parts of an Airflow connection that are read here."""

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
    Reads one connection.

    :param connection: the Airflow connection.
    :param fields: the extras that its type knows.
    """

    connection: ConnectionLike
    fields: Sequence[ExtraField] = ()

    def warn_of_unknown_extras(self, *also_known: str) -> None:
        """
        Log the names of extras that mean nothing here: a misspelt one would be passed over in silence.

        :param also_known: names that mean something besides the fields.
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
        Return the address to send to, without a final slash.

        :param default: if the connection has no host.
        :raises InvalidInputError: the host is no address, or plain http to another machine.
        """
        host = (self.connection.host or "").strip()
        return self.address(host, what="host", port=self.connection.port) if host else default

    def address(self, text: str, *, what: str, port: int | None = None) -> str:
        """
        Return an address of a service, with its scheme and without a final slash.

        :param text: as it stands in the connection; without a scheme, it is https, and http on this machine.
        :param what: what it is called, for messages.
        :param port: if the text has none.
        :raises InvalidInputError: it is no address, or plain http to another machine.
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
        """Return the name that is judged, and connected to: nothing else may be in its part of the address."""
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

        :param what: what the password is called, for messages.
        :param fallback: used if there is no password.
        :raises InvalidInputError: there is none, or it can't be one.
        """
        value = (self.connection.password or "").strip() or (fallback or "").strip()
        secret = self.secret_of(value, what=what, where="password")
        if secret is None:
            raise self.error(f"the {what} is missing: put it in the connection's password")
        return secret

    def secret_of(self, value: object, *, what: str, where: str) -> Secret | None:
        """
        Return a part of the connection as a secret.

        :param value: what stands there.
        :param what: what it is called, for messages.
        :param where: where it stands, for messages.
        :return: the secret; None if there is none.
        :raises InvalidInputError: it can't be one.
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
        Return timeouts and retries.

        :param defaults: for what the extra does not name.
        :param max_retries: instead of the connection's.
        :raises InvalidInputError: a value is not a number, or out of range.
        """
        # Read in any case: who tests a connection wants to know what is wrong with it.
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

        :param name: its key.
        :param default: if the extra does not name it.
        :param above: it must be greater; without this it must not be negative.
        :param below: it must be less.
        :raises InvalidInputError: it is not such a number.
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
        Return a number of the extra that has no default.

        :param name: its key.
        :param above: it must be greater; without this it must not be negative.
        :raises InvalidInputError: it is no such number.
        """
        return None if self._extra.get(name) in (None, "") else self.number(name, 0, above=above)

    def _whole_number(self, name: str, default: int) -> int:
        number = self.number(name, default)
        if number != int(number):
            raise self.error(f"{name} in the extra must be a whole number")
        return int(number)

    def max_errors(self) -> int | None:
        """
        Return how many errors the account may have in five minutes; None for any number.

        :raises InvalidInputError: it is no whole number.
        """
        if str(self._extra.get("max_errors", "")).strip().lower() == OFF:
            return None
        return self._whole_number("max_errors", DEFAULT_MAX_ERRORS) or None

    def flag(self, name: str) -> bool:
        """
        Return a switch of the extra.

        :param name: its key.
        """
        return str(self._extra.get(name, "")).strip().lower() in {"true", "1", "yes", "on"}

    def text(self, name: str, default: str) -> str:
        """
        Return a text of the extra.

        :param name: its key.
        :param default: if the extra does not name it.
        """
        value = self._extra.get(name)
        return str(value).strip() if value else default

    def value(self, name: str) -> object:
        """
        Return a value of the extra as it is; None if there is none.

        :param name: its key.
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

        :param message: what is wrong, without secrets.
        """
        return InvalidInputError(f"connection {self.connection.conn_id!r}: {message}")
