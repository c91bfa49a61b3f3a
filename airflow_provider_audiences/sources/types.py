"""
Descriptions of sources that need more than a path: :class:`FileSource` and :class:`SqlSource`, and their base.

DAG files create these while Airflow parses them, so what opens files and connections is imported inside methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_audiences.common.recognition import is_member_text, looks_personal, shown_address
from airflow_provider_audiences.common.rendering import ResolveMixin, references_in, renderer
from airflow_provider_audiences.sources.predicates import NAME, TemplatePartition

if TYPE_CHECKING:
    from airflow_provider_audiences.members.partition import Partition
    from airflow_provider_audiences.members.reading.inputs import FileFormat, MemberInput
    from airflow_provider_audiences.sources.missing import OnMissing


class Source(ResolveMixin, ABC):
    """
    Base of the sources: an object with template fields inside an operator's template field.

    A subclass is a frozen dataclass, and says what its members are read from. Airflow asks it, as it asks an XComArg,
    which tasks it depends on, and for a copy with its templates rendered. It is a copy because several mapped tasks may
    share one object.

    :cvar template_fields: names of the fields that are templated.
    """

    template_fields: ClassVar[Sequence[str]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__repr__" not in vars(cls):  # a dataclass would make one that shows everything
            cls.__repr__ = Source.__repr__  # type: ignore[method-assign]

    @abstractmethod
    def open_members(self) -> AbstractContextManager[MemberInput]:
        """
        Return a context manager that opens what the members are read from, and closes it when the block ends. All
        templates are rendered by then. The members are read inside the block, once.

        :return: it yields an input of ``airflow_provider_audiences.members.reading.inputs``, such as a ``ValuesInput``
            for members in chunks.
        :raises InvalidInputError: the source is wrong for good, such as an argument or a column that is not there.
        :raises SourceUnavailableError: what it is read from failed, or could not be reached: a later try may succeed.
        """

    def narrowed_to(self, partition: Partition, *, argument: str) -> Self | None:
        """
        Return a source of the texts of one partition only; None (default) if each partition has to read all of them.

        :param partition: the partition.
        :param argument: name of the operator's argument with the source, for messages.
        :raises InvalidInputError: the source could be narrowed, if it said more; nothing was sent.
        """
        return None

    @property
    def paths(self) -> list[Any]:
        """
        Files, folders and tables that are read, as text or path objects; none by default. Lineage names them, and no
        report of rejects may overwrite one.
        """
        return []

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
        shown = [part for part in self.shown_arguments() if part]
        return f"{type(self).__name__}({', '.join(shown)})"

    def shown_arguments(self) -> list[str]:
        """
        Return the arguments for ``repr``, which Airflow stores and shows: without secrets and members. By default those
        are the template fields that differ from their defaults; of other values than texts and numbers the type only.
        """
        return self._shown_options(*self.template_fields)

    def _shown_options(self, *names: str) -> list[str]:
        """Return the arguments that differ from their defaults, for ``repr``."""
        defaults = {one.name: _default_of(one) for one in fields(self)}  # type: ignore[arg-type]
        values = {name: getattr(self, name) for name in names}
        return [
            f"{name}={_shown_value(value)}"
            for name, value in values.items()
            if name not in defaults or value != defaults[name]
        ]


def _default_of(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


@dataclass(frozen=True)
class FileSource(Source):
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

    def open_members(self) -> AbstractContextManager[MemberInput]:
        """Return a context manager with the files or tables that are found."""
        from airflow_provider_audiences.members.reading.dialect import Dialect
        from airflow_provider_audiences.sources.files import files_input

        dialect = Dialect.checked(
            header=self.header,
            delimiter=self.delimiter,
            quote=self.quote,
            escape=self.escape,
            encoding=self.encoding,
            null_values=self.null_values,
        )
        return nullcontext(
            files_input(
                self.paths,
                conn_id=self.conn_id,
                on_missing=self.on_missing,
                file_format=self.file_format,
                column=self.column,
                dialect=dialect,
            )
        )

    @property
    def paths(self) -> list[Any]:
        """All paths of the source."""
        from airflow_provider_audiences.sources.parts import flat

        return flat(self.path)

    def shown_arguments(self) -> list[str]:
        """Return the arguments for ``repr``."""
        if isinstance(self.path, list | tuple):
            path = f"[{', '.join(map(_shown_path, self.path))}]"
        else:
            path = _shown_path(self.path)
        return [path, *self._shown_options(*self.template_fields[1:])]


@dataclass(frozen=True)
class SqlSource(Source):
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

    def open_members(self) -> AbstractContextManager[MemberInput]:
        """Return a context manager that runs the statement, and yields the members in its rows."""
        from airflow_provider_audiences.sources.sql import open_query

        return open_query(
            self.sql,
            conn_id=self.conn_id,
            column=self.column,
            parameters=self.parameters,
            chunk_size=self.chunk_size,
        )

    def narrowed_to(self, partition: Partition, *, argument: str) -> Self:
        """
        Return the query with one condition more.

        :param partition: the partition.
        :param argument: name of the operator's argument with the source, for messages.
        :raises InvalidInputError: the condition has no plain column name, or the database's SQL is not known.
        """
        from airflow_provider_audiences.sources.sql import narrowed_sql

        sql = narrowed_sql(self.sql, partition=partition, conn_id=self.conn_id, column=self.column, argument=argument)
        return replace(self, sql=sql)

    def shown_arguments(self) -> list[str]:
        """Return the arguments for ``repr``."""
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
