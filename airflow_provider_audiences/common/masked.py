"""
Template fields that may hold personal data, which Airflow must not show.

Airflow stores template fields twice, in the serialized DAG and as rendered templates, and shows both. A field may hold
a path, which is useful to see, or members, which must stay hidden. So the attribute itself decides: it wraps members
whenever they are assigned, by the constructor, by the template engine or by task mapping. It also hides the part of an
address that gives access, such as a password or a signed query.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from contextlib import suppress
from numbers import Number
from os import PathLike
from typing import Any

from airflow_provider_audiences.common.recognition import (
    is_clearly_a_path,
    is_data_frame,
    is_member_text,
    is_path_list,
    looks_personal,
    shown_address,
    written_in,
)
from airflow_provider_audiences.common.rendering import is_template
from airflow_provider_audiences.common.templated_lists import TemplatedList, has_references, is_templated_list
from airflow_provider_audiences.members.characters import plain
from airflow_provider_audiences.members.identifiers.patterns import ALL_PATTERNS, NEVER_ONLY_DIGITS, MemberPatterns
from airflow_provider_audiences.wording import counted


class Masked:
    """
    Members or other personal data, which are not shown in logs, tracebacks or Airflow's user interface.

    :param value: the data itself.
    :param shown: text to show in its place; None for a text that gives the number of members, if it is known.
    """

    __slots__ = ("_reveal", "_shown")

    def __init__(self, value: Any, *, shown: str | None = None) -> None:
        # The value is kept in a function and not in an attribute, as error trackers show the attributes of objects.
        self._reveal: Callable[[], Any] = lambda: value
        self._shown = shown

    def reveal(self) -> Any:
        """Return the data itself. Don't assign it to a local variable: tracebacks would show it."""
        return self._reveal()

    def __repr__(self) -> str:
        if self._shown is not None:
            return self._shown
        value = self.reveal()
        if isinstance(value, Sized) and not isinstance(value, str | bytes):
            with suppress(TypeError):  # a numpy array without dimensions has no length
                return f"<{counted(len(value), 'member')}, not shown>"
        return "<members, not shown>"

    def __copy__(self, memo: dict[int, Any] | None = None) -> Masked:
        """Return this object: its data is never changed and may be large, and a generator can't be copied."""
        return self

    __deepcopy__ = __copy__

    def __reduce__(self) -> str:
        raise TypeError("members of a task are never pickled: hand a path over instead")

    def serialize(self) -> str:
        """Return the text that Airflow may store and show."""
        return repr(self)


class _MaskedField(ABC):
    """A template field that wraps values that must not be shown, and keeps all others unchanged."""

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
        # Values of a mapped task are data, and are never rendered, even if they look like templates.
        is_data = getattr(instance, "_BaseOperator__from_mapped", False)
        instance.__dict__[self._slot] = self.masked(value, may_have_templates=not is_data)

    def masked(self, value: Any, *, may_have_templates: bool = True) -> Any:
        """
        Return a value, wrapped if it must not be shown.

        :param value: value to assign. Templates, XComArgs and callables are not wrapped: Airflow assigns their result
            to the field later.
        :param may_have_templates: whether a list may hold templates and XComArgs that Airflow has not rendered yet.
        """
        if value is None or isinstance(value, Masked):
            return value
        if isinstance(value, TemplatedList) and value.is_rendered:
            return Masked(value, shown=_shown_parts(value))
        if hasattr(value, "iter_references"):  # XComArg, DagParam, MappedArgument; a literal holds the data
            return self.masked(value.value, may_have_templates=False) if hasattr(value, "value") else value
        if callable(value):
            return value
        if may_have_templates and self._takes_parts and is_templated_list(value) and not is_path_list(value):
            return TemplatedList(tuple(self._masked_part(item) for item in value))
        return self._wrapped(value)

    _takes_parts = False

    def _masked_part(self, item: Any) -> Any:
        """Return an item of a list, wrapped if it must not be shown; text must be a template or clearly a path."""
        masked = self.masked(item)
        is_shown = not isinstance(masked, str) or is_template(masked) or is_clearly_a_path(masked)
        return masked if is_shown else Masked(masked)

    @abstractmethod
    def _wrapped(self, value: Any) -> Any:
        """Return the data, wrapped if it must not be shown."""


class MembersField(_MaskedField):
    """
    A template field with members, or with one or more paths of files with members.

    :param patterns: patterns of the members to look for in text; default all.
    """

    _takes_parts = True

    def __init__(self, patterns: Sequence[MemberPatterns] = ALL_PATTERNS) -> None:
        self._patterns = patterns

    def _wrapped(self, value: Any) -> Any:
        if isinstance(value, Number):
            return Masked(value) if _may_be_number(self._patterns) else value
        if isinstance(value, str):
            return Masked(value) if is_member_text(value, self._patterns) else _wrapped_address(value)
        if is_data_frame(value):
            return Masked(value, shown=_shown_frame(value))
        if is_path_list(value):
            shown = [shown_address(str(path)) for path in value]
            secret = any(isinstance(_wrapped_address(str(path)), Masked) for path in value)
            return Masked(value, shown=str(shown)) if secret else value
        return Masked(value) if isinstance(value, Iterable) and not isinstance(value, PathLike) else value


