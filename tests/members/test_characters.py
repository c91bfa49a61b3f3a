"""The one rule of characters, for every character that there is: around a member, in it, and in place of a digit."""

import uuid
from typing import Any

import pytest
from support.characters import ascii_digit, is_mark, is_white_space, separates, surrounds

from airflow_provider_audiences.members.characters import bare
from airflow_provider_audiences.members.columns import column_of_lines, column_of_values
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds, PhoneNumbers
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.members.staging import StagingRules, stage

ID = "9d4c1b7e-0f52-4d0a-8c11-2b6f00c3e7a5"
PHONE = "18612305678"
ABROAD = "3598712345"
# All that has white space, marks, digits and dashes, and a sample of all else.
CODES = {*range(0x3100), *range(0xFE00, 0x10000), *range(0x1D7CE, 0x1D800), *range(0xE0000, 0xE0080)}
CODES |= set(range(0x3100, 0x110000, 997)) - set(range(0xD800, 0xE000))
CHARACTERS = [chr(code) for code in sorted(CODES)]
DIGITS = {char for char in CHARACTERS if ascii_digit(char) in set("0123456789")}
KINDS = [
    pytest.param(AdvertisingIds(), ID, id="advertising ID"),
    pytest.param(PhoneNumbers(), PHONE, id="phone number of mainland China"),
    pytest.param(PhoneNumbers(phone_format="any"), ABROAD, id="phone number of any country"),
]


def read(kind: Any, form: str) -> dict[str, str]:
    """What comes of a text with each of the characters in it, for those with which it is a member."""
    texts = [form.replace("?", char) for char in CHARACTERS]
    parsed = kind.parse(column_of_values(texts, name="source", first_row=1))
    refused = {int(row) for rows in parsed.rejected.values() for row in rows}
    taken = [row for row in range(len(texts)) if row not in refused]
    assert len(parsed.keys) == len(taken) < 500
    found = {}
    for row in taken:
        alone = kind.parse(column_of_values([texts[row]], name="source", first_row=1))
        found[CHARACTERS[row]] = kind.lines(alone.keys).decode().rstrip("\n")
    return found


@pytest.mark.parametrize("form", ["?{}", "{}?", "?'? {}\ufeff?"])
@pytest.mark.parametrize(("kind", "member"), KINDS)
def test_what_surrounds_a_member(kind: Any, member: str, form: str) -> None:
    found = {char: text for char, text in read(kind, form.format(member)).items() if char not in DIGITS}
    expected = {char for char in CHARACTERS if surrounds(char)}
    if isinstance(kind, PhoneNumbers) and "'" not in form:
        # A hyphen or a bracket beside a number is one within it, and a plus sign begins it.
        expected |= {char for char in CHARACTERS if separates(char)}
        found = {char: text for char, text in found.items() if char not in {"+", "\uff0b"}}
    assert set(found) == expected
    assert set(found.values()) == {member}


@pytest.mark.parametrize("cut", [1, 8, 9, 35])
def test_nothing_is_dropped_from_within_an_advertising_id(cut: int) -> None:
    assert read(AdvertisingIds(), f"{ID[:cut]}?{ID[cut:]}") == {}


def test_nothing_in_an_advertising_id_is_taken_for_something_else() -> None:
    assert read(AdvertisingIds(), ID.replace("-", "?")) == {"-": ID}
    hex_digits = DIGITS | set("abcdefABCDEF")
    expected = {char: f"{ID[:2]}{ascii_digit(char).lower()}{ID[3:]}" for char in hex_digits}
    assert read(AdvertisingIds(), f"{ID[:2]}?{ID[3:]}") == expected


@pytest.mark.parametrize("cut", [3, 7])
def test_what_stands_within_a_phone_number(cut: int) -> None:
    expected = {char: PHONE for char in CHARACTERS if separates(char)}
    assert read(PhoneNumbers(), f"{PHONE[:cut]}?{PHONE[cut:]}") == expected
    # Where numbers may have any length, a carriage return could join two of them, and a digit makes another one.
    expected = {char: ABROAD for char in expected if char != "\r"}
    expected |= {char: f"{ABROAD[:cut]}{ascii_digit(char)}{ABROAD[cut:]}" for char in DIGITS}
    assert read(PhoneNumbers(phone_format="any"), f"{ABROAD[:cut]}?{ABROAD[cut:]}") == expected


def test_which_digits_of_a_phone_number_are_digits() -> None:
    expected = {char: f"{PHONE[:5]}{ascii_digit(char)}{PHONE[6:]}" for char in DIGITS}
    assert read(PhoneNumbers(), f"{PHONE[:5]}?{PHONE[6:]}") == expected


WRAPS = ["\u200b{}\u200b", "\u202a{}\u202c", "\ufeff\ufeff{}", "\u3000{}\u00a0", "\x85{}"]


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize(("kind", "member"), KINDS)
@pytest.mark.parametrize("of", [lambda text: text, lambda text: text.encode(), lambda text: text.encode() + b"\r"])
def test_two_spellings_are_one_member(kind: Any, member: str, wrap: str, of: Any) -> None:
    wide = member.translate({ord(str(value)): 0xFF10 + value for value in range(10)})
    chunks = [[member, of(wrap.format(member)), of(wrap.format(wide))]]
    with stage(ValuesInput(chunks=chunks), rules=StagingRules(), identifier_kind=kind) as staged:
        assert (staged.members, staged.duplicates, staged.malformed) == (1, 2, 0)
    lines = "".join(f"{wrap.format(text)}\n" for text in (member, wide)).encode()
    assert len(kind.parse(column_of_lines(lines)).keys) == 2


@pytest.mark.parametrize(("kind", "member"), KINDS)
@pytest.mark.parametrize("spoil", [b"\xff%s", b"%s\xc2", b"\xa0%s", b"\xed\xa0\x80%s"])
def test_bytes_that_are_no_text_are_malformed(kind: Any, member: str, spoil: bytes) -> None:
    with stage(ValuesInput(chunks=[[spoil % member.encode()]]), rules=StagingRules(), identifier_kind=kind) as staged:
        assert (staged.members, staged.malformed) == (0, 1)


def test_of_what_only_surrounds_nothing_is_left() -> None:
    assert bare("".join(char for char in CHARACTERS if is_white_space(char) or is_mark(char))) == ""
    assert bare(f"\u201c{uuid.UUID(ID)}\u201d").startswith("\u201c")
