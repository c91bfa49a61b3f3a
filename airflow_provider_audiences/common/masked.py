"""
Fields that hold people: shown as what they are and never as what they hold.

Airflow stores template fields twice, in the serialized DAG and as rendered templates, and shows both. A field
may be a path, which is worth showing, or members, which must not be. So the attribute itself decides: members
are wrapped the moment they are assigned, by the constructor, by the template engine or by task mapping. The
same goes for the part of an address that opens what it points to.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from contextlib import suppress
from numbers import Number
from os import PathLike
from typing import Any
from uuid import UUID

from airflow_provider_audiences.common.parts import Parts, has_parts, has_references
from airflow_provider_audiences.common.recognition import (
    is_clearly_a_path,
    is_data_frame,
    is_member_text,
    is_path_list,
    is_phone_text,
    shown_address,
    written_in,
)
from airflow_provider_audiences.common.rendering import is_template
from airflow_provider_audiences.members.characters import plain
from airflow_provider_audiences.redaction import ADVERTISING_ID_PATTERN, PHONE_NUMBER_PATTERN


class Masked:
    """
    Members or other personal data.

    :param value: the data itself; ask for it where it is sent.
    :param shown: what may be shown of it.
    """

    __slots__ = ("_reveal", "_shown")

    def __init__(self, value: Any, *, shown: str | None = None) -> None:
        # In a function, and not in an attribute: collectors of errors read what hangs on an object.
        self._reveal: Callable[[], Any] = lambda: value
        self._shown = shown

    def reveal(self) -> Any:
        """Return the data itself; give it no name in a frame that runs on."""
        return self._reveal()

    def __repr__(self) -> str:
        if self._shown is not None:
            return self._shown
        value = self.reveal()
        if isinstance(value, Sized) and not isinstance(value, str | bytes):
            with suppress(TypeError):  # an array of numpy without dimensions has no length after all
                return f"<{len(value)} members, not shown>"
        return "<members, not shown>"

    def __copy__(self, memo: dict[int, Any] | None = None) -> Masked:
        """Return itself: the data is only read, it may be large, and a generator can't be copied."""
        return self

    __deepcopy__ = __copy__

    def __reduce__(self) -> str:
        raise TypeError("members of a task are never pickled: hand a path over instead")

    def serialize(self) -> str:
        """Return what Airflow may store and show."""
        return repr(self)


class _MaskedField(ABC):
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
        # What a mapped task is given is data, and data is never rendered, whatever is written in it.
        is_data = getattr(instance, "_BaseOperator__from_mapped", False)
        instance.__dict__[self._slot] = self.masked(value, may_have_templates=not is_data)

    def masked(self, value: Any, *, may_have_templates: bool = True) -> Any:
        """
        Return the value, wrapped if it must not be shown.

        :param value: what is assigned; a template, an XComArg or a callable comes again with the data in it.
        :param may_have_templates: whether a list may hold templates and XComArgs, which Airflow has yet to render.
        """
        if value is None or isinstance(value, Masked):
            return value
        if isinstance(value, Parts) and value.is_rendered:
            return Masked(value, shown=_shown_parts(value))
        if hasattr(value, "iter_references"):  # XComArg, DagParam, MappedArgument; a literal holds the data
            return self.masked(value.value, may_have_templates=False) if hasattr(value, "value") else value
        if callable(value):
            return value
        if may_have_templates and self._takes_parts and has_parts(value) and not is_path_list(value):
            return Parts(tuple(self._masked_part(item) for item in value))
        return self._wrapped(value)

    _takes_parts = False

    def _masked_part(self, item: Any) -> Any:
        """Return an item of a list: text is shown if it is a template or clearly a path."""
        masked = self.masked(item)
        is_shown = not isinstance(masked, str) or is_template(masked) or is_clearly_a_path(masked)
        return masked if is_shown else Masked(masked)

    @abstractmethod
    def _wrapped(self, value: Any) -> Any:
        """Return the data, wrapped if it must not be shown."""


class MembersField(_MaskedField):
    """A template field with members, or with the path or the paths to them."""

    _takes_parts = True

    def _wrapped(self, value: Any) -> Any:
        if isinstance(value, str):
            return Masked(value) if is_member_text(value) else _wrapped_address(value)
        if is_data_frame(value):
            return Masked(value, shown=_shown_frame(value))
        if is_path_list(value):
            shown = [shown_address(str(path)) for path in value]
            secret = any(isinstance(_wrapped_address(str(path)), Masked) for path in value)
            return Masked(value, shown=str(shown)) if secret else value
        return Masked(value) if isinstance(value, Iterable) and not isinstance(value, PathLike) else value


class PhoneNumbersField(MembersField):
    """A template field with phone numbers, or with the path or the paths to them."""

    def _wrapped(self, value: Any) -> Any:
        is_number = isinstance(value, Number | bytes | bytearray)
        if is_number or (isinstance(value, str) and is_phone_text(value)):
            return Masked(value)
        return super()._wrapped(value)


class PersonalTextField(_MaskedField):
    """A template field with text that is personal data whatever it says."""

    _takes_parts = True

    def _wrapped(self, value: Any) -> Any:
        if is_template(value) and not PHONE_NUMBER_PATTERN.search(written_in(value)):
            return value
        return Masked(value)


