"""
Fields that hold people: shown as what they are and never as what they hold.

Airflow stores template fields twice, in the serialized DAG and as rendered templates, and shows both. A field
may be a path, which is worth showing, or members, which must not be. So the attribute itself decides: members
are wrapped the moment they are assigned, by the constructor, by the template engine or by task mapping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from os import PathLike
from typing import Any

from airflow.providers.common.compat.sdk import XComArg

from airflow_provider_audiences.members.advertising_id import Refusal, parse_advertising_id


class Hidden:
    """
    Members or other personal data.

    :param value: the data itself; ask for it where it is sent.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        if isinstance(self.value, Sized) and not isinstance(self.value, str):
            return f"<{len(self.value)} members, not shown>"
        return "<members, not shown>"

    def serialize(self) -> str:
        """Return what Airflow may store and show."""
        return repr(self)


def _is_template(value: object) -> bool:
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _holds_members(value: object) -> bool:
    """Tell members from paths and from what is resolved later."""
    if value is None or isinstance(value, Hidden | XComArg | PathLike | Mapping):
        return False
    if isinstance(value, str):
        return "\n" in value or not isinstance(parse_advertising_id(value.encode(errors="replace")), Refusal)
    return isinstance(value, Iterable)


def _holds_text(value: object) -> bool:
    return value is not None and not isinstance(value, Hidden | XComArg)


class _HiddenField:
    """A template field that wraps what must not be shown; everything else is kept as it is."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._slot = f"_{name}_shown_with_care"

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        try:
            return instance.__dict__[self._slot]
        except KeyError:
            raise AttributeError(self._slot) from None

    def __set__(self, instance: object, value: Any) -> None:
        # A template is not yet the data; it comes here again when it is rendered.
        hide = not _is_template(value) and self._must_hide(value)
        instance.__dict__[self._slot] = Hidden(value) if hide else value

    def _must_hide(self, value: object) -> bool:
        raise NotImplementedError


class MembersField(_HiddenField):
    """A template field with members or with the path to them."""

    def _must_hide(self, value: object) -> bool:
        return _holds_members(value)


class PersonalTextField(_HiddenField):
    """A template field with text that is personal data whatever it says."""

    def _must_hide(self, value: object) -> bool:
        return _holds_text(value)


def revealed(value: Any) -> Any:
    """
    Return what a hidden field holds.

    :param value: a field's value, hidden or not.
    """
    return value.value if isinstance(value, Hidden) else value
