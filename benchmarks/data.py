"""
Makes files of advertising IDs fast: distinct IDs with 2 % duplicates and 0.1 % malformed lines, and the next day's
file.

``python -m benchmarks.data FOLDER IDS`` makes them in a process of its own, because a child process begins with its
parent's peak memory: the process that starts the measured ones must stay small. Files that exist are not made again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

DUPLICATES = 0.02
MALFORMED = 0.001
CHURN = 0.03
"""From one day to the next: half of it are members that go, the other half members that come."""
LINE_BYTES = 37
PART_IDS = 100_000
COLUMN = "idfa"

_CHUNK_IDS = 5 * PART_IDS
_SEED = 7
_VERSION = 1
_BLOCK_BYTES = 1 << 24
_GROUPS = ((0, 8), (9, 13), (14, 18), (19, 23), (24, 36))
"""Where the hex digits of an ID stand on its line; the hyphens are in between."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """
    What went into a file.

    :param ids: number of distinct advertising IDs.
    :param lines: number of lines, of whatever kind.
    :param duplicates: lines that repeat an ID, half of them in upper case.
    :param malformed: lines that are no advertising ID, all different.
    :param distinct_lines: what ``sort -u`` leaves: malformed lines, and IDs in the other case, are lines of their own.
    """

    ids: int
    lines: int
    duplicates: int
    malformed: int
    distinct_lines: int


@dataclass(frozen=True)
class Dataset:
    """
    The files for a number of IDs.

    :param folder: folder that the files are in.
    :param ids: number of distinct advertising IDs.
    """

    folder: Path
    ids: int

    @property
    def text(self) -> Path:
        """One ID a line, with dirt."""
        return self.folder / f"ids_{self.ids}.txt"

    @property
    def parts(self) -> Path:
        """A folder of files that are clean and split already."""
        return self.folder / f"ids_{self.ids}_clean"

    @property
    def parquet(self) -> Path:
        """The lines of the text as a Parquet file of one column."""
        return self.folder / f"ids_{self.ids}.parquet"

    @property
    def next_day(self) -> Path:
        """The text of the next day."""
        return self.folder / f"ids_{self.ids}_next.txt"

    @property
    def next_facts(self) -> Path:
        """How many members it changes, written last."""
        return self.folder / f"ids_{self.ids}_next.json"

    @property
    def facts(self) -> Path:
        """The counts, written last."""
        return self.folder / f"ids_{self.ids}.json"

    def counts(self) -> Counts | None:
        """Return what is in the files; None if they are not there, or not of this version."""
        if not self.facts.exists() or not self.text.exists():
            return None
        facts = json.loads(self.facts.read_text(encoding="utf-8"))
        return Counts(**facts["counts"]) if facts["version"] == _VERSION else None

    def changed(self) -> int | None:
        """Return how many members of the text the next day has others for; None if there is no next day."""
        if not self.next_facts.exists() or not self.next_day.exists():
            return None
        facts = json.loads(self.next_facts.read_text(encoding="utf-8"))
        return int(facts["changed"]) if facts["version"] == _VERSION else None

    def delete(self) -> None:
        """Delete the files."""
        self.facts.unlink(missing_ok=True)
        self.next_facts.unlink(missing_ok=True)
        self.next_day.unlink(missing_ok=True)
        self.text.unlink(missing_ok=True)
        self.parquet.unlink(missing_ok=True)
        shutil.rmtree(self.parts, ignore_errors=True)


def main() -> int:
    """Make the files that are asked for and not there."""
    parser = argparse.ArgumentParser(prog="benchmarks.data", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("ids", type=int, help="distinct advertising IDs")
    parser.add_argument("--parts", action="store_true", help="clean, split files too")
    parser.add_argument("--parquet", action="store_true", help="a Parquet file too")
    parser.add_argument("--next-day", action="store_true", help="the text of the next day too")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    dataset = Dataset(options.folder, options.ids)
    if dataset.counts() is None or (options.parts and not dataset.parts.exists()):
        _write_text(dataset, with_parts=options.parts)
    if options.parquet and not dataset.parquet.exists():
        _write_parquet(dataset)
    if options.next_day and dataset.changed() is None:
        _write_next_day(dataset)
    return 0


def _write_text(dataset: Dataset, *, with_parts: bool) -> None:
    dataset.delete()
    if with_parts:
        dataset.parts.mkdir()
    totals = dict.fromkeys(("ids", "lines", "duplicates", "malformed", "distinct_lines"), 0)
    with dataset.text.open("wb", buffering=0) as file:
        for clean, dirty, counts in _chunks(dataset.ids):
            if with_parts:
                for start in range(0, len(clean), PART_IDS):
                    part = dataset.parts / f"part_{(totals['ids'] + start) // PART_IDS:06d}"
                    part.write_bytes(clean[start : start + PART_IDS].tobytes())
            file.write(dirty)
            for name, count in counts.items():
                totals[name] += count
    facts = {"version": _VERSION, "counts": asdict(Counts(**totals))}
    dataset.facts.write_text(json.dumps(facts), encoding="utf-8")


def _chunks(ids: int) -> Iterator[tuple[np.ndarray, bytes, dict[str, int]]]:
    """Yield clean rows, the same with dirt as bytes, and counts; a duplicate stands anywhere after its first chunk."""
    import numpy as np  # noqa: PLC0415 - who only asks where the files are must stay small

    chance = np.random.default_rng(_SEED)
    chunks = -(-ids // _CHUNK_IDS)
    waiting: list[list[np.ndarray]] = [[] for _ in range(chunks)]
    for chunk in range(chunks):
        count = min(_CHUNK_IDS, ids - chunk * _CHUNK_IDS)
        clean = _rows(chance, count)
        repeated = clean[chance.choice(count, int(count * DUPLICATES), replace=False)]
        upper = repeated[::2]  # a view: changed in place
        before = upper.copy()
        upper[(upper >= ord("a")) & (upper <= ord("f"))] -= ord("a") - ord("A")
        recased = int((upper != before).any(axis=1).sum())
        where = chance.integers(chunk, chunks, size=len(repeated))
        for target in np.unique(where):
            waiting[target].append(repeated[where == target])
        malformed = _rows(chance, int(count * MALFORMED))
        malformed[::2, 0] = ord("x")
        rows = np.concatenate([clean, *waiting[chunk], malformed])
        waiting[chunk].clear()
        keep = np.ones(rows.shape, dtype=bool)
        # The other half is 32 hex digits without hyphens, as hashes are.
        keep[len(rows) - len(malformed) + 1 :: 2, [8, 13, 18, 23]] = False
        order = chance.permutation(len(rows))
        dirty = rows[order][keep[order]].tobytes()
        yield (
            clean,
            dirty,
            {
                "ids": count,
                "lines": len(rows),
                "duplicates": len(rows) - count - len(malformed),
                "malformed": len(malformed),
                "distinct_lines": count + recased + len(malformed),
            },
        )


def _rows(chance: np.random.Generator, count: int) -> np.ndarray:
    """Return random version 4 UUIDs in lower case, one line of 37 bytes each."""
    import numpy as np  # noqa: PLC0415

    raw = np.frombuffer(chance.bytes(count * 16), dtype=np.uint8).reshape(count, 16).copy()
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    pairs = np.frombuffer(bytes(range(256)).hex().encode(), dtype=np.uint16)
    digits = pairs[raw].view(np.uint8)
    rows = np.full((count, LINE_BYTES), ord("-"), dtype=np.uint8)
    used = 0
    for start, end in _GROUPS:
        rows[:, start:end] = digits[:, used : used + end - start]
        used += end - start
    rows[:, -1] = ord("\n")
    return rows


def _write_next_day(dataset: Dataset) -> None:
    """Write the text again, with other IDs for some: those of version 4 become IDs of version 5, which none was."""
    import numpy as np  # noqa: PLC0415

    values = np.full(256, 1 << 16, np.uint32)
    for digits in ("0123456789abcdef", "0123456789ABCDEF"):
        values[np.frombuffer(digits.encode(), np.uint8)] = np.arange(16)
    goes_below = round(CHURN / 2 * (1 << 16))
    changed = []
    with dataset.text.open("rb") as old, dataset.next_day.open("wb", buffering=0) as new:
        while block := old.read(_BLOCK_BYTES):
            text = np.frombuffer(block + old.readline(), np.uint8).copy()
            ends = np.flatnonzero(text == ord("\n"))
            starts = np.concatenate(([0], ends[:-1] + 1))
            starts = starts[ends - starts == LINE_BYTES - 1]
            starts = starts[values[text[starts]] < 16]  # noqa: PLR2004 - a hex digit, and not malformed
            last = values[text[starts[:, None] + np.arange(LINE_BYTES - 5, LINE_BYTES - 1)]]
            starts = starts[last @ np.array([4096, 256, 16, 1], np.uint32) < goes_below]
            rows = values[text[starts[:, None] + np.arange(LINE_BYTES - 1)]].astype(np.uint8)
            changed.append(np.unique(rows, axis=0))
            text[starts + 14] = ord("5")
            new.write(text.tobytes())
    count = len(np.unique(np.concatenate(changed), axis=0))
    facts = {"version": _VERSION, "changed": count}
    dataset.next_facts.write_text(json.dumps(facts), encoding="utf-8")


def _write_parquet(dataset: Dataset) -> None:
    import duckdb  # noqa: PLC0415

    made = dataset.parquet.with_suffix(".new")
    as_lines = f"header=false, delim='|', quote='', escape='', columns={{'{COLUMN}': 'VARCHAR'}}"
    read = f"read_csv('{dataset.text}', {as_lines})"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * FROM {read}) TO '{made}' (FORMAT parquet)")  # noqa: S608 - our own names
    made.rename(dataset.parquet)


if __name__ == "__main__":
    sys.exit(main())
