"""The names of files and tables as datasets of OpenLineage, by its naming conventions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from airflow_provider_audiences.common.masked import revealed
from airflow_provider_audiences.common.paths import local_path
from airflow_provider_audiences.common.recognition import is_clearly_a_path, is_member_text, is_path_list
from airflow_provider_audiences.common.rendering import is_template
from airflow_provider_audiences.sources.joined import joined
from airflow_provider_audiences.sources.types import Source, SqlSource

_SAME_STORE = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss"}
"""Protocols by the name that OpenLineage has for their store."""

_AZURE = frozenset({"abfs", "abfss", "wasb", "wasbs"})
"""Protocols in whose addresses a container may stand before the account's host."""

_WILDCARD = re.compile(r"[*?\[]")
_OSS_HOST = re.compile(r"([a-z0-9-]+)\.oss-[a-z0-9-]+\.aliyuncs\.com")


class DatasetName(NamedTuple):
    """
    The name of a dataset.

    :param namespace: where the dataset is: a store, or ``file`` for the worker's own disks.
    :param name: name of the dataset there.
    """

    namespace: str
    name: str


def max_compute_table(project: str, table: str) -> DatasetName:
    """
    Return the name of a MaxCompute table, for which OpenLineage has no convention.

    :param project: MaxCompute project of the table.
    :param table: name of the table.
    """
    return DatasetName("maxcompute", f"{project}.{table}")


def datasets_and_queries(source: Any) -> Iterator[DatasetName | SqlSource]:
    """
    Yield the files, folders and queries that a source is read from; nothing for members that a task has in memory.

    :param source: value of an operator's field, masked or not; or the name of a dataset.
    """
    if isinstance(source, DatasetName):
        yield source
        return
    source = joined(source)
    if isinstance(source, SqlSource):
        yield source
    elif isinstance(source, Source):
        yield from filter(None, map(_dataset_of, source.paths))
    elif is_path_list(source):
        yield from filter(None, map(_dataset_of, map(revealed, source)))
    elif isinstance(source, str | PathLike) or is_clearly_a_path(source):
        dataset = _dataset_of(source)
        if dataset is not None:
            yield dataset


def _dataset_of(path: Any) -> DatasetName | None:
    """Return the name of a file or folder, or of the folder before a glob's first wildcard; None if it is no path."""
    text = str(path)
    if is_template(text) or is_member_text(text):
        return None
    local = local_path(path)
    if local is not None:
        return DatasetName("file", _folder_of_glob(str(Path(local).absolute())))
    scheme, host, key = _split(text)
    if host is None:
        return None
    if scheme in {"http", "https"}:
        return _web_dataset(scheme, host, re.split(r"[?#]", key)[0])
    return DatasetName(f"{_SAME_STORE.get(scheme, scheme)}://{host}", _folder_of_glob(key).strip("/") or "/")


def _split(address: str) -> tuple[str, str | None, str]:
    """
    Return an address's scheme, its host without what gives access, and all that follows the host's slash.

    The host is None if it can't be told where it ends, as in ``s3://key:sec/ret@bucket``: a secret may be in it.
    """
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - it raises an error if there is no number after the colon
    except ValueError:
        return "", None, ""
    user, _, host = parts.netloc.rpartition("@")
    if parts.scheme in _AZURE and "." in host:  # an account's host; what stands before it is one of its containers
        container = user.partition(":")[0]
        host = f"{container}@{host}" if container else host
    # In a store, ? is a wildcard and # may be part of a name, so the rest of the address is the key.
    rest = re.sub(r"^[^:]*://[^/?#]*", "", address)
    return parts.scheme, host, rest.removeprefix("/") if rest.startswith("/") else ""


def _web_dataset(scheme: str, host: str, path: str) -> DatasetName:
    bucket = _OSS_HOST.fullmatch(host)
    return DatasetName(f"oss://{bucket[1]}" if bucket else f"{scheme}://{host}", path or "/")


def _folder_of_glob(path: str) -> str:
    wildcard = _WILDCARD.search(path)
    return path if wildcard is None else path[: wildcard.start()].rpartition("/")[0]
