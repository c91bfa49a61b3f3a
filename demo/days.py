"""
Four days of an audience: the file that arrives each day, and what the audience must be afterwards.

Day 1 is the first sync. On day 2, 3 % of the people change: half of them come, half go. On day 3 some people have opted
out, and the file still has them. On day 4 only half of the file has arrived.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from demo.device_ids import DIRT, DeviceIdFile, digest_of, new_ids, write_device_ids

OPT_OUTS = "opt_outs.txt"

_SEED = 20261120
_OPTED_OUT = 0.005
_STRANGERS = 0.1
"""Of those who opted out: who never was in the audience."""


@dataclass(frozen=True, kw_only=True)
class Day:
    """
    A day whose files are written.

    :param day: date of the day, ``YYYY-MM-DD``.
    :param title: what is special about it.
    :param file: what went into its file.
    :param is_stopped: whether a guard must stop its run.
    :param expected: what its report must say; after a stopped run, of the day before.
    :param digest: of those who must be in the audience afterwards, from :func:`demo.device_ids.digest_of`.
    """

    day: str
    title: str
    file: DeviceIdFile
    is_stopped: bool
    expected: dict[str, int]
    digest: str


@dataclass(frozen=True, kw_only=True)
class _Story:
    day: str
    title: str
    dirt: float
    churn: float
    opted_out: float = 0.0
    arrives: float = 1.0


_STORIES = (
    _Story(day="2026-11-20", title="initial", dirt=1.0, churn=0.0),
    _Story(day="2026-11-21", title="churn", dirt=1.5, churn=0.03),
    _Story(day="2026-11-22", title="opt-outs", dirt=1.2, churn=0.004, opted_out=_OPTED_OUT),
    _Story(day="2026-11-23", title="half a file", dirt=1.0, churn=0.004, opted_out=_OPTED_OUT, arrives=0.5),
)
DAYS = tuple(story.day for story in _STORIES)


def written_days(folder: Path, *, lines: int) -> Iterator[Day]:
    """
    Write the files of one day after the other, each when it is asked for.

    :param folder: folder to write the files to.
    :param lines: of the first file.
    """
    chance = random.Random(_SEED)  # noqa: S311 - test data, not secrets
    people = new_ids(lines - 1 - sum(int(lines * part) for part in DIRT.values()), chance=chance)
    opted_out: list[str] = []
    audience: set[str] = set()
    expected: dict[str, int] = {}
    digest = ""
    for number, story in enumerate(_STORIES):
        turn = int(len(people) * story.churn / 2)
        people = [*people[turn:], *new_ids(turn, chance=chance)]
        if story.opted_out and not opted_out:
            known = chance.sample(people, int(len(people) * story.opted_out))
            opted_out = [*known, *new_ids(int(len(known) * _STRANGERS), chance=chance)]
        (folder / OPT_OUTS).write_text("".join(f"{item}\n" for item in opted_out), encoding="utf-8")
        file = write_device_ids(
            folder / f"device_ids_{story.day}.txt", lines=lines, seed=_SEED + number, dirt=story.dirt, ids=people
        )
        if story.arrives < 1:
            os.truncate(file.path, int(file.path.stat().st_size * story.arrives))
        else:
            wanted = set(people).difference(opted_out)
            expected = {
                "added": len(wanted - audience),
                "refreshed": 0,
                "removed": len(audience - wanted),
                "unchanged": len(wanted & audience),
                "suppressed": len(people) - len(wanted),
                "live": len(wanted),
            }
            audience, digest = wanted, digest_of(wanted)
        yield Day(
            day=story.day,
            title=story.title,
            file=file,
            is_stopped=story.arrives < 1,
            expected=expected,
            digest=digest,
        )
