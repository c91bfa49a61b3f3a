"""Errors for tables that can't be read, the same for every table format: what is wrong, and what to do instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from airflow_provider_audiences.exceptions import AudienceError, InvalidInputError
from airflow_provider_audiences.sources.table_formats import TableFolder

_T = TypeVar("_T")

OTHER_WAYS = "query it with SqlSource, or list the files of its current snapshot by name"


def missing_library(folder: TableFolder, extra: str) -> InvalidInputError:
    """
    Return the error for a table whose library is not installed, or too old.

    :param folder: folder of the table.
    :param extra: extra of this package that installs the library.
    """
    return InvalidInputError(
        f"source {folder.shown} is a table of {folder.table_format}, and what reads it is not installed, or too old: "
        f"pip install --upgrade 'airflow-provider-audiences[{extra}]'; or {OTHER_WAYS}"
    )


def refuse_older(folder: TableFolder, extra: str, *, version: str, least: tuple[int, ...]) -> None:
    """
    Refuse a library that is older than its extra requires. An older one may ignore deletes silently.

    :param folder: folder of the table.
    :param extra: extra of this package that installs the library.
    :param version: version that is installed.
    :param least: lowest version that works, as numbers.
    :raises InvalidInputError: the installed version is lower.
    """
    if tuple(map(int, re.findall(r"\d+", version)[: len(least)])) < least:
        raise missing_library(folder, extra)


def not_allowed(folder: TableFolder) -> InvalidInputError:
    """
    Return the error for a table whose store refuses the credentials.

    :param folder: folder of the table.
    """
    with_what = f"connection {folder.conn_id}" if folder.conn_id else "this worker's own credentials"
    return InvalidInputError(
        f"source {folder.shown} is a table of {folder.table_format} that may not be read with {with_what}: let them "
        "list and read its folder"
    )


def file_missing(folder: TableFolder) -> InvalidInputError:
    """
    Return the error for a table whose current snapshot lacks a file.

    :param folder: folder of the table.
    """
    return InvalidInputError(
        f"source {folder.shown} is a table of {folder.table_format} that lacks a file of its current snapshot: "
        "somebody removed it; mend the table"
    )


def explained_call(explain: Callable[[Exception], AudienceError], function: Callable[[], _T]) -> _T:
    """
    Call a library, and turn its errors into ours without keeping the originals: these may quote keys and rows.

    :param explain: function that returns the error of ours.
    :param function: function that calls the library.
    """
    try:
        return function()
    except AudienceError:
        raise
    except Exception as error:  # noqa: BLE001 - the libraries' errors have no common root
        failure = explain(error)
    # Raised outside the handler, so that our error does not keep the library's as its context.
    raise failure


def explained_items(explain: Callable[[Exception], AudienceError], items: Iterable[_T]) -> Iterator[_T]:
    """
    Yield a library's items, and turn its errors into ours without keeping the originals: these may quote keys and rows.

    :param explain: function that returns the error of ours.
    :param items: iterable of the library.
    """
    try:
        yield from items
    except AudienceError:
        raise
    except Exception as error:  # noqa: BLE001 - the libraries' errors have no common root
        failure = explain(error)
    else:
        return
    # Raised outside the handler, so that our error does not keep the library's as its context.
    raise failure
