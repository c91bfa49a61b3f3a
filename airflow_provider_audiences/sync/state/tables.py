"""Large files of an audience's state: members in Parquet, checked by their fingerprints when they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from airflow_provider_audiences.exceptions import LedgerLostError, StateUnavailableError
from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter, fingerprint_of
from airflow_provider_audiences.members.keys.key_tables import KeyTableError, Numbers, read_key_table, write_key_table
from airflow_provider_audiences.members.scratch import scratch_path
from airflow_provider_audiences.sync.ledger import Ledger, LedgerRows, LedgerWriter

if TYPE_CHECKING:
    from airflow_provider_audiences.members.keys.key_order import Keys
    from airflow_provider_audiences.members.workspace import Workspace
    from airflow_provider_audiences.sync.state.file_store import FileStore

_MIN_FREE_BYTES = 1 << 20
_TIMES = ("earliest_expiry", "latest_expiry")


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
        self._store(name, keys, {})

    def store_ledger(self, name: str, ledger: Ledger) -> None:
        """
        Store a ledger.

        :param name: name of the new file.
        :param ledger: the ledger to store.
        """
        self._store(name, ledger.keys, dict(zip(_TIMES, (ledger.earliest_file, ledger.latest_file), strict=True)))

    def keys(self, name: str, *, fingerprint: str) -> KeySet:
        """
        Return a stored set of members.

        :param name: name of the file.
        :param fingerprint: fingerprint of the set that was stored.
        :raises LedgerLostError: the file is missing, or its content has changed.
        """
        writer = KeySetWriter(self._workspace.new_file(), key_bytes=self._workspace.key_bytes)
        with self._rows(name, ()) as chunks:
            for keys, _ in chunks:
                writer.add(keys)
        found = writer.finish()
        self._check(name, fingerprint_of(found) == fingerprint)
        return found

    def ledger(self, name: str, *, fingerprint: str) -> Ledger:
        """
        Return a stored ledger.

        :param name: name of the file.
        :param fingerprint: fingerprint of the ledger that was stored.
        :raises LedgerLostError: the file is missing, or its content has changed.
        """
        writer = LedgerWriter(self._workspace)
        with self._rows(name, _TIMES) as chunks:
            for keys, times in chunks:
                earliest, latest = (times[column] for column in _TIMES)
                writer.add(LedgerRows(keys=keys, earliest_expiry=earliest, latest_expiry=latest))
        found = writer.finish()
        self._check(name, found.fingerprint == fingerprint)
        return found

    def _store(self, name: str, keys: KeySet, numbers: Mapping[str, IO[bytes]]) -> None:
        with self._copy() as path:
            scratch_path(path.parent, path.name)
            write_key_table(self._workspace, path, keys, key_column=self._key_column, numbers=numbers)
            self._files.store(name, path)

    @contextmanager
    def _rows(self, name: str, columns: Sequence[str]) -> Iterator[Iterator[tuple[Keys, dict[str, Numbers]]]]:
        with self._copy() as path:
            try:
                self._fetch(name, path)
                yield read_key_table(self._workspace, path, columns)
            except FileNotFoundError:
                raise LedgerLostError(f"{self._files.name}/{name} is missing") from None
            except KeyTableError as error:
                raise LedgerLostError(f"{self._files.name}/{name} is damaged ({error})") from None

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
        path = self._workspace.folder / "table.parquet"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)
