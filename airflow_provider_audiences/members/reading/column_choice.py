"""Which column of a table has the members: by its name, or by a path into objects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_audiences.exceptions import InvalidInputError

# An ID, a hash, an e-mail address; or a phone number, however it is written, while a date has eight digits.
_LIKE_A_MEMBER = re.compile(r"[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-|[0-9A-Fa-f]{32}|@|^[^A-Za-z]*([0-9][^A-Za-z]*){9}$")
_NESTED = re.compile(r"\[\d*\]$|^(STRUCT|MAP|UNION)\b")

NAME_IT = "say which one with column="


@dataclass(frozen=True, kw_only=True)
class Field:
    """
    A column, or a field of an object in one.

    :param name: as the file has it.
    :param kind: DuckDB's name of its type.
    :param children: the fields of an object; none of anything else.
    """

    name: str
    kind: str
    children: tuple[Field, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Choice:
    """
    A column with members.

    :param index: of the column, counted from 0.
    :param below: names of the fields that lead from the column's object to the members; none if it has them itself.
    :param kind: DuckDB's name of the type of what is there.
    """

    index: int
    below: tuple[str, ...] = ()
    kind: str = "VARCHAR"


def fields_of(columns: Sequence[str], types: Sequence[Any]) -> list[Field]:
    """
    Return the columns of a relation of DuckDB.

    :param columns: their names.
    :param types: their types, as DuckDB's Python module has them.
    """
    return [
        Field(
            name=name,
            kind=str(kind),
            children=tuple(fields_of(*zip(*kind.children, strict=True))) if kind.id == "struct" else (),
        )
        for name, kind in zip(columns, types, strict=True)
    ]


def looks_like_a_member(text: str) -> bool:
    """
    Tell a name of a column that is more likely a member.

    :param text: the name.
    """
    return bool(_LIKE_A_MEMBER.search(text))


def choose(fields: Sequence[Field], wanted: str | None, where: str, *, how: str = NAME_IT, hint: str = "") -> Choice:
    """
    Return the column to read.

    :param fields: the columns.
    :param wanted: the name of one, in any case if that is clear, or a path with dots into objects; None if there is
        only one.
    :param where: name of the file, for messages.
    :param how: what to do if there are several.
    :param hint: what to do if there is none of that name.
    :raises InvalidInputError: none or several could be meant, or it holds more than one member a row.
    """
    if wanted is None:
        _refuse_members_as_names(fields, where)
        if len(fields) != 1:
            raise InvalidInputError(f"{where} has {len(fields)} columns ({_names(fields)}): {how}")
        choice = Choice(index=0, kind=fields[0].kind)
    else:
        found = _found(fields, wanted, where)
        if found is None:
            _refuse_members_as_names(fields, where)
            raise InvalidInputError(f"{where} has no column {wanted!r}; it has {_names(fields) or 'none'}{hint}")
        choice = found
    if _NESTED.search(choice.kind):
        # Its whole type would name the fields within, which may be members.
        kind = choice.kind.partition("(")[0] if choice.kind.endswith(")") else "a list"
        name = ".".join((fields[choice.index].name, *choice.below))
        example = f": name one of its fields, as in {name}.id" if kind == "STRUCT" else ""
        raise InvalidInputError(f"{where}: the column {name!r} holds {kind}, not one member a row{example}")
    return choice


def choose_each(
    fields: Sequence[Field], columns: Sequence[str | None], where: str, *, how: str = NAME_IT, hint: str = ""
) -> list[Choice]:
    """
    Return the columns to read.

    :param fields: the columns.
    :param columns: what is wanted: names or paths; None for the only one.
    :param where: name of the file, for messages.
    :param how: what to do if there are several and none is named.
    :param hint: what to do if there is none of a name.
    :raises InvalidInputError: none or several could be meant, or one is named twice.
    """
    choices = [choose(fields, column, where, how=how, hint=hint) for column in columns]
    if len(set(choices)) != len(choices):
        raise InvalidInputError(f"{where}: column={list(columns)} names a column twice")
    return choices


def refuse_renamed(fields: Sequence[Field], choice: Choice, where: str) -> None:
    """
    Refuse a column beside one that differs in case only: DuckDB renames one, and would read it for the other.

    :param fields: the columns, with DuckDB's names.
    :param choice: the column to read.
    :param where: name of the file, for messages.
    :raises InvalidInputError: there is such a column.
    """
    name = fields[choice.index].name
    numbered = f"{name}_1"
    if any(other.name != numbered and other.name.lower() == numbered.lower() for other in fields):
        raise InvalidInputError(f"{where} has several columns {name!r} that differ in case only: name one otherwise")


def _found(fields: Sequence[Field], wanted: str, where: str) -> Choice | None:
    """Return a column of that name, then one whose name differs in case, then a path into objects."""
    for indexes in (
        [index for index, field in enumerate(fields) if field.name == wanted],
        [index for index, field in enumerate(fields) if field.name.lower() == wanted.lower()],
    ):
        if len(indexes) > 1:
            same = len({fields[index].name for index in indexes}) == 1
            raise InvalidInputError(
                f"{where} has several columns {wanted!r}{'' if same else ' that differ in case only'}: name them apart"
            )
        if indexes:
            return Choice(index=indexes[0], kind=fields[indexes[0]].kind)
    return next(_below(fields, wanted, where), None)


def _below(fields: Sequence[Field], wanted: str, where: str) -> Iterator[Choice]:
    for index, field in enumerate(fields):
        if not wanted.lower().startswith(f"{field.name.lower()}."):
            continue
        rest = wanted[len(field.name) + 1 :]
        if field.kind == "JSON":  # an object in some lines, and something else in others
            yield Choice(index=index, below=tuple(rest.split(".")))
        elif inner := _found(field.children, rest, where):
            names = (field.children[inner.index].name, *inner.below)
            yield Choice(index=index, below=names, kind=inner.kind)


def _refuse_members_as_names(fields: Sequence[Field], where: str) -> None:
    if any(looks_like_a_member(field.name) for field in fields):
        raise InvalidInputError(
            f"{where} has a member where the names of its columns should be: add a header line, or say in a FileSource "
            "header=False with the column's number, or file_format='text' if it has one member a line"
        )


def _names(fields: Sequence[Field]) -> str:
    return ", ".join(repr(field.name) for field in fields)
