"""Checks of ``doctor`` on the state path: whether it is reachable, writable, private, and seen by all workers."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_audiences.cli.findings import Finding, Status
from airflow_provider_audiences.exceptions import AudienceError, InvalidInputError

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.state.file_store import FileStore

_AREA = "state path"
_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_SHOWN = 3


def state_findings(*, test: bool) -> Iterator[Finding]:
    """
    Yield what there is to say of the state path.

    :param test: whether to write a small file there, and delete it at once.
    """
    from airflow_provider_audiences.common.paths import local_path
    from airflow_provider_audiences.common.state import state_path, state_store

    try:
        root = state_store()
        local = local_path(state_path())
    except InvalidInputError as error:
        yield _finding("address", "wrong", str(error))
        return
    yield _finding("address", "info", root.name)
    try:
        count = len(root.names())
    except AudienceError as error:
        yield _finding("reachable", "wrong", str(error))
        return
    yield _finding("reachable", "ok", f"it has {count} entries" if count else "it is empty, or not made yet")
    yield _writable(root, local, test=test)
    if local is None:
        yield _finding("private", "info", "who may read it is set in the object store: it holds members")
    else:
        yield _private(local)
    yield from _shared(local)


def _finding(name: str, status: Status, detail: str) -> Finding:
    return Finding(area=_AREA, name=name, status=status, detail=detail)


def _writable(root: FileStore, local: Path | None, *, test: bool) -> Finding:
    if test:
        name = f"doctor-{secrets.token_hex(8)}"
        try:
            root.write(name, b"")
            root.delete(name)
        except AudienceError as error:
            return _finding("writable", "wrong", str(error))
        return _finding("writable", "ok", "a file was written and deleted")
    if local is None:
        return _finding("writable", "info", "not tested: --test writes a file, and deletes it")
    there = next(path for path in (local, *local.parents) if path.exists())
    if os.access(there, os.W_OK | os.X_OK):
        return _finding("writable", "ok", f"this user may write to {there}")
    return _finding("writable", "wrong", f"this user may not write to {there}: let the worker's user write there")


def _private(local: Path) -> Finding:
    """Look at the state path, and if others may enter it, at everything below."""
    if not local.exists():
        return _finding("private", "ok", "it is made with the first ledger, for the worker's user only")
    if not local.stat().st_mode & _OF_OTHERS:
        return _finding("private", "ok", "only its user may enter it")
    closed: list[Path] = []
    is_open = list(_files_of_others(local, closed))
    if is_open:
        return _finding(
            "private",
            "wrong",
            f"others may read or change files with members ({_shown(is_open, local)}): run chmod -R go= on {local}",
        )
    if closed:
        return _finding(
            "private",
            "warning",
            f"this user may not look into all of it ({_shown(closed, local)}): run doctor as the worker's user",
        )
    return _finding("private", "ok", "others may enter it, and read no file in it")


def _shown(paths: list[Path], root: Path) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(str(path.relative_to(root)) for path in paths[:_SHOWN]) + more


def _files_of_others(folder: Path, closed: list[Path]) -> Iterator[Path]:
    """
    Yield the files below a folder that other users may read or change. What a sync deletes meanwhile is left out.

    :param folder: a folder that other users may enter.
    :param closed: takes what this user may not look into.
    """
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    except OSError:
        closed.append(folder)
        return
    for entry in entries:
        try:
            mode = entry.stat().st_mode
        except FileNotFoundError:
            continue
        except OSError:
            closed.append(entry)
            continue
        if mode & _OF_OTHERS and stat.S_ISDIR(mode):
            yield from _files_of_others(entry, closed)
        elif mode & _OF_OTHERS:
            yield entry


def _shared(local: Path | None) -> Iterator[Finding]:
    from airflow_provider_audiences.common.state import check_state_path
    from airflow_provider_audiences.common.workers import executor_of, is_shared_disk, workers_of

    if local is None:
        yield _finding("shared", "ok", "all workers see an object store")
        return
    is_shared, workers = is_shared_disk(local), workers_of(None)
    disk = "a network file system" if is_shared else "this machine's own disk"
    where = {"one": "on one machine", "several": "on several machines", "pods": "in pods"}[workers]
    try:
        check_state_path(None)
    except InvalidInputError as error:
        yield _finding("shared", "wrong", str(error))
        return
    status: Status = "warning" if workers == "pods" and not is_shared else "ok"
    yield _finding("shared", status, f"it is on {disk}, and {executor_of(None)} runs tasks {where}")
