"""
Advertising IDs (Apple's IDFA, Google's GAID): one rule for what is one, and one written form.

An advertising ID is 8-4-4-4-12 ASCII hex digits, any UUID version, in any case; two that differ in case are
one. All zeros means that the device gives none. Everything else is malformed and never repaired: 32 hex
digits without hyphens may as well be a hash.
"""

from __future__ import annotations

import re
from typing import Literal

from airflow_provider_audiences.members.refusal import BYTE_ORDER_MARK, MAX_LINE_BYTES, WRAPPING, Refusal

IdCase = Literal["lower", "upper"]

LINE_LENGTH = 37
"""Bytes of an advertising ID in its written form, with the newline."""

# \Z and an explicit class: $ lets a newline through, \d lets full-width digits through.
_PATTERN = re.compile(rb"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\Z")
_ZERO_KEY = bytes(16)


def parse_advertising_id(line: bytes) -> bytes | Refusal:
    """
    Return the 16 bytes of the advertising ID on a line, or why there is none.

    White space, quotes and a byte order mark around it are passed over.

    :param line: one line in UTF-8, with or without its line ending.
    """
    if len(line) > MAX_LINE_BYTES:
        return Refusal.MALFORMED
    text = line.strip(WRAPPING)
    if _PATTERN.match(text) is None:
        text = text.removeprefix(BYTE_ORDER_MARK).strip(WRAPPING)
        if _PATTERN.match(text) is None:
            return Refusal.MALFORMED if text else Refusal.BLANK
    key = bytes.fromhex(text.replace(b"-", b"").decode("ascii"))
    return Refusal.ZEROED if key == _ZERO_KEY else key
