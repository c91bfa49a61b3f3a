"""The parts of staging that need Airflow: the settings, and the file for the report of rejects."""

from __future__ import annotations

import os
from contextlib import suppress
from fnmatch import fnmatch
from functools import partial
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import IO, Any, get_args
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_provider_audiences.common.masked import revealed
from airflow_provider_audiences.common.paths import local_path, store_path
from airflow_provider_audiences.common.recognition import shown_address
from airflow_provider_audiences.common.stores import MISTAKES, store_mistake
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.rejects import RejectsFile, RejectsFormat
from airflow_provider_audiences.members.workspace import DEFAULT_MEMORY_LIMIT, StagingSettings
from airflow_provider_audiences.sources.joined import joined
from airflow_provider_audiences.sources.types import Source
from airflow_provider_audiences.validation import a_type, true_or_false

_WRONG_PATHS = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


def staging_settings() -> StagingSettings:
    """
    Return the settings for staging from section ``[audiences]`` of Airflow's configuration.

    :raises InvalidInputError: a setting has a wrong value.
    """
    temp_folder = conf.get("audiences", "temp_folder", fallback="") or ""
    return StagingSettings(
        memory_limit=conf.get("audiences", "memory_limit", fallback=DEFAULT_MEMORY_LIMIT),
        temp_folder=Path(temp_folder).expanduser() if temp_folder.strip() else None,
    )


def rejects_file(path: Any, *, include_values: bool | str) -> RejectsFile | None:
    """
    Return the file that the report of rejects is written to.

    :param path: value of ``rejects_path``: a ``.parquet`` or ``.csv`` file, as a local path, ``file://…``, an
        ``ObjectStoragePath`` or its text; None or empty for no report.
    :param include_values: whether to write the rejected texts themselves too; a bool or its text.
    :return: None for no report.
    :raises InvalidInputError: the path has another ending, or ``include_values`` is set without a path.
    """
    path = revealed(path)
    include_values = true_or_false("rejects_include_values", include_values)
    if path is None or path == "":
        if include_values:
            raise InvalidInputError("rejects_include_values is set and rejects_path is not: say where they go")
        return None
    if not isinstance(path, str | PathLike) and not hasattr(path, "open"):
        raise InvalidInputError(f"rejects_path is {a_type(path)}: give text or an ObjectStoragePath")
    shown = shown_address(str(path))
    file_format = PurePosixPath(urlsplit(str(path)).path).suffix.lower().removeprefix(".")
    if file_format not in get_args(RejectsFormat):
        raise InvalidInputError(f"rejects_path {shown} must end with .parquet or .csv")
    return RejectsFile(
        name=shown,
        open=partial(_open_for_writing, path, shown),
        file_format=file_format,  # type: ignore[arg-type] # it is one of them
        include_values=include_values,
    )


def refuse_source_as_rejects_path(path: Any, source: Any) -> None:
    """
    Refuse a report of rejects that would overwrite a file of its source, or be read as a part of it the next time.

    :param path: value of ``rejects_path``; None for no report.
    :param source: value of the operator's ``source`` or ``suppress``.
    :raises InvalidInputError: the report is a file of the source, lies below one of its folders, or matches its glob.
    """
    target = _comparable(revealed(path))
    if not target:
        return
    source = joined(source)
    paths = source.paths if isinstance(source, Source) else source
    for item in paths if isinstance(paths, list | tuple) else [paths]:
        read = _comparable(item)
        if read and (target == read or target.startswith(f"{read}/") or fnmatch(target, read)):
            raise InvalidInputError(
                f"rejects_path {shown_address(str(revealed(path)))} is a part of the source: give it another place"
            )


def _comparable(path: Any) -> str:
    """Return a path in a form that can be compared, with links resolved; an empty text for what is not a path."""
    if not isinstance(path, str | PathLike) and not hasattr(path, "open"):
        return ""
    local = local_path(path.strip() if isinstance(path, str) else path)
    if local is None:
        # A store's address may name its connection before the host.
        scheme, _, rest = str(path).strip().rstrip("/").partition("://")
        host, slash, below = rest.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{below}"
    # Text that can't be a path is compared as it is.
    with suppress(OSError, ValueError):
        return os.path.realpath(local)
    return str(local)


def _open_for_writing(path: Any, shown: str) -> IO[bytes]:
    try:
        return _opened(path)
    except _WRONG_PATHS as error:
        raise InvalidInputError(
            f"rejects_path {shown} can't be written ({type(error).__name__}): check that its folder exists, and that "
            "this worker may write there; nothing was sent"
        ) from None
    except MISTAKES as error:
        raise store_mistake(error, path, what=f"rejects_path {shown} can't be written") from None


def _opened(path: Any) -> IO[bytes]:
    local = local_path(path)
    if local is not None:
        local.parent.mkdir(parents=True, exist_ok=True)
        return local.open("wb")
    opener = store_path(path) if isinstance(path, str) else path
    file: IO[bytes] = opener.open("wb")
    return file
