"""Keeps secrets and members out of everything that people and machines write down."""

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

ADVERTISING_ID_PATTERN = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# Letters may stand next to it: a server that quotes several lines writes the line break as "\\n".
# A date is none.
PHONE_NUMBER_PATTERN = re.compile(
    r"(?<![0-9])(?!20[0-9]{2}-[0-9]{2}-[0-9]{2}(?![0-9]))(?:\+|00)?(?:[0-9][ ()-]{0,2}){8,}[0-9]"
)
SIGNATURE_PATTERN = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{64}(?![0-9A-Fa-f])")

_HEX_32 = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{32}(?![0-9A-Za-z])")
ADVERTISING_IDS_SAID_BACK = (ADVERTISING_ID_PATTERN, _HEX_32)
"""Advertising IDs in what a server writes, whose tools may drop the hyphens."""

# Neither a date nor an IPv4 address is a number, but for what stands between the digits.
_NO_NUMBER = (
    r"(?!20[0-9]{2}[-./][0-9]{2}[-./][0-9]{2}(?![0-9]))"
    r"(?!(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?:\.|(?![0-9.]))){4}(?![0-9]))"
)
PHONE_NUMBERS_SAID_BACK = (
    re.compile(
        rf"(?<![0-9])(?<![0-9]\.)\(?{_NO_NUMBER}(?:\+|00)?(?:[0-9][ ()./_\u00a0\u2010-\u2015-]{{0,3}}){{8,}}[0-9]"
    ),
)
"""Phone numbers in what a server writes, with whatever people put between digits."""

MEMBERS_SAID_BACK = (*ADVERTISING_IDS_SAID_BACK, *PHONE_NUMBERS_SAID_BACK)
"""Members of any kind, in what a database or a library says of a source."""

_CREDENTIAL_PATTERN = re.compile(
    r"(?i)(api_key=|bearer\s+|signature=|credential=|x-acs-security-token:\s*|x-acs-accesskey-id:\s*)[^\s&,;\"'<>]+"
)
_QUERY_PATTERN = re.compile(r"\?[\w.-]+=[^\s\"'<>]*")
_UUID_PATTERN = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_TOKEN_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BASE64_PATTERN = re.compile(r"[A-Za-z0-9+/_-]{8,}(?:[ \t]*[\r\n]+[ \t]*[A-Za-z0-9+/_-]+)*={0,2}")
_BACKSLASHED_PATTERN = re.compile(r"\\(?:u\{?([0-9A-Fa-f]{4})\}?|x([0-9A-Fa-f]{2})|([nrt/\\\"'&=+%?]))")
# Between two characters of a secret that was broken into lines, or has been set by a word processor.
_BREAK = r"(?:[=\\]?[ \t]*[\r\n]+[ \t]*|[\u00ad\u200b-\u200f\u2060\ufeff]+)?"
_URL_SAFE = str.maketrans("-_", "+/")
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}
_LEAST_PACKED = 6
"""Bytes of a secret that other texts in base64 don't have in them by chance."""
_LAYERS = 5
_MOST_READ = 20_000
_LONGEST_SPELT = 5_000
_MESSAGE_LIMIT = 300
_MOST_SECRETS = 16


class Secret:
    """
    A string that shows itself only to the one who asks.

    :param value: the secret.
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: str) -> None:
        # In a function, and not in an attribute: collectors of errors read what hangs on an object.
        self._reveal: Callable[[], str] = lambda: value

    def reveal(self) -> str:
        """Return the secret itself; call it where it goes on the wire and nowhere else."""
        return self._reveal()

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a Secret is never pickled")


T = TypeVar("T", bytes, str)


class _Masked(Generic[T]):
    """What has members in it, and says only how much it is: in its repr, as text, in a format; it is never pickled."""

    __slots__ = ("_length", "_reveal")

    def __init__(self, content: T) -> None:
        self._length = len(content)
        self._reveal: Callable[[], T] = lambda: content

    def reveal(self) -> T:
        """Return the content; call it where it is sent or written, and give it no name there."""
        return self._reveal()

    def __len__(self) -> int:
        return self._length

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        """Compare with another one, or with the content itself."""
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

    It is no ``bytes``, which every formatter of tracebacks shows. HTTP libraries send it as they send any iterable: all
    of it is one piece, uncopied, and ``len`` is its Content-Length.

    :param content: the body.
    """

    __slots__ = ()

    @classmethod
    def of(cls, content: bytes | MaskedBytes) -> MaskedBytes:
        """
        Return a body that is masked.

        :param content: a body, masked or not.
        """
        return content if isinstance(content, MaskedBytes) else cls(content)

    def __iter__(self) -> Iterator[bytes]:
        yield self.reveal()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """
        Return the content as text.

        :param encoding: of the content.
        :param errors: what becomes of bytes that are no text, as for ``bytes.decode``.
        """
        return self.reveal().decode(encoding, errors)

    def __repr__(self) -> str:
        lines = self.reveal().count(b"\n")
        return f"<{len(self):,} bytes{f' in {lines:,} lines' if lines else ''}, not shown>"


