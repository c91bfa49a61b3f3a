"""
Reading and checking the layout of an audience's state: in one folder, or in one for each of its partitions.

The manifest in the audience's own folder says which. So a sync of the whole and one of a partition shut each other out,
and a change of the layout is a commit like any other: no process that was overtaken can make it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import ConflictError, LedgerLostError
from airflow_provider_audiences.sync.state.manifest import Layout
from airflow_provider_audiences.sync.state.snapshot import read_snapshot

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.destination import AudienceAddress
    from airflow_provider_audiences.sync.state.file_store import FileStore
    from airflow_provider_audiences.sync.state.manifest import Manifest


def layout_of(files: FileStore, address: AudienceAddress | None = None) -> Layout:
    """
    Return the layout of an audience's state, without its lease; that of one folder if there is no state yet.

    :param files: the file store of the audience, above those of its partitions.
    :param address: the audience that the state must be about; None (default) for any.
    :raises LedgerLostError: the audience's manifest is damaged or missing.
    """
    manifest = read_snapshot(files, lambda snapshot: snapshot.manifest, address=address)
    return manifest.layout if manifest else Layout()


def require_layout(layout: Layout, partitions: int, *, place: str) -> None:
    """
    Raise an error unless an audience's state is in as many partitions as a task asks for.

    :param layout: layout of the state.
    :param partitions: how many partitions there must be; 1 for the audience's own folder.
    :param place: where the state is, for the message.
    :raises ConflictError: there is another number, or the state is being moved; nothing was sent.
    """
    if layout.moves_to:
        raise ConflictError(
            f"the state of this audience in {place} is being moved from {partitions_in_words(layout.partitions)} to "
            f"{partitions_in_words(layout.moves_to)}; nothing was sent",
            advice="If no task does that at the moment, it was cut off: run the DAG of the partitioned sync again. "
            f"With partitions={layout.moves_to} its task prepare completes the move, with "
            f"partitions={layout.partitions} it gives the move up.",
        )
    if layout.partitions != partitions:
        asked = partitions_in_words(partitions) if partitions > 1 else "the whole of it"
        raise ConflictError(
            f"the state of this audience in {place} has {partitions_in_words(layout.partitions)}, and this task asks "
            f"for {asked}: one of the two would not know what the other has sent; nothing was sent",
            advice=f"Sync it in as many as before: partitions={layout.partitions}. Or let the task prepare of a "
            f"partitioned sync with partitions={partitions} move the state.",
        )


def require_manifest(manifest: Manifest | None, layout: Layout, *, place: str) -> None:
    """
    Raise an error if a state has no manifest and is not new: then it has lost it.

    :param manifest: the state's manifest; None if it has none.
    :param layout: layout of the audience.
    :param place: where the state is, for the message.
    :raises LedgerLostError: the audience is in partitions, each of which has had a manifest.
    """
    if manifest is None and layout.has_all_manifests:
        raise LedgerLostError(f"{place}: its manifest (head-*.json) is missing, which was there")


def partitions_in_words(count: int) -> str:
    """
    Return a number of partitions in words: ``16 partitions``, or ``no partitions``.

    :param count: how many; 1 for a state in the audience's own folder.
    """
    return f"{count} partitions" if count > 1 else "no partitions"
