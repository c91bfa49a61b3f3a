"""What was done, or would be: numbers for people, and for the tasks that come after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from airflow_provider_audiences.sync.guards import Verdict


@dataclass(frozen=True, kw_only=True)
class DeliveryReport:
    """
    What all that send members report. Before the first request, and if nothing is sent, all from ``requests`` to
    ``bytes_sent`` is 0.

    :param audience_id: the audience.
    :param planned_requests: requests that it takes, without repetitions and splits.
    :param planned_ids: members in them.
    :param planned_bytes: bytes of their bodies.
    :param requests: HTTP requests sent, repetitions and polls included.
    :param batches: request bodies that were accepted.
    :param splits: how often a body was too large for the platform, and was cut.
    :param accepted: members that the platform called valid.
    :param rejected_by_api: those that it called invalid.
    :param miscounted_batches: bodies of which it counted more or fewer members than they have.
    :param bytes_sent: bytes of the bodies that were accepted, each counted once.
    :param malformed: texts of the source (lines, rows, items) that are no member.
    :param zeroed: all-zero IDs in the source.
    :param duplicates: texts of the source that repeat another one.
    :param blank: empty texts of the source.
    :param members_by_column: texts that are members in each of several columns, before duplicates are told; empty for
        one column.
    :param seconds: it took.
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
        """Return it as small JSON: the audience, what is this report's own, and what all have."""
        values = asdict(self)
        shared = {field.name for field in fields(DeliveryReport)} - {"audience_id"}
        return {name: values[name] for name in sorted(values, key=lambda name: name in shared)}


@dataclass(frozen=True, kw_only=True)
class UploadReport(DeliveryReport):
    """
    What an update, an append or a removal by hand came to.

    :param dry_run: whether this is a plan, and nothing was sent.
    :param sent: members sent, each counted once.
    :param in_ledger: whether it is noted for the syncs of the audience, as it has a ledger.
    """

    dry_run: bool
    sent: int = 0
    in_ledger: bool = False


@dataclass(frozen=True, kw_only=True)
class SyncReport(DeliveryReport):
    """
    What a sync came to.

    :param mode: ``mirror``, ``append`` or ``replace``.
    :param plan_only: whether this is a plan, and nothing was sent.
    :param plan_id: of the plan that was stored; empty if there was nothing to do.
    :param generation: of the ledger; it counts the changes.
    :param replaces: whether the first request replaces the audience's whole content.
    :param added: members that were not there, or not for sure.
    :param refreshed: members that were sent again before they expire.
    :param removed: members that were taken out.
    :param unchanged: members that were there and are not due.
    :param suppressed: members of the source that are held back by ``suppress``.
    :param held_back: members of the source that somebody has removed by hand, and who stay out.
    :param suppress_members: distinct members in ``suppress``.
    :param suppress_malformed: texts of ``suppress`` that could not be read.
    :param suppress_zeroed: all-zero IDs in ``suppress``.
    :param suppress_duplicates: texts of ``suppress`` that repeat another one.
    :param suppress_blank: empty texts of ``suppress``.
    :param suppress_unknown: members of ``suppress`` that are removed although the ledger lacks them.
    :param contradicted: members whose last request has no known outcome, and to which the opposite happens now.
    :param live: members that are in the audience by the ledger.
    :param drift: what the platform counts, less ``live``; None if it does not say.
    :param expected_seconds: how long sending takes, by the pace of the last run (or a second a request).
    :param verdicts: what the guards say.
    :param batches_skipped_by_resume: request bodies that an earlier run, which was cut off, had sent.
    :param members: distinct members in the source.
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
    expected_seconds: float = 0.0
    verdicts: list[Verdict] = field(default_factory=list)
    batches_skipped_by_resume: int = 0
    members: int = 0

    def changed(self, **changes: Any) -> SyncReport:
        """
        Return a report with other numbers.

        :param changes: by their names.
        """
        return replace(self, **changes)

    @classmethod
    def from_details(cls, details: Mapping[str, Any], *, audience_id: str, plan_id: str) -> SyncReport:
        """
        Return the report that a plan was stored with.

        :param details: as :meth:`as_dict` returned it; from another version of this program it may have other names.
        :param audience_id: the audience.
        :param plan_id: the plan.
        """
        known = {field.name for field in fields(cls)} - {"audience_id", "plan_id", "verdicts"}
        numbers = {name: value for name, value in details.items() if name in known}
        verdicts = [Verdict(**verdict) for verdict in details.get("verdicts", ())]
        return cls(audience_id=audience_id, plan_id=plan_id, verdicts=verdicts, **numbers)

    def plan_lines(self) -> list[str]:
        """Return what the plan comes to, as lines of a small table."""
        names = ("added", "refreshed", "removed", "unchanged", "suppressed", "held_back")
        rows = {name: getattr(self, name) for name in names}
        how = "replaces the audience's content" if self.replaces else "changes only what differs"
        size = f"{self.planned_requests} requests, {self.planned_bytes:,} bytes, about {self.expected_seconds:g} s"
        return [
            f"The plan {how}: {size}.",
            *(f"  {name:<11}{value:>14,}" for name, value in rows.items()),
            *(
                f"  {'passed' if verdict.passed else 'STOPPED'}: {verdict.guard}: {verdict.message}"
                for verdict in self.verdicts
            ),
        ]

    def lines(self) -> list[str]:
        """Return all of it, as lines of a table for the log."""
        return [
            f"{name:<26}{f'{value:,}' if isinstance(value, int) and not isinstance(value, bool) else value}"
            for name, value in self.as_dict().items()
            if name != "verdicts"
        ]
