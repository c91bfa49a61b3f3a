"""The report of rejected texts: source, row number, reason, and a preview that discloses no member."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import numpy as np

from airflow_provider_audiences.exceptions import AudienceError, WorkspaceUnavailableError
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
"""Reasons that the report contains. Blank texts and duplicates are counted only: neither is an error."""

_STEP = 50_000
_COPY_BYTES = 4 << 20

_FORMULA = r"^\s*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]|^[\t\r\n]"
"""Texts that a spreadsheet reads as a formula, and line breaks with which they could reach another cell."""


@dataclass(frozen=True, kw_only=True)
class RejectsFile:
    """
    Where and how the report is written.

    :param name: address of the report that may be shown, without secrets.
    :param open: opens the address for writing in binary mode.
    :param file_format: format of the report: ``parquet`` or ``csv``.
    :param include_values: whether to add the rejected texts themselves, in a column ``value``; default False.
    """

    name: str
    open: Callable[[], IO[bytes]] = field(repr=False)
    file_format: RejectsFormat
    include_values: bool = False


class Rejects:
    """
    Collects rejected texts in the workspace's database until the report is written.

    :param workspace: the workspace of the staging.
    :param target: where and how the report is written.
    """

    def __init__(self, workspace: Workspace, target: RejectsFile) -> None:
        self._workspace = workspace
        self._target = target
        with workspace.database_writes() as database:
            database.execute(
                "CREATE TABLE rejects (position BIGINT, source VARCHAR, row_number BIGINT, reason VARCHAR, "
                "preview VARCHAR, value VARCHAR)"
            )
        self._position = 0

    def add(self, chunk: MemberChunk, rejected: Mapping[RejectReason, NDArray[np.int64]]) -> None:
        """
        Add the rejected texts of a chunk. Call it for each chunk, in the order of the source.

        :param chunk: the chunk that was parsed.
        :param rejected: rows of the rejected texts by reason, counted from 0 within the chunk.
        """
        for reason in REPORTED:
            rows = rejected.get(reason, np.empty(0, np.int64))
            for first in range(0, len(rows), _STEP):
                self._insert(chunk, reason, rows[first : first + _STEP])
        self._position += len(chunk.column)

    def write(self) -> None:
        """
        Write the report to its target.

        :raises WorkspaceUnavailableError: the target can't be written, or the temporary folder is full.
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
        # In Parquet, spreadsheets take no text for a formula: the column's type is text.
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
        except AudienceError:
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
    """Return SQL that puts a quote before texts that a spreadsheet would run as a formula."""
    is_formula = f"regexp_matches({column}, {literal(_FORMULA)})"
    return f"""CASE WHEN {is_formula} THEN {literal("'")} || {column} ELSE {column} END AS {column}"""
