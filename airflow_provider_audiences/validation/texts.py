"""Checks of arguments that are text: names, ids, conditions and words. Also, how templates render None."""

from __future__ import annotations

import re
from collections.abc import Iterable
from numbers import Integral, Number

from airflow_provider_audiences.exceptions import InvalidInputError

MAX_NAME_CHARACTERS = 1_000
"""Most characters of a name. Neither platform documents a limit, but a longer text was hardly meant as a name."""

_MAX_SHOWN = 60
_MAX_SHOWN_DIGITS = 6
_LIKE_A_MEMBER = re.compile(r"[0-9a-f]{8}-|[0-9a-f]{16}|@", re.IGNORECASE)
"""Wider than the patterns of the identifier kinds, which this does not know: what is shown must be none of them."""

BROKEN = "has half of a character in it, which UTF-8 can't write: give whole text"


def a_type(value: object) -> str:
    """
    Return the name of a value's type with its article, for messages: ``an int``, ``a list``, ``None``.

    :param value: any value.
    """
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[:1] in set('aeioAEIO') else 'a'} {name}"


def shown(value: object) -> str:
    """
    Return a wrong argument for a message: as it is, or its type if it may be a member, given as the argument by
    mistake.

    :param value: any value.
    """
    if value is not None and not isinstance(value, str | Number):
        return a_type(value)
    text = repr(value)
    digits = sum(map(str.isdigit, text))
    if len(text) > _MAX_SHOWN or digits > _MAX_SHOWN_DIGITS or _LIKE_A_MEMBER.search(text):
        return f"{a_type(value)} that is not shown, as it may be a member"
    return text


def is_broken(value: object) -> bool:
    """
    Return whether a value is text that can't be written as UTF-8, as it has half of a surrogate pair in it.

    File names that are not UTF-8 are not broken: Python reads them as text, and can write this text back.

    :param value: a value of any type; only text can be broken.
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
    Return whether a text is ``None``, as templates render the value None.

    :param text: the rendered text; white space around it is ignored.
    """
    return text.strip() == "None"


def given_text(name: str, value: object) -> str | None:
    """
    Return a text argument as it was written, white space included; None if no text was given.

    A template without a value renders to an empty text, or to ``None``. Neither is a useful name, id or condition, so
    both count as no text.

    :param name: name of the argument, for the message.
    :param value: value of the argument; a whole number other than 0 is taken as its decimal text.
    :return: the text; None if the value is None, empty, only white space, or the text ``None``.
    :raises InvalidInputError: the value is not text, or can't be written as UTF-8. Numbers such as 0 or 100000.0 are
        refused, as their original text is not known.
    """
    if isinstance(value, Integral) and not isinstance(value, bool) and value:
        return str(int(value))
    if isinstance(value, Number):
        # The number 0 may have been written 000, and a float 1e5 or 100000.00.
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
    Return a text argument as it was written, surrounding white space included; an empty text is refused.

    Filters follow this rule, too: an empty filter would mean everything.

    :param name: name of the argument, for the message.
    :param value: value of the argument; a whole number other than 0 is taken as its decimal text.
    :raises InvalidInputError: the value is not text, blank, or the text ``None`` (as templates render None).
    """
    text = given_text(name, value)
    if text is None:
        why = "was rendered to None" if isinstance(value, str) and is_none(value) else "is empty"
        raise InvalidInputError(f"{name} {why}: give the {name} as text, and see what its template needs")
    return text


def required_text(name: str, value: object) -> str:
    """
    Return a text argument without surrounding white space; an empty text is refused.

    :param name: name of the argument, for the message.
    :param value: value of the argument; a whole number other than 0 is taken as its decimal text.
    :raises InvalidInputError: the value is not text, blank, or the text ``None`` (as templates render None).
    """
    return exact_text(name, value).strip()


def not_longer(name: str, text: str, *, than: int, whose: str) -> str:
    """
    Return a text after checking its length.

    :param name: name of the argument, for the message.
    :param text: value of the argument.
    :param than: most characters that are allowed.
    :param whose: name of the platform, for the message.
    :raises InvalidInputError: the text is longer; the message does not quote it.
    """
    if len(text) > than:
        raise InvalidInputError(
            f"{name} has {len(text):,} characters, and {whose} takes at most {than:,}: it is something else"
        )
    return text


def path_id(name: str, value: object) -> str:
    """
    Return an argument that is an id and can be used as one segment of a URL's path.

    :param name: name of the argument, for the message.
    :param value: value of the argument; a whole number other than 0 is taken as its decimal text.
    :raises InvalidInputError: the value is not text, blank, or one of the relative paths ``.`` and ``..``.
    """
    text = required_text(name, value)
    if text in {".", ".."}:
        raise InvalidInputError(f"{name} is {text!r}, which is a path and not an id")
    return text


def one_of(name: str, value: object, choices: Iterable[str]) -> str:
    """
    Return an argument that is one of several words, in lower case.

    :param name: name of the argument, for the message.
    :param value: value of the argument, in upper or lower case.
    :param choices: the allowed words, in lower case.
    :raises InvalidInputError: the value is none of them.
    """
    words = [str(choice) for choice in choices]
    word = value.strip().lower() if isinstance(value, str) else None
    if word in words:
        return word
    raise InvalidInputError(f"{name} must be {' or '.join(map(repr, words))}, not {shown(value)}")
