"""
Python values as texts: what drivers, data frames and lists hold a member in.

One rule for all of them. A number counts where members are numbers; of a number that is not exact any more the text
says so, and the rule of the members refuses it with the reason.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

_EXACT_BELOW = {2: 1 << 11, 4: 1 << 24}
"""Up to where a float of so many bytes has each whole number."""

_EXACT_BELOW_IN_DOUBLES = 1 << 53
_MOST_BITS = 256
_MOST_DECIMAL_DIGITS = 64
_MISSING_TYPES = frozenset({"NAType", "NaTType", "MaskedConstant"})
_TIME_TYPES = frozenset({"datetime64", "timedelta64"})
_UUID_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedValue:
    """
    A value as text.

    :param text: in UTF-8; empty for what is missing.
    :param is_binary: it came as bytes, which need not be text.
    """

    text: bytes
    is_binary: bool = False


_MISSING = EncodedValue(text=b"")


def encoded_value(value: object, *, takes_numbers: bool) -> EncodedValue | None:
    """
    Return a value as text; None if its type holds no members.

    :param value: text, bytes, a UUID, a number; None, NaN and what else stands for nothing are blank. Scalars of numpy
        and Arrow are what they hold.
    :param takes_numbers: whether members are numbers.
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
    Tell what stands for nothing: None, NaN, and pandas' and numpy's own words for it.

    :param value: of any type.
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
    Return a number as text: a whole one by its digits, as long as it can be exact; None if it is no number.

    A whole number beyond what its type holds exactly is written with an exponent, as a spreadsheet would: it is not
    known any more which number it was.

    :param value: of any type; booleans are no numbers.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, numbers.Integral):
        number = int(value)
        # Python writes no decimal of thousands of digits; a member has few.
        return str(number) if number.bit_length() <= _MOST_BITS else f"{number:#x}"
    if isinstance(value, Decimal):
        is_short = value.is_finite() and abs(value.adjusted()) <= _MOST_DECIMAL_DIGITS
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
    Tell numpy's binary values of a fixed length from its records.

    :param value: of any type.
    """
    return type(value).__name__ == "void" and hasattr(value, "dtype") and value.dtype.names is None


def _is_like_uuid(value: Any) -> bool:
    """Tell the UUIDs of other libraries than Python's own."""
    if type(value).__name__ != "UUID":
        return False
    raw = getattr(value, "bytes", None)
    return isinstance(raw, bytes) and len(raw) == _UUID_BYTES
