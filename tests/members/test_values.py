"""Python values as texts: what is exact keeps its digits, what is not shows an exponent, what is missing is empty."""

import datetime as dt
import math
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.members.values import encoded_value, is_missing, is_void, number_text

ID = uuid.UUID("c77bbe4e-0ab1-4c9c-a5ea-6b8ef2d5a0c1")


def name_of(value: Any) -> str:
    """Return the same name in each process: without an address in memory."""
    return repr(value).partition(" at 0x")[0]


@pytest.mark.parametrize(
    "value",
    [None, math.nan, np.nan, np.float32("nan"), Decimal("NaN"), Decimal("sNaN"), pd.NA, pd.NaT, np.datetime64("NaT"),
     np.timedelta64("NaT"), np.ma.masked, pa.scalar(None, pa.string())],
    ids=name_of,
)  # fmt: skip
def test_missing_values_are_empty_texts(value: Any) -> None:
    encoded = encoded_value(value, takes_numbers=False)
    assert encoded is not None
    assert (encoded.text, encoded.is_binary) == (b"", False)


@pytest.mark.parametrize("value", ["", 0, 0.0, False, b"", np.datetime64("2026-01-01"), math.inf, Decimal("Infinity")])
def test_other_values_are_not_missing(value: Any) -> None:
    assert not is_missing(value)


@pytest.mark.parametrize(
    ("value", "text", "is_binary"),
    [
        ("a b", b"a b", False),
        ("\ud800", b"\xed\xa0\x80", False),
        (b"\x00\xff", b"\x00\xff", True),
        (bytearray(b"a"), b"a", True),
        (memoryview(b"a"), b"a", True),
        (np.void(b"\x01\x02"), b"\x01\x02", True),
        (np.str_("a"), b"a", False),
        (np.bytes_(b"a"), b"a", True),
        (pa.scalar("a"), b"a", False),
        (pa.scalar(ID.bytes, pa.binary(16)), ID.bytes, True),
        (ID, str(ID).encode(), False),
    ],
    ids=name_of,
)
def test_texts_bytes_and_uuids(value: Any, text: bytes, is_binary: bool) -> None:
    encoded = encoded_value(value, takes_numbers=False)
    assert encoded is not None
    assert (encoded.text, encoded.is_binary) == (text, is_binary)


def test_a_uuid_of_another_library() -> None:
    class UUID:
        bytes = ID.bytes

        def __str__(self) -> str:
            return str(ID)

    encoded = encoded_value(UUID(), takes_numbers=False)
    assert encoded is not None
    assert encoded.text == str(ID).encode()


@pytest.mark.parametrize(
    "value",
    [5, 5.0, True, [], {}, object(), dt.date(2026, 1, 1), np.datetime64("2026-01-01"), 1j, type("UUID", (), {})(),
     np.array([(1, 2)], dtype=[("a", int), ("b", int)])[0]],
    ids=name_of,
)  # fmt: skip
def test_what_is_no_member_is_refused(value: Any) -> None:
    assert encoded_value(value, takes_numbers=False) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (13_900_001_111, "13900001111"),
        (-5, "-5"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (1 << 256, f"{1 << 256:#x}"),
        (10**5000, f"{10**5000:#x}"),
        (13_900_001_111.0, "13900001111"),
        (2.0**53 - 1, "9007199254740991"),
        (2.0**53, "9.007199e+15"),
        (np.float32(2**24 - 1), "16777215"),
        (np.float32(2**24), "1.677722e+07"),
        (np.float16(2047), "2047"),
        (np.float16(2048), "2.048000e+03"),
        (0.5, "0.5"),
        (math.inf, "inf"),
        (Decimal("1.39E10"), "13900000000"),
        (Decimal("5.00"), "5"),
        (Decimal("5.5"), "5.5"),
        (Decimal("1E+9999"), "1E+9999"),
        (Decimal("-Infinity"), "-Infinity"),
        (Fraction(3), "3"),
        (True, None),
        (np.bool_(True), None),
        ("5", None),
        (1j, None),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else type(value).__name__,
)
def test_numbers(value: Any, text: str | None) -> None:
    assert number_text(value) == text


@given(number=st.integers(-(2**70), 2**70), kind=st.sampled_from([int, float, np.float32, Decimal]))
def test_digits_are_only_written_of_numbers_that_are_exact(number: int, kind: Any) -> None:
    text = number_text(kind(number))
    assert text is not None
    if text.lstrip("-").isdigit():
        assert int(text) == number


def test_only_binary_values_of_fixed_length_are_void() -> None:
    assert is_void(np.void(b"a"))
    assert not is_void(np.array([(1,)], dtype=[("a", int)])[0])
    assert not is_void(b"a")
