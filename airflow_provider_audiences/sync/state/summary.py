"""What can be said of an audience's state: small dataclasses with counts, without members."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from airflow_provider_audiences.sync.expiry import Expiry

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.state.lease import Claim
    from airflow_provider_audiences.sync.state.manifest import Manifest

PlanStatus = Literal["begun", "waiting", "outdated", "damaged"]
"""Of a stored plan: it was begun and not finished; it may be applied; the state has changed since; it can't be read."""

FileStatus = Literal["ok", "missing", "damaged"]
"""Of a file that was read to its end and compared with its fingerprint."""


@dataclass(frozen=True, kw_only=True)
class AudienceSummary:
    """
    The state of an audience by its last manifest, which is read without any table.

    :param where: address of the state that may be shown.
    :param manifest: the last manifest; None if nothing was sent yet, or if it can't be read.
    :param claim: claim of the process that holds the audience's lease; None if nobody holds it.
    :param problem: why the manifest can't be read; empty if it can.
    """

    where: str
    manifest: Manifest | None
    claim: Claim | None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class LedgerCounts:
    """
    Counts of a ledger's rows at one moment.

    :param live: members that are in the audience for sure.
    :param maybe_live: members that may be in it: the outcome of their last request is not known.
    :param expired: members who have left it since the ledger was written, because they expired.
    :param expiry: when the live members begin to expire.
    """

    live: int = 0
    maybe_live: int = 0
    expired: int = 0
    expiry: Expiry = field(default_factory=Expiry)


@dataclass(frozen=True, kw_only=True)
class PlanSummary:
    """
    A stored plan, without its members.

    :param plan_id: id of the plan.
    :param status: what can be done with it.
    :param generation: number of the ledger that it was made for.
    :param added: members that it adds.
    :param refreshed: members that it sends again.
    :param removed: members that it removes.
    :param delivered: rows of it that the platform has accepted.
    :param stopped_by: guards that stop it.
    """

    plan_id: str
    status: PlanStatus
    generation: int = 0
    added: int = 0
    refreshed: int = 0
    removed: int = 0
    delivered: int = 0
    stopped_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AudienceDetails:
    """
    The state of an audience in full; its files were read and fit their fingerprints.

    :param summary: what the manifest says.
    :param ledger: counts of the ledger.
    :param held_back: members removed directly, whom no sync adds.
    :param added_directly: members added directly, whom no sync removes.
    :param plans: stored plans, sorted by their id.
    """

    summary: AudienceSummary
    ledger: LedgerCounts
    held_back: int
    added_directly: int
    plans: tuple[PlanSummary, ...]


@dataclass(frozen=True, kw_only=True)
class FileCheck:
    """
    The result of checking one file of a state.

    :param name: name of the file.
    :param holds: what the file holds, in words.
    :param status: whether it is what was written there.
    :param members: number of its members; None if it has none or can't be read.
    :param problem: what is wrong; empty if nothing is.
    """

    name: str
    holds: str
    status: FileStatus
    members: int | None = None
    problem: str = ""
