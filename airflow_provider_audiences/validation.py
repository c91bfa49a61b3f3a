"""Checks of arguments before the first request, and the reading of values in replies: the same in both clients."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from datetime import timedelta
from numbers import Integral, Number

from airflow_provider_audiences.exceptions import InvalidInputError

OFF = "off"
"""The word that lifts a limit at run time, where templates can't say None."""

MAX_AUDIENCE_ID_CHARACTERS = 200
"""AppLovin names no limit; its ids have 32 characters."""

MAX_NAME_CHARACTERS = 1_000
"""Neither platform names a limit for names; a longer text is something else."""

BROKEN = "has half of a character in it, which UTF-8 can't write: give whole text"

_MAX_DIGITS = 100
_DAY_SECONDS = 24 * 3600
_DECIMAL_PATTERN = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)


def a_type(value: object) -> str:
    """
    Return the type of a value for a message, with its article: ``an int``, ``a list``, ``None``.

    :param value: what was given.
    """
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[:1] in set('aeioAEIO') else 'a'} {name}"


def is_broken(value: object) -> bool:
    """
    Return whether a value is text that can be written nowhere, as it has half of a character in it.

    :param value: of any type; names of files that are no UTF-8 are text as Python reads them, and can be written.
    """
    if not isinstance(value, str) or value.isascii():
        return False
    try:
        value.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:
        return True
    return False


def given_text(name: str, value: object) -> str | None:
    """
    Return a text argument as it was written, white space included; a whole number is taken as its text.

    A template that has nothing to say renders to an empty text, or to ``None``: neither is a name, an id or a condition
    of anybody's, so neither counts as given.

    :param name: the argument, for the message.
    :param value: what the caller gave.
    :return: the text; None if it is None, empty, white space, or the text ``None``.
    :raises InvalidInputError: it is not text, and what was written can't be told from it; or it is no text that can be
        written in UTF-8.
    """
    if isinstance(value, Integral) and not isinstance(value, bool) and value:
        return str(int(value))
    if isinstance(value, Number):
        # 0 may have been 000, a float 1e5 or 100000.00, True any text that Python reads so.
        shown = "the number 0" if isinstance(value, Integral) and not isinstance(value, bool) else a_type(value)
        raise InvalidInputError(
            f"{name} is {shown}, and how it was written can't be told any more: give the {name} as text. If a template "
            "gives it, render_template_as_native_obj made a Python value of its text"
        )
    if value is not None and not isinstance(value, str):
        raise InvalidInputError(f"{name} is {a_type(value)}, not text: give the {name} as text")
    if value is not None and any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidInputError(f"{name} {BROKEN}")
    return None if value is None or value.strip() in {"", "None"} else value


def exact_text(name: str, value: object) -> str:
    """
    Return a text argument as it is: white space around a name is part of it.

    This is also the rule for whatever narrows what is acted on, such as a filter: empty, it would mean everything.

    :param name: the argument, for the message.
    :param value: what the caller gave; a whole number is taken as its text.
    :raises InvalidInputError: it is not text, blank, or a template made ``None`` of it.
    """
    text = given_text(name, value)
    if text is None:
        is_none = isinstance(value, str) and value.strip() == "None"
        why = "was rendered to None" if is_none else "is empty"
        raise InvalidInputError(f"{name} {why}: give the {name} as text, and see what its template needs")
    return text


def required_text(name: str, value: object) -> str:
    """
    Return a text argument without surrounding white space.

    :param name: the argument, for the message.
    :param value: what the caller gave; a whole number is taken as its text.
    :raises InvalidInputError: it is not text, blank, or a template made ``None`` of it.
    """
    return exact_text(name, value).strip()


def not_longer(name: str, text: str, *, than: int, whose: str = "AppLovin") -> str:
    """
    Return a text that is not too long to be what it should be.

    :param name: the argument, for the message.
    :param text: as given.
    :param than: most characters.
    :param whose: the platform, for the message.
    :raises InvalidInputError: it is longer; the message does not show it.
    """
    if len(text) > than:
        raise InvalidInputError(
            f"{name} has {len(text):,} characters, and {whose} takes at most {than:,}: it is something else"
        )
    return text


def audience_id_of(value: object, *, name: str = "audience_id") -> str:
    """
    Return the id of an audience.

    :param value: what the caller gave; a whole number is taken as its text.
    :param name: the argument, for the message.
    :raises InvalidInputError: it is not text, blank, or longer than any id.
    """
    return not_longer(name, required_text(name, value), than=MAX_AUDIENCE_ID_CHARACTERS)


def path_id(name: str, value: object) -> str:
    """
    Return an id that is safe as one segment of a path.

    :param name: the argument, for the message.
    :param value: what the caller gave; a whole number is taken as its text.
    :raises InvalidInputError: it is not text, blank, or would be taken for a relative path.
    """
    text = required_text(name, value)
    if text in {".", ".."}:
        raise InvalidInputError(f"{name} is {text!r}, which is a path and not an id")
    return text


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
    if word in {"", "None"}:
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


def one_of(name: str, value: object, choices: Iterable[str]) -> str:
    """
    Return an argument that is one of several words, in lower case.

    :param name: the argument, for the message.
    :param value: what the caller gave, in any case.
    :param choices: the words, in lower case.
    :raises InvalidInputError: it is none of them.
    """
    words = [str(choice) for choice in choices]
    word = value.strip().lower() if isinstance(value, str) else None
    if word in words:
        return word
    raise InvalidInputError(f"{name} must be {' or '.join(map(repr, words))}, not {value!r}")


def api_text(value: object) -> str:
    """
    Return a value of a reply as text; what is missing is empty.

    :param value: from JSON.
    """
    return "" if value is None else str(value)


def api_integer(value: object) -> int | None:
    """
    Return a value of a reply as a whole number; the APIs write some as text.

    :param value: from JSON.
    :return: the number; None if it is none.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.strip().removeprefix("-").isdigit():
        # Python refuses to read thousands of digits.
        return int(value) if len(value) <= _MAX_DIGITS else None
    return None
