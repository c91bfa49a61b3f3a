"""Switches, limits and lengths of time, and the texts that templates render to."""

import math
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.validation.numbers import count_limit, ratio, seconds, true_or_false, whole_seconds


@pytest.mark.parametrize("value", [None, "off", " OFF\n"])
def test_no_limit(value: Any) -> None:
    assert ratio("r", value) is None
    assert ratio("r", value, at_most=1) is None
    assert count_limit("r", value) is None


@pytest.mark.parametrize("value", ["", "  ", "None", " None\n"])
def test_what_a_template_makes_of_nothing_is_refused(value: Any) -> None:
    for limit in (ratio, count_limit):
        with pytest.raises(InvalidInputError, match=r"^r is .*: a template that renders to nothing lifts no limit"):
            limit("r", value)


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


@pytest.mark.parametrize(("value", "expected"), [(True, True), ("True", True), (" fALSE\n", False), (False, False)])
def test_switches(value: Any, expected: bool) -> None:
    assert true_or_false("phone_number", value) is expected


@pytest.mark.parametrize("value", ["", " ", "None", "yes", "1", 1, 0, None, [], {}, 1.0])
def test_what_is_no_switch(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^phone_number must be True or False, or the text of one, not "):
        true_or_false("phone_number", value)


def test_a_switch_does_not_show_a_number_that_was_given_by_mistake() -> None:
    with pytest.raises(InvalidInputError) as refusal:
        true_or_false("phone_number", "13900001111")
    assert "1390" not in str(refusal.value)


class TestSeconds:
    """Lengths of time: numbers, their texts, and timedeltas."""

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            *((1, 1), ("90", 90), (" 90\n", 90), (timedelta(days=30), 2_592_000), (10**30, 10**30)),
            (timedelta(milliseconds=2000), 2),
        ],
    )
    def test_whole_ones(self, value: Any, expected: int) -> None:
        found = whole_seconds("ttl_seconds", value, at_least=1)
        assert (found, type(found)) == (expected, int)
        assert seconds("timeout", value) == float(expected)

    @pytest.mark.parametrize(
        "value",
        [
            *(0, "0", timedelta(0), -1, "-1", timedelta(seconds=-1), 0.5, "1.5", timedelta(milliseconds=1500)),
            *(None, "", " ", "None", "P30D", "30 days", "30 days, 0:00:00", "720:00:00", "1e5", "1_000", "0x10"),
            *(True, math.nan, math.inf, [60], b"60", "\u0661", 86_400.0),
        ],
    )
    def test_what_is_no_number_of_whole_seconds(self, value: Any) -> None:
        with pytest.raises(InvalidInputError, match=r"^ttl_seconds must be a whole number of at least 1"):
            whole_seconds("ttl_seconds", value, at_least=1)

    def test_zero_where_it_is_allowed(self) -> None:
        assert [whole_seconds("s", value, at_least=0) for value in (0, "0", timedelta(0))] == [0] * 3
        assert [seconds("s", value) for value in (0, "0.0", timedelta(0))] == [0.0] * 3

    @pytest.mark.parametrize(
        ("value", "expected"), [(0.1, 0.1), ("0.25", 0.25), (".5", 0.5), ("5.", 5.0), (timedelta(seconds=0.1), 0.1)]
    )
    def test_parts_of_a_second(self, value: Any, expected: float) -> None:
        assert seconds("poke_interval", value, above=0, at_most=10) == expected

    @pytest.mark.parametrize(
        "value",
        [
            *(0, -0.5, 10.5, "11", timedelta(hours=1), 10**400, "9" * 5000, math.nan, math.inf, "nan", "inf"),
            *("PT5S", "0:00:05", "1e0", "1_0", "", "None", None, True, [5]),
        ],
    )
    def test_out_of_range(self, value: Any) -> None:
        with pytest.raises(
            InvalidInputError,
            match=r"^timeout must be a timedelta, or a number of seconds above 0, of at most 10, not ",
        ):
            seconds("timeout", value, above=0, at_most=10)

    @given(st.timedeltas(timedelta(0)))
    def test_any_timedelta_is_its_seconds(self, value: timedelta) -> None:
        assert seconds("s", value) == value.total_seconds()
        if not value.microseconds:
            assert timedelta(seconds=whole_seconds("s", value, at_least=0)) == value
