"""Why a text of a source is no member, and what may be shown of it."""

from __future__ import annotations

from enum import StrEnum

from airflow_provider_audiences.members.characters import bare

MAX_LINE_BYTES = 1 << 16
"""A line longer than this is no member of anything, whatever it is padded with."""

_SHOWN_CHARACTERS = 4


class RejectReason(StrEnum):
    """Why a text is not a member to send; ``decimal`` and ``masked`` are malformed by what a tool did to them."""

    MALFORMED = "malformed"
    DECIMAL = "decimal"
    MASKED = "masked"
    ZEROED = "zeroed"
    BLANK = "blank"


DAMAGE = {
    RejectReason.DECIMAL: "a spreadsheet or a column of decimals has rounded the number: export the column as text",
    RejectReason.MASKED: "the number is masked with '*' or the like: give the numbers themselves",
}
"""What a tool has made of a member, in words for messages."""

MALFORMED = (RejectReason.MALFORMED, *DAMAGE)
"""All that counts as malformed."""


def mask(text: bytes) -> str:
    """
    Return a description of a text that doesn't give it away: its first four characters and its length.

    :param text: what was no member.
    """
    shown = bare(text.decode("utf-8", errors="replace"))
    if len(shown) <= _SHOWN_CHARACTERS:
        return f"a text of {len(shown)} characters"
    start = "".join(char if char.isprintable() else "?" for char in shown[:_SHOWN_CHARACTERS])
    return f"{start}… ({len(shown)} characters)"
