"""
Staging: from lines to a clean file, before the first request.

Everything that can be wrong with a source shows here, while nothing has been sent. What comes out is a file
of distinct advertising IDs in one written form, 37 bytes each, so that a batch is a slice of bytes: it can be
sent again without keeping it in memory.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.advertising_id import (
    LINE_LENGTH,
    IdCase,
    Refusal,
    format_advertising_id,
    mask,
    parse_advertising_id,
)

log = logging.getLogger(__name__)

DEFAULT_BATCH_SIZE = 100_000
"""AppLovin's document asks for blocks of about 100,000 users a request."""

OnMalformed = Literal["drop", "fail"]

_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class StagingRules:
    """
    What to do about lines that are not advertising IDs.

    :param on_malformed: ``drop`` them and count them, or ``fail`` at the first.
    :param max_malformed_ratio: fail if more than this part of the lines (blank ones apart) is malformed.
    :param id_case: case in which IDs are written.
    """

    on_malformed: OnMalformed = "drop"
    max_malformed_ratio: float | None = None
    id_case: IdCase = "lower"

    def __post_init__(self) -> None:
        if self.on_malformed not in get_args(OnMalformed):
            raise InvalidInputError(f"on_malformed must be 'drop' or 'fail', not {self.on_malformed!r}")
        if self.id_case not in get_args(IdCase):
            raise InvalidInputError(f"id_case must be 'lower' or 'upper', not {self.id_case!r}")
        ratio = self.max_malformed_ratio
        is_number = isinstance(ratio, int | float) and not isinstance(ratio, bool)
        if ratio is not None and not (is_number and 0 <= ratio <= 1):
            raise InvalidInputError(f"max_malformed_ratio must lie between 0 and 1, not {ratio!r}")


@dataclass(frozen=True, kw_only=True)
class StagedMembers:
    """
    A clean set of advertising IDs on disk, and how it came about.

    :param path: the file; it lives as long as the ``with`` block of :func:`stage`.
    :param members: distinct advertising IDs in the file.
    :param malformed: lines that are no advertising ID.
    :param zeroed: all-zero IDs: devices that give none.
    :param duplicates: lines that repeat an earlier one, whatever their case.
    :param blank: empty lines.
    """

    path: Path
    members: int
    malformed: int
    zeroed: int
    duplicates: int
    blank: int

    def batches(self, batch_size: int) -> Iterator[bytes]:
        """
        Yield the IDs as request bodies, in order.

        :param batch_size: IDs a body.
        """
        with self.path.open("rb") as file:
            while body := file.read(batch_size * LINE_LENGTH):
                yield body


@contextmanager
def stage(lines: Iterable[bytes], *, rules: StagingRules) -> Iterator[StagedMembers]:
    """
    Validate, deduplicate and count lines into a temporary file, which goes when the block ends.

    Memory: about 100 bytes for each distinct ID.

    :param lines: one member each.
    :param rules: what to do about malformed ones.
    :raises InvalidInputError: the rules refuse the source.
    """
    with tempfile.TemporaryDirectory(prefix="audiences-") as directory:
        path = Path(directory) / "advertising_ids.txt"
        yield _write(lines, path, rules)


def _write(lines: Iterable[bytes], path: Path, rules: StagingRules) -> StagedMembers:
    refused: Counter[Refusal] = Counter()
    examples: list[str] = []
    seen: set[bytes] = set()
    total = 0
    with path.open("wb", buffering=1 << 20) as file:
        for total, line in enumerate(lines, start=1):
            key = parse_advertising_id(line)
            if not isinstance(key, Refusal):
                if key not in seen:
                    seen.add(key)
                    file.write(format_advertising_id(key, id_case=rules.id_case))
                continue
            refused[key] += 1
            if key is Refusal.MALFORMED and len(examples) < _EXAMPLES:
                examples.append(f"line {total}: {mask(line)}")
                _check_malformed(rules, examples)
    staged = StagedMembers(
        path=path,
        members=len(seen),
        malformed=refused[Refusal.MALFORMED],
        zeroed=refused[Refusal.ZEROED],
        duplicates=total - refused.total() - len(seen),
        blank=refused[Refusal.BLANK],
    )
    _check_ratio(rules, staged, lines=total, examples=examples)
    log.info(
        "Staged %d advertising IDs of %d lines: %d malformed, %d zeroed, %d duplicates, %d blank.",
        staged.members,
        total,
        staged.malformed,
        staged.zeroed,
        staged.duplicates,
        staged.blank,
    )
    return staged


def _check_malformed(rules: StagingRules, examples: list[str]) -> None:
    if rules.on_malformed == "fail":
        raise InvalidInputError(
            f"source, {examples[0]}: not an advertising ID (8-4-4-4-12 hex digits), and on_malformed='fail'; "
            "nothing was sent"
        )


def _check_ratio(rules: StagingRules, staged: StagedMembers, *, lines: int, examples: list[str]) -> None:
    if not staged.malformed:
        return
    ratio = staged.malformed / (lines - staged.blank)
    where = "; ".join(examples)
    if rules.max_malformed_ratio is not None and ratio > rules.max_malformed_ratio:
        raise InvalidInputError(
            f"{staged.malformed} of {lines - staged.blank} lines ({ratio:.2%}) are not advertising IDs, more "
            f"than max_malformed_ratio={rules.max_malformed_ratio:.2%}; nothing was sent. First ones: {where}"
        )
    log.warning(
        "Dropped %d lines that are not advertising IDs (%.2f%%). First ones: %s",
        staged.malformed, ratio * 100, where,
    )  # fmt: skip
