"""
Opt-outs of a run, kept in one file for each partition: read and checked once, and used by many tasks.

They lie in the audience's own folder until the run ends. Those of a run that has failed are deleted by the first run
that begins three days later.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import InvalidInputError, LedgerLostError
from airflow_provider_audiences.members.keys.key_set import fingerprint_of
from airflow_provider_audiences.members.partition import partitions as all_partitions
from airflow_provider_audiences.members.partition_keys import in_partition
from airflow_provider_audiences.members.staging import StagedMembers
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.sync.state.sealing import sealed, unsealed
from airflow_provider_audiences.sync.state.tables import StateTables

if TYPE_CHECKING:
    from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind
    from airflow_provider_audiences.members.partition import Partition
    from airflow_provider_audiences.members.workspace import Workspace
    from airflow_provider_audiences.sync.state.file_store import FileStore

_PREFIX = "opt-outs-"
_NAME = re.compile(rf"{_PREFIX}([0-9a-f]+-[0-9a-f]{{16}})")
_KEPT_SECONDS = 3 * 24 * 3600
"""How long the opt-outs of a run that has not ended are kept; they have its beginning in their name."""
_TEXT_COUNTS = ("malformed", "zeroed", "duplicates", "blank")


def store_opt_outs(
    files: FileStore,
    opt_outs: StagedMembers,
    *,
    partitions: int,
    identifier_kind: IdentifierKind,
    settings: StagingSettings,
) -> str:
    """
    Keep staged opt-outs for the tasks of all partitions.

    :param files: the file store of the whole audience.
    :param opt_outs: the opt-outs, staged.
    :param partitions: how many partitions there are.
    :param identifier_kind: identifier kind of the opt-outs.
    :param settings: memory and disk to use.
    :return: name of what is kept, for :func:`load_opt_outs`.
    """
    name = f"{int(time.time()):x}-{secrets.token_hex(8)}"
    fingerprints = {}
    for partition in all_partitions(partitions):
        with open_workspace(settings, key_bytes=identifier_kind.key_bytes) as workspace:
            keys = in_partition(opt_outs.keys, partition, workspace)
            fingerprints[partition.name] = fingerprint_of(keys)
            tables = StateTables(files, workspace, key_column=identifier_kind.column)
            tables.store_keys(_table(name, partition), keys)
    counts = {count: getattr(opt_outs, count) for count in _TEXT_COUNTS}
    files.write(_list(name), sealed({"fingerprints": fingerprints, "counts": counts}))
    return name


def load_opt_outs(
    files: FileStore, name: str, partition: Partition, *, identifier_kind: IdentifierKind, workspace: Workspace
) -> StagedMembers:
    """
    Return a partition's opt-outs; they can be used as long as the workspace is open.

    The counts of texts that are no members are the first partition's, so that they are counted once.

    :param files: the file store of the whole audience.
    :param name: what :func:`store_opt_outs` has returned.
    :param partition: the partition.
    :param identifier_kind: identifier kind of the opt-outs.
    :param workspace: workspace for the fetched file.
    :raises InvalidInputError: they are not kept any more, or damaged; nothing was sent.
    """
    try:
        content = unsealed(files.read(_list(name)), where=f"{files.name}/{_list(name)}")
        tables = StateTables(files, workspace, key_column=identifier_kind.column)
        keys = tables.keys(_table(name, partition), fingerprint=content["fingerprints"][partition.name])
    except (FileNotFoundError, LedgerLostError, KeyError):
        raise InvalidInputError(
            f"{files.name} has no opt-outs of this run for {partition} any more; nothing was sent",
            advice="This run has ended, or began days ago: clear its task prepare as well.",
        ) from None
    counts: dict[str, Any] = dict.fromkeys(_TEXT_COUNTS, 0) if partition.number else content["counts"]
    member_texts = keys.count + counts.pop("duplicates")
    return StagedMembers(member_texts=member_texts, damage="", _identifier_kind=identifier_kind, _found=keys, **counts)


def delete_old_opt_outs(files: FileStore) -> None:
    """
    Delete the opt-outs that runs of days ago have left, which have not ended.

    :param files: the file store of the whole audience.
    """
    now = time.time()
    for name in _names(files):
        if now - _began(name) > _KEPT_SECONDS:
            delete_opt_outs(files, name)


def delete_opt_outs(files: FileStore, name: str) -> None:
    """
    Delete the opt-outs of one run.

    :param files: the file store of the whole audience.
    :param name: what :func:`store_opt_outs` has returned.
    """
    for file in files.names():
        if file.startswith(f"{_PREFIX}{name}"):
            files.delete(file)


def _names(files: FileStore) -> set[str]:
    """Return the names of all opt-outs that are kept."""
    matches = (_NAME.match(file) for file in files.names())
    return {match[1] for match in matches if match}


def _began(name: str) -> int:
    return int(name.partition("-")[0], 16)


def _list(name: str) -> str:
    return f"{_PREFIX}{name}.json"


def _table(name: str, partition: Partition) -> str:
    return f"{_PREFIX}{name}-{partition.name}.parquet"
