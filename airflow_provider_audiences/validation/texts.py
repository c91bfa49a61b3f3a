"""Texts: names, ids, conditions and words, and what templates make of nothing."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Number

from airflow_provider_audiences.exceptions import InvalidInputError

MAX_AUDIENCE_ID_CHARACTERS = 200
"""AppLovin names no limit; its ids have 32 characters."""

MAX_NAME_CHARACTERS = 1_000
"""Neither platform names a limit for names; a longer text is something else."""

BROKEN = "has half of a character in it, which UTF-8 can't write: give whole text"


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


def is_none(text: str) -> bool:
    """
    Return whether a text is what a template makes of None.

    :param text: as it was rendered.
    """
    return text.strip() == "None"


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
    return None if value is None or not value.strip() or is_none(value) else value


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
        why = "was rendered to None" if isinstance(value, str) and is_none(value) else "is empty"
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


def not_longer(name: str, text: str, *, than: int, whose: str) -> str:
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
    return not_longer(name, required_text(name, value), than=MAX_AUDIENCE_ID_CHARACTERS, whose="AppLovin")


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
