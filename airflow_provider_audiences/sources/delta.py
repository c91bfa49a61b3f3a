"""Reads the current version of a Delta Lake table, through the library ``deltalake`` (extra ``delta``)."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import AudienceError, InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.members.identifiers.patterns import ALL_IN_SERVER_REPLIES
from airflow_provider_audiences.members.reading.inputs import SourceTable
from airflow_provider_audiences.redaction import Redactor
from airflow_provider_audiences.sources.aws import S3Access, s3_access
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
    from deltalake import DeltaTable

log = logging.getLogger(__name__)

_PERCENT_CODE = re.compile("%[0-9A-Fa-f]{2}")
_PIECE_ROWS = 100_000
_MIN_VERSION = (1, 5, 1)
_NOT_ALLOWED = (
    *("403 Forbidden", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "necessary privileges"),
    *("authentication credentials", "Permission denied"),
)
_NOT_THERE = ("not found", "No such file", "404 Not Found", "NoSuchKey", "NoSuchBucket")
_NOT_READABLE = ("Unsupported", "not supported")
_TAKEN_FROM_ENVIRONMENT = frozenset(
    f"{prefix}{name}"
    for prefix in ("aws_", "")
    for name in ("session_token", "token", "endpoint", "endpoint_url", "endpoint_url_s3", "bucket", "bucket_name")
)
_environment = threading.Lock()


def open_table(folder: TableFolder) -> SourceTable:
    """
    Open the newest version of a table. Reading it observes deletion vectors and column mapping.

    :param folder: folder of the table.
    :raises InvalidInputError: the extra ``delta`` is not installed, or the table can't be read.
    :raises SourceUnavailableError: the table's store failed.
    """
    table_class = _library(folder)
    if _PERCENT_CODE.search(folder.path):
        raise InvalidInputError(
            f"source {folder.shown} is a Delta Lake table, and deltalake would look for it in another folder, since it "
            "takes the percent sign for a code: rename the folder, or query it with SqlSource"
        )
    access = None
    if folder.file_system is not None:
        access = s3_access(folder.conn_id, bucket=folder.path.partition("/")[0], shown=folder.shown)
    explain = partial(_failure, folder=folder, access=access)
    table, schema = explained_call(explain, partial(_opened, table_class, folder, access))
    log.info("Source %s is a Delta Lake table: its version %d is read.", folder.shown, table.version())
    return SourceTable(
        name=folder.shown,
        empty=schema.empty_table(),
        read=lambda column: explained_items(explain, _pieces(table, column)),
    )


def _opened(table_class: type[DeltaTable], folder: TableFolder, access: S3Access | None) -> tuple[DeltaTable, Any]:
    import pyarrow as pa

    if access is None:
        table = table_class(folder.path)
    else:
        with _nothing_from_environment():
            table = table_class(f"s3://{folder.path}", storage_options=_options(access))
    return table, pa.schema(table.schema())


def _library(folder: TableFolder) -> type[DeltaTable]:
    try:
        import deltalake
        import pyarrow as pa  # noqa: F401 - deltalake comes without it too
    except ImportError:
        raise missing_library(folder, "delta") from None
    refuse_older(folder, "delta", version=deltalake.__version__, least=_MIN_VERSION)
    return deltalake.DeltaTable


def _options(access: S3Access) -> dict[str, str]:
    """Return the storage options of ``deltalake``."""
    options = {"AWS_REGION": access.region, "AWS_ALLOW_HTTP": "false", "AWS_SKIP_SIGNATURE": "false"}
    if access.endpoint_url:
        is_plain = access.endpoint_url.startswith("http://")
        options |= {"AWS_ENDPOINT_URL": access.endpoint_url, "AWS_ALLOW_HTTP": str(is_plain).lower()}
    if access.key_id is None:
        return options | {"AWS_SKIP_SIGNATURE": "true"}
    options |= {"AWS_ACCESS_KEY_ID": access.key_id, "AWS_SECRET_ACCESS_KEY": access.secret_key.reveal()}
    if token := access.session_token.reveal():
        options["AWS_SESSION_TOKEN"] = token
    return options


@contextmanager
def _nothing_from_environment() -> Iterator[None]:
    """
    Hide the environment variables that the library would use for every option that is not given, under any of their
    names.

    Otherwise a token of another account, or any variable that is called TOKEN, would be sent along with the
    connection's key.
    """
    with _environment:
        hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.lower() in _TAKEN_FROM_ENVIRONMENT}
        try:
            yield
        finally:
            os.environ.update(hidden)


def _pieces(table: DeltaTable, column: str) -> Iterator[Any]:
    import pyarrow as pa
    from deltalake import QueryBuilder

    quoted = column.replace('"', '""')
    rows = QueryBuilder().register("source", table).execute(f'SELECT "{quoted}" FROM source')  # noqa: S608 - a name
    batches: list[Any] = []
    # The library's own iteration holds the GIL while it waits for the store; Arrow's does not.
    for batch in pa.RecordBatchReader.from_stream(rows):
        batches.append(batch)
        if sum(map(len, batches)) >= _PIECE_ROWS:
            yield pa.Table.from_batches(batches)
            batches = []
    if batches:
        yield pa.Table.from_batches(batches)


def _failure(error: Exception, folder: TableFolder, access: S3Access | None) -> AudienceError:
    """Return our error for one of the library's. Only its text says what it means, and the text may quote keys."""
    text = str(error)
    if any(mark in text for mark in _NOT_READABLE):
        redact = Redactor(None, ALL_IN_SERVER_REPLIES)
        for secret in access.secrets if access else ():
            redact.learn(secret)
        return InvalidInputError(
            f"source {folder.shown} is a Delta Lake table that deltalake can't read ({redact(text)}): query it "
            "with SqlSource, or install a newer deltalake"
        )
    if any(mark in text for mark in _NOT_ALLOWED):
        return not_allowed(folder)
    if any(mark in text for mark in _NOT_THERE):
        return file_missing(folder)
    if access is None:
        return InvalidInputError(
            f"source {folder.shown} is a Delta Lake table that can't be read ({type(error).__name__}): its log or one "
            "of its files is damaged; mend the table"
        )
    return SourceUnavailableError(
        f"source {folder.shown}, a Delta Lake table, could not be read to its end ({type(error).__name__})"
    )
