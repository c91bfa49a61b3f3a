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
from uuid import UUID

from airflow_provider_audiences.redaction import ADVERTISING_ID_PATTERN, PHONE_NUMBER_PATTERN

# Between separators of a list; a path may have a UUID for the name of a folder or file.
_LISTED_ID = re.compile(rf"(?:^|[\s,;|'\"\[\](){{}}\ufeff]){ADVERTISING_ID_PATTERN.pattern}(?=$|[\s,;|'\"\[\](){{}}])")
_CLEARLY_A_PATH = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*://|/|\.\.?/|~/)")
_FRAME_LIBRARIES = frozenset({"pandas", "polars", "pyarrow"})
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
    """A template field with members, or with the path or the paths to them."""

    def _wrapped(self, value: Any) -> Any:
        if isinstance(value, str):
            return Hidden(value) if is_member_text(value) else _wrapped_address(value)
        if is_data_frame(value):
            return Hidden(value, shown=_shown_frame(value))
        if is_path_list(value):
            shown = [shown_address(str(path)) for path in value]
            secret = any(isinstance(_wrapped_address(str(path)), Hidden) for path in value)
            return Hidden(value, shown=str(shown)) if secret else value
        return Hidden(value) if isinstance(value, Iterable) and not isinstance(value, PathLike) else value


class PhoneNumbersField(MembersField):
    """A template field with phone numbers, or with the path or the paths to them."""

    def _wrapped(self, value: Any) -> Any:
        if isinstance(value, int | bytes | bytearray) or (isinstance(value, str) and is_phone_text(value)):
            return Hidden(value)
        return super()._wrapped(value)


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


class ArgumentsField(_HiddenField):
    """
    A template field with a function's arguments, each of which may have members in it.

    :param phones: whether the members are phone numbers.
    """

    def __init__(self, *, phones: bool = False) -> None:
        self._phones = phones

    def _wrapped(self, value: Any) -> Any:
        return _hidden_each(value, phones=self._phones)


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


def hiding_decorator(decorator: Any, *, phones: bool = False) -> Any:
    """
    Return a TaskFlow decorator that hides the arguments of mapped functions, which Airflow stores as they are.

    :param decorator: what Airflow's factory returns: a decorated function, or what decorates one.
    :param phones: whether the members are phone numbers.
    """
    if not hasattr(decorator, "expand"):
        return lambda function: hiding_decorator(decorator(function), phones=phones)
    decorator.__class__ = _hiding_mapped_arguments(type(decorator), phones)  # type: ignore[arg-type]
    return decorator


@cache
def _hiding_mapped_arguments(decorator_class: type[Any], phones: bool) -> type[Any]:
    class Hiding(decorator_class):  # type: ignore[misc]
        def partial(self, **arguments: Any) -> Any:
            return decorator_class.partial(self, **_hidden_each(arguments, phones=phones))

        def expand(self, **mapped: Any) -> Any:
            hidden = {name: _hidden_each(items, phones=phones) for name, items in mapped.items()}
            return decorator_class.expand(self, **hidden)

        def expand_kwargs(self, kwargs: Any, **options: Any) -> Any:
            if isinstance(kwargs, Sequence):
                kwargs = [_hidden_each(item, phones=phones) for item in kwargs]
            return decorator_class.expand_kwargs(self, kwargs, **options)

    return Hiding


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
    text = _TEMPLATE_PARTS.sub("", value).strip()
    if "\n" in text and not _is_template(value):
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
    text = _TEMPLATE_PARTS.sub("", value).strip()
    if not PHONE_NUMBER_PATTERN.search(text) or _CLEARLY_A_PATH.match(text):
        return False
    # A path has letters in it; spreadsheets make 13900001111.0 of a number, and people separate some by slashes.
    return not (re.search(r"[/.]", text) and re.search(r"[^\W\d_]", text))


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


def revealed(value: Any) -> Any:
    """
    Return what a hidden field holds.

    :param value: a field's value, hidden or not.
    """
    return value.value if isinstance(value, Hidden) else value


def _shown_frame(frame: Any) -> str:
    try:
        return f"<data frame of {len(frame)} rows, not shown>"
    except TypeError:  # it is lazy: nobody knows
        return "<data frame, not shown>"


def _hidden_each(values: Any, *, phones: bool = False) -> Any:
    """Return arguments, a list or a mapping of them, with those wrapped that have members in them."""
    if isinstance(values, Mapping):
        return {name: _wrapped_argument(value, phones) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return type(values)(_wrapped_argument(value, phones) for value in values)
    return values


def _wrapped_argument(value: Any, phones: bool) -> Any:
    if value is None or isinstance(value, Hidden) or hasattr(value, "iter_references") or callable(value):
        return value
    if is_data_frame(value):
        return Hidden(value, shown=_shown_frame(value))
    return Hidden(value) if _has_members(value, phones) else value


def _has_members(value: object, phones: bool) -> bool:
    if isinstance(value, str):
        return is_member_text(value) or (phones and is_phone_text(value))
    if isinstance(value, bytes | bytearray):
        text = value.decode("ascii", errors="replace")
        return bool(ADVERTISING_ID_PATTERN.search(text)) or (phones and bool(PHONE_NUMBER_PATTERN.search(text)))
    if isinstance(value, UUID):
        return True
    if isinstance(value, int):  # as databases have phone numbers
        return phones and is_phone_text(str(value))
    if isinstance(value, Mapping):
        return any(_has_members(item, phones) for pair in value.items() for item in pair)
    return isinstance(value, list | tuple | set | frozenset) and any(_has_members(item, phones) for item in value)


def _is_template(value: object) -> bool:
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _wrapped_address(value: str) -> Any:
    if _is_template(value):
        return value
    shown = shown_address(value)
    return value if shown == value else Hidden(value, shown=shown)
