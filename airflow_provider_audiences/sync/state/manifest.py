"""What is true of an audience's state, as small JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from airflow_provider_audiences.sync.destination import AudienceAddress
from airflow_provider_audiences.sync.run_date import RunDate
from airflow_provider_audiences.sync.state.delivered import Delivered, DeliveredRange, DeliveredRanges
from airflow_provider_audiences.sync.state.late import LateRequests


@dataclass(frozen=True, kw_only=True)
class StoredLedger:
    """
    Where the ledger is.

    :param file: its name; empty for a ledger without members.
    :param members: how many it has.
    :param fingerprint: tells whether it is still the same.
    """

    file: str
    members: int
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class StoredKeys:
    """
    Where a set of members is.

    :param file: its name; empty for nobody.
    :param fingerprint: tells whether it is still the same.
    """

    file: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, kw_only=True)
class MarkFiles:
    """
    Where it is stored whom somebody has removed or added by hand.

    :param held_back: who was removed, and is not to be added again.
    :param by_hand: who was added, and is not to be removed.
    """

    held_back: StoredKeys = StoredKeys()
    by_hand: StoredKeys = StoredKeys()


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """
    What is known of an audience.

    :param platform: where the audience is: ``applovin``.
    :param host: of the API.
    :param audience_id: the audience.
    :param generation: counts the ledgers; a plan fits one of them.
    :param ledger: who was sent.
    :param is_known: whether nobody is in the audience whom the ledger lacks, or whose being there was accepted; if
        not, the next plan replaces the whole content.
    :param plan_id: the plan that is being carried out; empty if there is none.
    :param delivered: which of its ranges the platform has taken.
    :param replacement: fingerprint of the members of a replacement that was begun and is not finished; else empty.
    :param settled_at: until then a request of an earlier plan may still take effect; seconds since 1970.
    :param is_doubt_in_ledger: whether all that it may do is in the ledger, as members in doubt.
    :param late: what it may do, whatever its members.
    :param finished_plan_id: the last plan that was carried out to its end.
    :param finished_batches: how many requests that took.
    :param seconds_per_request: of the last plan; 0 if there was none.
    :param has_strangers: whether the audience may hold members that the ledger lacks.
    :param purged: fingerprint of the opt-outs that were removed although the ledger lacks them; empty for none.
    :param run_date: of the newest run that has changed the audience; None if no such run had a date.
    :param marks: whom somebody has removed or added by hand.
    """

    platform: str
    host: str
    audience_id: str
    generation: int
    ledger: StoredLedger
    is_known: bool
    plan_id: str = ""
    delivered: Delivered | None = None
    replacement: str = ""
    settled_at: int = 0
    is_doubt_in_ledger: bool = True
    late: LateRequests = field(default_factory=LateRequests)
    finished_plan_id: str = ""
    finished_batches: int = 0
    seconds_per_request: float = 0.0
    has_strangers: bool = False
    purged: str = ""
    run_date: RunDate | None = None
    marks: MarkFiles = MarkFiles()

    @property
    def address(self) -> AudienceAddress:
        """Which audience it is about."""
        return AudienceAddress(platform=self.platform, host=self.host, audience_id=self.audience_id)

    def as_json(self) -> dict[str, Any]:
        """Return it as small JSON."""
        content = {name: getattr(self, name) for name in _FIELDS if name != "delivered"}
        content["ledger"] = asdict(self.ledger)
        # The key is that of the first versions, whose states are read on.
        content["landings"] = delivered_to_json(self.delivered) if self.delivered else None
        content["run_date"] = self.run_date.as_list() if self.run_date else None
        content["marks"] = asdict(self.marks)
        content["late"] = asdict(self.late)
        return content

    @property
    def files(self) -> set[str]:
        """The files that it names, besides those of its plan."""
        return {self.ledger.file, self.marks.held_back.file, self.marks.by_hand.file} - {""}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Manifest:
        """
        Return what :meth:`as_json` was called of.

        :param content: JSON.
        :raises TypeError, ValueError, KeyError: it is no manifest.
        """
        # The first format did not say whether there are strangers.
        values = {"has_strangers": True, **content}
        values["run_date"] = RunDate.from_list(values.get("run_date"))
        values["ledger"] = StoredLedger(**values["ledger"])
        values["marks"] = MarkFiles(**{name: StoredKeys(**keys) for name, keys in values.get("marks", {}).items()})
        values["late"] = LateRequests(**values.get("late", {}))
        landings = values.pop("landings")
        values["delivered"] = delivered_from_json(landings) if landings else None
        return cls(**values)


_FIELDS = [field.name for field in fields(Manifest)]


def delivered_to_json(delivered: Delivered) -> dict[str, Any]:
    """
    Return delivered ranges as small JSON.

    :param delivered: the ranges.
    """
    return {
        "begun_at": delivered.begun_at,
        "batches": delivered.batches,
        "is_repeated": delivered.is_repeated,
        "is_update_repeated": delivered.is_update_repeated,
        "additions": delivered.additions.as_list(),
        "removals": delivered.removals.as_list(),
    }


def delivered_from_json(content: Mapping[str, Any]) -> Delivered:
    """
    Return what :func:`delivered_to_json` was given.

    :param content: JSON.
    """
    return Delivered(
        begun_at=content["begun_at"],
        batches=content["batches"],
        is_repeated=content["is_repeated"],
        is_update_repeated=content["is_update_repeated"],
        additions=DeliveredRanges(DeliveredRange(*item) for item in content["additions"]),
        removals=DeliveredRanges(DeliveredRange(*item) for item in content["removals"]),
    )
