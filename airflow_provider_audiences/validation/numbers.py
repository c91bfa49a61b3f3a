"""Switches, numbers, limits and lengths of time: as Python values, and as the texts that templates render to."""

from __future__ import annotations

import re
import sys
from datetime import timedelta

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.validation.texts import a_type, is_none

OFF = "off"
"""The word that lifts a limit at run time, where templates can't say None."""

_DAY_SECONDS = 24 * 3600
_DECIMAL_PATTERN = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)


def true_or_false(name: str, value: object) -> bool:
    """
    Return a switch that a template may set: a bool, or its text in any case.

    :param name: of the argument, for the message.
    :param value: what was given.
    :raises InvalidInputError: it is neither.
    """
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in {"true", "false"}:
        # Not what it says: a phone number is what people put into phone_number by mistake.
        shown = "another text" if word else "an empty text" if isinstance(value, str) else a_type(value)
        raise InvalidInputError(f"{name} must be True or False, or the text of one, not {shown}")
    return word == "true"


def whole_number(name: str, value: object, *, at_least: int) -> int:
    """
    Return a whole number argument.

    :param name: the argument, for the message.
    :param value: what the caller gave; decimal digits as text are taken too, since templates render to text.
    :param at_least: smallest value that is allowed.
    :raises InvalidInputError: it is not a whole number, or too small.
    """
    if isinstance(value, str) and value.isascii() and value.strip().isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise InvalidInputError(f"{name} must be a whole number of at least {at_least}, not {value!r}")
    return value


def ratio(name: str, value: object, *, at_most: float | None = None) -> float | None:
    """
    Return a limit that is a ratio.

    :param name: the argument, for the message.
    :param value: what the caller gave; a decimal number as text is taken too, since templates render to text.
    :param at_most: largest value that is allowed; None for any.
    :return: the ratio; None if there is no limit: nothing was given, or the word ``off``.
    :raises InvalidInputError: it is no number, or out of range; an empty text and the text ``None``, as templates
        render them, lift no limit.
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
        raise InvalidInputError(f"{name} must be a number of at least 0{most}, not {value!r}")
    return float(number)


def most(name: str, value: object) -> int | None:
    """
    Return a limit that is a whole number.

    :param name: the argument, for the message.
    :param value: what the caller gave; decimal digits as text are taken too.
    :return: the number; None if there is no limit: nothing was given, or the word ``off``.
    :raises InvalidInputError: it is no whole number of at least 0; see :func:`ratio` for empty texts.
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
    Return an argument that is a length of time.

    :param name: the argument, for the message.
    :param value: seconds as a number or as its decimal text, since templates render to text; or a timedelta.
    :param above: it must be longer than this; None for 0 or longer.
    :param at_most: longest that is allowed.
    :return: seconds.
    :raises InvalidInputError: it is none, or out of range.
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
    Return an argument that is a length of time in whole seconds, which is how the platforms count.

    :param name: the argument, for the message.
    :param value: seconds as for :func:`whole_number`, or a timedelta of whole seconds.
    :param at_least: shortest that is allowed.
    :raises InvalidInputError: it is none, not whole, or too short.
    """
    if not isinstance(value, timedelta):
        return whole_number(name, value, at_least=at_least)
    found = value.total_seconds()
    if value.microseconds or found < at_least:
        raise InvalidInputError(f"{name} must be a whole number of at least {at_least}, in seconds, not {value}")
    return int(found)
