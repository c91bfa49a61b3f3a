"""Printing for the demo, and the checks that fail it."""

from __future__ import annotations

from collections.abc import Sequence


class DemoError(Exception):
    """The demo did not come out as it must."""


def expect(what: str, found: object, wanted: object) -> None:
    """Fail the demo if a figure is not what it must be."""
    if found != wanted:
        raise DemoError(f"{what}: {found}, and it should be {wanted}")


def table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    say("")
    for index, row in enumerate(rows):
        first, *others = (cell.ljust(width) if column == 0 else cell.rjust(width)
                          for column, (cell, width) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
        say("  ".join([first, *others]))
        if index == 0:
            say("  ".join("-" * width for width in widths))


def label(name: str) -> str:
    """Return a report's key in words."""
    return name.replace("_", " ")


def number(value: float) -> str:
    """Return a number with thousands separators."""
    return f"{value:,}"


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)
