"""An audience in partitions as a whole: the counts and the report of all together, and what no partition may do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import InvalidInputError, PlanOutdatedError
from airflow_provider_audiences.members.malformed import refuse_malformed_share, refuse_without_members
from airflow_provider_audiences.sync.plan import PlanCounts
from airflow_provider_audiences.sync.report import SyncReport, summed
from airflow_provider_audiences.sync.state.stored_plans import plan_in

if TYPE_CHECKING:
    from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind
    from airflow_provider_audiences.sync.settings import SyncSettings
    from airflow_provider_audiences.sync.state.file_store import FileStore

_OF_DELIVERY = (
    *("live", "requests", "batches", "splits", "accepted", "rejected_by_api", "miscounted_batches", "bytes_sent"),
    *("batches_skipped_by_resume", "first_expiry", "last_expiry", "seconds"),
)
"""Fields of a report that are known once members were sent."""

_OF_FIRST_BATCH = (
    *("requests", "batches", "splits", "accepted", "rejected_by_api", "miscounted_batches", "bytes_sent"),
)
"""Fields that the verdict's report has of the first batch, which is sent alone, before those of all partitions."""


def refuse_replacing(settings: SyncSettings) -> None:
    """
    Refuse settings by which one partition's first request would replace the content of all.

    :param settings: how the audience is to equal its source.
    :raises InvalidInputError: ``mode``, ``initial`` or ``on_lost_ledger`` is ``replace``; nothing was sent.
    """
    for name in ("mode", "initial", "on_lost_ledger"):
        if getattr(settings, name) == "replace":
            raise InvalidInputError(
                f"{name}='replace' is not for partitions: a partition's first request would replace the members of all "
                "the others; nothing was sent"
            )


def whole_counts(plans: Iterable[tuple[FileStore, str]]) -> PlanCounts:
    """
    Return the counts of all partitions' stored plans together.

    :param plans: of each partition, the file store of its state, and the id of its plan.
    :raises PlanOutdatedError: a plan is not there any more; nothing was sent.
    """
    total = PlanCounts()
    for files, plan_id in plans:
        found = plan_in(files, plan_id)
        if found is None:
            raise PlanOutdatedError(
                f"{files.name} has no plan {plan_id}: another sync has run since, and took it away; nothing was sent"
            )
        total += PlanCounts.from_json(found.content["changes"])
    return total


def refuse_texts(whole: SyncReport, *, identifier_kind: IdentifierKind, max_ratio: float | None) -> None:
    """
    Refuse a source by the counts of all partitions, as a sync of the whole does by its own.

    :param whole: report of all plans together.
    :param identifier_kind: what members are, for messages.
    :param max_ratio: largest share of malformed texts; None for no limit.
    :raises InvalidInputError: none of the texts is a member, or a larger share is malformed; nothing was sent.
    """
    refuse_without_members(whole.members, whole.malformed, member_name=identifier_kind.name, of="the texts of source")
    texts = whole.members + whole.malformed + whole.zeroed + whole.duplicates
    refuse_malformed_share(whole.malformed, texts, identifier_kind=identifier_kind, limit=max_ratio)


def whole_report(planned: Mapping[str, Any], applied: Sequence[Mapping[str, Any]], *, audience_id: str) -> SyncReport:
    """
    Return the report of a whole sync.

    :param planned: report of all plans together, with the counts of the batch that was sent first, as JSON.
    :param applied: reports of the tasks that have carried them out, as JSON.
    :param audience_id: id of the audience.
    """
    plan = SyncReport.from_details(planned, audience_id=audience_id, plan_id="")
    sent = summed(
        [SyncReport.from_details(one, audience_id=audience_id, plan_id="") for one in applied], audience_id=audience_id
    )
    counts = {name: getattr(sent, name) for name in _OF_DELIVERY}
    counts |= {name: getattr(sent, name) + getattr(plan, name) for name in _OF_FIRST_BATCH}
    # To the task that sent the rest, the first batch is one of an earlier try.
    counts["batches_skipped_by_resume"] = max(0, sent.batches_skipped_by_resume - plan.batches)
    return replace(plan, plan_only=False, **counts)
