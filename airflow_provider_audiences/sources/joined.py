"""Joins what several tasks hand over as one source into one list."""

from __future__ import annotations

from typing import Any

from airflow_provider_audiences.common.masked import revealed
from airflow_provider_audiences.common.recognition import is_clearly_a_path, is_member_text
from airflow_provider_audiences.common.templated_lists import TemplatedList
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.characters import plain
from airflow_provider_audiences.members.identifiers.patterns import ALL_PATTERNS
from airflow_provider_audiences.sources.parts import is_parts, parts_of
from airflow_provider_audiences.sources.types import FileSource


def joined(source: Any) -> Any:
    """
    Return a source as one list of paths or members, if several tasks handed over parts of it; otherwise return it as it
    is.

    A list from one of several tasks is a part of the whole. What a single task handed over counts as if it were written
    in the DAG file.

    :param source: value of the operator's field, masked or not.
    :raises InvalidInputError: a task returned nothing, or the parts can't be joined.
    """
    source = revealed(source)
    if isinstance(source, TemplatedList) and not source.is_rendered:
        return [revealed(item) for item in source.items]  # data in which something is written as a template is
    if not is_parts(source):
        return source
    parts = list(parts_of(source))
    if len(parts) == 1:
        return joined(parts[0])
    whole: list[Any] = []
    for number, part in enumerate(parts, start=1):
        _check(part, f"part {number} of {len(parts)} of the source")
        if isinstance(part, list | tuple | set | frozenset):
            whole.extend(map(revealed, part))
        else:
            whole.append(part)
    # A single text that is not a member would be a path, even without a slash at its beginning.
    is_text = all(isinstance(part, str) for part in parts)
    return whole if not is_text or any(map(_is_member, whole)) else FileSource(whole)


def _is_member(text: str) -> bool:
    return is_member_text(text, ALL_PATTERNS)


def _check(part: Any, place: str) -> None:
    """Refuse a part that is a source of its own, and a text that a template made of a list of members."""
    if hasattr(part, "iter_references") or hasattr(part, "columns"):
        raise InvalidInputError(
            f"{place} is a {type(part).__name__}, which is a source of its own: join paths to one FileSource, queries "
            "to one SqlSource, and data frames to one; nothing was sent"
        )
    if isinstance(part, str) and not is_clearly_a_path(part):
        text = plain(part)
        if any(len(kind.in_text.findall(text)) > 1 for kind in ALL_PATTERNS):
            raise InvalidInputError(
                f"{place} is text with several members in it: a template renders to text: give the task's .output, or "
                "set render_template_as_native_obj on the DAG; nothing was sent"
            )
