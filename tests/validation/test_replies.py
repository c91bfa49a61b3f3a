"""Values of replies: the same value as a number and as text, and what is neither."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.validation import api_integer, api_text


@given(number=st.integers(-(10**90), 10**90))
def test_a_number_is_read_of_either_form(number: int) -> None:
    assert api_integer(number) == number
    assert api_integer(str(number)) == number
    assert api_integer(f" {number} ") == number


@pytest.mark.parametrize(
    "value",
    [None, True, False, "", " ", "-", "--5", "+5", "5.0", "1e3", "0x1", "1_000", "5 6", "\u0665", "\u00b2", 0.5,
     math.nan, math.inf, [5], {}, "9" * 101],
    ids=lambda value: repr(value)[:12],
)  # fmt: skip
def test_other_values_are_no_whole_numbers(value: object) -> None:
    assert api_integer(value) is None


def test_a_number_with_a_point_is_whole_if_its_value_is() -> None:
    assert (api_integer(5.0), api_integer(-0.0)) == (5, 0)


@pytest.mark.parametrize(("value", "text"), [(None, ""), ("a", "a"), (0, "0"), (False, "False"), ("", "")])
def test_texts(value: object, text: str) -> None:
    assert api_text(value) == text
