"""Why a text of a source is no member, and what may be shown of it."""

from __future__ import annotations

from enum import StrEnum

WRAPPING = b" \t\r\n\v\f\"'"
"""What may stand around a member: white space and quotes."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What some programs put before UTF-8."""

MAX_LINE_BYTES = 1 << 16
"""A line longer than this is no member of anything, whatever it is padded with."""

_SHOWN_CHARACTERS = 4


class Refusal(StrEnum):
    """Why a text is not a member to send."""

    MALFORMED = "malformed"
    ZEROED = "zeroed"
    BLANK = "blank"


def mask(text: bytes) -> str:
    """
    Return a description of a text that doesn't give it away: its first four characters and its length.

    :param text: what was no member.
    """
    shown = text.strip(WRAPPING).removeprefix(BYTE_ORDER_MARK).strip(WRAPPING).decode("utf-8", errors="replace")
    if len(shown) <= _SHOWN_CHARACTERS:
        return f"a text of {len(shown)} characters"
    start = "".join(char if char.isprintable() else "?" for char in shown[:_SHOWN_CHARACTERS])
    return f"{start}… ({len(shown)} characters)"
