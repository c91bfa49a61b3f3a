import io
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.characters import ascii_digit, separates, surrounds

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.identifiers.kinds import PhoneNumbers
from airflow_provider_audiences.members.identifiers.phone_number import normalise_phone_numbers, parse_phone_number
from airflow_provider_audiences.members.keys import key_order, key_runs
from airflow_provider_audiences.members.reading import text_files
from airflow_provider_audiences.members.reading.inputs import FilesInput, SourceFile, ValuesInput
from airflow_provider_audiences.members.reject_reasons import RejectReason
from airflow_provider_audiences.members.staging import StagingRules, stage

NUMBER = "13900001111"
DROPPED = " \t\r\u00a0\u3000-()[]\uff08\uff09"


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
        f'"{NUMBER}"',
        "\u202a+86 139 0000 1111\u202c",
        f"\uff0b86 {NUMBER}",
        "139\u20110000\u20131111",
        "\uff11\uff13\uff19\uff10\uff10\uff10\uff10\uff11\uff11\uff11\uff11",
        f"{NUMBER}.0",
        f"86{NUMBER}.00",
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
        ("139\u0660\u0660\u0660\u06601111", "not a mainland"),
        ("1390000111I", "not a mainland"),
        ("1.3900001111E+10", "spreadsheet"),
        ("1.39E+10", "spreadsheet"),
        ("1.39e10", "spreadsheet"),
        ("13900001111.5", "spreadsheet"),
        ("13900001111,13900002222", "several numbers"),
        ("139xxxx1111", "masked"),
        ("139\u2022\u2022\u2022\u20221111", "masked"),
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


ANY = {
    "+447700900123": "+447700900123",
    "+44 7700 900123": "+447700900123",
    "0044-7700-900123": "+447700900123",
    "\uff0b44 (7700) 900123": "+447700900123",
    "+44 7700 900123.0": "+447700900123",
    "4155552671": "4155552671",
    "(415) 555\u20132671": "4155552671",
    "\uff14155552671": "4155552671",
    "139 0000 1111": NUMBER,
    f"{NUMBER}.0": NUMBER,
    "12345": "12345",
    "+6834000": "+6834000",
    "123456789012345": "123456789012345",
    "+123456789012345": "+123456789012345",
    "00123456": "00123456",
}


@pytest.mark.parametrize("line", ANY)
def test_any_is_a_number_of_some_country(line: str) -> None:
    assert normalise_phone_numbers([f" {line} ", line], phone_format="any") == [ANY[line]]
    assert parse_phone_number(f' "{line}"\r\n'.encode(), phone_format="any") == ANY[line]


NO_NUMBERS = [
    "phone", "NULL", "\\N", "-", "+", "()", "1234", "+12345", "1234567890123456", "+1234567890123456", "+0447700900",
    "00000000000", "4155552671,4155552672", "4155552671;4155552672", "4155552671\r4155552672", "41555\n52671",
    "+44 (0)7700 900123", "2026-01-01", "2026-01-01 00:00:00", "415.555.2671", "tel:4155552671", "4155552671 ext 5",
    "415+5552671", "\u0664155552671", "++447700900123", "a@b.example", "12:30:45",
]  # fmt: skip


@pytest.mark.parametrize("line", NO_NUMBERS)
def test_any_refuses_what_is_no_number(line: str) -> None:
    assert parse_phone_number(line.encode(), phone_format="any") is RejectReason.MALFORMED
    with pytest.raises(InvalidInputError, match=r"text, line 2: not a phone number") as caught:
        normalise_phone_numbers(["4155552670", line], phone_format="any")
    assert "555" not in str(caught.value)


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


@pytest.mark.parametrize("phone_format", ["cn_mobile", "any"])
@pytest.mark.parametrize(
    "line",
    [b"", b" ", b"\r", b"\n", b'""', b"\xef\xbb\xbf", "\u00a0".encode(), "\u3000".encode(), b'\xef\xbb\xbf""'],
)
def test_blank(line: bytes, phone_format: Any) -> None:
    assert parse_phone_number(line, phone_format=phone_format) is RejectReason.BLANK


@pytest.mark.parametrize(
    "wrap", ["{}", "{}\n", "{}\r\n", '"{}"', "'{}'", " \t{}\v\f", "\ufeff{}", '"\ufeff{}"\r\n', '\ufeff"{}"']
)
@pytest.mark.parametrize(
    "number", [NUMBER, f"+86 {NUMBER}", "0086-139-0000-1111", "(86)13900001111", "\uff0886\uff09 139 0000 1111"]
)
def test_one_line(wrap: str, number: str) -> None:
    assert parse_phone_number(wrap.format(number).encode(), phone_format="cn_mobile") == NUMBER


