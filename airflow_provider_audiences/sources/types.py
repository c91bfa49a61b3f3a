"""
What a user says of a source that plain text does not: :class:`FileSource` and :class:`SqlSource`.

Only descriptions: DAG files make them while they are parsed, so that nothing here opens anything.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_audiences.common.recognition import is_member_text, looks_personal, shown_address
from airflow_provider_audiences.common.rendering import ResolveMixin, references_in, renderer

if TYPE_CHECKING:
    from airflow_provider_audiences.members.reading.inputs import FileFormat
    from airflow_provider_audiences.sources.missing import OnMissing


class _Source(ResolveMixin):
    """
    A description with templates in it.

    Airflow asks it for the tasks that it waits for, as it asks an XComArg, and for itself with its templates
    rendered: that is a copy, since one object may serve several mapped tasks.
    """

    template_fields: ClassVar[Sequence[str]]

    def iter_references(self) -> Iterator[Any]:
        """Yield the tasks whose output is used here; the name is Airflow's."""
        return references_in(getattr(self, name) for name in self.template_fields)

    def resolve(self, context: Any, **_: Any) -> Any:
        """
        Return a copy with its templates rendered; the name is Airflow's.

        :param context: the task's context.
        """
        render = renderer(context)
        rendered = {name: render(getattr(self, name), context) for name in self.template_fields}
        return replace(self, **rendered)  # type: ignore[type-var]

    def serialize(self) -> str:
        """Return what Airflow may store and show."""
        return repr(self)

    def __repr__(self) -> str:
        shown = [part for part in self._shown() if part]
        return f"{type(self).__name__}({', '.join(shown)})"

    @abstractmethod
    def _shown(self) -> list[str]:
        """Return the arguments that may be shown, without secrets, members and addresses in memory."""

    def _shown_options(self, *names: str) -> list[str]:
        """Return arguments that are not what they are by default."""
        defaults = {field.name: field.default for field in fields(self)}  # type: ignore[arg-type]
        return [
            f"{name}={_shown_value(getattr(self, name))}" for name in names if getattr(self, name) != defaults[name]
        ]


@dataclass(frozen=True, repr=False)
class FileSource(_Source):
    r"""
    Members in files.

    Take it where a path alone says too little: a file with several columns, a connection, a format that the name
    does not tell. A folder is read with all that is below it, except names that begin with ``_`` or ``.``.

    :param path: a local path or an address such as ``s3://bucket/day={{ ds }}/``: a file, a folder, a glob
        (``*``, ``?``, ``[…]``, ``**``) or a list of these; text or ObjectStoragePath (templated).
        ``https://`` addresses of single files, such as presigned links, are taken too.
    :param column: which column of a CSV, JSON or Parquet file has the members, by its name in any case, or by a path
        with dots into objects (``device.advertising_id``); a number from 1 with ``header=False``; a list of columns if
        members are in several; None if there is only one (templated).
    :param conn_id: the Airflow connection of the object store, as ``s3://conn_id@bucket/…`` names it too; None for
        the credentials that the worker has by itself, as Airflow's ObjectStoragePath has it (templated).
    :param file_format: ``text``, ``csv``, ``jsonl`` or ``parquet``; None to go by the names' endings, ``.gz`` and
        ``.zst`` left aside: ``.csv``, ``.tsv`` and ``.tab`` (CSV with tabs), ``.jsonl``, ``.ndjson``, ``.json``,
        ``.parquet`` and ``.pq``; all else is text with one member a line (templated).
    :param header: whether the first line of CSV files has the names of the columns (templated).
    :param delimiter: one character between the fields of CSV, such as ``;``, ``\t`` or ``\x01``; None to find it out
        (templated).
    :param quote: one character around fields of CSV; ``""`` for none; None for the double quote (templated).
    :param escape: one character before a quote within quotes, such as a backslash; ``""`` for none; None for the quote
        itself, doubled (templated).
    :param encoding: what text, CSV and JSON files are written in, as Python calls it, such as ``gbk``; None for UTF-8
        (templated).
    :param null_values: texts that stand for "nothing", such as ``NULL``: they count as blank (templated).
    :param on_missing: what to do if there is no such file, or none in the folder: ``fail`` for good, or ``retry``: an
        error that Airflow retries, for partitions that come late (templated).
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
    Members as a column of a query, by the Airflow connection of any database that has a DB-API hook.

    The rows are fetched in chunks while they are staged; from PostgreSQL and MySQL by a cursor on the server, so
    that the result never lies in this worker's memory. The statement's transaction is rolled back.

    :param conn_id: the connection (templated).
    :param sql: one SELECT; or the name of a ``.sql`` file, found as Airflow finds template files (templated).
        NULL in the column counts as blank.
    :param column: which column has the members, in any case; None if there is only one (templated).
    :param parameters: values for the statement's placeholders, in the driver's own style; never shown (templated).
    :param chunk_size: how many rows are fetched at once.
    """

    template_fields: ClassVar[Sequence[str]] = ("conn_id", "sql", "column", "parameters")

    conn_id: str
    sql: str
    column: str | None = field(default=None, kw_only=True)
    parameters: Sequence[Any] | Mapping[str, Any] | None = field(default=None, kw_only=True)
    chunk_size: int = field(default=20_000, kw_only=True)

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
    """Return a value as code, unless it has people in it or would show where it lies in memory."""
    if hasattr(value, "iter_references"):
        tasks = sorted({operator.task_id for operator, _ in value.iter_references()})
        return f"<output of {', '.join(tasks)}>" if tasks else f"<{type(value).__name__}>"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown_value, value))}]"
    if value is None or isinstance(value, str | int):
        text = repr(value)
        return "<has personal data, not shown>" if looks_personal(text) else text
    return f"<{type(value).__name__}>"
