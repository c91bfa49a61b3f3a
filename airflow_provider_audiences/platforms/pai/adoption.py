"""
Adoption: using a group that exists already, in place of creating it.

An earlier request whose reply was lost may have made the group; its marker tells. Or ``if_exists`` says to take the one
group that has the name.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from airflow_provider_audiences.exceptions import ConflictError
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
from airflow_provider_audiences.platforms.pai.marker import GroupMarker

log = logging.getLogger(__name__)


def ids_of_rejected(
    groups: Sequence[AudienceGroup], marker: GroupMarker | None, failed_statuses: frozenset[int]
) -> frozenset[str]:
    """
    Return the ids of groups that an earlier request for this group has made and PAI has rejected: they are not adopted.

    :param groups: existing groups, as listed.
    :param marker: marker of the group asked for; None for no such groups.
    :param failed_statuses: statuses that mean rejected.
    """
    ids = [group.id for group in _with_key(groups, marker) if group.status in failed_statuses]
    if ids:
        log.warning(
            "Passed over, since PAI rejected what an earlier request of this task made: %s. Delete it.", ", ".join(ids)
        )
    return frozenset(ids)


def find_by_marker(
    groups: Sequence[AudienceGroup], marker: GroupMarker | None, *, passed_over: frozenset[str]
) -> AudienceGroup | None:
    """
    Return the group that an earlier request has made with the same key: the oldest, if there are several; None if
    there is none.

    :param groups: existing groups, as listed.
    :param marker: marker of the group asked for; None for no such group.
    :param passed_over: ids of groups not to adopt.
    """
    ours = [group for group in _with_key(groups, marker) if group.id not in passed_over]
    if not ours:
        return None
    found, *others = sorted(ours, key=lambda group: group.rank)
    if others:
        ids = ", ".join(group.id for group in others)
        log.warning(
            "Several PAI groups have the marker of this task. Adopted: %s. A task that refreshes a group deletes by "
            "itself what is too many; for others, delete %s.", found.id, ids,
        )  # fmt: skip
    log.info("Adopted the PAI group %s: an earlier request of this task made it.", found.id)
    return found


def find_by_name(
    groups: Sequence[AudienceGroup], name: str | None, *, rule: str, passed_over: frozenset[str]
) -> AudienceGroup | None:
    """
    Return the group with exactly this name if ``if_exists`` says to adopt it; None to create one.

    :param groups: existing groups, as listed.
    :param name: name of the wanted group.
    :param rule: value of ``if_exists``: ``create``, ``adopt`` or ``fail``.
    :param passed_over: ids of groups not to count.
    :raises ConflictError: there is such a group and the rule is ``fail``, or several have the name and it is ``adopt``.
    """
    found = [group for group in groups if group.name == name and group.id not in passed_over]
    if rule == "create" or not found:
        return None
    if rule == "adopt" and len(found) == 1:
        log.info("Adopted the PAI group %s: it is the only one with this name.", found[0].id)
        return found[0]
    listed = ", ".join(f"{group.id} (status {group.status}, {group.created_time})" for group in found)
    raise ConflictError(
        f"groups with this name exist: {listed}",
        operation="pai.create",
        advice="Use another name, delete those that are not needed, or set if_exists='create'.",
    )


def _with_key(groups: Sequence[AudienceGroup], marker: GroupMarker | None) -> list[AudienceGroup]:
    return [group for group in groups if marker is not None and marker.same_key(group.marker)]