class AddressField(_MaskedField):
    """A template field with an address, whose query or password may open what it points to."""

    def _wrapped(self, value: Any) -> Any:
        return _wrapped_address(value) if isinstance(value, str) else value


class ArgumentsField(_MaskedField):
    """
    A template field with a function's arguments, each of which may have members in it.

    :param phones: whether the members are phone numbers.
    """

    def __init__(self, *, phones: bool = False) -> None:
        self._phones = phones

    def _wrapped(self, value: Any) -> Any:
        return _masked_each(value, phones=self._phones)


class MasksFieldsWhenMapped:
    """
    For operators with masked fields: masks them in mapped tasks as well.

    Airflow stores the arguments of ``partial`` and ``expand`` without asking the operator for its fields.
    """

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """
        Return what ``expand`` is called on.

        :param kwargs: arguments that all mapped tasks share.
        """
        return MaskedPartial(super().partial(**masked_arguments(cls, kwargs)))  # type: ignore[misc]


class MaskedPartial:
    """
    An operator with some of its arguments, waiting for those that are mapped: Airflow's own, which masks them.

    :param partial: Airflow's own.
    """

    def __init__(self, partial: Any) -> None:
        self._partial = partial

    def __repr__(self) -> str:
        return repr(self._partial)

    def expand(self, **mapped: Any) -> Any:
        """
        Return the mapped task.

        :param mapped: arguments that differ from task to task, each as a list of values or as output of a task.
        """
        operator_class = self._partial.operator_class
        return self._partial.expand(
            **{name: _masked_items(operator_class, name, value) for name, value in mapped.items()}
        )

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> Any:
        """
        Return the mapped task.

        :param kwargs: the arguments of each task, as a list of mappings or as output of a task.
        :param strict: whether none of them may be an argument that all tasks share.
        """
        if isinstance(kwargs, Sequence):
            operator_class = self._partial.operator_class
            kwargs = [masked_arguments(operator_class, item) if isinstance(item, Mapping) else item for item in kwargs]
        return self._partial.expand_kwargs(kwargs, strict=strict)


def masked_arguments(operator_class: type, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return an operator's arguments with those wrapped that must not be shown.

    :param operator_class: whose fields say which.
    :param kwargs: the arguments by name.
    """
    fields = {name: getattr(operator_class, name, None) for name in kwargs}
    return {
        name: field.masked(kwargs[name]) if isinstance(field, _MaskedField) else kwargs[name]
        for name, field in fields.items()
    }


def _masked_items(operator_class: type, name: str, value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return [masked_arguments(operator_class, {name: item})[name] for item in value]


def revealed(value: Any) -> Any:
    """
    Return what a masked field holds.

    :param value: a field's value, masked or not.
    """
    return value.reveal() if isinstance(value, Masked) else value


def revealed_argument(value: Any) -> Any:
    """
    Return an argument of a function as it was given, with what other tasks returned in its place.

    :param value: of an :class:`ArgumentsField`.
    """
    value = revealed(value)
    return [revealed_argument(item) for item in value.items] if isinstance(value, Parts) else value


def _shown_frame(frame: Any) -> str:
    try:
        return f"<data frame of {len(frame)} rows, not shown>"
    except TypeError:  # it is lazy: nobody knows
        return "<data frame, not shown>"


def _shown_parts(parts: Parts) -> str:
    paths = list(parts.items)
    return (
        str([shown_address(str(path)) for path in paths]) if is_path_list(paths) else f"<{len(paths)} parts, not shown>"
    )


def _masked_each(values: Any, *, phones: bool = False) -> Any:
    """Return arguments, a list or a mapping of them, with those wrapped that have members in them."""
    if isinstance(values, Mapping):
        return {name: _masked_argument(value, phones) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return type(values)(_masked_argument(value, phones) for value in values)
    return values


def _masked_argument(value: Any, phones: bool) -> Any:
    if value is None or isinstance(value, Masked) or hasattr(value, "iter_references") or callable(value):
        return value
    if is_data_frame(value):
        return Masked(value, shown=_shown_frame(value))
    if not _has_members(value, phones):
        return value
    # What other tasks return has yet to be rendered.
    return Parts(tuple(_masked_argument(item, phones) for item in value)) if has_references(value) else Masked(value)


def _has_members(value: object, phones: bool) -> bool:
    if isinstance(value, str):
        return is_member_text(value) or (phones and is_phone_text(value))
    if isinstance(value, bytes | bytearray):
        text = plain(value.decode("utf-8", errors="replace"))
        return bool(ADVERTISING_ID_PATTERN.search(text)) or (phones and bool(PHONE_NUMBER_PATTERN.search(text)))
    if isinstance(value, UUID):
        return True
    if isinstance(value, Number):  # as databases have phone numbers
        return phones and is_phone_text(str(value))
    if isinstance(value, Mapping):
        return any(_has_members(item, phones) for pair in value.items() for item in pair)
    return isinstance(value, list | tuple | set | frozenset) and any(_has_members(item, phones) for item in value)


def _wrapped_address(value: str) -> Any:
    if is_template(value):
        return value
    shown = shown_address(value)
    return value if shown == value else Masked(value, shown=shown)