@pytest.mark.parametrize(
    "line",
    [
        b"12900001111", b"13,900,001,111", "139\u06600001111".encode(), b"\xff13900001111", b"13900001111\x00",
        b"13900001111\x85", "139\u20280000\u20281111".encode(), "13900001111\u2028 13900001112".encode(), b"null",
        b"86 86 13900001111", b"+13900001111", b"13900001111 ext 5", b"0" * 5_000,
    ],
)  # fmt: skip
def test_malformed(line: bytes) -> None:
    assert parse_phone_number(line, phone_format="cn_mobile") is RejectReason.MALFORMED


@pytest.mark.parametrize("phone_format", ["cn_mobile", "any"])
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1390000****", RejectReason.MASKED), ("139xxxx1111", RejectReason.MASKED),
        ("\uff0a\uff0a13900", RejectReason.MASKED),
        ("1.39E+10", RejectReason.DECIMAL), ("1,39E+10", RejectReason.DECIMAL), ("13900001111.5", RejectReason.DECIMAL),
        ("1.39e10", RejectReason.DECIMAL), ("\uff11.39E+10", RejectReason.DECIMAL),
    ],
)  # fmt: skip
def test_what_a_tool_has_made_of_a_number(line: str, reason: RejectReason, phone_format: Any) -> None:
    assert parse_phone_number(line.encode(), phone_format=phone_format) is reason


@pytest.mark.parametrize("line", [b"\xff", b"a\x00b", b"a\nb", b"5" * 65, b"5" * 70_000])
def test_malformed_in_any_format(line: bytes) -> None:
    assert parse_phone_number(line, phone_format="any") is RejectReason.MALFORMED


@pytest.mark.parametrize("padding", [60, 65_000, 65_536, 70_000, 1_100_000])
@pytest.mark.parametrize("char", [b" ", b'"', b"\t"])
def test_padding_beyond_the_longest_line(padding: int, char: bytes) -> None:
    """A longer line is cut where blocks end: what it is must not depend on that."""
    line = char * padding + NUMBER.encode()
    expected = NUMBER if len(line) <= 1 << 16 else RejectReason.MALFORMED
    assert parse_phone_number(line, phone_format="cn_mobile") == expected
    source = SourceFile(name="f", open=lambda: io.BytesIO(line + b"\n" + line))
    with stage(FilesInput(files=[source]), identifier_kind=PhoneNumbers(), rules=StagingRules()) as staged:
        assert (staged.members, staged.malformed, staged.blank) == ((1, 0, 0) if expected == NUMBER else (0, 2, 0))


@given(st.binary(max_size=40), st.sampled_from(["cn_mobile", "any"]))
def test_never_raises(line: bytes, phone_format: Any) -> None:
    number = parse_phone_number(line, phone_format=phone_format)
    if not isinstance(number, RejectReason):
        assert number == number.strip()
        assert "\n" not in number
        assert "*" not in number
        assert parse_phone_number(number.encode(), phone_format=phone_format) == number


def model(lines: Sequence[bytes]) -> tuple[set[str], dict[str, int]]:
    """The distinct numbers, and how many lines are what: by counting characters, not by patterns."""
    found: set[str] = set()
    counts = {"malformed": 0, "zeroed": 0, "duplicates": 0, "blank": 0}
    for line in lines:
        text, digits = normal_form(line)
        is_number = len(digits) == 11 and all(char in "0123456789" for char in digits)
        if text == "":
            counts["blank"] += 1
        elif text is None or not is_number or digits[0] != "1" or digits[1] in "012":
            counts["malformed"] += 1
        elif digits in found:
            counts["duplicates"] += 1
        else:
            found.add(digits)
    return found, counts