class PersonalTextField(_MaskedField):
    """A template field with text that is always personal data, whatever it looks like."""

    _takes_parts = True

    def _wrapped(self, value: Any) -> Any:
        return value if is_template(value) and not looks_personal(written_in(value)) else Masked(value)


class AddressField(_MaskedField):
    """A template field with an address; its password and query are hidden, as they may give access."""

    def _wrapped(self, value: Any) -> Any:
        return _wrapped_address(value) if isinstance(value, str) else value


class ArgumentsField(_MaskedField):
    """
    A template field with the arguments of a function, each of which may hold members.

    :param patterns: patterns of the members to look for; default those that are never digits only, as other arguments
        may be.
    """

    def __init__(self, patterns: Sequence[MemberPatterns] = NEVER_ONLY_DIGITS) -> None:
        self._patterns = patterns

    def _wrapped(self, value: Any) -> Any:
        return _masked_each(value, self._patterns)


class MaskedFieldsMixin:
    """
    Base of operators with masked fields, which also masks the arguments of mapped tasks.

    Airflow stores the arguments of ``partial`` and ``expand`` as they are, without assigning them to the fields.
    """

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """
        Return the operator's shared arguments, masked, as an object with the method ``expand``.

        :param kwargs: arguments that all mapped tasks share.
        """
        return MaskedPartial(super().partial(**masked_arguments(cls, kwargs)))  # type: ignore[misc]


class MaskedPartial:
    """
    An operator with its shared arguments, to be expanded into mapped tasks; masks the mapped arguments.

    :param partial: Airflow's own object for the same, which does not mask.
    """

    def __init__(self, partial: Any) -> None:
        self._partial = partial

    def __repr__(self) -> str:
        return repr(self._partial)

    def expand(self, **mapped: Any) -> Any:
        """
        Return the mapped task.

        :param mapped: arguments that differ between the tasks, each as a list of values or as the output of a task.
        """
        operator_class = self._partial.operator_class
        return self._partial.expand(
            **{name: _masked_items(operator_class, name, value) for name, value in mapped.items()}
        )

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> Any:
        """
        Return the mapped task.

        :param kwargs: arguments of each task, as a list of mappings or as the output of a task.
        :param strict: whether to refuse arguments that are also shared arguments.
        """
        if isinstance(kwargs, Sequence):
            operator_class = self._partial.operator_class
            kwargs = [masked_arguments(operator_class, item) if isinstance(item, Mapping) else item for item in kwargs]
        return self._partial.expand_kwargs(kwargs, strict=strict)


def masked_arguments(operator_class: type, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return an operator's arguments; values that must not be shown are wrapped.

    :param operator_class: class of the operator; its masked fields decide which values are wrapped.
    :param kwargs: arguments by name.
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
    Return the value of a masked field, without its mask.

    :param value: value of the field, masked or not.
    """
    return value.reveal() if isinstance(value, Masked) else value


def revealed_argument(value: Any) -> Any:
    """
    Return an argument of a function without masks; output of other tasks has been rendered in its place.

    :param value: one argument in an :class:`ArgumentsField`.
    """
    value = revealed(value)
    return [revealed_argument(item) for item in value.items] if isinstance(value, TemplatedList) else value


def _shown_frame(frame: Any) -> str:
    try:
        return f"<data frame of {counted(len(frame), 'row')}, not shown>"
    except TypeError:  # a lazy frame does not know its length
        return "<data frame, not shown>"


def _shown_parts(parts: TemplatedList) -> str:
    paths = list(parts.items)
    return (
        str([shown_address(str(path)) for path in paths]) if is_path_list(paths) else f"<{len(paths)} parts, not shown>"
    )


def _masked_each(values: Any, patterns: Sequence[MemberPatterns]) -> Any:
    """Return a list or mapping of arguments; those that hold members are wrapped."""
    if isinstance(values, Mapping):
        return {name: _masked_argument(value, patterns) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return type(values)(_masked_argument(value, patterns) for value in values)
    return values


def _masked_argument(value: Any, patterns: Sequence[MemberPatterns]) -> Any:
    if value is None or isinstance(value, Masked) or hasattr(value, "iter_references") or callable(value):
        return value
    if is_data_frame(value):
        return Masked(value, shown=_shown_frame(value))
    if not _has_members(value, patterns):
        return value
    # Airflow must still render the output of other tasks, so the list stays a list of parts.
    return (
        TemplatedList(tuple(_masked_argument(item, patterns) for item in value))
        if has_references(value)
        else Masked(value)
    )


def _has_members(value: object, patterns: Sequence[MemberPatterns]) -> bool:
    if isinstance(value, str):
        return is_member_text(value, patterns)
    if isinstance(value, bytes | bytearray):
        text = plain(value.decode("utf-8", errors="replace"))
        return any(one.in_text.search(text) for one in patterns)
    if any(isinstance(value, one.types) for one in patterns):
        return True
    if isinstance(value, Number):
        return _may_be_number(patterns) and is_member_text(str(value), patterns)
    if isinstance(value, Mapping):
        return any(_has_members(item, patterns) for pair in value.items() for item in pair)
    return isinstance(value, list | tuple | set | frozenset) and any(_has_members(item, patterns) for item in value)


def _may_be_number(patterns: Sequence[MemberPatterns]) -> bool:
    return any(one.may_be_number for one in patterns)


def _wrapped_address(value: str) -> Any:
    if is_template(value):
        return value
    shown = shown_address(value)
    return value if shown == value else Masked(value, shown=shown)
