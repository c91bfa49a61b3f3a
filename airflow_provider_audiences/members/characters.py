"""
Characters around a member that carry no meaning, and full-width digits: one rule for all identifier kinds.

Texts that people copy from spreadsheets, chats, web pages and right-to-left scripts often have invisible characters,
white space or quotes around them. These characters are removed, as they can't be a part of a member. No other character
is removed.
"""

from __future__ import annotations

ASCII_SURROUNDING = b" \t\r\n\v\f\"'"
"""The most frequent characters around a member, as bytes."""

INVISIBLE = (
    "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""Soft hyphen, zero-width characters, word joiner, direction marks, byte order mark."""

_LAST_WHITE_SPACE = 0x3000
_WHITE_SPACE = "".join(char for char in map(chr, range(_LAST_WHITE_SPACE + 1)) if char.isspace())
SPACES = "\t" + "".join(char for char in _WHITE_SPACE if char >= " " and len(f"a{char}b".splitlines()) == 1)
"""White space characters that don't end a line."""

_SURROUNDING = f"{_WHITE_SPACE}{INVISIBLE}\"'"

WIDE_DIGITS = {ord("\uff10") + value: str(value) for value in range(10)}
"""For ``str.translate``: the full-width digits of East Asian keyboards."""


def bare(text: str) -> str:
    """
    Return a text without the white space, invisible characters and quotes around it.

    :param text: the text of one member.
    """
    return text.strip(_SURROUNDING)


def decoded(line: bytes) -> str | None:
    """
    Return a line as text, without the characters around a member that :func:`bare` removes; None if it is not UTF-8.

    :param line: with or without its line ending.
    """
    try:
        return bare(line.decode("utf-8"))
    except UnicodeDecodeError:
        return None


def plain(text: str) -> str:
    """
    Return a text in which ASCII patterns find members: without invisible characters, with narrow digits and signs.

    Use it for searching only: which texts are members is decided by their :mod:`identifier kind <.identifiers.kinds>`.

    :param text: any text, of any length.
    """
    return text if text.isascii() else text.translate(_PLAIN)


_PLAIN = {
    **dict.fromkeys(map(ord, INVISIBLE)),
    # Full-width letters, digits and signs lie in the order of ASCII.
    **{wide: chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)},
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63"), "-"),
    **dict.fromkeys((ord(char) for char in SPACES if char > " "), " "),
}
