"""Reading the last manifest of an audience: of all manifest files the one with the highest rank, or an older format."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import LedgerLostError
from airflow_provider_audiences.sync.state.manifest_file import (
    FORMAT,
    ManifestFile,
    Rank,
    first_format,
    is_first_format,
)
from airflow_provider_audiences.sync.state.sealing import sealed

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.destination import AudienceAddress
    from airflow_provider_audiences.sync.state.file_store import FileStore
    from airflow_provider_audiences.sync.state.manifest import Manifest

FIRST_FILE = "head.json"
"""File that versions without numbered manifests read and replaced."""
NOTICE = sealed({"format": FORMAT, "note": "The state is in the last of the files head-*.json."})
"""Tells those versions that they can't read the state any more."""

_NOTHING_ID = hashlib.sha256(b"").hexdigest()


class ManifestReader:
    """
    Reads the last manifest of an audience; needs no lease, and changes nothing.

    :param files: the file store of the audience's state.
    """

    def __init__(self, files: FileStore) -> None:
        self._files = files
        self._last = Rank(0, 0)
        self._takes_over_at = 1
        self._moved_from = ""
        self._has_notice = False
        self.state_id = _NOTHING_ID
        """Identifies the state of the last manifest among all past and later ones."""

    def is_last(self, names: Collection[str]) -> bool:
        """
        Return whether no manifest has followed the one that was read.

        :param names: names of all files of the store, listed just now.
        """
        return max((rank for rank in map(Rank.of, names) if rank), default=Rank(0, 0)) <= self._last

    def read(self, names: Collection[str], address: AudienceAddress | None = None) -> Manifest | None:
        """
        Read the last manifest.

        :param names: names of all files of the store, listed just now.
        :param address: the audience that the manifest must be about; None for any.
        :return: the manifest; None if nothing is known of the audience.
        :raises LedgerLostError: the manifest is damaged, missing although there is a ledger, or another audience's.
        :raises FileNotFoundError: another process has deleted it, after creating a later one.
        """
        ranks = [rank for rank in map(Rank.of, names) if rank]
        old = self._old_head(names)
        if not ranks:
            return self._moved(names, old, address)
        self._last = max(ranks)
        self._takes_over_at = max(rank.number for rank in ranks) + 1
        where = f"{self._files.name}/{self._last.file}"
        text = self._files.read(self._last.file)
        self.state_id = _id_of(text)  # should it be damaged
        manifest_file = ManifestFile.from_bytes(text, self._last, where=where)
        if is_first_format(old) and _id_of(old) != manifest_file.moved_from:
            self.state_id = _id_of(old)
            raise LedgerLostError(
                f"an older version of airflow-provider-audiences has written {self._files.name}/{FIRST_FILE}, "
                "after a newer one has synced this audience",
            )
        self.state_id, self._moved_from = manifest_file.state_id, manifest_file.moved_from
        if manifest_file.manifest is None:
            self._refuse_ledger(names)
        self._refuse_other(manifest_file.manifest, address, where=where)
        return manifest_file.manifest

    def _old_head(self, names: Collection[str]) -> bytes:
        """
        Return the content of the file of versions without numbered manifests; empty if there is none, or only the
        notice.
        """
        self._has_notice = False
        if FIRST_FILE not in names:
            return b""
        try:
            text = self._files.read(FIRST_FILE)
        except FileNotFoundError:
            return b""
        self._has_notice = text == NOTICE
        return b"" if self._has_notice else text

    def _moved(self, names: Collection[str], old: bytes, address: AudienceAddress | None) -> Manifest | None:
        """Return the state when there is no manifest yet: that of an older version, or None."""
        where = f"{self._files.name}/{FIRST_FILE}"
        self.state_id = self._moved_from = _id_of(old)
        if FIRST_FILE not in names:
            self._refuse_ledger(names)
            return None
        if self._has_notice:
            raise LedgerLostError(f"{self._files.name}: its manifest (head-*.json) is missing")
        manifest = first_format(old, where=where)
        self._refuse_other(manifest, address, where=where)
        return manifest

    def _refuse_ledger(self, names: Collection[str]) -> None:
        """Raise an error if there are members but no manifest: then the manifest was lost."""
        if any(name.startswith(("ledger-", "held-")) and name.endswith(".parquet") for name in names):
            raise LedgerLostError(
                f"{self._files.name}: its last manifest (head-*.json) is missing, and there are files with members"
            )

    def _refuse_other(self, manifest: Manifest | None, address: AudienceAddress | None, *, where: str) -> None:
        if manifest and address and manifest.address != address:
            (_, place, audience_id), (_, other_place, other_id) = address.folders, manifest.address.folders
            raise LedgerLostError(
                f"{where} is about audience {other_id} of {other_place}, not {audience_id} of {place}"
            )


def _id_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
