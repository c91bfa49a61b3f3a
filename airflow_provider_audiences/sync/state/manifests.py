"""
The manifests of an audience's state: each says all that is true, and follows the one before it.

Whoever was overtaken must not change what its successor reads, whenever its write arrives: that of a process that
stood still, or one that the network held back. So no file that matters is ever changed. A commit creates the next
manifest, and readers take the last one. Why that holds, on a store that lets one writer only create a file (a disk
with hard links, S3 and what honours its conditions):

1.  Manifests are numbered, and of each number there is one: a commit creates the number after the last that its
    writer knows, and the store refuses all others that try the same.
2.  A sync that begins takes over: it commits what it has read once more. From then on whatever an earlier one still
    writes has a number that is taken, and is refused; or one that was removed, and is below the last.
3.  So manifests are one line: each was made by who knew the one before. What was refused is not there for anybody.
4.  Members, in ledgers and plans, lie in files with random names; none is ever written twice.
5.  A file is deleted only by whoever saw it before a commit, when that commit, which does not name it, is the last
    one. A file that a later manifest names was either named by that commit, or made after it: such a deletion may
    arrive at any time.
6.  Whoever is refused when it writes down what has landed begins no further request.

Where a store can't refuse (it has no conditions, or no hard links), the names differ instead: they say at which number
their writer has taken over. Readers take the manifest of whoever took over last, and of those the one with the highest
number. An earlier writer has taken over at a lower number, as its successor has read at least that manifest; and
whoever takes over looks, when its manifest is there, whether it still has the lease. So 2 and 3 hold: what an earlier
one writes is there, and no reader takes it. For 5, who deletes looks at the lease as well, after its commit: a
successor that came before has written a claim by then, and one that comes later reads that commit.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import AudienceBusyError, LedgerLostError, StateUnavailableError
from airflow_provider_audiences.sync.state.manifest_file import (
    FORMAT,
    ManifestFile,
    Rank,
    first_format,
    is_first_format,
    sealed,
)

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.destination import AudienceAddress
    from airflow_provider_audiences.sync.state.file_store import FileStore
    from airflow_provider_audiences.sync.state.lease import Lease
    from airflow_provider_audiences.sync.state.manifest import Manifest

log = logging.getLogger(__name__)

_PREFIXES = ("ledger-", "held-", "hand-", "plan-", "head-", "head.json-")
_FIRST_FILE = "head.json"
"""What versions before manifests read and replaced."""
_NOTICE = sealed({"format": FORMAT, "note": "The state is in the last of the files head-*.json."})
"""Tells those versions that the state is not theirs any more."""

_ATTEMPTS = 8
_DELETERS = 8
_KEPT = 16
_NOTHING_ID = hashlib.sha256(b"").hexdigest()


class ManifestChain:
    """
    Reads the last manifest of an audience, and adds more; whoever does must hold the lease.

    :param folder: of the state.
    :param lease: of the audience.
    """

    def __init__(self, folder: FileStore, lease: Lease) -> None:
        self._folder = folder
        self._lease = lease
        self._writer = secrets.token_hex(8)
        self._last = Rank(0, 0)
        self._taken_over = Rank(0, 0)
        self._in_doubt: Rank | None = None
        self._since = 1
        self._moved_from = ""
        self._has_notice = False
        self.state_id = _NOTHING_ID
        """Tells what the last manifest says from whatever was said before, or will be."""

    def load(self, address: AudienceAddress) -> Manifest | None:
        """
        Read the last manifest, and take over: nobody who came before can add one from now on.

        :param address: the audience that it has to be about.
        :return: what it says; None if nothing is known.
        :raises LedgerLostError: it is damaged, missing although there is a ledger, or another audience's.
        :raises AudienceBusyError: a later sync has taken over.
        """
        for _ in range(_ATTEMPTS):
            names = self._folder.names()
            try:
                manifest = self._read(names, address)
            except FileNotFoundError:
                continue  # who removes one has created a later one
            if self._create(manifest, state_id=self.state_id):
                self._taken_over = self._last
                self.confirm()
                self._delete(self._superseded(names))
                return manifest
        raise AudienceBusyError(f"other syncs keep on changing {self._folder.name}; nothing was sent")

    def commit(self, manifest: Manifest) -> None:
        """
        Add a manifest: from here on this is what is true.

        :param manifest: what it says.
        :raises AudienceBusyError: a later sync has taken over; nothing has changed.
        """
        if not self._create(manifest, state_id=secrets.token_hex(32)):
            raise AudienceBusyError("another sync has changed the audience's state meanwhile; nothing more was sent")

    def confirm(self) -> None:
        """
        Make sure that the manifest that was read or added here is still the last one, and the lease is held.

        :raises AudienceBusyError: it is not.
        """
        names = self._folder.names()
        self._lease.confirm(names)
        is_known = self._last.number > 0  # else nothing was read yet, and whatever is there may be the last one
        if is_known and any(rank > self._last and rank != self._in_doubt for rank in map(Rank.of, names) if rank):
            raise AudienceBusyError("a later sync has taken over this audience; nothing more was sent")

    def commit_and_clean(self, manifest: Manifest, *, used: Collection[str]) -> None:
        """
        Add a manifest, and delete what is not needed any more.

        :param manifest: what the manifest says.
        :param used: files that it names.
        :raises AudienceBusyError: a later sync has taken over.
        """
        try:
            names = self._folder.names()
        except StateUnavailableError:
            names = []  # the next one removes them
        self.commit(manifest)
        try:
            self.confirm()
            unused = [name for name in names if not Rank.of(name) and name.startswith(_PREFIXES) and name not in used]
            self._delete([*unused, *self._superseded(names)])
        except StateUnavailableError as error:
            # All is committed, and the next plan's end removes them.
            log.warning("Files that are not needed any more were left: %s", error)

    def _superseded(self, names: Collection[str]) -> list[str]:
        """
        Return manifests that are not needed any more.

        Those with which the last syncs took over stay: they are what an overtaken one would write next, and so it
        learns at once that it was.
        """
        ranks = sorted(rank for rank in map(Rank.of, names) if rank)
        older = [rank for rank in ranks if rank < self._taken_over]
        own = [rank for rank in ranks if self._taken_over < rank < self._last]
        return [rank.file for rank in (*older[:-_KEPT], *own)]

    def _read(self, names: Collection[str], address: AudienceAddress) -> Manifest | None:
        ranks = [rank for rank in map(Rank.of, names) if rank]
        old = self._old_head(names)
        if not ranks:
            return self._moved(names, old, address)
        self._last = max(ranks)
        self._since = max(rank.number for rank in ranks) + 1
        where = f"{self._folder.name}/{self._last.file}"
        text = self._folder.read(self._last.file)
        self.state_id = hashlib.sha256(text).hexdigest()  # should it be damaged
        manifest_file = ManifestFile.from_bytes(text, self._last, where=where)
        if is_first_format(old) and _id_of(old) != manifest_file.moved_from:
            self.state_id = _id_of(old)
            raise LedgerLostError(
                f"an older version of airflow-provider-audiences has written {self._folder.name}/{_FIRST_FILE}, "
                "after a newer one has synced this audience",
            )
        self.state_id, self._moved_from = manifest_file.state_id, manifest_file.moved_from
        if manifest_file.manifest is None:
            self._refuse_ledger(names)
        self._refuse_other(manifest_file.manifest, address, where=where)
        return manifest_file.manifest

    def _old_head(self, names: Collection[str]) -> bytes:
        """Return the file that older versions know; nothing if there is none, or only the notice."""
        self._has_notice = False
        if _FIRST_FILE not in names:
            return b""
        try:
            text = self._folder.read(_FIRST_FILE)
        except FileNotFoundError:
            return b""
        self._has_notice = text == _NOTICE
        return b"" if self._has_notice else text

    def _moved(self, names: Collection[str], old: bytes, address: AudienceAddress) -> Manifest | None:
        """Return what is known before there is a manifest: from an older version, or nothing."""
        where = f"{self._folder.name}/{_FIRST_FILE}"
        self.state_id = self._moved_from = _id_of(old)
        if _FIRST_FILE not in names:
            self._refuse_ledger(names)
            return None
        if self._has_notice:
            raise LedgerLostError(f"{self._folder.name}: its head-*.json is missing")
        manifest = first_format(old, where=where)
        self._refuse_other(manifest, address, where=where)
        return manifest

    def _refuse_ledger(self, names: Collection[str]) -> None:
        """Where nothing is known there is no ledger either, or what says so was lost."""
        if any(name.startswith("ledger-") and name.endswith(".parquet") for name in names):
            raise LedgerLostError(f"{self._folder.name}: its last head-*.json is missing, and there is a ledger")

    def _refuse_other(self, manifest: Manifest | None, address: AudienceAddress, *, where: str) -> None:
        if manifest and manifest.address != address:
            raise LedgerLostError(
                f"{where} is about audience {manifest.audience_id} of {manifest.host}, not {address.audience_id} of "
                f"{address.host}"
            )

    def _create(self, manifest: Manifest | None, *, state_id: str) -> bool:
        """Create the next manifest; return whether nobody else has."""
        while True:
            number = max(self._last.number + 1, self._since)
            rank = Rank(number, number) if self._lease.is_exclusive else Rank(self._since, number, self._writer)
            manifest_file = ManifestFile(
                rank=rank, writer=self._writer, state_id=state_id, moved_from=self._moved_from, manifest=manifest
            )
            content = manifest_file.to_bytes()
            found = self._stored(rank, content)
            if found != content:
                if not self._is_own(found, rank):
                    return False
                self._last = rank  # of a commit whose outcome was not known: it has landed
                continue
            self._last, self.state_id = rank, state_id
            if not self._has_notice:
                self._folder.write(_FIRST_FILE, _NOTICE)
                self._has_notice = True
            return True

    def _stored(self, rank: Rank, content: bytes) -> bytes:
        """Store a manifest; return what the file says then."""
        try:
            if self._lease.is_exclusive:
                self._folder.create(rank.file, content)
            else:
                self._folder.write(rank.file, content)
        except FileExistsError:
            try:
                return self._folder.read(rank.file)
            except FileNotFoundError:
                return b""
        except StateUnavailableError:
            self._in_doubt = rank  # it may be there, or still come
            if not self._lease.is_exclusive:
                self._last = rank  # no second one has its name
            raise
        return content

    def _is_own(self, text: bytes, rank: Rank) -> bool:
        try:
            return ManifestFile.from_bytes(text, rank, where="").writer == self._writer
        except (LedgerLostError, StateUnavailableError):
            return False

    def _delete(self, names: Collection[str]) -> None:
        if names:
            with ThreadPoolExecutor(max_workers=min(_DELETERS, len(names)), thread_name_prefix="audiences-del") as pool:
                list(pool.map(self._folder.delete, names))


def _id_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
