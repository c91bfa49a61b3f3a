"""Keeping secrets and members out of logs, errors, tracebacks and pickles."""

from __future__ import annotations

import base64
import html
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, Self, TypeVar
from urllib.parse import unquote

from airflow_provider_audiences.wording import counted

SIGNATURE_PATTERN = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{64}(?![0-9A-Fa-f])")

_HEX_32 = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{32}(?![0-9A-Za-z])")
_CREDENTIAL_PATTERN = re.compile(
    r"(?i)(api_key=|bearer\s+|signature=|credential=|x-acs-security-token:\s*|x-acs-accesskey-id:\s*)[^\s&,;\"'<>]+"
)
_QUERY_PATTERN = re.compile(r"\?[\w.-]+=[^\s\"'<>]*")
_UUID_PATTERN = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_TOKEN_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BASE64_PATTERN = re.compile(r"[A-Za-z0-9+/_-]{8,}(?:[ \t]*[\r\n]+[ \t]*[A-Za-z0-9+/_-]+)*={0,2}")
_BACKSLASHED_PATTERN = re.compile(r"\\(?:u\{?([0-9A-Fa-f]{4})\}?|x([0-9A-Fa-f]{2})|([nrt/\\\"'&=+%?]))")
# What may stand between two characters of a secret: line breaks, and invisible characters of word processors.
_BREAK = r"(?:[=\\]?[ \t]*[\r\n]+[ \t]*|[\u00ad\u200b-\u200f\u2060\ufeff]+)?"
_URL_SAFE = str.maketrans("-_", "+/")
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}
_MIN_PACKED_BYTES = 6
"""Fewest bytes of a secret that is looked for in base64; shorter ones would often be found by chance."""
_LAYERS = 5
_MAX_CHARACTERS_READ = 20_000
_MAX_SPELT_SECRET = 5_000
_MESSAGE_LIMIT = 300
_MAX_SECRETS = 16


class Secret:
    """
    A secret text that is never shown: not by its repr, as text, or in a pickle.

    :param value: the secret text itself.
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: str) -> None:
        # The value is kept in a function and not in an attribute, as error trackers show the attributes of objects.
        self._reveal: Callable[[], str] = lambda: value

    def reveal(self) -> str:
        """Return the secret itself. Call this only where the secret is sent."""
        return self._reveal()

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a Secret is never pickled")


T = TypeVar("T", bytes, str)


class _Masked(Generic[T]):
    """Content with members in it that shows only its size: in its repr, as text and when formatted; never pickled."""

    __slots__ = ("_length", "_reveal")

    def __init__(self, content: T) -> None:
        self._length = len(content)
        self._reveal: Callable[[], T] = lambda: content

    def reveal(self) -> T:
        """Return the content. Don't assign it to a local variable: tracebacks would show it."""
        return self._reveal()

    def __len__(self) -> int:
        return self._length

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        """Compare the content with other masked content, or with content that is not masked."""
        return self.reveal() == (other.reveal() if isinstance(other, _Masked) else other)

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __copy__(self, memo: dict[int, object] | None = None) -> Self:
        return self

    __deepcopy__ = __copy__

    def __reduce__(self) -> str:
        raise TypeError(f"{type(self).__name__} has members in it, and is never pickled")


class MaskedBytes(_Masked[bytes]):
    """
    The body of a request or a reply, on its way between this provider and the HTTP library.

    The class is no subclass of ``bytes``, as formatters of tracebacks show those. HTTP libraries send the object as an
    iterable with a single item, without a copy; its ``len`` becomes the Content-Length.

    :param content: the body's bytes.
    """

    __slots__ = ()

    @classmethod
    def of(cls, content: bytes | MaskedBytes) -> MaskedBytes:
        """
        Return a body as masked bytes.

        :param content: body, masked or not.
        """
        return content if isinstance(content, MaskedBytes) else cls(content)

    def __iter__(self) -> Iterator[bytes]:
        yield self.reveal()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """
        Return the content as text.

        :param encoding: encoding of the content.
        :param errors: how to handle bytes that can't be decoded, as for ``bytes.decode``.
        """
        return self.reveal().decode(encoding, errors)

    def __repr__(self) -> str:
        lines = self.reveal().count(b"\n")
        where = f" in {counted(lines, 'line')}" if lines else ""
        return f"<{counted(len(self), 'byte')}{where}, not shown>"


class MaskedLines(_Masked[str]):
    """
    Members as text, one per line.

    :param content: the text with the members.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        lines = self.reveal().rstrip("\n")
        return f"<{counted(lines.count(chr(10)) + 1 if lines else 0, 'member')}, not shown>"


def forget_locals(error: BaseException, *, until: BaseException | None = None) -> None:
    """
    Delete the local variables of the frames that an error has passed, and of its causes and contexts.

    Some formatters of tracebacks show local variables, which may be members or secrets. Line numbers and names of
    functions stay. The frame of a running function can't be emptied, so its variables must be masked.

    :param error: error that leaves this package.
    :param until: error that the caller was already handling, whose frames stay as they are; None for none.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or one is until or id(one) in seen:
            continue
        seen.add(id(one))
        traceback.clear_frames(one.__traceback__)
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


@contextmanager
def forgetting_locals() -> Iterator[None]:
    """Delete the local variables of the frames that an error has passed when it leaves the block."""
    until = sys.exception()
    try:
        yield
    except BaseException as error:
        forget_locals(error, until=until)
        raise


