"""Errors of a failed refresh of a PAI group: what became of the new group, and what to do."""

from __future__ import annotations

from airflow_provider_audiences.exceptions import (
    AudienceError,
    GroupNotReadyError,
    GroupRejectedError,
    TransientError,
)

_NEXT_TRY = "max_active_runs=1 on the DAG keeps its own runs apart."


def explain_failure(error: AudienceError, group_id: str, *, name: str, is_deleted: bool) -> None:
    """
    Add to an error what became of the new group, and what to do.

    :param error: error that the wait has ended in; it is changed in place.
    :param group_id: id of the new group.
    :param name: name of the group.
    :param is_deleted: whether the new group was deleted.
    """
    what = "was deleted" if is_deleted else f"({group_id}) stays until the next run"
    error.so_far = f"The new group {name!r} {what}; nothing was replaced"
    if isinstance(error, GroupRejectedError):
        error.advice = "Mend what the group is made from, or min_amount if it has too few people; then clear the task."
    elif isinstance(error, GroupNotReadyError):
        error.advice = "Clear the task to make a new one, with a longer timeout if PAI's checks take that long."


def group_gone(group_id: str, *, later_id: str | None) -> TransientError:
    """
    Return the error for a new group that somebody else has deleted.

    The error is transient even if no newer group is listed, as the list may lag behind.

    :param group_id: id of the new group.
    :param later_id: id of a newer group; None if none is listed.
    """
    if later_id is None:
        who = "somebody else deleted it, or another run at the same time, whose group is not to be seen yet"
    else:
        who = f"another run at the same time replaced it by the newer group {later_id}"
    return TransientError(
        f"the new group {group_id} is gone: {who}",
        advice=f"The next try makes a group if it is still needed then; {_NEXT_TRY}",
    )


def file_lost(group_id: str) -> TransientError:
    """
    Return the error for a run whose staged file another run has deleted before PAI read it.

    :param group_id: id of the run's group, which PAI has rejected for that reason.
    """
    return TransientError(
        f"the file that the new group {group_id} was to be made from was removed by another run at the same time, "
        "before PAI read it",
        advice=f"The next try writes it again; {_NEXT_TRY}",
    )
