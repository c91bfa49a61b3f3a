"""Reasons for which a text of a source is no member, and how rejected texts are masked in messages."""

from __future__ import annotations

from enum import StrEnum

from airflow_provider_audiences.members.characters import bare

MAX_LINE_BYTES = 1 << 16
"""A longer line is rejected as malformed, even if a member with white space around it would be found in it."""

_SHOWN_CHARACTERS = 4


class RejectReason(StrEnum):
    """
    Why a text is not sent as a member.

    ``decimal`` (a rounded number) and ``masked`` (digits replaced by ``*``) count as malformed; another program has
    damaged such texts.
    """

    MALFORMED = "malformed"
    DECIMAL = "decimal"
    MASKED = "masked"
    ZEROED = "zeroed"
    BLANK = "blank"


DAMAGE = {
    RejectReason.DECIMAL: "a spreadsheet or a column of decimals has rounded the number: export the column as text",
    RejectReason.MASKED: "the number is masked with '*' or the like: give the numbers themselves",
}
"""For each kind of damage by another program: what happened to the text and what to do, in words for messages."""

MALFORMED = (RejectReason.MALFORMED, *DAMAGE)
"""All reasons that count as malformed."""


def mask(text: bytes) -> str:
    """
    Return a description of a text that doesn't disclose it: at most its first four characters, and its length.

    :param text: the rejected text, in UTF-8.
    """
    shown = bare(text.decode("utf-8", errors="replace"))
    if len(shown) <= _SHOWN_CHARACTERS:
        return f"a text of {len(shown)} characters"
    start = "".join(char if char.isprintable() else "?" for char in shown[:_SHOWN_CHARACTERS])
    return f"{start}… ({len(shown)} characters)"
