"""
Partitions: an audience's members in 16 or 256 parts, by the first hex digits of their advertising IDs.

An ID's part never changes, whatever its spelling: the digits are those of the ID in its normal form.

There are two rules. :meth:`Partition.mask` places members, once they are read. :func:`placed_text` places texts as a
source stores them, so that a query or a folder has one partition's only. Where the second rule places a text, the first
one must agree; texts that it can't place are read with the first partition.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.characters import ASCII_SURROUNDING, WIDE_DIGITS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from airflow_provider_audiences.members.keys.key_order import Keys

PARTITION_COUNTS = (1, 16, 256)
"""In how many partitions an audience can be."""

WHOLE = "whole"
"""Name of the only partition of an audience that is in one."""

HEX_DIGITS = "0123456789abcdef"

IGNORED = f"{ASCII_SURROUNDING.decode()}{{}}"
"""Characters that the rule for texts ignores, wherever they are: ASCII white space, quotes and braces."""

_WORD_BITS, _DIGIT_BITS = 64, 4
_HEX = re.compile(r"[0-9a-f]{1,2}\Z")
_PLAIN = {**WIDE_DIGITS, **dict.fromkeys(map(ord, IGNORED))}
_ASCII_LOWER = {ord(letter.upper()): letter for letter in "abcdef"}


@dataclass(frozen=True, kw_only=True)
class Partition:
    """
    A part of an audience's members: those whose IDs begin with the same hex digits.

    :param hex: the digits, in lower case: none for an audience in one part, one of 16 parts, two of 256.
    """

    hex: str

    @classmethod
    def named(cls, name: Any) -> Self:
        """
        Return the partition of this name.

        :param name: one or two hex digits in any case, such as ``a`` or ``0a``; or ``whole``.
        :raises InvalidInputError: the name is something else.
        """
        text = str(name).strip().lower() if isinstance(name, str) else ""
        if text == WHOLE:
            return cls(hex="")
        if not _HEX.match(text):
            raise InvalidInputError(
                f"partition must be one hex digit (of 16 partitions), two (of 256) or {WHOLE!r}, as text; nothing was "
                "sent"
            )
        return cls(hex=text)

    @property
    def count(self) -> int:
        """How many partitions there are: 1, 16 or 256."""
        return PARTITION_COUNTS[len(self.hex)]

    @property
    def number(self) -> int:
        """Number of this one, from 0."""
        return int(self.hex, 16) if self.hex else 0

    @property
    def name(self) -> str:
        """The name, as :meth:`named` takes it."""
        return self.hex or WHOLE

    def __str__(self) -> str:
        return f"partition {self.hex} of {self.count}" if self.hex else "the whole audience"

    def mask(self, keys: Keys) -> NDArray[np.bool_]:
        """
        Return which keys are in this partition.

        :param keys: keys of advertising IDs.
        """
        # A DAG file that is parsed has no keys: numpy is loaded by whoever has made these.
        lowest = self.number << (_WORD_BITS - _DIGIT_BITS * len(self.hex)) if self.hex else 0
        highest = lowest + ((1 << (_WORD_BITS - _DIGIT_BITS * len(self.hex))) - 1)
        is_ours: NDArray[np.bool_] = (keys[:, 0] >= lowest) & (keys[:, 0] <= highest)
        return is_ours

    def overlaps(self, other: Partition) -> bool:
        """
        Return whether an ID can be in both this partition and another one, of an audience in any number of them.

        :param other: the other partition.
        """
        return self.hex.startswith(other.hex) or other.hex.startswith(self.hex)

    def takes(self, text: str) -> bool:
        """
        Return whether this partition reads a text. Each text is read by exactly one.

        :param text: text of a source, as it is stored.
        """
        return placed_text(text, digits=len(self.hex)) == self.hex


ALL_MEMBERS = Partition(hex="")
"""The only partition of an audience in one part."""


def partitions(count: Any) -> list[Partition]:
    """
    Return all partitions of an audience, in their order.

    :param count: how many: 1, 16 or 256.
    :raises InvalidInputError: it is another number.
    """
    if isinstance(count, bool) or count not in PARTITION_COUNTS:
        raise InvalidInputError(f"partitions must be one of {', '.join(map(str, PARTITION_COUNTS))}, not {count!r}")
    digits = PARTITION_COUNTS.index(count)
    return [Partition(hex=f"{number:0{digits}x}" if digits else "") for number in range(count)]


def placed_text(text: str, *, digits: int) -> str:
    """
    Return the digits of the partition that reads a text. The predicates for databases say the same in SQL.

    :param text: text of a source, as it is stored.
    :param digits: how many digits name a partition: 0, 1 or 2.
    """
    found = text.translate(_PLAIN).translate(_ASCII_LOWER)[:digits]
    is_placed = len(found) == digits and all(char in HEX_DIGITS for char in found)
    return found if is_placed else "0" * digits
