"""
Python values as texts: one rule for members in lists, data frames and the results of database drivers.

A number is accepted where members are numbers. If the number's type can't hold it exactly, its text is written with an
exponent; so the member's identifier kind rejects it, and gives the reason.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

_EXACT_BELOW = {2: 1 << 11, 4: 1 << 24}
"""For floats of this many bytes: each whole number below this limit is exact."""

_EXACT_BELOW_IN_DOUBLES = 1 << 53
_MAX_BITS = 256
_MAX_DECIMAL_DIGITS = 64
_MISSING_TYPES = frozenset({"NAType", "NaTType", "MaskedConstant"})
_TIME_TYPES = frozenset({"datetime64", "timedelta64"})
UUID_BYTES = 16
"""Bytes of a UUID in binary form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedValue:
    """
    A value as text.

    :param text: the text in UTF-8; empty for a missing value.
    :param is_binary: whether the value came as bytes, which need not be text.
    """

    text: bytes
    is_binary: bool = False


_MISSING = EncodedValue(text=b"")


def encoded_value(value: object, *, takes_numbers: bool) -> EncodedValue | None:
    """
    Return a value as text; None if a value of this type can't be a member.

    :param value: text, bytes, a UUID or a number, also as a scalar of NumPy or Arrow; None, NaN and other missing
        values become empty texts.
    :param takes_numbers: whether members may be numbers.
    """
    # Text comes first: it is what nearly all values are.
    if isinstance(value, str):
        return EncodedValue(text=value.encode("utf-8", errors="surrogatepass"))
    if is_missing(value):
        return _MISSING
    if isinstance(value, bytes | bytearray | memoryview) or is_void(value):
        return EncodedValue(text=bytes(value), is_binary=True)  # type: ignore[call-overload] # numpy's void gives bytes
    if hasattr(value, "as_py"):  # a scalar of Arrow
        return encoded_value(value.as_py(), takes_numbers=takes_numbers)
    if isinstance(value, UUID) or _is_like_uuid(value):
        text: str | None = str(value)
    else:
        text = number_text(value) if takes_numbers else None
    return None if text is None else EncodedValue(text=text.encode("ascii"))


def is_missing(value: object) -> bool:
    """
    Return whether a value means "nothing": None, NaN, or a missing value of pandas or NumPy.

    :param value: a value of any type.
    """
    if value is None or type(value).__name__ in _MISSING_TYPES:
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    if type(value).__name__ in _TIME_TYPES:
        return str(value) == "NaT"
    return isinstance(value, numbers.Real) and bool(value != value)  # noqa: PLR0124 # only NaN is not itself


def number_text(value: object) -> str | None:
    """
    Return a number as text; None if the value is not a number.

    A whole number is written as its digits if its type holds it exactly. Otherwise it is written with an exponent, as
    in a spreadsheet: the original digits are lost.

    :param value: a value of any type; booleans are not numbers.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, numbers.Integral):
        number = int(value)
        # Python refuses to write numbers of thousands of digits in decimal; hexadecimal is no member either.
        return str(number) if number.bit_length() <= _MAX_BITS else f"{number:#x}"
    if isinstance(value, Decimal):
        is_short = value.is_finite() and abs(value.adjusted()) <= _MAX_DECIMAL_DIGITS
        return str(int(value)) if is_short and value == value.to_integral_value() else str(value)
    if isinstance(value, numbers.Real):
        number_of_bytes = getattr(value, "itemsize", 8)
        exact = float(value)
        if not exact.is_integer():
            return repr(exact)
        is_exact = abs(exact) < _EXACT_BELOW.get(number_of_bytes, _EXACT_BELOW_IN_DOUBLES)
        return str(int(exact)) if is_exact else f"{exact:e}"
    return None


def is_void(value: Any) -> bool:
    """
    Return whether a value is a binary value of fixed length of NumPy; its records, of the same type, are not.

    :param value: a value of any type.
    """
    return type(value).__name__ == "void" and hasattr(value, "dtype") and value.dtype.names is None


def _is_like_uuid(value: Any) -> bool:
    """Return whether a value is a UUID of another library than Python's own."""
    if type(value).__name__ != "UUID":
        return False
    raw = getattr(value, "bytes", None)
    return isinstance(raw, bytes) and len(raw) == UUID_BYTES
