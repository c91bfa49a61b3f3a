"""
Phone numbers, as Alibaba PAI takes them: mainland China mobile numbers.

A number is normalised by dropping spaces, hyphens, brackets and the country code (``+86``, ``0086``, ``86``);
what is left must be ``1``, a digit from 3 to 9, and nine more ASCII digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, get_args

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.refusal import BYTE_ORDER_MARK, MAX_LINE_BYTES, WRAPPING, Refusal

PhoneFormat = Literal["cn_mobile", "any"]

MAX_BYTES = 16
"""A plus sign and 15 digits are the most that a phone number has anywhere."""

_DROPPED = str.maketrans("", "", " \t\r\u00a0\u3000-()[]\uff08\uff09")
_CN_MOBILE = re.compile(r"(?:\+86|0086|86)?(1[3-9][0-9]{9})")
_SPREADSHEET_FLOAT = re.compile(r"[0-9]+(?:\.[0-9]+)?[eE]\+?[0-9]+|[0-9]+\.0*")


def normalise_phone_numbers(lines: Iterable[str], *, phone_format: PhoneFormat = "cn_mobile") -> list[str]:
    """
    Return the distinct numbers in their normal form, in the order of the lines.

    :param lines: one number a line; blank lines are passed over.
    :param phone_format: ``cn_mobile``, or ``any`` to take lines as they are.
    :raises InvalidInputError: a line is masked or no such number; named by line, never by number.
    """
    if phone_format not in get_args(PhoneFormat):
        raise InvalidInputError(f"phone_format must be 'cn_mobile' or 'any', not {phone_format!r}")
    numbers: dict[str, None] = {}
    for line_number, line in enumerate(lines, start=1):
        text = _bare(line)
        if problem := phone_number_problem(text, phone_format=phone_format):
            raise InvalidInputError(f"text, line {line_number}: {problem}")
        if text:
            numbers[_normal(text, phone_format)] = None
    return list(numbers)


def parse_phone_number(line: bytes, *, phone_format: PhoneFormat) -> str | Refusal:
    """
    Return the number on a line in its normal form, or why there is none.

    :param line: one line in UTF-8, with or without its line ending.
    :param phone_format: ``cn_mobile``, or ``any`` to take lines as they are.
    """
    if len(line) > MAX_LINE_BYTES:
        return Refusal.MALFORMED
    try:
        text = line.strip(WRAPPING).removeprefix(BYTE_ORDER_MARK).strip(WRAPPING).decode("utf-8").strip()
    except UnicodeDecodeError:
        return Refusal.MALFORMED
    if not text:
        return Refusal.BLANK
    if phone_number_problem(text, phone_format=phone_format):
        return Refusal.MALFORMED
    number = _normal(text, phone_format)
    return number if len(number.encode()) <= MAX_BYTES and number.isprintable() else Refusal.MALFORMED


def phone_number_problem(text: str, *, phone_format: PhoneFormat) -> str | None:
    """
    Return what is wrong with a number, in words that don't show it; None if nothing is, or if it is blank.

    :param text: without white space around it.
    :param phone_format: ``cn_mobile``, or ``any`` to take it as it is.
    """
    if "*" in text:
        return "the number is masked with '*': give the numbers themselves"
    if _SPREADSHEET_FLOAT.fullmatch(text):
        return "a spreadsheet has turned the number into a decimal: export the column as text"
    if text and phone_format == "cn_mobile" and not _CN_MOBILE.fullmatch(text.translate(_DROPPED)):
        return (
            f"not a mainland China mobile number ({len(text)} characters; expected 11 "
            "digits that begin with 13 to 19). For other numbers set phone_format='any'"
        )
    return None


def _bare(line: str) -> str:
    return line.strip().removeprefix("\ufeff").strip()


def _normal(text: str, phone_format: PhoneFormat) -> str:
    match = None if phone_format == "any" else _CN_MOBILE.fullmatch(text.translate(_DROPPED))
    return match[1] if match else text
