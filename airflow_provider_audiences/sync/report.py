"""Reports: what was sent, or would be; for the log, and for later tasks as XCom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.sync.guards import Verdict
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.sync.plan import Plan

_COUNTS_OF_PLAN = ("added", "refreshed", "removed", "unchanged", "suppressed", "held_back", "contradicted", "live")
_COUNTS_OF_OPT_OUTS = ("members", "malformed", "zeroed", "duplicates", "blank")


@dataclass(frozen=True, kw_only=True)
class DeliveryReport:
    """
    The part that the reports of all deliveries share.

    Before the first request, and if nothing is sent, all fields from ``requests`` to ``bytes_sent`` are 0.

    :param audience_id: id of the audience.
    :param planned_requests: requests needed, without repetitions and splits.
    :param planned_ids: members in these requests.
    :param planned_bytes: bytes of these requests' bodies.
    :param requests: HTTP requests sent, repetitions and polls included.
    :param batches: request bodies that the platform accepted.
    :param splits: how often a request body was too large for the platform and was halved.
    :param accepted: members that the platform counted as valid.
    :param rejected_by_api: members that the platform counted as invalid.
    :param miscounted_batches: request bodies for which the platform's counts differ from the members sent.
    :param bytes_sent: bytes of the accepted request bodies, each counted once.
    :param malformed: texts of the source (lines, rows, items) that are not members.
    :param zeroed: all-zero IDs in the source.
    :param duplicates: texts of the source that repeat a member of another text.
    :param blank: empty texts of the source.
    :param members_by_column: valid texts of each column, duplicates included; empty if the source has one column.
    :param seconds: how long the work took.
    """

    audience_id: str
    planned_requests: int = 0
    planned_ids: int = 0
    planned_bytes: int = 0
    requests: int = 0
    batches: int = 0
    splits: int = 0
    accepted: int = 0
    rejected_by_api: int = 0
    miscounted_batches: int = 0
    bytes_sent: int = 0
    malformed: int = 0
    zeroed: int = 0
    duplicates: int = 0
    blank: int = 0
    members_by_column: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON: the audience first, then this report's own fields, then those of all reports."""
        values = asdict(self)
        shared = {field.name for field in fields(DeliveryReport)} - {"audience_id"}
        return {name: values[name] for name in sorted(values, key=lambda name: name in shared)}


@dataclass(frozen=True, kw_only=True)
class DirectDeliveryReport(DeliveryReport):
    """
    The report of a direct update, append or removal.

    :param dry_run: whether this report was only planned, and nothing was sent.
    :param sent: members sent, each counted once.
    :param in_ledger: whether the change was recorded in the ledger of the audience's syncs.
    """

    dry_run: bool
    sent: int = 0
    in_ledger: bool = False


