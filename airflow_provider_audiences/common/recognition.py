"""Tells what a field holds: paths or members, a data frame or a list, without reading any of it."""

from __future__ import annotations

import re
from os import PathLike
from urllib.parse import urlsplit

from airflow_provider_audiences.common.rendering import is_template
from airflow_provider_audiences.members.characters import bare, plain
from airflow_provider_audiences.redaction import ADVERTISING_ID_PATTERN, PHONE_NUMBER_PATTERN

# Between separators of a list; a path may have a UUID for the name of a folder or file.
_LISTED_ID = re.compile(rf"(?:^|[\s,;|'\"\[\](){{}}\ufeff]){ADVERTISING_ID_PATTERN.pattern}(?=$|[\s,;|'\"\[\](){{}}])")
_CLEARLY_A_PATH = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*://|/|\.\.?/|~/)")
_FRAME_LIBRARIES = frozenset({"pandas", "polars", "pyarrow"})
_TEMPLATE_PARTS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


def is_data_frame(value: object) -> bool:
    """
    Tell a data frame, a series or an Arrow table, without importing any library that makes them.

    :param value: anything.
    """
    kind = type(value)
    libraries = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return hasattr(kind, "__arrow_c_stream__") or not libraries.isdisjoint(_FRAME_LIBRARIES)


def is_path_list(value: object) -> bool:
    """
    Tell a list of paths from a list of members: each item is a path object, or text that is clearly a path.

    :param value: anything.
    """
    return isinstance(value, list | tuple) and bool(value) and all(map(is_clearly_a_path, value))


def is_clearly_a_path(value: object) -> bool:
    """
    Tell a path object, and text that is clearly a path, from a member.

    :param value: anything.
    """
    if isinstance(value, str):
        return bool(_CLEARLY_A_PATH.match(value)) and not is_member_text(value)
    return isinstance(value, PathLike) or (hasattr(value, "open") and hasattr(value, "path"))


def is_member_text(value: str) -> bool:
    """
    Tell text with advertising IDs from the text of a path, which may have a UUID in it.

    :param value: text of a source; templates in it are passed over.
    """
    text = written_in(value)
    if "\n" in text and not is_template(value):
        return True
    if _LISTED_ID.search(text):
        return True
    # Whatever stands between them: several IDs, or one in what has neither folder nor ending, are no path.
    ids = ADVERTISING_ID_PATTERN.findall(text)
    return not _CLEARLY_A_PATH.match(text) and (len(ids) > 1 or (len(ids) == 1 and not re.search(r"[/.]", text)))


def is_phone_text(value: str) -> bool:
    """
    Tell text with phone numbers from the text of a path, which may have digits in it.

    :param value: text of a source; templates in it are passed over.
    """
    text = written_in(value)
    if not PHONE_NUMBER_PATTERN.search(text) or _CLEARLY_A_PATH.match(text):
        return False
    # A path has letters in it; spreadsheets make 13900001111.0 of a number, and people separate some by slashes.
    return not (re.search(r"[/.]", text) and re.search(r"[^\W\d_]", text))


def looks_personal(text: str) -> bool:
    """
    Tell text in which something looks like a member of any kind.

    :param text: such as a statement of SQL.
    """
    text = plain(text)
    return bool(ADVERTISING_ID_PATTERN.search(text) or PHONE_NUMBER_PATTERN.search(text))


def shown_address(address: str) -> str:
    """
    Return an address without password and query, which may hold secrets.

    :param address: a URL, or a path.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        # Nobody can open it; what looks like a query is not to be shown all the same.
        before, mark, _ = address.partition("?")
        return f"{before}?…" if mark and "://" in before else address
    if "://" not in address:
        return address
    user, at, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}:***@{host}" if at and ":" in user else parts.netloc
    # In a store's address a # is part of a name.
    fragment = f"#{parts.fragment}" if parts.fragment and parts.scheme not in {"http", "https"} else ""
    return f"{parts.scheme}://{netloc}{parts.path}{'?…' if parts.query else fragment}"


def written_in(value: str) -> str:
    """
    Return what is not template of a text, in the characters that patterns know.

    :param value: text of a field.
    """
    return bare(plain(_TEMPLATE_PARTS.sub("", value)))
