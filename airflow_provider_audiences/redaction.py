"""Keeps secrets and members out of everything that people and machines write down."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, Self, TypeVar

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

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

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
