"""
The ledger: which members were sent to an audience, and when they expire there.

The outcome of a request is not always known. So each member has two times: until ``earliest_expiry`` the member is in
the audience for sure, and after ``latest_expiry`` the member is not in it for sure; in between, the member may be in it
("may be live"). These two times decide which members must be sent, which are refreshed before they expire, and which
are removed although they may never have arrived.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter
from airflow_provider_audiences.sync.expiry_times import ExpiryTimes, ExpiryTimesWriter, Seconds

if TYPE_CHECKING:
    from airflow_provider_audiences.members.keys.key_order import Keys
    from airflow_provider_audiences.members.keys.stored_keys import StoredKeys
    from airflow_provider_audiences.members.workspace import Workspace

ADDITION_IN_DOUBT = 0
REMOVAL_IN_DOUBT = 1
"""
Value of ``earliest_expiry`` for a member whose removal has no known outcome; :data:`ADDITION_IN_DOUBT` for an addition.
"""

LATEST_UNKNOWN = 2**32 - 1
"""
Value of ``latest_expiry`` for a member that was in no ledger before its removal; the removal has no known outcome.
"""

LATEST = LATEST_UNKNOWN - 1
"""The latest time that a ledger can hold; also for members that stay until they are removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRows:
    """
    Members with their times, as columns of equal length.

    :param keys: the members' keys, sorted.
    :param earliest_expiry: until this time each member is in the audience for sure.
    :param latest_expiry: after this time each member is not in the audience for sure.
    """

    keys: Keys
    earliest_expiry: Seconds
    latest_expiry: Seconds

    def chosen(self, rows: NDArray[np.int64]) -> LedgerRows:
        """
        Return copies of some rows.

        :param rows: row numbers, in the order in which the rows are returned.
        """
        return LedgerRows(
            keys=self.keys.take(rows, axis=0),
            earliest_expiry=self.earliest_expiry.take(rows),
            latest_expiry=self.latest_expiry.take(rows),
        )


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """
    A ledger in files of a workspace; its keys may be read from the Parquet file that it was stored in.

    :param keys: the members, sorted.
    :param fingerprint: SHA-256 of the content; equal ledgers have equal fingerprints.
    :param times: the members' times.
    """

    keys: KeySet
    fingerprint: str
    times: ExpiryTimes = field(repr=False)

    def rows(self, range_of_rows: slice) -> LedgerRows:
        """
        Return some of the rows. Any thread may call it, at any time.

        :param range_of_rows: range of rows, with a start and a stop.
        """
        first, count = range_of_rows.start, range_of_rows.stop - range_of_rows.start
        earliest, latest = self.times.rows(range_of_rows)
        return LedgerRows(keys=self.keys.slice(first, count), earliest_expiry=earliest, latest_expiry=latest)

    def earliest_expiry(self, range_of_rows: slice) -> Seconds:
        """
        Return only the times until which some of the members are in the audience for sure.

        :param range_of_rows: range of rows, with a start and a stop.
        """
        return self.times.earliest(range_of_rows)


class LedgerFingerprint:
    """The fingerprint of a ledger, computed while its rows pass: one hash for each column, and one of these hashes."""

    def __init__(self) -> None:
        self._hashes = [hashlib.sha256() for _ in range(3)]

    def add(self, rows: LedgerRows) -> None:
        """
        Add rows, which come after all those added before.

        :param rows: rows, sorted by key.
        """
        columns: tuple[NDArray[Any], ...] = (rows.keys, rows.earliest_expiry, rows.latest_expiry)
        for column_hash, column in zip(self._hashes, columns, strict=True):
            column_hash.update(np.ascontiguousarray(column).data)

    def hexdigest(self) -> str:
        """Return the fingerprint of all rows that were added."""
        return hashlib.sha256(b"".join(one.digest() for one in self._hashes)).hexdigest()


class LedgerWriter:
    """
    Writes a ledger row by row, in sorted order.

    :param workspace: workspace in which the ledger's files are made.
    :param stored: keys of its first members that lie in a file already, so that they are not written; None for none.
    """

    def __init__(self, workspace: Workspace, *, stored: StoredKeys | None = None) -> None:
        self._keys = KeySetWriter(workspace.new_file(), key_bytes=workspace.key_bytes, stored=stored)
        self._times = ExpiryTimesWriter(workspace)
        self._fingerprint = LedgerFingerprint()

    def add(self, rows: LedgerRows) -> None:
        """
        Append rows, which must come after all those added before.

        :param rows: rows, sorted by key.
        """
        self._keys.add(rows.keys)
        self._times.add(rows.earliest_expiry, rows.latest_expiry)
        self._fingerprint.add(rows)

    def finish(self) -> Ledger:
        """Return the ledger of all rows that were added."""
        return Ledger(keys=self._keys.finish(), fingerprint=self._fingerprint.hexdigest(), times=self._times.finish())
