"""
Descriptions of sources that need more than a path: :class:`FileSource` and :class:`SqlSource`.

DAG files create these while Airflow parses them, so nothing here opens a file or a connection.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_audiences.common.recognition import is_member_text, looks_personal, shown_address
from airflow_provider_audiences.common.rendering import ResolveMixin, references_in, renderer
from airflow_provider_audiences.sources.predicates import NAME, TemplatePartition

if TYPE_CHECKING:
    from airflow_provider_audiences.members.reading.inputs import FileFormat
    from airflow_provider_audiences.sources.missing import OnMissing


class _Source(ResolveMixin):
    """
    Base of the sources: an object with template fields inside an operator's template field.

    Airflow asks it, as it asks an XComArg, which tasks it depends on, and for a copy with its templates rendered. It is
    a copy because several mapped tasks may share one object.
    """

    template_fields: ClassVar[Sequence[str]]

    def iter_references(self) -> Iterator[Any]:
        """Yield the tasks whose output is used in this source. Airflow calls this."""
        return references_in(getattr(self, name) for name in self.template_fields)

    def resolve(self, context: Any, **_: Any) -> Any:
        """
        Return a copy with all templates rendered. Airflow calls this.

        :param context: context of the task.
        """
        render = renderer(context)
        rendered = {name: render(getattr(self, name), context) for name in self.template_fields}
        return replace(self, **rendered)  # type: ignore[type-var]

    def serialize(self) -> str:
        """Return a text that Airflow may store and show."""
        return repr(self)

    def __repr__(self) -> str:
        shown = [part for part in self._shown() if part]
        return f"{type(self).__name__}({', '.join(shown)})"

    @abstractmethod
    def _shown(self) -> list[str]:
        """Return the arguments for ``repr``, without secrets, members and memory addresses."""

    def _shown_options(self, *names: str) -> list[str]:
        """Return the arguments that differ from their defaults, for ``repr``."""
        defaults = {field.name: field.default for field in fields(self)}  # type: ignore[arg-type]
        return [
            f"{name}={_shown_value(getattr(self, name))}" for name in names if getattr(self, name) != defaults[name]
        ]


@dataclass(frozen=True, repr=False)
class FileSource(_Source):
    r"""
    Members in files or tables, where a path alone says too little.

    Use it for a file with several columns, for a connection, or for a format that the file's name does not tell. A
    folder is read with everything below it, except names that begin with ``_`` or ``.`` and files that are still being
    written. All arguments are templated.

    :param path: local path or address, such as ``s3://bucket/day=2026-01-31/``, of a file, a folder, a table of Delta
        Lake or Iceberg, or a glob (``*``, ``?``, ``[…]``, ``**``); as text or an ObjectStoragePath; or a list of these.
        An ``https://`` address of one file, such as a presigned link, works too.
    :param column: column with the members, in CSV, JSON, Parquet and tables. A name, in any case; a path with dots into
        objects (``device.advertising_id``); a number from 1 with ``header=False``; or a list of columns if several have
        members. None (default) if there is only one column.
    :param conn_id: Airflow connection of the object store; ``s3://conn_id@bucket/…`` names one too. None (default) for
        the worker's own credentials, as for Airflow's ObjectStoragePath.
    :param file_format: ``text``, ``csv``, ``jsonl`` or ``parquet``. None (default) to go by the names' endings, without
        ``.gz`` and ``.zst``: ``.csv``, ``.tsv`` and ``.tab`` (CSV with tabs), ``.jsonl``, ``.ndjson``, ``.json``,
        ``.parquet`` and ``.pq``; everything else is text with one member a line.
    :param header: whether the first line of a CSV file has the names of the columns; default True.
    :param delimiter: one character between the fields of CSV, such as ``;``, ``\t`` or ``\x01``; None (default) to
        detect it.
    :param quote: one character around fields of CSV; ``""`` for none, None (default) for the double quote.
    :param escape: one character before a quote within quotes of CSV, such as a backslash; ``""`` for none, None
        (default) for the quote itself, doubled.
    :param encoding: encoding of text, CSV and JSON files by its Python name, such as ``gbk``; None (default) for UTF-8.
    :param null_values: texts that stand for "nothing", such as ``NULL``, and are counted as blank; default none.
    :param on_missing: what to do if there are no such files: ``fail`` (default) fails for good; ``retry`` raises an
        error that Airflow retries, for files that may come late.
    """

    template_fields: ClassVar[Sequence[str]] = (
        "path",
        "column",
        "conn_id",
        "file_format",
        "header",
        "delimiter",
        "quote",
        "escape",
        "encoding",
        "null_values",
        "on_missing",
    )

    path: Any
    column: str | int | Sequence[str | int] | None = field(default=None, kw_only=True)
    conn_id: str | None = field(default=None, kw_only=True)
    file_format: FileFormat | None = field(default=None, kw_only=True)
    header: bool | str = field(default=True, kw_only=True)
    delimiter: str | None = field(default=None, kw_only=True)
    quote: str | None = field(default=None, kw_only=True)
    escape: str | None = field(default=None, kw_only=True)
    encoding: str | None = field(default=None, kw_only=True)
    null_values: Sequence[str] = field(default=(), kw_only=True)
    on_missing: OnMissing = field(default="fail", kw_only=True)

    def _shown(self) -> list[str]:
        if isinstance(self.path, list | tuple):
            path = f"[{', '.join(map(_shown_path, self.path))}]"
        else:
            path = _shown_path(self.path)
        return [path, *self._shown_options(*self.template_fields[1:])]


@dataclass(frozen=True, repr=False)
class SqlSource(_Source):
    """
    Members in a column of a query, through the Airflow connection of any database with a DB-API hook, or of MaxCompute.

    Rows are fetched in chunks while they are staged. From PostgreSQL and MySQL they are fetched through a server-side
    cursor, or from PostgreSQL by COPY, so that the result never lies in the worker's memory. Snowflake, BigQuery,
    MaxCompute and ADBC deliver Arrow batches. The statement's transaction is rolled back.

    :param conn_id: Airflow connection of the database (templated).
    :param sql: one SELECT, or the name of a ``.sql`` file, which Airflow finds as it finds template files. NULL in the
        column counts as blank (templated).
    :param column: name of the column with the members, in any case; None (default) if there is only one (templated).
    :param parameters: values for the statement's placeholders, in the driver's own style; never shown. None (default)
        for no placeholders (templated).
    :param chunk_size: how many rows to fetch at a time, at least 1, where rows are fetched by a cursor; default 20,000.
    """

    template_fields: ClassVar[Sequence[str]] = ("conn_id", "sql", "column", "parameters")

    conn_id: str
    sql: str
    column: str | None = field(default=None, kw_only=True)
    parameters: Sequence[Any] | Mapping[str, Any] | None = field(default=None, kw_only=True)
    chunk_size: int = field(default=20_000, kw_only=True)

    def resolve(self, context: Any, **options: Any) -> Any:
        """
        Return a copy with all templates rendered. Airflow calls this.

        :param context: context of the task; ``partition`` in it learns which database the query is for.
        :param options: what Airflow gives besides, which is not needed.
        """
        partition = context.get(NAME)
        if isinstance(partition, TemplatePartition):
            partition.conn_id = renderer(context)(self.conn_id, context)
        return super().resolve(context, **options)

    def _shown(self) -> list[str]:
        parameters = "parameters=<not shown>" if self.parameters is not None else ""
        return [
            f"conn_id={_shown_value(self.conn_id)}",
            f"sql={_shown_value(self.sql)}",
            *self._shown_options("column"),
            parameters,
            *self._shown_options("chunk_size"),
        ]


def _shown_path(path: Any) -> str:
    if not isinstance(path, str | PathLike) and not hasattr(path, "open"):
        return _shown_value(path)
    address = str(path)
    return "<members, not shown>" if is_member_text(address) else repr(shown_address(address))


def _shown_value(value: Any) -> str:
    """Return a value as code for ``repr``, unless it has personal data, or its ``repr`` shows a memory address."""
    if hasattr(value, "iter_references"):
        tasks = sorted({operator.task_id for operator, _ in value.iter_references()})
        return f"<output of {', '.join(tasks)}>" if tasks else f"<{type(value).__name__}>"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown_value, value))}]"
    if value is None or isinstance(value, str | int):
        text = repr(value)
        return "<has personal data, not shown>" if looks_personal(text) else text
    return f"<{type(value).__name__}>"
