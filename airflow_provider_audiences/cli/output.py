"""What a command prints: the same content as tables for people, or as JSON or YAML for programs."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml
from rich.table import Table
from rich.text import Text

from airflow_provider_audiences.common.reports import shown_value

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {
    "ok": "green",
    "warning": "yellow",
    "wrong": "red",
    "missing": "red",
    "damaged": "red",
    "STOPPED": "red",
    "passed": "green",
}


@dataclass(frozen=True, kw_only=True)
class TableOf:
    """
    A table for people.

    :param rows: the rows, all with the same keys, which are the titles of the columns.
    :param title: what the table shows; empty for no title.
    :param empty: what is said in place of a table without rows.
    :param has_header: whether the titles of the columns are shown.
    """

    rows: Sequence[Mapping[str, Any]]
    title: str = ""
    empty: str = ""
    has_header: bool = True


@dataclass(frozen=True, kw_only=True)
class Output:
    """
    The result of a command.

    :param content: JSON values, for programs.
    :param tables: the same for people.
    :param exit_code: exit code of the command.
    :param complaint: why the exit code is 1, in a line for the standard error; empty for none.
    """

    content: Any
    tables: Sequence[TableOf]
    exit_code: int = 0
    complaint: str = field(default="")

    def print(self, console: Console, *, form: str) -> None:
        """
        Print the result.

        :param console: console of the standard output.
        :param form: ``table``, ``json`` or ``yaml``.
        """
        if form == "json":
            console.file.write(json.dumps(self.content, indent=2) + "\n")
        elif form == "yaml":
            console.file.write(yaml.safe_dump(self.content, sort_keys=False))
        else:
            for number, table in enumerate(self.tables):
                if number:
                    console.print()
                _print_table(console, table)


def facts(content: Mapping[str, Any], *, always: Collection[str] = ()) -> TableOf:
    """
    Return a table of two columns, without what is empty, unknown or 0.

    :param content: the names and values.
    :param always: names that are shown with any value.
    """
    shown = {name: value for name, value in content.items() if value or value is False or name in always}
    rows = [{"name": name.replace("_", " "), "value": value} for name, value in shown.items()]
    return TableOf(rows=rows, has_header=False)


def moment(seconds: float | None) -> str | None:
    """
    Return a time as text in UTC, such as ``2026-01-31 06:00:00+00:00``.

    :param seconds: seconds since 1970 (UTC); None for None.
    """
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")


def _print_table(console: Console, table: TableOf) -> None:
    if not table.rows:
        if table.empty:
            console.print(Text(table.empty))
        return
    drawn = Table(
        title=table.title or None,
        title_justify="left",
        show_edge=False,
        pad_edge=False,
        show_header=table.has_header,
    )
    for name in table.rows[0]:
        values = [row[name] for row in table.rows if row[name] is not None]
        is_number = bool(values) and all(map(_is_number, values))
        drawn.add_column(name.replace("_", " "), justify="right" if is_number else "left", overflow="fold")
    for row in table.rows:
        shown = [shown_value(value) for value in row.values()]
        drawn.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in shown))
    console.print(drawn)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