@dataclass(frozen=True, kw_only=True)
class ChangesReport(DeliveryReport):
    """
    The report of changes that were handed in.

    :param plan_id: id of the plan that the changes were stored as; empty if there was nothing to send.
    :param added: members to add, by the changes.
    :param refreshed: members to send again before they expire, by the changes.
    :param removed: members to remove, by the changes.
    :param members_before: members in the audience before, by the platform's count; None if it does not say, or was not
        asked, as when an earlier try is continued.
    :param live: members in the audience afterwards, by the platform's count, which may lag; None if it does not say.
    :param verdicts: what each guard says; empty if an earlier try is continued.
    :param batches_skipped_by_resume: requests of earlier tries, which were not sent again.
    """

    plan_id: str = ""
    added: int = 0
    refreshed: int = 0
    removed: int = 0
    members_before: int | None = None
    live: int | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    batches_skipped_by_resume: int = 0

    @classmethod
    def of_changes(
        cls,
        members: Mapping[str, int],
        *,
        audience_id: str,
        text_counts: Iterable[Mapping[str, Any]],
        plan: Plan,
        requests: int,
        max_member_bytes: int,
    ) -> ChangesReport:
        """
        Return the report of changes before anything is sent.

        :param members: number of members ``added``, ``refreshed`` and ``removed``.
        :param audience_id: id of the audience.
        :param text_counts: counts of the texts of each source, which are summed up here.
        :param plan: the plan that the changes make.
        :param requests: number of requests that the plan needs.
        :param max_member_bytes: most bytes of a member in a request.
        """
        texts, columns = Counter[str](), Counter[str]()
        for of_source in text_counts:
            columns.update(of_source["members_by_column"])
            texts.update({name: count for name, count in of_source.items() if name != "members_by_column"})
        counts: dict[str, Any] = {**members, **texts}
        return cls(
            audience_id=audience_id,
            planned_requests=requests,
            planned_ids=plan.members,
            planned_bytes=plan.members * max_member_bytes,
            members_by_column=dict(columns),
            **counts,
        )

    def plan_line(self) -> str:
        """Return a line for the log: what the changes take, and their counts."""
        requests, size = counted(self.planned_requests, "request"), counted(self.planned_bytes, "byte")
        counts = ", ".join(f"{name} {getattr(self, name):,}" for name in ("added", "refreshed", "removed"))
        return f"The changes take {requests}, {size}: {counts}."


