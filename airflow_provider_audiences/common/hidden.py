"""
Fields that hold people: shown as what they are and never as what they hold.

Airflow stores template fields twice, in the serialized DAG and as rendered templates, and shows both. A field
may be a path, which is worth showing, or members, which must not be. So the attribute itself decides: members
are wrapped the moment they are assigned, by the constructor, by the template engine or by task mapping. The
same goes for the part of an address that opens what it points to.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence, Sized
from functools import cache
from os import PathLike
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_audiences.clients.redaction import ADVERTISING_ID_PATTERN, PHONE_NUMBER_PATTERN

# Between separators of a list; a path may have a UUID for the name of a folder or file.
_LISTED_ID = re.compile(rf"(?:^|[\s,;|'\"\[\](){{}}\ufeff]){ADVERTISING_ID_PATTERN.pattern}(?=$|[\s,;|'\"\[\](){{}}])")
_TEMPLATE_PARTS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


class Hidden:
    """
    Members or other personal data.

    :param value: the data itself; ask for it where it is sent.
    :param shown: what may be shown of it.
    """

    __slots__ = ("_shown", "value")

    def __init__(self, value: Any, *, shown: str | None = None) -> None:
        self.value = value
        self._shown = shown

    def __repr__(self) -> str:
        if self._shown is not None:
            return self._shown
        if isinstance(self.value, Sized) and not isinstance(self.value, str | bytes):
            return f"<{len(self.value)} members, not shown>"
        return "<members, not shown>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Hidden:
        """Return itself: the data is only read, it may be large, and a generator can't be copied."""
        return self

    def serialize(self) -> str:
        """Return what Airflow may store and show."""
        return repr(self)


class _HiddenField(ABC):
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
        instance.__dict__[self._slot] = self.hidden(value)

    def hidden(self, value: Any) -> Any:
        """
        Return the value, wrapped if it must not be shown.

        :param value: what is assigned; a template, an XComArg or a callable comes again with the data in it.
        """
        if value is None or isinstance(value, Hidden):
            return value
        if hasattr(value, "iter_references"):  # XComArg, DagParam, MappedArgument; a literal holds the data
            return self.hidden(value.value) if hasattr(value, "value") else value
        return value if callable(value) else self._wrapped(value)

    @abstractmethod
    def _wrapped(self, value: Any) -> Any:
        """Return the data, wrapped if it must not be shown."""


class MembersField(_HiddenField):
    """A template field with members or with the path to them."""

    def _wrapped(self, value: Any) -> Any:
        if isinstance(value, str):
            return Hidden(value) if is_member_text(value) else _wrapped_address(value)
        return Hidden(value) if isinstance(value, Iterable) and not isinstance(value, PathLike) else value


class PersonalTextField(_HiddenField):
    """A template field with text that is personal data whatever it says."""

    def _wrapped(self, value: Any) -> Any:
        if _is_template(value) and not PHONE_NUMBER_PATTERN.search(_TEMPLATE_PARTS.sub("", value)):
            return value
        return Hidden(value)


class AddressField(_HiddenField):
    """A template field with an address, whose query or password may open what it points to."""

    def _wrapped(self, value: Any) -> Any:
        return _wrapped_address(value) if isinstance(value, str) else value


class HidesFieldsWhenMapped:
    """
    For operators with hidden fields: hides them in mapped tasks as well.

    Airflow stores the arguments of ``partial`` and ``expand`` without asking the operator for its fields.
    """

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """
        Return what ``expand`` is called on.

        :param kwargs: arguments that all mapped tasks share.
        """
        partial = super().partial(**_hidden_arguments(cls, kwargs))  # type: ignore[misc]
        partial.__class__ = _hiding(type(partial))  # type: ignore[arg-type]
        return partial


@cache
def _hiding(partial_class: type[Any]) -> type[Any]:
    """Return Airflow's class for partial operators with ``expand`` changed so that it hides fields."""

    class Hiding(partial_class):  # type: ignore[misc]
        __slots__ = ()

        def expand(self, **mapped: Any) -> Any:
            fields = {name: _hidden_items(self.operator_class, name, value) for name, value in mapped.items()}
            return partial_class.expand(self, **fields)

        def expand_kwargs(self, kwargs: Any, **options: Any) -> Any:
            if isinstance(kwargs, Sequence):
                kwargs = [
                    _hidden_arguments(self.operator_class, item) if isinstance(item, Mapping) else item
                    for item in kwargs
                ]
            return partial_class.expand_kwargs(self, kwargs, **options)

    return Hiding


def _hidden_arguments(operator_class: type, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: getattr(operator_class, name, None) for name in kwargs}
    return {
        name: field.hidden(kwargs[name]) if isinstance(field, _HiddenField) else kwargs[name]
        for name, field in fields.items()
    }


def _hidden_items(operator_class: type, name: str, value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return [_hidden_arguments(operator_class, {name: item})[name] for item in value]


def is_member_text(value: str) -> bool:
    """
    Tell text with advertising IDs from the text of a path, which may have a UUID in it.

    :param value: text of a source; templates in it are passed over.
    """
    text = _TEMPLATE_PARTS.sub("", value).strip()
    return bool(_LISTED_ID.search(text)) or ("\n" in text and not _is_template(value))


def shown_address(address: str) -> str:
    """
    Return an address without password and query, which may hold secrets.

    :param address: a URL, or a path.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    if "://" not in address:
        return address
    user, at, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}:***@{host}" if at and ":" in user else parts.netloc
    return f"{parts.scheme}://{netloc}{parts.path}{'?…' if parts.query else ''}"


def revealed(value: Any) -> Any:
    """
    Return what a hidden field holds.

    :param value: a field's value, hidden or not.
    """
    return value.value if isinstance(value, Hidden) else value


def _is_template(value: object) -> bool:
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _wrapped_address(value: str) -> Any:
    if _is_template(value):
        return value
    shown = shown_address(value)
    return value if shown == value else Hidden(value, shown=shown)
