"""Keeps secrets and members out of everything that people and machines write down."""

from __future__ import annotations

import re
from collections.abc import Sequence

ADVERTISING_ID_PATTERN = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# Letters may stand next to it: a server that quotes several lines writes the line break as "\\n".
# A date is none.
PHONE_NUMBER_PATTERN = re.compile(
    r"(?<![0-9])(?!20[0-9]{2}-[0-9]{2}-[0-9]{2}(?![0-9]))(?:\+|00)?(?:[0-9][ ()-]{0,2}){8,}[0-9]"
)
SIGNATURE_PATTERN = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{64}(?![0-9A-Fa-f])")

_CREDENTIAL_PATTERN = re.compile(
    r"(?i)(api_key=|bearer\s+|signature=|credential=|x-acs-security-token:\s*|x-acs-accesskey-id:\s*)[^\s&,;\"'<>]+"
)
_QUERY_PATTERN = re.compile(r"\?[\w.-]+=[^\s\"'<>]*")
_MESSAGE_LIMIT = 300
_MOST_SECRETS = 16


class Secret:
    """
    A string that shows itself only to the one who asks.

    :param value: the secret.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself; call it where it goes on the wire and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a Secret is never pickled")


class Redactor:
    """
    Makes text that a server wrote fit for logs and exceptions. Safe among threads.

    :param secret: the connection's key; removed as it is and however much of it is percent-encoded. None if it is
        learnt later.
    :param member_patterns: what a member looks like at this platform.
    """

    def __init__(self, secret: Secret | None, member_patterns: Sequence[re.Pattern[str]]) -> None:
        self._secret_patterns: tuple[re.Pattern[str], ...] = ()
        self._member_patterns = tuple(member_patterns)
        if secret is not None:
            self.learn(secret)

    def learn(self, secret: Secret) -> None:
        """
        Remove another secret from now on; of many that followed each other, the last ones are remembered.

        :param secret: a key, or what took its place.
        """
        pattern = re.compile("".join(map(_any_spelling, secret.reveal())) or r"(?!)")
        self._secret_patterns = (*self._secret_patterns[-_MOST_SECRETS + 1 :], pattern)

    def __call__(self, text: str) -> str:
        """
        Return the text on one line, without secrets, members and queries, at most 300 characters long.

        :param text: anything a server sent.
        """
        for secret_pattern in self._secret_patterns:
            text = secret_pattern.sub("***", text)
        text = _QUERY_PATTERN.sub("?***", text)
        text = _CREDENTIAL_PATTERN.sub(r"\1***", text)
        for pattern in self._member_patterns:
            text = pattern.sub("***", text)
        text = "".join(char if char.isprintable() else " " for char in text)
        text = " ".join(text.split())
        return text if len(text) <= _MESSAGE_LIMIT else text[: _MESSAGE_LIMIT - 1] + "…"


def _any_spelling(char: str) -> str:
    """Return a pattern for a character as it stands, as a query may write it, and percent-encoded."""
    encoded = "".join(f"%{byte:02X}" for byte in char.encode("utf-8", errors="surrogatepass"))
    plus = r"|\+" if char == " " else ""
    return f"(?:{re.escape(char)}{plus}|(?i:{encoded}))"
