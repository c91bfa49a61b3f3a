"""Choice of the column with members: by its name, or by a path into structs or JSON objects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_audiences.exceptions import InvalidInputError

# An ID, a hash, an e-mail address, or a phone number: at least nine digits, as a date has eight.
_LIKE_A_MEMBER = re.compile(r"[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-|[0-9A-Fa-f]{32}|@|^[^A-Za-z]*([0-9][^A-Za-z]*){9}$")
_NESTED = re.compile(r"\[\d*\]$|^(STRUCT|MAP|UNION)\b")

NAME_IT = "say which one with column="


@dataclass(frozen=True, kw_only=True)
class Field:
    """
    A column, or a field of a struct or JSON object.

    :param name: name as the file has it.
    :param kind: DuckDB's name of its type.
    :param children: the fields of a struct; empty for any other type.
    """

    name: str
    kind: str
    children: tuple[Field, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Choice:
    """
    A column, or a field within it, that has members.

    :param index: index of the column, counted from 0.
    :param below: names of the fields that lead from the column to the members; empty if the column itself has them.
    :param kind: DuckDB's name of the type of the members' column or field.
    """

    index: int
    below: tuple[str, ...] = ()
    kind: str = "VARCHAR"


def fields_of(columns: Sequence[str], types: Sequence[Any]) -> list[Field]:
    """
    Return the columns of a DuckDB relation as fields.

    :param columns: names of the columns.
    :param types: types of the columns, as DuckDB's Python module gives them.
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
    Return whether the name of a column looks like a member, so that the file probably has no header.

    :param text: name of the column.
    """
    return bool(_LIKE_A_MEMBER.search(text))


def choose(fields: Sequence[Field], wanted: str | None, where: str, *, how: str = NAME_IT, hint: str = "") -> Choice:
    """
    Return the column or field to read.

    :param fields: columns of the file.
    :param wanted: name of a column, or a path with dots into structs; case matters only where several names differ in
        case. None for the only column.
    :param where: name of the file, for messages.
    :param how: advice for the message if ``wanted`` is None and there are several columns.
    :param hint: advice for the message if there is no such column.
    :raises InvalidInputError: no column or several fit, or the column holds more than one member in a row.
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
        # The whole type is not shown: it names the inner fields, which may be members.
        kind = choice.kind.partition("(")[0] if choice.kind.endswith(")") else "a list"
        name = ".".join((fields[choice.index].name, *choice.below))
        example = f": name one of its fields, as in {name}.id" if kind == "STRUCT" else ""
        raise InvalidInputError(f"{where}: the column {name!r} holds {kind}, not one member a row{example}")
    return choice


def choose_each(
    fields: Sequence[Field], columns: Sequence[str | None], where: str, *, how: str = NAME_IT, hint: str = ""
) -> list[Choice]:
    """
    Return the columns or fields to read, one for each that is wanted.

    :param fields: columns of the file.
    :param columns: names or paths, each as ``wanted`` of :func:`choose`.
    :param where: name of the file, for messages.
    :param how: advice for the message if no name is given and there are several columns.
    :param hint: advice for the message if there is no such column.
    :raises InvalidInputError: no column or several fit a name, or a column is named twice.
    """
    choices = [choose(fields, column, where, how=how, hint=hint) for column in columns]
    if len(set(choices)) != len(choices):
        raise InvalidInputError(f"{where}: column={list(columns)} names a column twice")
    return choices


def refuse_renamed(fields: Sequence[Field], choice: Choice, where: str) -> None:
    """
    Raise an error if another column's name differs from the chosen one in case only.

    DuckDB renames one of the two, and could read the wrong one.

    :param fields: columns of the file, by DuckDB's names.
    :param choice: the column that was chosen from them.
    :param where: name of the file, for messages.
    :raises InvalidInputError: there is such a column.
    """
    name = fields[choice.index].name
    numbered = f"{name}_1"
    if any(other.name != numbered and other.name.lower() == numbered.lower() for other in fields):
        raise InvalidInputError(f"{where} has several columns {name!r} that differ in case only: name one otherwise")


def _found(fields: Sequence[Field], wanted: str, where: str) -> Choice | None:
    """Return the column with exactly that name, else in another case, else the field at that path; None if none is."""
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
        if field.kind == "JSON":  # the key has an object in some lines, and other values in others
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
