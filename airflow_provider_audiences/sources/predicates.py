"""
Conditions in SQL for one partition of a column, and the object ``partition`` of templates, which makes them.

DAG files create sources while Airflow parses them, so nothing here opens a connection before a task runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.characters import WIDE_DIGITS
from airflow_provider_audiences.members.partition import HEX_DIGITS, IGNORED, Partition
from airflow_provider_audiences.sources.connecting import connection_of

NAME: Final = "partition"
"""Name of the partition in templates."""

_DIALECTS = {
    "postgres": "postgresql",
    "redshift": "postgresql",
    "mysql": "mysql",
    "gcpbigquery": "bigquery",
    "snowflake": "snowflake",
    "sqlite": "sqlite",
    "duckdb": "duckdb",
}
"""SQL dialects by type of connection."""

_TEXT_TYPES = {
    "postgresql": "text",
    "bigquery": "string",
    "snowflake": "varchar",
    "sqlite": "text",
    "duckdb": "varchar",
}
_WITH_TRANSLATE = frozenset({"postgresql", "bigquery", "snowflake", "duckdb"})


def predicate(expression: str, partition: Partition, *, dialect: str) -> str:
    """
    Return a condition in SQL that holds for the rows that a partition reads, as :meth:`Partition.takes` says for texts.

    It does not hold for NULL. Of all partitions, it holds in exactly one for any other value.

    :param expression: name of the column with the members, or an expression in SQL, as the dialect writes it.
    :param partition: the partition.
    :param dialect: ``postgresql``, ``mysql``, ``bigquery``, ``snowflake``, ``sqlite`` or ``duckdb``.
    """
    digits = len(partition.hex)
    if not digits:
        return f"({expression}) IS NOT NULL"
    text = _text(expression, dialect)
    # Databases normalise a text slowly, and most texts need it not: they begin with plain digits.
    plain_digits = _listed(sorted({*HEX_DIGITS, *HEX_DIGITS.upper()}))
    is_plain = " AND ".join(f"SUBSTR({text}, {place + 1}, 1) IN ({plain_digits})" for place in range(digits))
    plain = f"LOWER(SUBSTR({text}, 1, {digits})) = '{partition.hex}'"
    return f"(CASE WHEN {is_plain} THEN {plain} ELSE {_after_normalising(expression, partition, dialect)} END)"


def _after_normalising(expression: str, partition: Partition, dialect: str) -> str:
    """Return the condition about any value; it is slow."""
    text = _text(expression, dialect)
    normal, digits = _normal_text(text, dialect), len(partition.hex)
    placed = f"SUBSTR({normal}, 1, {digits}) = '{partition.hex}'"
    if partition.number:
        return placed
    unplaced = [f"SUBSTR({normal}, {place + 1}, 1) NOT IN ({_listed(HEX_DIGITS)})" for place in range(digits)]
    has_no_text = f"(({expression}) IS NOT NULL AND {text} IS NULL)"  # bytes, in MySQL
    return f"({' OR '.join([placed, *unplaced, has_no_text])})"


def _text(expression: str, dialect: str) -> str:
    """Return an expression as text, whose characters are compared one by one."""
    if dialect == "mysql":  # its usual collations take other characters for the same
        return f"CAST({expression} AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin"
    return f"CAST({expression} AS {_TEXT_TYPES[dialect]})"


def _listed(digits: Iterable[str]) -> str:
    return ", ".join(f"'{digit}'" for digit in digits)


def _normal_text(text: str, dialect: str) -> str:
    """Return a text in lower case, with narrow digits, and without the characters to ignore."""
    wide = "".join(map(chr, WIDE_DIGITS))  # MySQL's connections may have another character set
    if dialect in _WITH_TRANSLATE:
        ignored = " || ".join(_literal(char, dialect) for char in IGNORED)
        return f"LOWER(TRANSLATE({text}, '{wide}' || {ignored}, '{''.join(WIDE_DIGITS.values())}'))"
    for code, digit in WIDE_DIGITS.items():
        wide_digit = f"_utf8mb4 X'{chr(code).encode().hex().upper()}'" if dialect == "mysql" else f"'{chr(code)}'"
        text = f"REPLACE({text}, {wide_digit}, '{digit}')"
    for char in IGNORED:
        text = f"REPLACE({text}, {_literal(char, dialect)}, '')"
    return f"LOWER({text})"


def _literal(char: str, dialect: str) -> str:
    """Return a character as SQL; those that can't be seen, and quotes, by their numbers."""
    if char not in "'\"" and char.isprintable():
        return f"'{char}'"
    if dialect == "mysql":
        return f"CHAR({ord(char)} USING utf8mb4)"
    return f"{'CHAR' if dialect == 'sqlite' else 'CHR'}({ord(char)})"


class TemplatePartition:
    """
    What a task's templates know as ``partition``; notes whether a template has used it.

    :param partition: the partition of the task.
    """

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self.conn_id: str | None = None
        """Connection of the source that is being rendered; None outside of an SqlSource."""
        self.is_used = False
        """Whether a template has asked for anything."""

    @property
    def hex(self) -> str:
        """The hex digits that the partition's IDs begin with, in lower case."""
        self.is_used = True
        return self._partition.hex

    @property
    def number(self) -> int:
        """Number of the partition, from 0."""
        self.is_used = True
        return self._partition.number

    @property
    def count(self) -> int:
        """How many partitions there are."""
        self.is_used = True
        return self._partition.count

    def where(self, expression: str, dialect: str | None = None) -> str:
        """
        Return the condition in SQL for the rows that the partition reads.

        :param expression: name of the column with the members, or an expression in SQL.
        :param dialect: as for :func:`predicate`; None (default) for that of the source's connection.
        :raises InvalidInputError: the dialect is not known.
        """
        self.is_used = True
        if dialect is None:
            if self.conn_id is None:
                raise InvalidInputError(
                    "partition.where is for the query of an SqlSource; elsewhere, name the dialect: "
                    'partition.where("idfa", dialect="postgresql"); nothing was sent'
                )
            dialect = dialect_of(self.conn_id)
        elif dialect not in _DIALECTS.values():
            raise InvalidInputError(f"partition.where: dialect must be one of {_known()}; nothing was sent")
        return predicate(expression, self._partition, dialect=dialect)


def dialect_of(conn_id: str) -> str:
    """
    Return the SQL dialect of a connection's database.

    :param conn_id: id of the Airflow connection.
    :raises InvalidInputError: there is no such connection, or its dialect is not known.
    """
    conn_type = connection_of(conn_id).conn_type
    dialect = _DIALECTS.get(str(conn_type))
    if dialect is None:
        raise InvalidInputError(
            f"SqlSource of connection {conn_id}: a predicate for partitions in the SQL of {conn_type!r} is not known; "
            "nothing was sent",
            advice='Name one that its database understands: {{ partition.where("idfa", dialect="postgresql") }}, with '
            f"one of {_known()}.",
        )
    return dialect


def _known() -> str:
    return ", ".join(sorted(set(_DIALECTS.values())))
