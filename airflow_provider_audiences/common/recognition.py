"""Recognizing what the value of a field is (paths, members, or a data frame) without reading its data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from urllib.parse import urlsplit

from airflow_provider_audiences.common.rendering import is_template
from airflow_provider_audiences.members.characters import bare, plain
from airflow_provider_audiences.members.identifiers.patterns import ALL_PATTERNS, NEVER_ONLY_DIGITS, MemberPatterns

_CLEARLY_A_PATH = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*://|/|\.\.?/|~/)")
_FRAME_LIBRARIES = frozenset({"pandas", "polars", "pyarrow"})
_TEMPLATE_PARTS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


def is_data_frame(value: object) -> bool:
    """
    Return whether a value is a data frame, a series or an Arrow table, without importing their libraries.

    :param value: any value.
    """
    kind = type(value)
    libraries = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return hasattr(kind, "__arrow_c_stream__") or not libraries.isdisjoint(_FRAME_LIBRARIES)


def is_path_list(value: object) -> bool:
    """
    Return whether a value is a list of paths: each item is a path object, or text that is clearly a path.

    :param value: any value.
    """
    return isinstance(value, list | tuple) and bool(value) and all(map(is_clearly_a_path, value))


def is_clearly_a_path(value: object) -> bool:
    """
    Return whether a value is a path object, or text that is clearly a path and not a member.

    :param value: any value.
    """
    if isinstance(value, str):
        return bool(_CLEARLY_A_PATH.match(value)) and not is_member_text(value)
    return isinstance(value, PathLike) or (hasattr(value, "open") and hasattr(value, "path"))


def is_member_text(value: str, patterns: Sequence[MemberPatterns] = NEVER_ONLY_DIGITS) -> bool:
    """
    Return whether a text has members in it, and is not a path (which may have digits or a UUID in it).

    :param value: text of a source; templates in it are ignored.
    :param patterns: patterns of the members to look for; default those that are never digits only, as a path may be.
    """
    text = written_in(value)
    if "\n" in text and not is_template(value):
        return True
    looks_like_path = _CLEARLY_A_PATH.match(text) is not None
    return any(one.are_members(text, looks_like_path=looks_like_path) for one in patterns)


def looks_personal(text: str) -> bool:
    """
    Return whether a text has something in it that looks like a member, of any kind.

    :param text: any text, such as an SQL statement.
    """
    text = plain(text)
    return any(one.in_text.search(text) for one in ALL_PATTERNS)


def shown_address(address: str) -> str:
    """
    Return an address without its password and query, which may be secrets.

    :param address: URL or path.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        # The address is invalid, but the part that looks like a query may be a secret all the same.
        before, mark, _ = address.partition("?")
        return f"{before}?…" if mark and "://" in before else address
    if "://" not in address:
        return address
    user, at, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}:***@{host}" if at and ":" in user else parts.netloc
    # In a store's address, the character # is part of a name.
    fragment = f"#{parts.fragment}" if parts.fragment and parts.scheme not in {"http", "https"} else ""
    return f"{parts.scheme}://{netloc}{parts.path}{'?…' if parts.query else fragment}"


def written_in(value: str) -> str:
    """
    Return a text without its templates and with its characters normalized, as patterns expect it.

    :param value: text of a field.
    """
    return bare(plain(_TEMPLATE_PARTS.sub("", value)))
