"""Reading of values in replies: the platforms write the same value as a number in one reply, as text in another."""

from __future__ import annotations

_MAX_DIGITS = 100


def api_text(value: object) -> str:
    """
    Return a value of a reply as text; empty for None.

    :param value: value of a JSON field; None if the field is missing.
    """
    return "" if value is None else str(value)


def api_integer(value: object) -> int | None:
    """
    Return a value of a reply as a whole number; the APIs write some numbers as text.

    :param value: value of a JSON field; None if the field is missing.
    :return: the number; None if the value is not a whole number.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.strip().removeprefix("-").isdigit():
        # Python refuses to convert texts of thousands of digits.
        return int(value) if len(value) <= _MAX_DIGITS else None
    return None
