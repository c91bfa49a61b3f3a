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

PhoneFormat = Literal["cn_mobile", "any"]

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
        text = line.strip().removeprefix("\ufeff").strip()
        if not text:
            continue
        if "*" in text:
            raise InvalidInputError(
                f"text, line {line_number}: the number is masked with '*': give the numbers themselves"
            )
        if _SPREADSHEET_FLOAT.fullmatch(text):
            raise InvalidInputError(
                f"text, line {line_number}: a spreadsheet has turned the number into a decimal: "
                "export the column as text"
            )
        numbers[text if phone_format == "any" else _cn_mobile(text, line_number)] = None
    return list(numbers)


def _cn_mobile(text: str, line_number: int) -> str:
    match = _CN_MOBILE.fullmatch(text.translate(_DROPPED))
    if match:
        return match[1]
    raise InvalidInputError(
        f"text, line {line_number}: not a mainland China mobile number ({len(text)} characters; expected 11 "
        "digits that begin with 13 to 19). For other numbers set phone_format='any'"
    )
