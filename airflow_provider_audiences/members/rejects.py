"""The report of what staging refused: row number, source, reason and a preview that gives nothing away."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import numpy as np

from airflow_provider_audiences.exceptions import AudienceApiError, WorkspaceUnavailableError
from airflow_provider_audiences.members.failures import words_of
from airflow_provider_audiences.members.reading.queries import literal
from airflow_provider_audiences.members.reject_reasons import MALFORMED, RejectReason, mask
from airflow_provider_audiences.members.scratch import scratch_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from airflow_provider_audiences.members.reading.chunks import MemberChunk
    from airflow_provider_audiences.members.workspace import Workspace

RejectsFormat = Literal["parquet", "csv"]

REPORTED = (*MALFORMED, RejectReason.ZEROED)
"""Blank texts are no members and no errors, and a duplicate is sent once: neither is refused."""

_STEP = 50_000
_COPY_BYTES = 4 << 20

_FORMULA = r"^\s*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]|^[\t\r\n]"
"""What a spreadsheet takes for a formula at the beginning of a field, or for the beginning of a further one."""


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
        self._workspace = workspace
        self._target = target
        with workspace.database_writes() as database:
            database.execute(
                "CREATE TABLE rejects (position BIGINT, source VARCHAR, row_number BIGINT, reason VARCHAR, "
                "preview VARCHAR, value VARCHAR)"
            )
        self._position = 0

    def add(self, chunk: MemberChunk, refused: Mapping[RejectReason, NDArray[np.int64]]) -> None:
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
        """
        Write the report.

        :raises WorkspaceUnavailableError: its place failed, or is full.
        """
        path = scratch_path(self._workspace.folder, f"rejects.{self._target.file_format}")
        try:
            with self._workspace.database_writes() as database:
                database.execute(f"COPY ({self._query}) TO {literal(str(path))} ({self._options}, USE_TMP_FILE false)")
                database.execute("DROP TABLE rejects")
            self._deliver(path)
        finally:
            path.unlink()

    @property
    def _query(self) -> str:
        texts = ["source", "preview", *(["value"] if self._target.include_values else [])]
        # Parquet has types, so that a text is a text whatever it begins with.
        cells = {name: _unlike_a_formula(name) if self._target.file_format == "csv" else name for name in texts}
        columns = (cells.pop("source"), "row_number", "reason", *cells.values())
        return f"SELECT {', '.join(columns)} FROM rejects ORDER BY position"

    @property
    def _options(self) -> str:
        return "FORMAT parquet" if self._target.file_format == "parquet" else "FORMAT csv, HEADER"

    def _deliver(self, path: Path) -> None:
        try:
            with path.open("rb") as report, self._target.open() as target:
                shutil.copyfileobj(report, target, _COPY_BYTES)
        except AudienceApiError:
            raise
        except Exception as error:  # noqa: BLE001 - stores have errors of their own, with texts that may hold secrets
            failure = WorkspaceUnavailableError(
                f"the report of rejects could not be written to {self._target.name} ({words_of(error)}); nothing was "
                "sent",
                advice="Check rejects_path, its connection, and its room; a later try writes it anew.",
            )
        else:
            return
        raise failure

    def _insert(self, chunk: MemberChunk, reason: RejectReason, rows: NDArray[np.int64]) -> None:
        texts = [chunk.column.text(row) for row in rows.tolist()]
        values = [text.decode("utf-8", errors="backslashreplace") for text in texts]
        batch = {
            "position": rows + self._position,
            "row_number": rows + chunk.first,
            "preview": np.array([mask(text) for text in texts], dtype=object),
            "value": np.array(values if self._target.include_values else [""] * len(values), dtype=object),
        }
        with self._workspace.database_writes() as database:
            database.register("rejected", batch)
            database.execute(
                "INSERT INTO rejects SELECT position, ?, row_number, ?, preview, value FROM rejected",
                [chunk.source, reason.value],
            )
            database.unregister("rejected")


def _unlike_a_formula(column: str) -> str:
    """Return what puts a quote before texts that a spreadsheet would work out, which is how people write them there."""
    is_formula = f"regexp_matches({column}, {literal(_FORMULA)})"
    return f"""CASE WHEN {is_formula} THEN {literal("'")} || {column} ELSE {column} END AS {column}"""
