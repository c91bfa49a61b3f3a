"""Reads the current snapshot of an Apache Iceberg table, through the library ``pyiceberg`` (extra ``iceberg``)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import AudienceError, InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.members.identifiers.patterns import ALL_IN_SERVER_REPLIES
from airflow_provider_audiences.members.reading.inputs import SourceTable
from airflow_provider_audiences.redaction import Redactor
from airflow_provider_audiences.sources.iceberg_metadata import metadata_text, newest_metadata
from airflow_provider_audiences.sources.table_errors import (
    explained_call,
    explained_items,
    file_missing,
    missing_library,
    not_allowed,
    refuse_older,
)
from airflow_provider_audiences.sources.table_formats import TableFolder

if TYPE_CHECKING:
    from pyiceberg.table import FileScanTask, Table

log = logging.getLogger(__name__)

_MIN_VERSION = (0, 11)
_GROUP_ROWS = 500_000
"""Files of so many rows are read at once; a larger one alone."""

_OF_STORES = ("botocore.", "aiobotocore.", "aiohttp.", "urllib3.")


def open_table(folder: TableFolder) -> SourceTable:
    """
    Open the newest state of a table, without a catalog. Reading it observes positional deletes and deletion vectors.

    :param folder: folder of the table.
    :raises InvalidInputError: the extra ``iceberg`` is not installed, the table can't be read, or it is unclear which
        metadata file is the newest.
    :raises SourceUnavailableError: the table's store failed.
    """
    _require_library(folder)
    explain = partial(_failure, folder=folder)
    table, tasks, empty = explained_call(explain, partial(_planned, folder))
    snapshot = table.current_snapshot()
    log.info(
        "Source %s is an Iceberg table: its snapshot %s is read, by %s.",
        folder.shown,
        snapshot.snapshot_id if snapshot else "(none, it is empty)",
        table.metadata_location.rpartition("/")[2],
    )
    return SourceTable(
        name=folder.shown,
        empty=empty,
        read=lambda column: explained_items(explain, _pieces(table, tasks, column)),
    )


def _planned(folder: TableFolder) -> tuple[Table, list[FileScanTask], Any]:
    """Return the table, the data files of its snapshot with their deletes, and an Arrow table without rows."""
    from pyiceberg.catalog.noop import NoopCatalog
    from pyiceberg.io.pyarrow import schema_to_pyarrow
    from pyiceberg.table import StaticTable
    from pyiceberg.table.metadata import TableMetadataUtil

    from airflow_provider_audiences.sources.iceberg_io import TableIO

    newest = newest_metadata(folder)
    table = StaticTable(
        identifier=("table",),
        metadata=TableMetadataUtil.parse_raw(metadata_text(folder, newest)),
        metadata_location=f"{folder.path}/metadata/{newest.name}",
        io=TableIO(folder),
        catalog=NoopCatalog("none"),
    )
    # Planned now, so that a table that can't be read is refused before anything is sent.
    tasks = list(table.scan().plan_files())
    return table, tasks, schema_to_pyarrow(table.schema(), include_field_ids=False).empty_table()


def _require_library(folder: TableFolder) -> None:
    try:
        import pyarrow as pa  # noqa: F401 - pyiceberg comes without it too
        import pyiceberg.table
    except ImportError:
        raise missing_library(folder, "iceberg") from None
    refuse_older(folder, "iceberg", version=pyiceberg.__version__, least=_MIN_VERSION)


def _pieces(table: Table, tasks: list[FileScanTask], column: str) -> Iterator[Any]:
    import pyarrow as pa
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan

    projection = table.scan(selected_fields=(column,)).projection()
    scan = ArrowScan(table.metadata, table.io, projection, AlwaysTrue())
    for group in _groups(tasks):
        # The library reads all files that it is given at the same time, however slowly the rows are used.
        for batch in scan.to_record_batches(group):
            yield pa.Table.from_batches([batch])


def _groups(tasks: list[FileScanTask]) -> Iterator[list[FileScanTask]]:
    group: list[FileScanTask] = []
    rows = 0
    for task in tasks:
        if group and rows + task.file.record_count > _GROUP_ROWS:
            yield group
            group, rows = [], 0
        group.append(task)
        rows += task.file.record_count
    if group:
        yield group


def _failure(error: Exception, folder: TableFolder) -> AudienceError:
    if isinstance(error, FileNotFoundError):
        return file_missing(folder)
    if isinstance(error, PermissionError):
        return not_allowed(folder)
    kind = type(error)
    if folder.file_system is not None and (isinstance(error, OSError) or kind.__module__.startswith(_OF_STORES)):
        return SourceUnavailableError(
            f"source {folder.shown}, an Iceberg table, could not be read to its end ({kind.__name__})"
        )
    said = kind.__name__
    if kind in {ValueError, NotImplementedError} or kind.__module__.startswith("pyiceberg."):
        # Only the library's own messages are shown: those of other libraries may quote a row.
        redact = Redactor(None, ALL_IN_SERVER_REPLIES)
        said = f"{said}: {redact(str(error))}"
    return InvalidInputError(
        f"source {folder.shown} is an Iceberg table that can't be read as it is now ({said}): query it with SqlSource, "
        "or mend it by rewriting its files"
    )
