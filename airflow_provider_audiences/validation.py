"""Checks of arguments before the first request, and the reading of values in replies: the same in both clients."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from airflow_provider_audiences.exceptions import InvalidInputError

OFF = "off"
"""The word that lifts a limit at run time, where templates can't say None."""

_MAX_DIGITS = 100


def required_text(name: str, value: object) -> str:
    """
    Return a text argument without surrounding white space.

    :param name: the argument, for the message.
    :param value: what the caller gave.
    :raises InvalidInputError: it is not text, or blank.
    """
    if not isinstance(value, str) or not value.strip():
        kind = "empty" if isinstance(value, str) or value is None else f"a {type(value).__name__}, not text"
        raise InvalidInputError(f"{name} is {kind}: give the {name} as text")
    return value.strip()


def exact_text(name: str, value: object) -> str:
    """
    Return a text argument as it is: white space around a name is part of it.

    :param name: the argument, for the message.
    :param value: what the caller gave.
    :raises InvalidInputError: it is not text, or blank.
    """
    required_text(name, value)
    return str(value)


def path_id(name: str, value: object) -> str:
    """
    Return an id that is safe as one segment of a path.

    :param name: the argument, for the message.
    :param value: what the caller gave.
    :raises InvalidInputError: it is not text, blank, or would be taken for a relative path.
    """
    text = required_text(name, value)
    if text in {".", ".."}:
        raise InvalidInputError(f"{name} is {text!r}, which is a path and not an id")
    return text


def true_or_false(name: str, value: object) -> bool:
    """
    Return a switch.

    :param name: of the argument, for the message.
    :param value: what was given: True or False, or the text of one, in any case, since templates render to text.
    :raises InvalidInputError: it is neither.
    """
    word = value.strip().lower() if isinstance(value, str) else value
    found = {"true": True, "false": False}.get(word) if isinstance(word, str) else word
    if not isinstance(found, bool):
        raise InvalidInputError(f"{name} must be True or False, not {value!r}")
    return found


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
