"""
Writes files of device IDs as data platforms export them, with duplicates and malformed lines.

The same seed makes the same file. The counts of what went into a file are kept, so that the demo can compare them with
the provider's report.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class DeviceIdFile:
    """
    What went into a file.

    :param path: path of the file.
    :param lines: number of lines, of whatever kind.
    :param members: number of distinct advertising IDs.
    :param duplicates: number of lines that repeat an ID.
    :param zeroed: number of lines with the all-zero ID.
    :param malformed: number of hashes, placeholders, IDs without hyphens and header lines.
    :param blank: number of empty lines.
    """

    path: Path
    lines: int
    members: int
    duplicates: int
    zeroed: int
    malformed: int
    blank: int


DIRT = {"duplicates": 0.02, "zeroed": 0.01, "malformed": 0.003, "blank": 0.001}
"""Shares of all lines, on a usual day."""

_HEADER = "idfa"


def write_device_ids(
    path: Path, *, lines: int, seed: int, dirt: float = 1.0, ids: Sequence[str] | None = None
) -> DeviceIdFile:
    """
    Write a file of device IDs.

    :param path: path of the file to write.
    :param lines: how many lines a usual file has, the header included; the dirt is a part of them.
    :param seed: the same seed makes the same file.
    :param dirt: how dirty the day is; 1 is usual.
    :param ids: who is in it; None for as many new IDs as make that number of lines.
    """
    chance = random.Random(seed)  # noqa: S311 - test data, not secrets
    counts = {kind: int(lines * part * dirt) for kind, part in DIRT.items()}
    if ids is None:
        ids = new_ids(lines - 1 - sum(counts.values()), chance=chance)
    rows = [
        *ids,
        *(recased(chance, chance.choice(ids)) for _ in range(counts["duplicates"])),
        *["00000000-0000-0000-0000-000000000000"] * counts["zeroed"],
        *(malformed(chance) for _ in range(counts["malformed"])),
        *[""] * counts["blank"],
    ]
    chance.shuffle(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"\ufeff{_HEADER}\r\n")
        for row in rows:
            # Some rows from iOS exports are upper case; some files were edited on Windows.
            text = row.upper() if row[:1] in "ab" else row
            file.write(f"{text}\r\n" if row[:1] in "0123" else f"{text}\n")
    return DeviceIdFile(
        path=path,
        lines=1 + len(rows),
        members=len(ids),
        duplicates=counts["duplicates"],
        zeroed=counts["zeroed"],
        malformed=counts["malformed"] + 1,
        blank=counts["blank"],
    )


def new_ids(count: int, *, chance: random.Random) -> list[str]:
    """Return so many advertising IDs that nobody has yet."""
    return [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(count)]


def digest_of(ids: Iterable[str]) -> str:
    """Return a digest that two sets of IDs share exactly if they are equal."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def recased(chance: random.Random, device_id: str) -> str:
    """Return the ID as another system would write it."""
    return chance.choice((device_id, device_id.upper(), f'"{device_id}"', f"  {device_id} "))


def malformed(chance: random.Random) -> str:
    """Return something that stands in such files and is no advertising ID."""
    number = chance.getrandbits(128)
    return chance.choice((f"{number:032x}", "null", "n/a", f"{{{uuid.UUID(int=number)}}}", f"{number:064x}"))
