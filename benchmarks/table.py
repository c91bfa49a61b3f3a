"""The table of results: what was measured, its limit, and whether the limit is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from textwrap import shorten

from benchmarks.measure import Series

_NOTE_CHARACTERS = 120


class Verdict(StrEnum):
    """What came of a line."""

    MET = "met"
    UNDECIDED = "within noise"
    MISSED = "NOT MET"
    FAILED = "FAILED"
    NOT_MEASURED = "not measured"
    REPORTED = "reported"


@dataclass(frozen=True, kw_only=True)
class Row:
    """
    One line of the table.

    :param measure: name of what was measured.
    :param value: result of the operator.
    :param against: of what it is compared with.
    :param ratio: the ratio of the medians, and the least and the greatest ratio of a round.
    :param must: limit; exceeding it fails the benchmark.
    :param aim: what would be good.
    :param verdict: whether the limit is kept.
    :param note: why there is no value.
    """

    measure: str
    value: str = ""
    against: str = ""
    ratio: str = ""
    must: str = ""
    aim: str = ""
    verdict: Verdict
    note: str = ""


def ratio_row(
    measure: str, series: Series, other: Series, *, must: float | None = None, aim: float | None = None
) -> Row:
    """
    Return the line of a ratio of wall times.

    :param measure: name of the row.
    :param series: runs of the operator.
    :param other: the runs to compare with.
    :param must: the ratio's limit; None if it is only reported.
    :param aim: what would be good.
    """
    limits = {"must": _limit(must), "aim": _limit(aim)}
    for runs in (series, other):
        if runs.error is not None:
            return Row(measure=measure, **limits, verdict=Verdict.FAILED, note=f"{runs.name}: {runs.error}")
    ratio, *rounds = series.ratios_to(other)
    return Row(
        measure=measure,
        value=f"{series.median_seconds:.2f} s",
        against=f"{other.median_seconds:.2f} s",
        ratio=f"{ratio:.2f} ({min(rounds):.2f} to {max(rounds):.2f})",
        **limits,
        # Where the rounds disagree, noise decides.
        verdict=Verdict.REPORTED
        if must is None
        else Verdict.UNDECIDED
        if min(rounds) <= must < ratio
        else judged(ratio <= must),
        note="" if aim is None else "aim reached" if ratio <= aim else "aim not reached",
    )


def judged(is_kept: bool) -> Verdict:
    """
    Return the verdict on a limit.

    :param is_kept: whether it is kept.
    """
    return Verdict.MET if is_kept else Verdict.MISSED


def show(rows: Sequence[Row]) -> str:
    """
    Return the table as aligned text.

    :param rows: rows of the table.
    """
    heads = {"value": "operator", "against": "other", "ratio": "ratio (rounds)", "verdict": "result", "note": ""}
    names = [field.name for field in fields(Row)]
    lines = [[str(getattr(row, name)) for name in names] for row in rows]
    for line in lines:
        line[-1] = shorten(line[-1], _NOTE_CHARACTERS, placeholder=" …")
    cells = [[heads.get(name, name) for name in names], *lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names) - 1)]
    cells.insert(1, ["-" * width for width in widths] + [""])
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in cells
    )


def _limit(value: float | None) -> str:
    return "" if value is None else f"≤ {value:g}"
