"""
The ledger: whom this sync has sent to an audience, and when they expire there.

What happened to a request is not always known, so each member has two times: until the earlier one it surely
lives at the platform, and after the later one it surely does not. Between them it may or may not. Everything follows
from these two: who is still due, who has to be sent again before it expires, and whom to remove although it is not
known whether it ever arrived.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter
from airflow_provider_audiences.members.workspace import read_all, write_all

if TYPE_CHECKING:
    from airflow_provider_audiences.members.keys.key_order import Keys
    from airflow_provider_audiences.members.workspace import Workspace

Seconds = NDArray[np.uint32]
"""Seconds since 1970, UTC."""

ADDITION_IN_DOUBT = 0
REMOVAL_IN_DOUBT = 1
"""In place of the earlier time: the member may not live, since a request with it has no known outcome."""

NOBODY_KNOWS = 2**32 - 1
"""In place of the later time: of a member whom no ledger knew, and whose removal has no known outcome."""

LATEST = NOBODY_KNOWS - 1
"""The latest time that a ledger can say; also of members that stay until they are removed."""

_NUMBER_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRows:
    """
    Members with their times, as columns.

    :param keys: in order.
    :param earliest: until then each surely lives.
    :param latest: after that each surely does not.
    """

    keys: Keys
    earliest: Seconds
    latest: Seconds


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """
    Members with their times, in files of a workspace.

    :param keys: the members.
    :param fingerprint: tells this content from any other.
    """

    keys: KeySet
    fingerprint: str
    earliest_file: IO[bytes] = field(repr=False)
    latest_file: IO[bytes] = field(repr=False)

    def rows(self, part: slice) -> LedgerRows:
        """
        Return some of the rows. Any thread may ask, at any time.

        :param part: first row and end.
        """
        first, count = part.start, part.stop - part.start
        earliest, latest = (
            np.frombuffer(read_all(file, first * _NUMBER_BYTES, count * _NUMBER_BYTES), np.uint32)
            for file in (self.earliest_file, self.latest_file)
        )
        return LedgerRows(keys=self.keys.slice(first, count), earliest=earliest, latest=latest)


class LedgerWriter:
    """
    Writes rows that come in order.

    :param workspace: has the files.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._keys = KeySetWriter(workspace.new_file())
        self._files = (workspace.new_file(), workspace.new_file())
        self._hashes = [hashlib.sha256() for _ in range(3)]

    def add(self, rows: LedgerRows) -> None:
        """
        Add rows after those that are there.

        :param rows: in order.
        """
        self._keys.add(rows.keys)
        for file, seconds in zip(self._files, (rows.earliest, rows.latest), strict=True):
            write_all(file, seconds)
        columns: tuple[NDArray[Any], ...] = (rows.keys, rows.earliest, rows.latest)
        for known, column in zip(self._hashes, columns, strict=True):
            known.update(column.tobytes())

    def finish(self) -> Ledger:
        """Return the ledger."""
        digests = b"".join(known.digest() for known in self._hashes)
        earliest_file, latest_file = self._files
        return Ledger(
            keys=self._keys.finish(),
            fingerprint=hashlib.sha256(digests).hexdigest(),
            earliest_file=earliest_file,
            latest_file=latest_file,
        )
