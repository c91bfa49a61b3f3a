"""
Characters that stand around a member and mean nothing, and digits of another width: one rule for all kinds of members.

People copy members out of spreadsheets, chats, web pages and right-to-left texts, which all put something around them
that nobody sees. It is dropped, since without it the member is the same beyond doubt. Nothing is dropped that could be
a part of it.
"""

from __future__ import annotations

ASCII_SURROUNDING = b" \t\r\n\v\f\"'"
"""What most often stands around a member, in bytes."""

INVISIBLE = (
    "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""Soft hyphen, zero-width characters, word joiner, marks of direction, byte order mark."""

_LAST_WHITE_SPACE = 0x3000
_WHITE_SPACE = "".join(char for char in map(chr, range(_LAST_WHITE_SPACE + 1)) if char.isspace())
SPACES = "\t" + "".join(char for char in _WHITE_SPACE if char >= " " and len(f"a{char}b".splitlines()) == 1)
"""White space that ends no line."""

_SURROUNDING = f"{_WHITE_SPACE}{INVISIBLE}\"'"

WIDE_DIGITS = {ord("\uff10") + value: str(value) for value in range(10)}
"""For ``str.translate``: the full-width digits of East Asian keyboards."""


def bare(text: str) -> str:
    """
    Return a text without what may stand around a member: white space, invisible characters, quotes.

    :param text: of one member.
    """
    return text.strip(_SURROUNDING)


def decoded(line: bytes) -> str | None:
    """
    Return a line as text, without what may stand around a member; None if it is no UTF-8.

    :param line: with or without its line ending.
    """
    try:
        return bare(line.decode("utf-8"))
    except UnicodeDecodeError:
        return None


def plain(text: str) -> str:
    """
    Return a text in which members are found by patterns of ASCII: invisible characters gone, digits and signs narrow.

    Only for looking: what is a member, and which one, is for the rule of its kind.

    :param text: any text.
    """
    return text if text.isascii() else text.translate(_PLAIN)


_PLAIN = {
    **dict.fromkeys(map(ord, INVISIBLE)),
    # Full-width letters, digits and signs lie in the order of ASCII.
    **{wide: chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)},
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63"), "-"),
    **dict.fromkeys((ord(char) for char in SPACES if char > " "), " "),
}
