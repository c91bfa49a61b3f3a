"""Checks of switches, numbers, limits and lengths of time, given as Python values or as rendered texts of templates."""

from __future__ import annotations

import re
import sys
from datetime import timedelta

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.validation.texts import a_type, is_none, shown

OFF = "off"
"""The word for no limit, as templates can't render to None."""

_DAY_SECONDS = 24 * 3600
_DECIMAL_PATTERN = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)


def true_or_false(name: str, value: object) -> bool:
    """
    Return an argument that is True or False.

    :param name: name of the argument, for the message.
    :param value: value of the argument: a bool, or the text ``true`` or ``false`` in any case, as templates render it.
    :raises InvalidInputError: the value is neither.
    """
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in {"true", "false"}:
        # The message does not quote the text: people may put a phone number into phone_number by mistake.
        shown = "another text" if word else "an empty text" if isinstance(value, str) else a_type(value)
        raise InvalidInputError(f"{name} must be True or False, or the text of one, not {shown}")
    return word == "true"


def whole_number(name: str, value: object, *, at_least: int) -> int:
    """
    Return an argument that is a whole number.

    :param name: name of the argument, for the message.
    :param value: value of the argument: an int, or its decimal digits as text, as templates render it.
    :param at_least: smallest allowed value.
    :raises InvalidInputError: the value is not a whole number, or too small.
    """
    if isinstance(value, str) and value.isascii() and value.strip().isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise InvalidInputError(f"{name} must be a whole number of at least {at_least}, not {shown(value)}")
    return value


def ratio(name: str, value: object, *, at_most: float | None = None) -> float | None:
    """
    Return an argument that is a limit and a ratio.

    An empty text and the text ``None`` are refused: a template that renders to nothing must not lift a limit.

    :param name: name of the argument, for the message.
    :param value: value of the argument: a number of at least 0, also as text; or None or ``off`` for no limit.
    :param at_most: largest allowed value; None for any.
    :return: the ratio; None for no limit.
    :raises InvalidInputError: the value is not of that form, or too large.
    """
    if _is_no_limit(name, value):
        return None
    number: object = value
    if isinstance(value, str):
        try:
            number = float(value) if value.isascii() and "_" not in value else None
        except ValueError:
            number = None
    limit = sys.float_info.max if at_most is None else at_most
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= limit:
        most = "" if at_most is None else f", at most {at_most:g}"
        raise InvalidInputError(f"{name} must be a number of at least 0{most}, not {shown(value)}")
    return float(number)


def count_limit(name: str, value: object) -> int | None:
    """
    Return an argument that is a limit and a whole number.

    An empty text and the text ``None`` are refused, as in :func:`ratio`.

    :param name: name of the argument, for the message.
    :param value: value of the argument: a whole number of at least 0, also as text; or None or ``off`` for no limit.
    :return: the number; None for no limit.
    :raises InvalidInputError: the value is not of that form.
    """
    return None if _is_no_limit(name, value) else whole_number(name, value, at_least=0)


def _is_no_limit(name: str, value: object) -> bool:
    if not isinstance(value, str):
        return value is None
    word = value.strip()
    if not word or is_none(word):
        raise InvalidInputError(
            f"{name} is {f'the text {word!r}' if word else 'empty'}: a template that renders to nothing lifts no "
            f"limit; give a number, or {OFF!r} for no limit"
        )
    return word.lower() == OFF


def seconds(name: str, value: object, *, above: float | None = None, at_most: float = sys.float_info.max) -> float:
    """
    Return an argument that is a length of time, in seconds.

    :param name: name of the argument, for the message.
    :param value: value of the argument: a number of seconds, also as decimal text (as templates render it), or a
        timedelta.
    :param above: the value must be above this number of seconds; None to allow 0 and more.
    :param at_most: largest allowed value in seconds; by default, any.
    :return: the length of time in seconds.
    :raises InvalidInputError: the value is not of that form, or out of range.
    """
    number: object = value
    if isinstance(value, timedelta):
        number = value.total_seconds()
    elif isinstance(value, str):
        number = float(value) if _DECIMAL_PATTERN.fullmatch(value.strip()) else None
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if not is_number or not (number >= 0 if above is None else number > above) or not number <= at_most:  # type: ignore[operator] # it is a number
        least = "of at least 0" if above is None else f"above {above:g}"
        longest = f"{at_most / _DAY_SECONDS:g} days" if at_most >= _DAY_SECONDS else f"{at_most:g}"
        most = "" if at_most == sys.float_info.max else f", of at most {longest}"
        shown = str(value) if isinstance(value, timedelta) else repr(value)
        raise InvalidInputError(f"{name} must be a timedelta, or a number of seconds {least}{most}, not {shown}")
    return float(number)  # type: ignore[arg-type]


def whole_seconds(name: str, value: object, *, at_least: int) -> int:
    """
    Return an argument that is a length of time in whole seconds; the platforms take no fractions.

    :param name: name of the argument, for the message.
    :param value: value of the argument: a whole number of seconds, also as text, or a timedelta of whole seconds.
    :param at_least: smallest allowed value in seconds.
    :raises InvalidInputError: the value is not of that form, or too small.
    """
    if not isinstance(value, timedelta):
        return whole_number(name, value, at_least=at_least)
    found = value.total_seconds()
    if value.microseconds or found < at_least:
        raise InvalidInputError(f"{name} must be a whole number of at least {at_least}, in seconds, not {value}")
    return int(found)