class MaskedLines(_Masked[str]):
    """
    Members as text, one a line.

    :param content: the text.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        lines = self.reveal().rstrip("\n")
        return f"<{lines.count(chr(10)) + 1 if lines else 0:,} members, not shown>"


def forget_locals(error: BaseException, *, until: BaseException | None = None) -> None:
    """
    Empty the frames that an error has passed, and those of the errors that led to it.

    A traceback keeps them, and so do formatters that show local variables: members and secrets must not be there. Lines
    and names of functions stay. A frame that still runs can't be emptied: what it holds must be masked.

    :param error: on its way out.
    :param until: what was being handled before the work began; its frames are somebody else's.
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
    """Empty the frames that an error has passed when it leaves the block."""
    until = sys.exception()
    try:
        yield
    except BaseException as error:
        forget_locals(error, until=until)
        raise


class Redactor:
    """
    Makes text that a server wrote fit for logs and exceptions. Safe among threads.

    A server may write what it was sent in many spellings. So the text is also read as a browser, a JSON parser and a
    query would read it, one layer after the other; where that shows something, the text that is read so is returned.

    :param secret: the connection's key. None if it is learnt later.
    :param member_patterns: what a member looks like at this platform.
    """

    def __init__(self, secret: Secret | None, member_patterns: Sequence[re.Pattern[str]]) -> None:
        self._secrets: tuple[tuple[Secret, re.Pattern[str]], ...] = ()
        self._member_patterns = tuple(member_patterns)
        if secret is not None:
            self.learn(secret)

    def learn(self, secret: Secret) -> None:
        """
        Remove another secret from now on; of many that followed each other, the last ones are remembered.

        :param secret: a key, or what took its place.
        """
        if secret.reveal():
            self._secrets = (*self._secrets[-_MOST_SECRETS + 1 :], (secret, _any_spelling(secret.reveal())))

    def __call__(self, text: str) -> str:
        """
        Return the text on one line, without secrets, members and queries, at most 300 characters long.

        :param text: anything a server sent.
        """
        is_cut = len(text) > _MOST_READ
        shown = view = self._without_credentials(text[:_MOST_READ])
        for _ in range(_LAYERS):
            deeper = _read_once(view)
            if deeper == view:
                break
            view = self._without_credentials(deeper)
            if view != deeper:
                shown = view
        # Members last: digits of an escape would be taken for digits of a number.
        shown = self._without_members(view if self._without_members(view) != view else shown)
        shown = "".join(char if char.isprintable() else " " for char in shown)
        shown = " ".join(shown.split())
        if is_cut and len(shown) < _MESSAGE_LIMIT + _LONGEST_SPELT:
            # The text was cut, perhaps within a secret: what follows the last mask may be its beginning.
            shown = shown[: shown.rfind("***") + len("***")] + "…"
        return shown if len(shown) <= _MESSAGE_LIMIT else shown[: _MESSAGE_LIMIT - 1] + "…"

    def identifier(self, value: object) -> str | None:
        """
        Return what a server calls the id of a request, if it looks like one; None if it does not.

        :param value: from a header or the reply's body.
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

        :param text: anything a server sent.
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
        """Return whether a token is something in base64 that must not be shown."""
        secrets = [secret.reveal().encode(errors="surrogatepass") for secret, _ in self._secrets]
        secrets = [secret for secret in secrets if len(secret) >= _LEAST_PACKED]
        packed = "".join(token.split()).rstrip("=").translate(_URL_SAFE)
        # It may be a part of a longer text in base64: nobody knows where the groups of four begin.
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
    """Return a text as HTML, JSON and queries are read, each once; full-width characters are made narrow."""
    text = html.unescape(text)
    text = _BACKSLASHED_PATTERN.sub(_unescaped, text)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # JSON writes some characters as two
    text = unquote(text)
    return text.translate(_NARROW)


def _unescaped(found: re.Match[str]) -> str:
    """Return the character that a backslash and what follows it stand for."""
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else {"n": "\n", "r": "\r", "t": "\t"}.get(found[3], found[3])


def _any_spelling(secret: str) -> re.Pattern[str]:
    """Return a pattern for a secret as it stands, percent-encoded, broken into lines, and in hex."""
    in_hex = secret.encode(errors="surrogatepass").hex()
    return re.compile(f"{_BREAK.join(map(_any_spelling_of, secret))}|(?i:{in_hex})")


def _any_spelling_of(char: str) -> str:
    """Return a pattern for a character as it stands, as a query may write it, and percent-encoded."""
    encoded = "".join(f"%{byte:02X}" for byte in char.encode("utf-8", errors="surrogatepass"))
    plus = r"|\+" if char == " " else ""
    return f"(?:{re.escape(char)}{plus}|(?i:{encoded}))"
