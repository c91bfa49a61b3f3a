"""
An audience's state at one moment, read without its lease while syncs may change it.

A sync never changes a file of members, but deletes files that its last manifest no longer names. So if a file is
missing or damaged and another manifest has followed meanwhile, the state is read anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_audiences.exceptions import AudienceBusyError, LedgerLostError
from airflow_provider_audiences.sync.state.manifest_reader import ManifestReader

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.destination import AudienceAddress
    from airflow_provider_audiences.sync.state.file_store import FileStore
    from airflow_provider_audiences.sync.state.manifest import Manifest

T = TypeVar("T")

_ATTEMPTS = 8


@dataclass(frozen=True, kw_only=True)
class StateSnapshot:
    """
    A state at one moment.

    :param names: names of all its files.
    :param state_id: identifies the state among all past and later ones.
    :param manifest: the last manifest; None if nothing was sent yet.
    """

    names: Collection[str]
    state_id: str
    manifest: Manifest | None


def read_snapshot(
    files: FileStore,
    work: Callable[[StateSnapshot], T],
    *,
    address: AudienceAddress | None = None,
    is_whole: Callable[[T], bool] = lambda _result: True,
) -> T:
    """
    Read the last manifest and return what ``work`` makes of it; begin again if a sync has changed the state meanwhile.

    :param files: the file store of the state; nothing of it is changed.
    :param work: reads the files that the manifest names.
    :param address: the audience that the state must be about; None for any.
    :param is_whole: whether a result shows no missing or damaged file.
    :raises LedgerLostError: a file is missing or damaged, and no sync has caused that just now.
    :raises AudienceBusyError: syncs have changed the state again and again.
    :raises StateUnavailableError: the store failed.
    """
    for _ in range(_ATTEMPTS):
        reader = ManifestReader(files)
        names = files.names()
        try:
            manifest = reader.read(names, address)
            result = work(StateSnapshot(names=names, state_id=reader.state_id, manifest=manifest))
        except FileNotFoundError:
            continue  # a sync has deleted the manifest, after creating a later one
        except LedgerLostError:
            if reader.is_last(files.names()):
                raise
            continue
        if is_whole(result) or reader.is_last(files.names()):
            return result
    raise AudienceBusyError(f"syncs keep on changing {files.name}", advice="Try again later.")
