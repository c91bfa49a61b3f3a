"""Finding out whether tasks run on one machine or several: only with one can ledgers be on a worker's own disk."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from airflow.providers.common.compat.sdk import conf

Workers = Literal["one", "several", "pods"]
"""Where tasks run: on one machine, on several machines with their own disks, or in pods, which may share a volume."""

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
"""Airflow 2's executors with two kinds of workers: the configuration's section, and where tasks outside of pods run."""

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
    An executor in Airflow's configuration.

    :param alias: further name by which tasks may choose the executor; empty for none.
    :param path: module path of the executor's class, or only the class name for one of Airflow's own.
    """

    alias: str
    path: str

    @property
    def name(self) -> str:
        """Name of the executor's class."""
        return self.path.rpartition(".")[2]

    def is_called(self, name: str) -> bool:
        """Return whether a name in a task's argument ``executor`` means this executor."""
        return name in {self.alias, self.path, self.name}


def executor_of(task: Any) -> str:
    """
    Return the class name of the executor that runs a task.

    :param task: operator; its ``executor`` names one of the configured executors, or is None for the first one.
    """
    return _executor_of(task).name


def workers_of(task: Any) -> Workers:
    """
    Return where tasks of a task's executor run.

    :param task: operator whose executor is looked at.
    """
    if os.environ.get(_IN_POD, "").strip().lower() in {"true", "1"}:
        return "pods"  # inside a pod, the configuration names another executor
    executor = _executor_of(task)
    if executor.name in _BY_QUEUE:
        section, otherwise = _BY_QUEUE[executor.name]
        queue = conf.get(section, "kubernetes_queue", fallback="kubernetes")
        return "pods" if getattr(task, "queue", None) == queue else otherwise
    return _KNOWN.get(executor.name) or ("one" if _says_it_is_local(executor.path) else "several")


def is_shared_disk(path: Path) -> bool:
    """
    Return whether a path is on a network file system, which several machines can share.

    :param path: path on this machine; it need not exist yet.
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
    """Return the configured executors that all teams share; a semicolon separates them from those of single teams."""
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
    except Exception:  # noqa: BLE001 - custom code may raise anything, and a worker need not have it installed
        return False
