"""
The mark at the end of a group's remark that says which task made it.

CreateGroup has no idempotency token. The mark takes its place: a group that has it was made by this very call, be it
by an earlier request, an earlier try of the task, or a worker that is gone.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from airflow_provider_audiences.clients.pai_groups import AudienceGroup, GroupSpec

_MARKER_PATTERN = re.compile(r"\s*\[airflow [^\[\]]*#[0-9a-f]{12}\]\s*$")


def group_marker(*, origin: str, run: str, spec: GroupSpec) -> str:
    """
    Return the mark by which a group is known to come from one task of one run with one set of parameters.

    :param origin: readable, such as ``my_dag.my_task``.
    :param run: what tells this run from others, such as run id and map index.
    :param spec: the group's parameters; a changed spec is another group.
    """
    digest = hashlib.sha256(f"{origin}\n{run}\n".encode() + spec.canonical()).hexdigest()[:12]
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", origin)[:60]
    return f"[airflow {readable} #{digest}]"


def without_marker(group: AudienceGroup) -> AudienceGroup:
    """
    Return the group with its remark as the user wrote it.

    :param group: a group, marked or not.
    """
    return replace(group, remark=_MARKER_PATTERN.sub("", group.remark))
