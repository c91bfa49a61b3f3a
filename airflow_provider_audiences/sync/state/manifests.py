"""
The manifests of an audience: each holds the whole state, and follows the one before it.

A process that was overtaken must not change what its successor reads, whenever its write arrives: the process may have
been suspended, or the network may have delayed the write. So no important file is ever changed. A commit creates the
next manifest, and readers take the last one. These rules hold on a store that lets only one writer create a file (a
disk with hard links, S3 and stores that honour its conditions):

1.  Manifests are numbered, and each number exists once: a commit creates the number after the last one that its
    writer knows, and the store refuses all other writers of that number.
2.  A sync that begins takes over: it commits the manifest that it has read once more. From then on, a write of an
    earlier sync has a number that is taken, and is refused; or a number that was deleted, which is below the last.
3.  So the manifests form one line: each was made by a writer who knew the one before. Nobody sees a refused one.
4.  Members, in ledgers and plans, are in files with random names, and no file is written twice.
5.  A file is deleted only by a writer who saw it before a commit of its own, if that commit does not name the file
    and is the last one. A later manifest can't name the file: it names files of that commit and files made after it.
    So the deletion may arrive at any time.
6.  A writer who is refused when it records delivered rows sends no further request.

A store that can't refuse a writer (without conditions, or without hard links) gets other names: they tell at which
number their writer took over. Readers take the manifests of the writer who took over last, and of these the one with
the highest number. An earlier writer has taken over at a lower number, as its successor has read at least that
manifest; and a sync that takes over checks, after its manifest is written, whether it still has the lease. So rules 2
and 3 hold: writes of an earlier writer exist, but no reader takes them. For rule 5, a writer who deletes also checks
the lease after its commit: a successor that came before has written a claim by then, and one that comes later reads
that commit.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import AudienceBusyError, LedgerLostError, StateUnavailableError
from airflow_provider_audiences.sync.state.direct_change_files import is_unrecorded
from airflow_provider_audiences.sync.state.manifest_file import ManifestFile, Rank
from airflow_provider_audiences.sync.state.manifest_reader import FIRST_FILE, NOTICE, ManifestReader

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.destination import AudienceAddress
    from airflow_provider_audiences.sync.state.file_store import FileStore
    from airflow_provider_audiences.sync.state.lease import Lease
    from airflow_provider_audiences.sync.state.manifest import Manifest

log = logging.getLogger(__name__)

_PREFIXES = ("ledger-", "held-", "hand-", "plan-", "head-", "head.json-")
_ATTEMPTS = 8
_DELETERS = 8
_KEPT = 16


class ManifestChain(ManifestReader):
    """
    Reads the last manifest of an audience and adds new ones; only for the process that holds the lease.

    :param files: the file store of the audience's state.
    :param lease: lease of the audience, held by this process.
    """

    def __init__(self, files: FileStore, lease: Lease) -> None:
        super().__init__(files)
        self._lease = lease
        self._writer = secrets.token_hex(8)
        self._taken_over = Rank(0, 0)
        self._in_doubt: Rank | None = None

    def load(self, address: AudienceAddress) -> Manifest | None:
        """
        Read the last manifest, and take over: from now on, no earlier process can add one.

        :param address: the audience that the manifest must be about.
        :return: the manifest; None if nothing is known of the audience.
        :raises LedgerLostError: the manifest is damaged, missing although there is a ledger, or another audience's.
        :raises AudienceBusyError: a later sync has taken over.
        """
        for _ in range(_ATTEMPTS):
            names = self._files.names()
            try:
                manifest = self.read(names, address)
            except FileNotFoundError:
                continue  # another process has deleted it, after creating a later one
            if self._create(manifest, state_id=self.state_id):
                self._taken_over = self._last
                self.ensure_current()
                self._delete(self._superseded(names))
                return manifest
        raise AudienceBusyError(f"other syncs keep on changing {self._files.name}; nothing was sent")

    def commit(self, manifest: Manifest) -> None:
        """
        Add a manifest, which is the state from now on.

        :param manifest: the state from now on.
        :raises AudienceBusyError: a later sync has taken over; nothing has changed.
        """
        if not self._create(manifest, state_id=secrets.token_hex(32)):
            raise AudienceBusyError("another sync has changed the audience's state meanwhile; nothing more was sent")

    def ensure_current(self) -> None:
        """
        Raise an error unless this process has read or written the last manifest, and holds the lease.

        :raises AudienceBusyError: a later sync has taken over.
        """
        names = self._files.names()
        self._lease.ensure_current(names)
        is_known = self._last.number > 0  # otherwise nothing was read yet, and any manifest may be the last one
        if is_known and any(rank > self._last and rank != self._in_doubt for rank in map(Rank.of, names) if rank):
            raise AudienceBusyError("a later sync has taken over this audience; nothing more was sent")

    def commit_and_clean(self, manifest: Manifest, *, used: Collection[str]) -> None:
        """
        Add a manifest, and delete files that are no longer needed.

        :param manifest: the state from now on.
        :param used: names of the files that the new manifest names.
        :raises AudienceBusyError: a later sync has taken over.
        """
        try:
            names = self._files.names()
        except StateUnavailableError:
            names = []  # the next commit deletes them
        self.commit(manifest)
        try:
            self.ensure_current()
            kept = {name for name in names if Rank.of(name) or is_unrecorded(name)}
            unused = [name for name in names if name.startswith(_PREFIXES) and name not in used and name not in kept]
            self._delete([*unused, *self._superseded(names)])
        except StateUnavailableError as error:
            # The manifest is committed; the end of the next plan deletes these files.
            log.warning("Files that are not needed any more were left: %s", error)

    def _superseded(self, names: Collection[str]) -> list[str]:
        """
        Return the names of manifests that are no longer needed.

        The manifests of the last take-overs are kept: an overtaken process would write these numbers next, so the
        refusal tells it at once.
        """
        ranks = sorted(rank for rank in map(Rank.of, names) if rank)
        older = [rank for rank in ranks if rank < self._taken_over]
        own = [rank for rank in ranks if self._taken_over < rank < self._last]
        return [rank.file for rank in (*older[:-_KEPT], *own)]

    def _create(self, manifest: Manifest | None, *, state_id: str) -> bool:
        """Create the next manifest; return False if another process has created it."""
        while True:
            number = max(self._last.number + 1, self._takes_over_at)
            rank = Rank(number, number) if self._lease.is_exclusive else Rank(self._takes_over_at, number, self._writer)
            manifest_file = ManifestFile(
                rank=rank, writer=self._writer, state_id=state_id, moved_from=self._moved_from, manifest=manifest
            )
            content = manifest_file.to_bytes()
            found = self._stored(rank, content)
            if found != content:
                if not self._is_own(found, rank):
                    return False
                self._last = rank  # an earlier commit of this process, whose outcome was not known, was stored
                continue
            self._last, self.state_id = rank, state_id
            if not self._has_notice:
                self._files.write(FIRST_FILE, NOTICE)
                self._has_notice = True
            return True

    def _stored(self, rank: Rank, content: bytes) -> bytes:
        """Store a manifest; return the content of the file afterwards, which another process may have written."""
        try:
            if self._lease.is_exclusive:
                self._files.create(rank.file, content)
            else:
                self._files.write(rank.file, content)
        except FileExistsError:
            try:
                return self._files.read(rank.file)
            except FileNotFoundError:
                return b""
        except StateUnavailableError:
            self._in_doubt = rank  # the manifest may be stored, or may still be
            if not self._lease.is_exclusive:
                self._last = rank  # its name is used up, as it has this writer in it
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
                list(pool.map(self._files.delete, names))
