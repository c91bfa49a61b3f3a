"""
Phone numbers as Alibaba PAI takes them: mobile numbers of mainland China, or numbers of any country.

A number of mainland China is normalised by removing spaces, hyphens, brackets and the country code (``+86``, ``0086``,
``86``); the rest must be ``1``, a digit from 3 to 9, and nine more digits. A number of any country keeps its digits: 5
to 15 of them, or 7 to 15 with a country code after ``+`` or ``00``, which are both written as ``+``.

Digits may be full-width. Characters around a number are removed by the rule of
:mod:`~airflow_provider_audiences.members.characters`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Literal, get_args

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.characters import INVISIBLE, SPACES, WIDE_DIGITS, bare, decoded
from airflow_provider_audiences.members.reject_reasons import DAMAGE, MAX_LINE_BYTES, RejectReason
from airflow_provider_audiences.validation import Rule, one_of

PhoneFormat = Literal["cn_mobile", "any"]
PHONE_FORMAT_RULE: Rule = partial(one_of, choices=get_args(PhoneFormat))
"""What is given as ``phone_format``."""

MAX_PHONE_NUMBER_CHARACTERS = 16
"""Characters of the longest number in its normal form: a plus sign and 15 digits."""

_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"
_BRACKETS = "()[]\uff08\uff09\uff3b\uff3d"
_NORMAL = {
    **dict.fromkeys(map(ord, f"{SPACES}{INVISIBLE}{_DASHES}{_BRACKETS}")),
    **WIDE_DIGITS,
    ord("\uff0b"): "+",
}
# A carriage return is removed here only: numbers of fixed length can't be joined by that.
_NORMAL_CN = {**_NORMAL, ord("\r"): None}

_PLAIN_CN_MOBILE = re.compile(rb"1[3-9][0-9]{9}\r?\n?\Z")
# A tool may have added ".0" to a number: the number itself is still exact.
_CN_MOBILE = re.compile(r"(?:\+86|0086|86)?(1[3-9][0-9]{9})(?:\.0+)?")
_INTERNATIONAL = re.compile(r"(?:\+|00)([1-9][0-9]{6,14})(?:\.0+)?")
_NATIONAL = re.compile(r"([0-9]{5,15})(?:\.0+)?")
_DATE = re.compile(r"(?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]")
# "+44 (0)20 …": the zero is for callers within the country, and no part of the number.
_BRACKETED_ZERO = re.compile(r"[(\[\uff08\uff3b]\s*[0\uff10]\s*[)\]\uff09\uff3d]")

_DECIMAL = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]*)?[eE][+-]?[0-9]+|[+-]?[0-9]+\.[0-9]*")
_MASKED = re.compile(r"[*\uff0a\u2022\u25cf\u00d7\u2731]|[0-9][xX#_?]{2,}")
_SEVERAL = re.compile(r"[0-9]{5}.*[,;|/\uff0c\uff1b\u3001\r\n\v\f\x85\u2028\u2029].*[0-9]{5}", re.DOTALL)


def normalise_phone_numbers(lines: Iterable[str], *, phone_format: PhoneFormat = "cn_mobile") -> list[str]:
    """
    Return the distinct numbers in their normal form, in the order of their first lines.

    :param lines: one number a line; blank lines are ignored.
    :param phone_format: ``cn_mobile`` (the default) for mobile numbers of mainland China, ``any`` for any country.
    :raises InvalidInputError: a line is not such a number; the message names the line, never the number.
    """
    phone_format = PHONE_FORMAT_RULE("phone_format", phone_format)
    numbers: dict[str, None] = {}
    for line_number, line in enumerate(lines, start=1):
        text = bare(line)
        number = _parsed(text, phone_format)
        if not isinstance(number, RejectReason):
            numbers[number] = None
        elif number is not RejectReason.BLANK:
            raise InvalidInputError(f"text, line {line_number}: {_problem(text, number, phone_format)}")
    return list(numbers)


def parse_phone_number(line: bytes, *, phone_format: PhoneFormat) -> str | RejectReason:
    """
    Return the number on a line in its normal form, or the reason for which the line is rejected.

    :param line: one line in UTF-8, with or without its line ending.
    :param phone_format: ``cn_mobile`` for mobile numbers of mainland China, ``any`` for numbers of any country.
    """
    if phone_format == "cn_mobile" and _PLAIN_CN_MOBILE.match(line):
        return line[:11].decode("ascii")
    if len(line) > MAX_LINE_BYTES:
        return RejectReason.MALFORMED
    text = decoded(line)
    return RejectReason.MALFORMED if text is None else _parsed(text, phone_format)


def _parsed(text: str, phone_format: PhoneFormat) -> str | RejectReason:
    """Return the normal form of a text without surrounding characters, or the reason for which it is rejected."""
    if not text:
        return RejectReason.BLANK
    if phone_format == "cn_mobile":
        normal = text.translate(_NORMAL_CN)
        found = _CN_MOBILE.fullmatch(normal)
        number = found[1] if found else None
    else:
        normal = text.translate(_NORMAL)
        number = _number_of_any_country(text, normal)
    if number:
        return number
    if _MASKED.search(text):
        return RejectReason.MASKED
    return RejectReason.DECIMAL if _DECIMAL.fullmatch(text.translate(WIDE_DIGITS)) else RejectReason.MALFORMED


def _number_of_any_country(text: str, normal: str) -> str | None:
    if found := _INTERNATIONAL.fullmatch(normal):
        return None if _BRACKETED_ZERO.search(text) else f"+{found[1]}"
    found = _NATIONAL.fullmatch(normal)
    if found is None or not found[1].strip("0") or _DATE.fullmatch(text):
        return None
    return found[1]


def _problem(text: str, reason: RejectReason, phone_format: PhoneFormat) -> str:
    """Return what is wrong with a rejected text, in words that don't disclose it."""
    if reason in DAMAGE:
        return DAMAGE[reason]
    several = _SEVERAL.search(text.translate(WIDE_DIGITS))
    hint = "; it seems to have several numbers in it: give one a line" if several else ""
    if phone_format == "any":
        expected = "5 to 15 digits, or a plus sign and 7 to 15"
        return f"not a phone number ({len(text)} characters; expected {expected}){hint}"
    return (
        f"not a mainland China mobile number ({len(text)} characters; expected 11 digits that begin with 13 to 19). "
        f"For other numbers set phone_format='any'{hint}"
    )