def normal_form(line: bytes) -> tuple[str | None, str]:
    """The text of a line, None if it is none; and what should be 11 digits."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return None, ""
    while text and surrounds(text[0]):
        text = text[1:]
    while text and surrounds(text[-1]):
        text = text[:-1]
    digits = "".join(ascii_digit(char) for char in text if not separates(char)).replace("\uff0b", "+")
    whole, point, zeros = digits.partition(".")
    if point and zeros and not zeros.strip("0"):
        digits = whole
    for code in ("+86", "0086", "86"):
        if digits.startswith(code) and len(digits) == 11 + len(code):
            return text, digits[len(code) :]
    return text, digits


numbers = st.one_of(
    st.just(NUMBER),
    st.integers(13_000_000_000, 19_999_999_999).map(str),
    st.integers(13_000_000_000, 13_000_000_003).map(str),
)
noise = st.text(alphabet=DROPPED, max_size=2)
spaced = st.builds(lambda number, cut, sign: number[:cut] + sign + number[cut:], numbers, st.integers(0, 11), noise)
lines_of_numbers = st.one_of(
    numbers,
    st.builds(
        lambda before, code, between, number, after: before + code + between + number + after,
        noise, st.sampled_from(["", "+86", "0086", "86", "+0086", "086", "+1", "8686"]), noise, spaced, noise,
    ),
    spaced.map(lambda text: f"\ufeff{text}"),
    spaced.map(lambda text: f'"{text}"'),
    spaced.map(lambda text: f'\ufeff"{text}"'),
    spaced.map(lambda text: text.replace("0", "\uff10")),
    spaced.map(lambda text: text[:-1]),
    spaced.map(lambda text: text + "0"),
    spaced.map(lambda text: text[:-1] + "*"),
    spaced.map(lambda text: text + "\x00"),
    spaced.map(lambda text: text + "."),
    st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=20),
    st.sampled_from(["", " ", "null", "phone"]),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    st.lists(lines_of_numbers.map(str.encode) | st.binary(max_size=20), max_size=30), st.integers(1, 7), st.booleans()
)
def test_staging_against_the_model(lines: list[bytes], batch_size: int, in_file: bool) -> None:
    if in_file:
        content = b"".join(line + b"\n" for line in [b"", *lines])
        lines = content.split(b"\n")[:-1]
    source = SourceFile(name="f", open=lambda: io.BytesIO(content))
    members = FilesInput(files=[source]) if in_file else ValuesInput(chunks=[lines])
    found, counts = model(lines)
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in ((key_order, "PART_BITS", 2), (key_order, "PARTS", 4), (key_runs, "_RUN_KEYS", 8)):
            patch.setattr(module, name, value)
        # A file that begins like this may be refused as binary; here all of it counts.
        patch.setattr(text_files, "refuse_other_formats", lambda *_, **__: None)
        with stage(members, identifier_kind=PhoneNumbers(), rules=StagingRules()) as staged:
            batches = [staged.lines(first, batch_size) for first in range(0, staged.members, batch_size)]
    written = b"".join(batches).decode().split("\n")

    assert written.pop() == ""
    assert len(written) == len(found) == staged.members
    assert set(written) == found
    assert {name: getattr(staged, name) for name in counts} == counts
    assert all(batch.count(b"\n") == batch_size for batch in batches[:-1])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=20) | st.text("+0123456789 ", max_size=18), max_size=20))
def test_staging_of_any_format_keeps_every_text_whole(values: list[str]) -> None:
    """Whatever is taken comes out as the rule has it, not cut to what a key holds."""
    values = [value.encode(errors="replace").decode() for value in values]
    judged = [parse_phone_number(value.encode(), phone_format="any") for value in values]
    expected = {number for number in judged if not isinstance(number, RejectReason)}
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in ((key_order, "PART_BITS", 2), (key_order, "PARTS", 4), (key_runs, "_RUN_KEYS", 8)):
            patch.setattr(module, name, value)
        with stage(
            ValuesInput(chunks=[values]), identifier_kind=PhoneNumbers(phone_format="any"), rules=StagingRules()
        ) as staged:
            assert set(staged.lines(0, 99).decode().split("\n")) - {""} == expected
            assert staged.members == len(expected)


def test_wrong_format() -> None:
    with pytest.raises(InvalidInputError, match="phone_format must be 'cn_mobile' or 'any', not 'us'"):
        PhoneNumbers(phone_format="us")  # type: ignore[arg-type]


def test_messages_name_the_rule_and_no_number() -> None:
    with (
        pytest.raises(InvalidInputError, match=r"source, item 2: 1290.*not a phone number .*mainland") as caught,
        stage(
            ValuesInput(chunks=[[NUMBER, "12900001111"]]),
            identifier_kind=PhoneNumbers(),
            rules=StagingRules(on_malformed="fail"),
        ),
    ):
        pass
    assert "12900001111" not in str(caught.value)