class Redactor:
    """
    Removes secrets and members from a server's text, for use in logs and exceptions. Threads may share a redactor.

    A server may repeat them in another spelling, such as percent-encoded. So the text is also decoded as HTML, JSON
    strings and queries, layer by layer. If a decoded text shows a secret or a member, it is returned, redacted.

    :param secret: the connection's key; None if it is added later by :meth:`learn`.
    :param member_patterns: patterns that find the platform's members.
    """

    def __init__(self, secret: Secret | None, member_patterns: Sequence[re.Pattern[str]]) -> None:
        self._secrets: tuple[tuple[Secret, re.Pattern[str]], ...] = ()
        self._member_patterns = tuple(member_patterns)
        if secret is not None:
            self.learn(secret)

    def learn(self, secret: Secret) -> None:
        """
        Add a secret to remove from texts from now on. Only the last 16 secrets are kept.

        :param secret: a key, such as a temporary key that replaces an earlier one; an empty one is ignored.
        """
        if secret.reveal():
            self._secrets = (*self._secrets[-_MAX_SECRETS + 1 :], (secret, _any_spelling(secret.reveal())))

    def __call__(self, text: str) -> str:
        """
        Return a text in one line, without secrets, members and queries, and at most 300 characters long.

        :param text: text that a server sent, of any length.
        """
        is_cut = len(text) > _MAX_CHARACTERS_READ
        shown = view = self._without_credentials(text[:_MAX_CHARACTERS_READ])
        for _ in range(_LAYERS):
            deeper = _read_once(view)
            if deeper == view:
                break
            view = self._without_credentials(deeper)
            if view != deeper:
                shown = view
        # Members are removed last, as digits of an escape sequence would be taken for digits of a phone number.
        shown = self._without_members(view if self._without_members(view) != view else shown)
        shown = "".join(char if char.isprintable() else " " for char in shown)
        shown = " ".join(shown.split())
        if is_cut and len(shown) < _MESSAGE_LIMIT + _MAX_SPELT_SECRET:
            # The text was cut, perhaps within a secret: the part after the last mask may be the beginning of one.
            shown = shown[: shown.rfind("***") + len("***")] + "…"
        return shown if len(shown) <= _MESSAGE_LIMIT else shown[: _MESSAGE_LIMIT - 1] + "…"

    def identifier(self, value: object) -> str | None:
        """
        Return a server's id of a request; None if the value does not look like an id, or has a secret or member in it.

        :param value: value of a header or of a field in the reply's body.
        """
        text = "" if value is None else str(value)
        is_hex = (_UUID_PATTERN.fullmatch(text) or _HEX_32.fullmatch(text)) is not None
        if not (is_hex or _TOKEN_PATTERN.fullmatch(text)) or self.has_secret(text):
            return None
        if any(self._has_masked(found[0]) for found in _BASE64_PATTERN.finditer(text)):
            return None
        return text if is_hex or not any(pattern.search(text) for pattern in self._member_patterns) else None

    def has_secret(self, text: str) -> bool:
        """
        Return whether a secret is in a text, in any spelling.

        :param text: text that a server sent.
        """
        for _ in range(_LAYERS + 1):
            if self._without_secrets(text) != text:
                return True
            text = _read_once(text)
        return False

    def _without_members(self, text: str) -> str:
        for pattern in self._member_patterns:
            text = pattern.sub("***", text)
        return text

    def _without_credentials(self, text: str) -> str:
        text = self._without_secrets(text)
        text = _QUERY_PATTERN.sub("?***", text)
        text = _CREDENTIAL_PATTERN.sub(r"\1***", text)
        return _BASE64_PATTERN.sub(lambda found: "***" if self._has_masked(found[0]) else found[0], text)

    def _without_secrets(self, text: str) -> str:
        for _, pattern in self._secrets:
            text = pattern.sub("***", text)
        return text

    def _has_masked(self, token: str) -> bool:
        """Return whether a token is base64 with a secret or a member in it."""
        secrets = [secret.reveal().encode(errors="surrogatepass") for secret, _ in self._secrets]
        secrets = [secret for secret in secrets if len(secret) >= _MIN_PACKED_BYTES]
        packed = "".join(token.split()).rstrip("=").translate(_URL_SAFE)
        # The token may be a part of a longer text in base64, so its groups of four may begin at any of four places.
        for skipped in range(4):
            part = packed[skipped:]
            raw = base64.b64decode(part[: len(part) - (len(part) % 4 == 1)] + "==")
            text = raw.decode("latin-1")
            if any(secret in raw for secret in secrets):
                return True
            if any(pattern.search(text) for pattern in self._member_patterns if pattern is not SIGNATURE_PATTERN):
                return True
        return False


def _read_once(text: str) -> str:
    """Decode a text once as HTML, as a JSON string and as a query; replace full-width characters by narrow ones."""
    text = html.unescape(text)
    text = _BACKSLASHED_PATTERN.sub(_unescaped, text)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # JSON writes some characters as two
    text = unquote(text)
    return text.translate(_NARROW)


def _unescaped(found: re.Match[str]) -> str:
    """Return the character that an escape sequence with a backslash stands for."""
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else {"n": "\n", "r": "\r", "t": "\t"}.get(found[3], found[3])


def _any_spelling(secret: str) -> re.Pattern[str]:
    """Return a pattern that finds a secret in its original spelling, percent-encoded, broken into lines, or in hex."""
    in_hex = secret.encode(errors="surrogatepass").hex()
    return re.compile(f"{_BREAK.join(map(_any_spelling_of, secret))}|(?i:{in_hex})")


def _any_spelling_of(char: str) -> str:
    """Return a pattern that finds a character itself, as queries write it, or percent-encoded."""
    encoded = "".join(f"%{byte:02X}" for byte in char.encode("utf-8", errors="surrogatepass"))
    plus = r"|\+" if char == " " else ""
    return f"(?:{re.escape(char)}{plus}|(?i:{encoded}))"
