"""The current version of a Delta Lake table, through the library ``deltalake`` (extra ``delta``)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import AudienceApiError, InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.members.reading.inputs import SourceTable
from airflow_provider_audiences.redaction import ADVERTISING_ID_PATTERN, PHONE_NUMBER_PATTERN, Redactor
from airflow_provider_audiences.sources.aws import S3Access, s3_access
from airflow_provider_audiences.sources.table_errors import explained, file_missing, missing_library, not_allowed
from airflow_provider_audiences.sources.table_formats import TableFolder

if TYPE_CHECKING:
    from deltalake import DeltaTable

log = logging.getLogger(__name__)

_PERCENT_CODE = re.compile("%[0-9A-Fa-f]{2}")
_PIECE_ROWS = 100_000
_NOT_ALLOWED = ("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Unauthenticated", "Permission")
_NOT_THERE = ("not found", "NotFound", "No such file", "404", "NoSuchKey", "NoSuchBucket")
_NOT_READABLE = ("Unsupported", "not supported", "protocol")


def open_table(folder: TableFolder) -> SourceTable:
    """
    Open a table's newest version; deletion vectors and column mapping are observed when it is read.

    :param folder: the table's.
    :raises InvalidInputError: the extra is missing, or the table can't be read.
    :raises SourceUnavailableError: its store failed.
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
    with explained(partial(_failure, folder=folder, access=access)):
        if access is None:
            table = table_class(folder.path)
        else:
            table = table_class(f"s3://{folder.path}", storage_options=_options(access))
        schema = table.schema().to_arrow()
    log.info("Source %s is a Delta Lake table: its version %d is read.", folder.shown, table.version())
    return SourceTable(
        name=folder.shown,
        empty=_arrow_table([], schema),
        read=partial(_pieces, table, folder, access),
    )


def _library(folder: TableFolder) -> type[DeltaTable]:
    try:
        from deltalake import DeltaTable
    except ImportError:
        raise missing_library(folder, "delta") from None
    # Older ones read no deletion vectors.
    if not hasattr(DeltaTable, "scan"):
        raise missing_library(folder, "delta")
    return DeltaTable


def _options(access: S3Access) -> dict[str, str]:
    """Return the library's options; it fills those that are left out from the worker's environment."""
    options = {"AWS_REGION": access.region, "AWS_ALLOW_HTTP": "false", "AWS_SKIP_SIGNATURE": "false"}
    if access.endpoint_url:
        is_plain = access.endpoint_url.startswith("http://")
        options |= {"AWS_ENDPOINT_URL": access.endpoint_url, "AWS_ALLOW_HTTP": str(is_plain).lower()}
    if access.key_id is None:
        return options | {"AWS_SKIP_SIGNATURE": "true"}
    options |= {"AWS_ACCESS_KEY_ID": access.key_id, "AWS_SECRET_ACCESS_KEY": access.secret_key.reveal()}
    return options | {"AWS_SESSION_TOKEN": access.session_token.reveal()}


def _pieces(table: DeltaTable, folder: TableFolder, access: S3Access | None, column: str) -> Iterator[Any]:
    batches: list[Any] = []
    rows = 0
    with explained(partial(_failure, folder=folder, access=access)):
        for batch in table.scan(columns=[column]):
            batches.append(batch)
            rows += batch.num_rows
            if rows >= _PIECE_ROWS:
                yield _arrow_table(batches, batches[0].schema)
                batches, rows = [], 0
    if batches:
        yield _arrow_table(batches, batches[0].schema)


def _arrow_table(batches: list[Any], schema: Any) -> Any:
    from arro3.core import Table

    return Table.from_batches(batches, schema=schema)


def _failure(error: Exception, folder: TableFolder, access: S3Access | None) -> AudienceApiError:
    """Return what the library's error means; only its text tells, and what a store answered in it may quote keys."""
    text = str(error)
    if any(mark in text for mark in _NOT_READABLE):
        redact = Redactor(None, (ADVERTISING_ID_PATTERN, PHONE_NUMBER_PATTERN))
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
