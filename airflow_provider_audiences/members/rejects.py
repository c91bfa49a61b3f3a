"""The report of what staging refused: row number, source, reason and a preview that gives nothing away."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Literal

import numpy as np

from airflow_provider_audiences.members.refusal import MALFORMED, Refusal, mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from airflow_provider_audiences.members.reading.chunks import MemberChunk
    from airflow_provider_audiences.members.workspace import Workspace

RejectsFormat = Literal["parquet", "csv"]

REPORTED = (*MALFORMED, Refusal.ZEROED)
"""Blank texts are no members and no errors, and a duplicate is sent once: neither is refused."""

_STEP = 50_000
_COPY_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class RejectsTarget:
    """
    Where the report goes.

    :param name: what may be shown of its address.
    :param open: opens it for writing in binary mode.
    :param file_format: ``parquet`` or ``csv``.
    :param include_values: add the refused texts themselves, in a column ``value``.
    """

    name: str
    open: Callable[[], IO[bytes]] = field(repr=False)
    file_format: RejectsFormat
    include_values: bool = False


class Rejects:
    """
    Collects what was refused, in the database, until it is written.

    :param workspace: of the staging.
    :param target: where the report goes.
    """

    def __init__(self, workspace: Workspace, target: RejectsTarget) -> None:
        self._folder = workspace.folder
        self._connection = workspace.connection
        self._target = target
        self._columns = "source, row_number, reason, preview" + (", value" if target.include_values else "")
        self._connection.execute(
            "CREATE TABLE rejects (position BIGINT, source VARCHAR, row_number BIGINT, reason VARCHAR, "
            "preview VARCHAR, value VARCHAR)"
        )
        self._position = 0

    def add(self, chunk: MemberChunk, refused: Mapping[Refusal, NDArray[np.int64]]) -> None:
        """
        Take what was refused of a chunk.

        :param chunk: the chunk.
        :param refused: rows of it, by reason.
        """
        for reason in REPORTED:
            rows = refused.get(reason, np.empty(0, np.int64))
            for first in range(0, len(rows), _STEP):
                self._insert(chunk, reason, rows[first : first + _STEP])
        self._position += len(chunk.column)

    def write(self) -> None:
        """Write the report."""
        path = self._folder / f"rejects.{self._target.file_format}"
        options = "FORMAT parquet" if self._target.file_format == "parquet" else "FORMAT csv, HEADER"
        query = f"SELECT {self._columns} FROM rejects ORDER BY position"
        quoted_path = str(path).replace("'", "''")
        self._connection.execute(f"COPY ({query}) TO '{quoted_path}' ({options})")
        with path.open("rb") as report, self._target.open() as target:
            shutil.copyfileobj(report, target, _COPY_BYTES)
        path.unlink()
        self._connection.execute("DROP TABLE rejects")

    def _insert(self, chunk: MemberChunk, reason: Refusal, rows: NDArray[np.int64]) -> None:
        texts = [chunk.column.text(row) for row in rows.tolist()]
        values = [text.decode("utf-8", errors="backslashreplace") for text in texts]
        batch = {
            "position": rows + self._position,
            "row_number": rows + chunk.first,
            "preview": np.array([mask(text) for text in texts], dtype=object),
            "value": np.array(values if self._target.include_values else [""] * len(values), dtype=object),
        }
        self._connection.register("rejected", batch)
        self._connection.execute(
            "INSERT INTO rejects SELECT position, ?, row_number, ?, preview, value FROM rejected",
            [chunk.source, reason.value],
        )
        self._connection.unregister("rejected")
