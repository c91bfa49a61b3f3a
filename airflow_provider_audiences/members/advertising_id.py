"""
Advertising IDs (Apple's IDFA, Google's GAID): one rule for what is one, and one written form.

An advertising ID is 8-4-4-4-12 ASCII hex digits, any UUID version, in any case; two that differ in case are
one. All zeros means that the device gives none. Everything else is malformed and never repaired: 32 hex
digits without hyphens may as well be a hash.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal

IdCase = Literal["lower", "upper"]

LINE_LENGTH = 37
"""Bytes of an advertising ID in its written form, with the newline."""

MAX_LINE_BYTES = 1 << 16
"""A line longer than this is no member of anything, whatever it is padded with."""

# \Z and an explicit class: $ lets a newline through, \d lets full-width digits through.
_PATTERN = re.compile(rb"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\Z")
_WRAPPING = b" \t\r\n\v\f\"'"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ZERO_KEY = bytes(16)


class Refusal(StrEnum):
    """Why a line is not a member to send."""

    MALFORMED = "malformed"
    ZEROED = "zeroed"
    BLANK = "blank"


def parse_advertising_id(line: bytes) -> bytes | Refusal:
    """
    Return the 16 bytes of the advertising ID on a line, or why there is none.

    White space, quotes and a byte order mark around it are passed over.

    :param line: one line in UTF-8, with or without its line ending.
    """
    if len(line) > MAX_LINE_BYTES:
        return Refusal.MALFORMED
    text = line.strip(_WRAPPING)
    if _PATTERN.match(text) is None:
        text = text.removeprefix(_BYTE_ORDER_MARK).strip(_WRAPPING)
        if _PATTERN.match(text) is None:
            return Refusal.MALFORMED if text else Refusal.BLANK
    key = bytes.fromhex(text.replace(b"-", b"").decode("ascii"))
    return Refusal.ZEROED if key == _ZERO_KEY else key


def format_advertising_id(key: bytes, *, id_case: IdCase = "lower") -> bytes:
    """
    Return the written form, with a newline: 37 bytes.

    :param key: the 16 bytes.
    :param id_case: case of the letters.
    """
    digits = key.hex() if id_case == "lower" else key.hex().upper()
    text = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}\n"
    return text.encode("ascii")


def mask(line: bytes) -> str:
    """
    Return a description of a line that doesn't give it away: its first four characters and its length.

    :param line: what was not an advertising ID.
    """
    text = line.strip(_WRAPPING).decode("utf-8", errors="replace")
    shown = "".join(char if char.isprintable() else "?" for char in text[:4])
    return f"{shown}… ({len(text)} characters)" if len(text) > 4 else f"a text of {len(text)} characters"  # noqa: PLR2004
