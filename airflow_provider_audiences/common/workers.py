"""Whether the tasks of an Airflow run on one machine or on several: a ledger on a worker's own disk fits only one."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from airflow.providers.common.compat.sdk import conf

Workers = Literal["one", "several", "pods"]
"""One machine; several, each with a disk of its own; or pods, whose disks may be volumes that stay."""

log = logging.getLogger(__name__)

_KNOWN: dict[str, Workers] = {
    "LocalExecutor": "one",
    "SequentialExecutor": "one",
    "DebugExecutor": "one",
    "KubernetesExecutor": "pods",
}
_BY_QUEUE: dict[str, tuple[str, Workers]] = {
    "CeleryKubernetesExecutor": ("celery_kubernetes_executor", "several"),
    "LocalKubernetesExecutor": ("local_kubernetes_executor", "one"),
}
"""Of Airflow 2, with the section that names the queue whose tasks run in pods."""

_IN_POD = "AIRFLOW_IS_K8S_EXECUTOR_POD"
_SHARED_FILE_SYSTEMS = frozenset(
    {
        "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "smb3",
        "fuse.ceph", "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs", "fuse.s3fs", "fuse.sshfs",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Executor:
    """
    An executor of Airflow's configuration.

    :param alias: what tasks may call it; empty for none.
    :param path: of its class, or the name of one of Airflow's own.
    """

    alias: str
    path: str

    @property
    def name(self) -> str:
        """The name of its class."""
        return self.path.rpartition(".")[2]

    def is_called(self, name: str) -> bool:
        """Tell whether a task that asks for a name means this one."""
        return name in {self.alias, self.path, self.name}


def executor_of(task: Any) -> str:
    """
    Return the name of the executor that runs a task.

    :param task: the operator; its ``executor`` is one of several, or None for the first.
    """
    return _executor_of(task).name


def workers_of(task: Any) -> Workers:
    """
    Return where the tasks run that the executor of a task runs.

    :param task: the operator.
    """
    if os.environ.get(_IN_POD, "").strip().lower() in {"true", "1"}:
        return "pods"  # where the configuration names another executor
    executor = _executor_of(task)
    if executor.name in _BY_QUEUE:
        section, otherwise = _BY_QUEUE[executor.name]
        queue = conf.get(section, "kubernetes_queue", fallback="kubernetes")
        return "pods" if getattr(task, "queue", None) == queue else otherwise
    return _KNOWN.get(executor.name) or ("one" if _says_it_is_local(executor.path) else "several")


def is_shared_disk(path: Path) -> bool:
    """
    Tell whether a path lies on a file system that several machines can see.

    :param path: it need not exist yet.
    """
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    place = os.path.realpath(path)
    kind, length = "", -1
    for line in lines:
        fields = line.split()
        point = fields[4].encode("latin-1", errors="replace").decode("unicode_escape")
        if len(point) >= length and (place == point or place.startswith(point.rstrip("/") + "/")):
            kind, length = fields[fields.index("-") + 1], len(point)
    return kind in _SHARED_FILE_SYSTEMS


def _executor_of(task: Any) -> _Executor:
    configured = [_parsed(text) for text in _configured()]
    wanted = getattr(task, "executor", None)
    if isinstance(wanted, str) and wanted.strip():
        wanted = wanted.strip()
        return next((found for found in configured if found.is_called(wanted)), _parsed(wanted))
    return configured[0]


def _configured() -> list[str]:
    """Return the executors for all teams: what the configuration has for single teams comes behind a semicolon."""
    common = str(conf.get("core", "executor", fallback="LocalExecutor")).split(";")[0]
    return [text.strip() for text in common.rpartition("=")[2].split(",") if text.strip()] or ["LocalExecutor"]


def _parsed(text: str) -> _Executor:
    """Parse ``CeleryExecutor``, ``my.module.MyExecutor`` or ``alias:my.module.MyExecutor``."""
    alias, _, path = text.rpartition(":")
    return _Executor(alias=alias.strip(), path=path.strip())


def _says_it_is_local(path: str) -> bool:
    module, _, name = path.rpartition(".")
    if not module:
        return False
    try:
        return bool(getattr(import_module(module), name).is_local)
    except Exception:  # noqa: BLE001 - anybody's code; a worker need not have it
        return False
