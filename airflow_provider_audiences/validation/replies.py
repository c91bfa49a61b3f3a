"""Values of replies, which the platforms write as numbers or as texts."""

from __future__ import annotations

_MAX_DIGITS = 100


def api_text(value: object) -> str:
    """
    Return a value of a reply as text; what is missing is empty.

    :param value: from JSON.
    """
    return "" if value is None else str(value)


def api_integer(value: object) -> int | None:
    """
    Return a value of a reply as a whole number; the APIs write some as text.

    :param value: from JSON.
    :return: the number; None if it is none.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.strip().removeprefix("-").isdigit():
        # Python refuses to read thousands of digits.
        return int(value) if len(value) <= _MAX_DIGITS else None
    return None
