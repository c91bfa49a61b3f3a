"""
The layout of an audience's state: in one folder, or in one for each of its partitions.

Without a layout file, the state is in the audience's own folder, as ever. With one, each partition has a folder below
that, with a ledger, plans and a lease of its own. So a sync of the whole and one of a partition shut each other out,
whichever comes first.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import ConflictError, LedgerLostError
from airflow_provider_audiences.sync.state.manifest_reader import ManifestReader
from airflow_provider_audiences.sync.state.sealing import sealed, unsealed

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.destination import AudienceAddress
    from airflow_provider_audiences.sync.state.file_store import FileStore

LAYOUT_FILE = "layout.json"
"""Name of the file in the audience's own folder."""

_BEGIN = (
    "Sync the audience without partitions, as before. To begin with partitions, delete that folder, and give "
    "initial='append' once: whoever is in the audience then stays until the TTL ends."
)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """
    How the state of an audience is stored in partitions.

    :param partitions: how many there are.
    :param has_unknown_members: whether the audience may have had members before its first sync, which no ledger knows.
        This is decided once for all partitions: later, the platform counts the members of the others as well.
    """

    partitions: int
    has_unknown_members: bool


def layout_of(files: FileStore) -> Layout | None:
    """
    Return the layout of an audience's state; None if it is in the audience's own folder, or there is no state yet.

    :param files: the file store of the audience, above those of its partitions.
    :raises LedgerLostError: the layout's file is damaged.
    """
    where = f"{files.name}/{LAYOUT_FILE}"
    try:
        content = unsealed(files.read(LAYOUT_FILE), where=where)
        return Layout(**content)
    except FileNotFoundError:
        return None
    except TypeError:
        raise LedgerLostError(f"{where} is damaged") from None


def write_layout(files: FileStore, layout: Layout) -> None:
    """
    Write the layout of an audience. Only for the process that holds the audience's own lease.

    :param files: the file store of the audience.
    :param layout: the layout.
    """
    files.write(LAYOUT_FILE, sealed(asdict(layout)))


def refuse_whole(files: FileStore, address: AudienceAddress) -> None:
    """
    Refuse an audience that was synced as a whole.

    :param files: the file store of the audience.
    :param address: identifies the audience.
    :raises ConflictError: the audience was synced as a whole.
    :raises LedgerLostError: its manifest is damaged or missing.
    """
    if ManifestReader(files).read(files.names(), address) is not None:
        raise ConflictError(
            f"this audience was synced as a whole: its ledger is in {files.name}; nothing was sent",
            advice=_BEGIN,
        )


def require_layout(files: FileStore, partitions: int) -> Layout | None:
    """
    Return the layout of an audience after checking how many partitions it has.

    :param files: the file store of the audience.
    :param partitions: how many partitions there must be; 1 for the audience's own folder.
    :return: the layout; None for the audience's own folder.
    :raises ConflictError: there is another number, or there are none.
    :raises LedgerLostError: the layout's file is damaged.
    """
    layout = layout_of(files)
    found = layout.partitions if layout else 1
    if found == partitions:
        return layout
    has = f"{found} partitions" if layout else "no partitions"
    asked = f"{partitions} partitions" if partitions > 1 else "the whole of it"
    raise ConflictError(
        f"the state of this audience in {files.name} has {has}, and this task asks for {asked}: one of the two would "
        "not know what the other has sent; nothing was sent",
        advice=f"Sync it in as many as before: partitions={found}." if layout else _BEGIN,
    )
