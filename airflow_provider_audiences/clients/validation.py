"""Checks of arguments that both clients make before the first request."""

from __future__ import annotations

from airflow_provider_audiences.exceptions import InvalidInputError


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