@dataclass(frozen=True, kw_only=True)
class SyncReport(DeliveryReport):
    """
    The report of a sync.

    :param mode: ``mirror``, ``append`` or ``replace``.
    :param plan_only: whether the plan was only stored, and nothing was sent.
    :param plan_id: id of the stored plan; empty if there was nothing to do.
    :param generation: number of the ledger, which grows with each change.
    :param replaces: whether the first request replaces the audience's whole content.
    :param added: members sent that were not known to be in the audience.
    :param refreshed: members that were sent again before they expire.
    :param removed: members removed from the audience.
    :param unchanged: members that were in the audience and do not expire soon.
    :param suppressed: members of the source that were left out because of ``suppress``.
    :param held_back: members of the source that were left out, as they were removed directly.
    :param suppress_members: distinct members in ``suppress``.
    :param suppress_malformed: texts of ``suppress`` that could not be read.
    :param suppress_zeroed: all-zero IDs in ``suppress``.
    :param suppress_duplicates: texts of ``suppress`` that repeat another one.
    :param suppress_blank: empty texts of ``suppress``.
    :param suppress_unknown: members of ``suppress``, or held back, that were removed although the ledger lacks them.
    :param contradicted: members whose last request has no known outcome, and to whom this sync did the opposite.
    :param live: members in the audience, by the ledger.
    :param drift: the platform's count minus ``live``; None if the platform does not count.
    :param first_expiry: when the first member begins to expire unless it is sent again, by the ledger after the sync:
        ISO 8601, UTC; None without a TTL, and if nothing was carried out.
    :param last_expiry: when the last member begins to expire, in the same way.
    :param expected_seconds: expected time of sending, by the last run's pace (without one, a second a request).
    :param verdicts: verdicts of the guards.
    :param batches_skipped_by_resume: request bodies that an earlier, interrupted run had sent already.
    :param members: distinct members of the source.
    """

    mode: str = ""
    plan_only: bool = False
    plan_id: str = ""
    generation: int = 0
    replaces: bool = False
    added: int = 0
    refreshed: int = 0
    removed: int = 0
    unchanged: int = 0
    suppressed: int = 0
    held_back: int = 0
    suppress_members: int = 0
    suppress_malformed: int = 0
    suppress_zeroed: int = 0
    suppress_duplicates: int = 0
    suppress_blank: int = 0
    suppress_unknown: int = 0
    contradicted: int = 0
    live: int = 0
    drift: int | None = None
    first_expiry: str | None = None
    last_expiry: str | None = None
    expected_seconds: float = 0.0
    verdicts: list[Verdict] = field(default_factory=list)
    batches_skipped_by_resume: int = 0
    members: int = 0

    @classmethod
    def of_plan(
        cls,
        plan: Plan,
        *,
        audience_id: str,
        generation: int,
        mode: str,
        staged: StagedMembers,
        opt_outs: StagedMembers | None,
        requests: int,
        max_member_bytes: int,
    ) -> SyncReport:
        """
        Return the report of a plan before anything is sent.

        :param plan: the plan.
        :param audience_id: id of the audience.
        :param generation: number of the ledger.
        :param mode: ``mirror``, ``append`` or ``replace``.
        :param staged: members of the source, staged.
        :param opt_outs: members that must not be in the audience, staged; None for none.
        :param requests: number of requests that the plan needs.
        :param max_member_bytes: most bytes of a member in a request.
        """
        counts = {name: getattr(plan.counts, name) for name in _COUNTS_OF_PLAN}
        counts |= {f"suppress_{name}": getattr(opt_outs, name) if opt_outs else 0 for name in _COUNTS_OF_OPT_OUTS}
        return cls(
            audience_id=audience_id,
            mode=mode,
            generation=generation,
            replaces=plan.replaces,
            suppress_unknown=plan.counts.unknown_removed,
            planned_requests=requests,
            planned_ids=plan.members,
            planned_bytes=plan.members * max_member_bytes,
            members=staged.members,
            **counts,
            **staged.text_counts(),
        )

    @classmethod
    def from_details(cls, details: Mapping[str, Any], *, audience_id: str, plan_id: str) -> SyncReport:
        """
        Return the report that was stored with a plan.

        :param details: a dictionary of :meth:`as_dict`; unknown fields, as of other versions, are ignored.
        :param audience_id: id of the audience.
        :param plan_id: id of the plan.
        """
        known = {field.name for field in fields(cls)} - {"audience_id", "plan_id", "verdicts"}
        numbers = {name: value for name, value in details.items() if name in known}
        verdicts = [Verdict(**verdict) for verdict in details.get("verdicts", ())]
        return cls(audience_id=audience_id, plan_id=plan_id, verdicts=verdicts, **numbers)

    def plan_lines(self) -> list[str]:
        """Return two lines for the log: what the plan takes, and its counts."""
        how = "replaces the audience's content" if self.replaces else "changes only what differs"
        requests, size = counted(self.planned_requests, "request"), counted(self.planned_bytes, "byte")
        counts = [f"{name} {getattr(self, name):,}" for name in ("added", "refreshed", "removed", "unchanged")]
        counts += [f"{name} {getattr(self, name):,}" for name in ("suppressed", "held_back") if getattr(self, name)]
        return [
            f"The plan {how}: {requests}, {size}, about {self.expected_seconds:g} s.",
            f"  {', '.join(counts)}",
        ]


def summed(reports: Sequence[SyncReport], *, audience_id: str) -> SyncReport:
    """
    Return one report of what the partitions of an audience report.

    Counts are sums. The first expiry is the earliest one, the last is the latest one; the time is the longest one.

    :param reports: reports of all partitions; at least one.
    :param audience_id: id of the audience.
    """
    counts = {
        field.name: sum(getattr(report, field.name) for report in reports)
        for field in fields(SyncReport)
        if field.type == "int" and field.name != "generation"
    }
    by_column: dict[str, int] = {}
    for report in reports:
        for name, count in report.members_by_column.items():
            by_column[name] = by_column.get(name, 0) + count
    return SyncReport(
        audience_id=audience_id,
        mode=reports[0].mode,
        plan_only=all(report.plan_only for report in reports),
        members_by_column=by_column,
        first_expiry=min((report.first_expiry for report in reports if report.first_expiry), default=None),
        last_expiry=max((report.last_expiry for report in reports if report.last_expiry), default=None),
        expected_seconds=max(report.expected_seconds for report in reports),
        seconds=max(report.seconds for report in reports),
        **counts,
    )
