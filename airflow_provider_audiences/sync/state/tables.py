"""Large files of an audience's state: members in Parquet, checked by their fingerprints when they are read."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import LedgerLostError, StateUnavailableError
from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter, fingerprint_of
from airflow_provider_audiences.members.keys.key_tables import (
    KeyTableError,
    Numbers,
    read_key_table,
    stored_keys,
    write_key_table,
)
from airflow_provider_audiences.sync.expiry import Expiry, ExpiryCounter
from airflow_provider_audiences.sync.ledger import Ledger, LedgerFingerprint, LedgerRows, LedgerWriter
from airflow_provider_audiences.sync.state.manifest import StoredLedger

if TYPE_CHECKING:
    from airflow_provider_audiences.members.keys.key_order import Keys
    from airflow_provider_audiences.members.keys.stored_keys import StoredKeys
    from airflow_provider_audiences.members.workspace import Workspace
    from airflow_provider_audiences.sync.state.file_store import FileStore

_MIN_FREE_BYTES = 1 << 20
_PIECE_ROWS = 1 << 17
_COPY = "table.parquet"
_TIMES = ("earliest_expiry", "latest_expiry")


@dataclass(frozen=True, kw_only=True)
class NewLedger:
    """
    What is known of a ledger that was stored; its rows are in its file only.

    :param stored: what the manifest says of it.
    :param expiry: when its members begin to expire.
    """

    stored: StoredLedger
    expiry: Expiry


EMPTY_LEDGER = StoredLedger(file="", members=0, fingerprint=LedgerFingerprint().hexdigest())
"""A ledger without members."""


def ledger_file(generation: int) -> str:
    """
    Return a new name for the file of a ledger.

    :param generation: number of the ledger.
    """
    return f"ledger-{generation}-{secrets.token_hex(4)}.parquet"


class StateTables:
    """
    Stores sets and ledgers, and fetches them.

    :param files: the file store of the audience's state.
    :param workspace: workspace for copies on this machine.
    :param key_column: name of the column of members.
    """

    def __init__(self, files: FileStore, workspace: Workspace, *, key_column: str) -> None:
        self._files = files
        self._workspace = workspace
        self._key_column = key_column

    def store_keys(self, name: str, keys: KeySet) -> None:
        """
        Store a set of members.

        :param name: name of the new file.
        :param keys: the set to store.
        """
        pieces = (keys.slice(first, _PIECE_ROWS) for first in range(0, keys.count, _PIECE_ROWS))
        self._store(name, ((piece, ()) for piece in pieces))

    def store_ledger(self, name: str, rows: Generator[LedgerRows], *, now: float) -> NewLedger:
        """
        Store a ledger while its rows are made; there is no file if it has no members.

        :param name: name of the new file.
        :param rows: the rows in pieces, in order.
        :param now: time for which expiries are counted, in seconds since 1970 (UTC).
        """
        facts = _LedgerFacts(now=now)
        with closing(facts.noted(rows)) as noted:
            if (first := next(noted, None)) is not None:
                self._store(name, chain([first], noted), columns=_TIMES)
        return facts.of_file(name if facts.members else "")

    def keys(self, name: str, *, fingerprint: str | None) -> KeySet:
        """
        Return a stored set of members.

        :param name: name of the file.
        :param fingerprint: fingerprint of the set that was stored; None if it is not known any more.
        :raises LedgerLostError: the file is missing, or its content has changed.
        """
        with self._table(name) as (path, stored):
            writer = KeySetWriter(self._workspace.new_file(), key_bytes=self._workspace.key_bytes, stored=stored)
            for keys, _ in read_key_table(self._workspace, path, (), stored=stored):
                writer.add(keys)
        found = writer.finish()
        self._check(name, fingerprint in {None, fingerprint_of(found)})
        return found

    def ledger(self, name: str, *, fingerprint: str) -> Ledger:
        """
        Return a stored ledger.

        :param name: name of the file.
        :param fingerprint: fingerprint of the ledger that was stored.
        :raises LedgerLostError: the file is missing, or its content has changed.
        """
        with self._table(name) as (path, stored):
            writer = LedgerWriter(self._workspace, stored=stored)
            for keys, times in read_key_table(self._workspace, path, _TIMES, stored=stored):
                earliest, latest = (times[column] for column in _TIMES)
                writer.add(LedgerRows(keys=keys, earliest_expiry=earliest, latest_expiry=latest))
        found = writer.finish()
        self._check(name, found.fingerprint == fingerprint)
        return found

    def _store(self, name: str, rows: Iterator[tuple[Keys, Sequence[Numbers]]], *, columns: Sequence[str] = ()) -> None:
        def write(path: Path) -> None:
            write_key_table(self._workspace, path, rows, key_column=self._key_column, number_columns=columns)

        self._files.store(name, write, scratch=self._workspace.folder / _COPY)

    @contextmanager
    def _table(self, name: str) -> Iterator[tuple[Path, StoredKeys]]:
        """Yield the path of a file for the block, and its keys that can be read as they are, also after the block."""
        where = f"{self._files.name}/{name}"
        with self._copy() as path:
            try:
                self._fetch(name, path)
                yield path, stored_keys(self._workspace, path, where=where)
            except FileNotFoundError:
                raise LedgerLostError(f"{where} is missing") from None
            except KeyTableError as error:
                raise LedgerLostError(f"{where} is damaged ({error})") from None

    def _fetch(self, name: str, path: Path) -> None:
        try:
            self._files.fetch(name, path)
        except StateUnavailableError:
            # A store's error does not tell whether the store failed or this machine has no room for the copy.
            self._workspace.require(_MIN_FREE_BYTES, f"a copy of {name}")
            raise
        if not path.is_symlink():
            path.chmod(0o600)

    def _check(self, name: str, is_same: bool) -> None:
        if not is_same:
            raise LedgerLostError(f"{self._files.name}/{name} is not what was written there")

    @contextmanager
    def _copy(self) -> Iterator[Path]:
        path = self._workspace.folder / _COPY
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


class _LedgerFacts:
    """Counts the rows of a ledger while they pass, and computes its fingerprint."""

    def __init__(self, *, now: float) -> None:
        self.members = 0
        self._fingerprint = LedgerFingerprint()
        self._expiry = ExpiryCounter(now=now)

    def noted(self, pieces: Generator[LedgerRows]) -> Generator[tuple[Keys, Sequence[Numbers]]]:
        """Yield the pieces that have rows, as columns."""
        with closing(pieces):
            for rows in pieces:
                if len(rows.keys):
                    self.members += len(rows.keys)
                    self._fingerprint.add(rows)
                    self._expiry.add(rows.earliest_expiry)
                    yield rows.keys, (rows.earliest_expiry, rows.latest_expiry)

    def of_file(self, name: str) -> NewLedger:
        """Return the facts of all rows that have passed."""
        stored = StoredLedger(file=name, members=self.members, fingerprint=self._fingerprint.hexdigest())
        return NewLedger(stored=stored, expiry=self._expiry.total())
