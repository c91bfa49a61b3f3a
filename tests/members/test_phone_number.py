import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.phone_number import normalise_phone_numbers

NUMBER = "13900001111"


@pytest.mark.parametrize(
    "line",
    [
        NUMBER,
        f" {NUMBER}\r",
        f"\ufeff{NUMBER}",
        "139 0000 1111",
        "139-0000-1111",
        "(139)00001111",
        "\uff08139\uff0900001111",
        "139\u00a00000\u00a01111",
        f"+86{NUMBER}",
        f"+86 {NUMBER}",
        f"(+86) {NUMBER}",
        f"0086{NUMBER}",
        f"0086-{NUMBER}",
        f"86{NUMBER}",
        f"86 {NUMBER}",
    ],
)
def test_normal_form(line: str) -> None:
    assert normalise_phone_numbers([line]) == [NUMBER]


@pytest.mark.parametrize("prefix", [f"1{digit}" for digit in "3456789"])
def test_every_prefix(prefix: str) -> None:
    assert normalise_phone_numbers([f"{prefix}900001111"]) == [f"{prefix}900001111"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1390000111", "not a mainland China mobile number"),
        ("139000011111", "not a mainland"),
        ("12900001111", "not a mainland"),
        ("10000000000", "not a mainland"),
        ("+14155552671", "not a mainland"),
        ("+8613900001111x", "not a mainland"),
        ("+86+8613900001111", "not a mainland"),
        ("86861390000111", "not a mainland"),
        ("13900001111,13900002222", "not a mainland"),
        ("13900001111\u202813900002222", "not a mainland"),
        ("\uff11\uff13\uff19\uff10\uff10\uff10\uff10\uff11\uff11\uff11\uff11", "not a mainland"),
        ("139\u0660\u0660\u0660\u06601111", "not a mainland"),
        ("1390000111I", "not a mainland"),
        ("1.3900001111E+10", "spreadsheet"),
        ("1.39E+10", "spreadsheet"),
        ("1.39e10", "spreadsheet"),
        ("13900001111.0", "spreadsheet"),
        ("13900001111.", "spreadsheet"),
        ("1390000****", "masked"),
        ("139****1111", "masked"),
    ],
)
def test_refused_by_line_and_not_by_number(line: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"text, line 3: .*{message}") as caught:
        normalise_phone_numbers([NUMBER, "", line])

    digits = "".join(char for char in str(caught.value) if char.isdigit())
    assert not any(part in str(caught.value) for part in ("0000", "139", "415", "\uff11"))
    assert len(digits) < 12


def test_duplicates_keep_the_first_place() -> None:
    other = "13800001111"
    assert normalise_phone_numbers([other, NUMBER, f"+86{other}", NUMBER]) == [other, NUMBER]


@pytest.mark.parametrize("line", ["+1 415 555 2671", "not a number"])
def test_any_takes_lines_as_they_are(line: str) -> None:
    assert normalise_phone_numbers([f" {line} ", line], phone_format="any") == [line]


def test_any_refuses_masked_ones_too() -> None:
    with pytest.raises(InvalidInputError, match="line 1: the number is masked"):
        normalise_phone_numbers(["1390000****"], phone_format="any")


@given(st.lists(st.text(max_size=20)))
def test_what_comes_out_is_a_number(lines: list[str]) -> None:
    try:
        numbers = normalise_phone_numbers(lines)
    except InvalidInputError:
        return
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        assert len(number) == 11
        assert set(number) <= set("0123456789")
        assert number[0] == "1"
        assert number[1] in "3456789"
