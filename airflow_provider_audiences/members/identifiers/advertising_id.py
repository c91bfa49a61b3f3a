"""
Advertising IDs (Apple's IDFA, Google's GAID): the rule for a valid ID, and its written form.

An advertising ID has 8-4-4-4-12 hex digits, of any UUID version, in any case; two IDs that differ in case are the same.
The digits 0 to 9 may be full-width; letters and hyphens must be ASCII. An ID of zeros only means that the device
discloses none. All other texts are malformed and never repaired: 32 hex digits without hyphens could be a hash.
"""

from __future__ import annotations

import re
from typing import Literal

from airflow_provider_audiences.members.characters import ASCII_SURROUNDING, WIDE_DIGITS, decoded
from airflow_provider_audiences.members.reject_reasons import MAX_LINE_BYTES, RejectReason

IdCase = Literal["lower", "upper"]

LINE_LENGTH = 37
"""Bytes of an advertising ID in its written form, including the newline."""

# \Z and an explicit class: $ lets a newline through, \d lets the digits of all scripts through.
_PATTERN = re.compile(rb"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\Z")
_ZERO_KEY = bytes(16)


def parse_advertising_id(line: bytes) -> bytes | RejectReason:
    """
    Return the 16 bytes of the advertising ID on a line, or the reason for which the line is rejected.

    White space, quotes and invisible characters around it are ignored
    (:mod:`~airflow_provider_audiences.members.characters`).

    :param line: one line in UTF-8, with or without its line ending.
    """
    if len(line) > MAX_LINE_BYTES:
        return RejectReason.MALFORMED
    ascii_text = line.strip(ASCII_SURROUNDING)
    if _PATTERN.match(ascii_text) is None:
        text = decoded(line)
        if not text:
            return RejectReason.MALFORMED if text is None else RejectReason.BLANK
        ascii_text = (text if text.isascii() else text.translate(WIDE_DIGITS)).encode("utf-8")
        if _PATTERN.match(ascii_text) is None:
            return RejectReason.MALFORMED
    key = bytes.fromhex(ascii_text.replace(b"-", b"").decode("ascii"))
    return RejectReason.ZEROED if key == _ZERO_KEY else key
