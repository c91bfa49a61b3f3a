"""Limits and switches as arguments: numbers, words, and the texts that templates render to."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.validation import most, ratio, true_or_false


@pytest.mark.parametrize("value", [None, "off", " OFF\n"])
def test_no_limit(value: Any) -> None:
    assert ratio("r", value) is None
    assert ratio("r", value, at_most=1) is None
    assert most("r", value) is None


@pytest.mark.parametrize("value", ["", "  ", "None", " None\n"])
def test_what_a_template_makes_of_nothing_is_refused(value: Any) -> None:
    for limit in (ratio, most):
        with pytest.raises(InvalidInputError, match=r"^r is .*: a template that renders to nothing lifts no limit"):
            limit("r", value)


@pytest.mark.parametrize(("value", "expected"), [(True, True), (False, False), ("True", True), (" false ", False)])
def test_switches(value: Any, expected: bool) -> None:
    assert true_or_false("s", value) is expected


@pytest.mark.parametrize("value", [None, "", "yes", "None", 0, 1, "1", [], "off"])
def test_what_is_no_switch(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^s must be True or False, not "):
        true_or_false("s", value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0),
        (1, 1.0),
        (0.3, 0.3),
        ("0.3", 0.3),
        (" 1 ", 1.0),
        ("1e-3", 0.001),
        (".5", 0.5),
        (-0.0, 0.0),
        ("-0", 0.0),
    ],
)
def test_numbers_and_texts(value: Any, expected: float) -> None:
    found = ratio("r", value, at_most=1)
    assert found == expected
    assert isinstance(found, float)


@given(st.floats(0, allow_nan=False, allow_infinity=False))
def test_any_number_as_itself_and_as_text(number: float) -> None:
    assert ratio("r", number) == ratio("r", str(number)) == number
    if number <= 1:
        assert ratio("r", number, at_most=1) == number


@pytest.mark.parametrize(
    "value",
    [
        *(-1, -0.001, "-0.001", 10**400, -(10**400)),
        *(math.nan, math.inf, -math.inf, "nan", "inf", "-inf", "1e999"),
        *(True, False, "True", "none", "30%", "0,3", "a", "0x1", "1/2", "1_0", "\u0660.\u0663"),
        *(b"0.3", [0.3], {}, object(), 1j, Decimal("0.3"), Fraction(1, 3)),
    ],
)
def test_what_is_no_ratio(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^max_drift must be a number of at least 0, not "):
        ratio("max_drift", value)


@pytest.mark.parametrize("value", [1.0001, 2, "2", "1.1", 30, math.inf, 10**400])
def test_more_than_is_allowed(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^r must be a number of at least 0, at most 1, not "):
        ratio("r", value, at_most=1)
    with pytest.raises(InvalidInputError, match=r"at most 0\.25, not "):
        ratio("r", value, at_most=0.25)
