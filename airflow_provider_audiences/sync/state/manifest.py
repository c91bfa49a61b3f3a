"""The content of a manifest: the whole state of an audience, as JSON that names its large files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from airflow_provider_audiences.exceptions import LedgerLostError
from airflow_provider_audiences.sync.destination import AudienceAddress
from airflow_provider_audiences.sync.run_date import RunDate
from airflow_provider_audiences.sync.state.delivered import Delivered, DeliveredRange, DeliveredRanges
from airflow_provider_audiences.sync.state.late import LateRequests


@dataclass(frozen=True, kw_only=True)
class StoredLedger:
    """
    The file of a ledger.

    :param file: name of the file; empty for a ledger without members.
    :param members: number of members.
    :param fingerprint: fingerprint of the ledger, to notice a file that has changed.
    """

    file: str
    members: int
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class KeyFile:
    """
    The file of a set of members.

    :param file: name of the file; empty for an empty set.
    :param fingerprint: fingerprint of the set, to notice a file that has changed.
    """

    file: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, kw_only=True)
class DirectChangeFiles:
    """
    The files of members removed or added directly.

    :param held_back: members removed directly, whom no sync adds.
    :param added_directly: members added directly, whom no sync removes.
    """

    held_back: KeyFile = KeyFile()
    added_directly: KeyFile = KeyFile()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """
    In how many folders an audience's state is; only the manifest in the audience's own folder says this.

    :param partitions: how many partitions have a folder each, with a ledger, plans and a lease of its own; 1 if
        all is in the audience's own folder.
    :param has_unknown_members: of several partitions, whether the audience may have had members before its first sync,
        which no ledger knows. This is decided once for all: later, the platform counts members of others as well.
    :param moves_to: number of partitions to which the state is being moved; 0 if it is not. Nobody syncs meanwhile.
    :param leftovers: number of partitions whose folders still have members, and are not used any more: those of before
        a move, or of a move that was given up; 0 for none.
    :param has_all_manifests: of several partitions, whether each has had a manifest since they began to be used. Then
        one without a manifest has lost it, and is not new.
    """

    partitions: int = 1
    has_unknown_members: bool = False
    moves_to: int = 0
    leftovers: int = 0
    has_all_manifests: bool = False


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """
    The state of an audience, or of one of its partitions.

    :param address: identifies the audience.
    :param generation: number of the ledger; a plan fits one generation only.
    :param ledger: file of the ledger.
    :param is_content_known: whether it is decided what becomes of members that the ledger lacks: they were replaced, or
        the user accepts them. If not, a replacement was begun and never accepted, and the next sync has to make it.
    :param plan_id: id of the plan that was begun; empty if there is none.
    :param delivered: which rows of that plan the platform has accepted; None if there is no plan.
    :param replacement_fingerprint: fingerprint of the members of a replacement that was begun and not finished; empty
        if there is none.
    :param late_until: until this time a request of an earlier plan may still take effect; seconds since 1970 (UTC).
    :param is_doubt_in_ledger: whether each member whom such a request may touch is marked as in doubt in the ledger.
    :param late: what these requests may do, whichever members they have.
    :param finished_plan_id: id of the last plan that was carried out completely.
    :param finished_batches: number of requests of that plan.
    :param seconds_per_request: average time of the last plan's requests; 0 if there was none.
    :param has_unknown_members: whether the audience may have members that the ledger lacks.
    :param removed_opt_outs_fingerprint: fingerprint of the opt-outs that were removed although the ledger lacks them;
        empty if none.
    :param run_date: dates of the newest run that has synced the audience; None if they are not known.
    :param direct_changes: files of members removed or added directly.
    :param changes_fingerprint: None if the audience has a ledger. Else it is kept by changes that are handed in, and no
        ledger says who is in it: then fingerprint of the last changes that were begun; empty if they were given up.
    :param layout: in how many folders the state is.
    """

    address: AudienceAddress
    generation: int
    ledger: StoredLedger
    is_content_known: bool
    plan_id: str = ""
    delivered: Delivered | None = None
    replacement_fingerprint: str = ""
    late_until: int = 0
    is_doubt_in_ledger: bool = True
    late: LateRequests = field(default_factory=LateRequests)
    finished_plan_id: str = ""
    finished_batches: int = 0
    seconds_per_request: float = 0.0
    has_unknown_members: bool = False
    removed_opt_outs_fingerprint: str = ""
    run_date: RunDate | None = None
    direct_changes: DirectChangeFiles = DirectChangeFiles()
    changes_fingerprint: str | None = None
    layout: Layout = Layout()

    @property
    def keeps_ledger(self) -> bool:
        """Whether the ledger says who is in the audience; otherwise whoever hands changes in knows that."""
        return self.changes_fingerprint is None

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as JSON."""
        content = {key: getattr(self, name) for name, key in _KEYS.items()}
        if self.keeps_ledger:
            del content["changes_fingerprint"]  # so that versions without it read on
        if self.layout == Layout():
            del content["layout"]
        else:
            content["layout"] = asdict(self.layout)
        content |= zip(_ADDRESS, self.address.folders, strict=True)
        content["ledger"] = asdict(self.ledger)
        content["landings"] = delivered_to_json(self.delivered) if self.delivered else None
        content["run_date"] = self.run_date.as_list() if self.run_date else None
        content["marks"] = {key: asdict(getattr(self.direct_changes, name)) for key, name in _DIRECT_CHANGES.items()}
        content["late"] = asdict(self.late)
        return content

    @property
    def files(self) -> set[str]:
        """Names of the files that the manifest names, without those of its plan."""
        return {self.ledger.file, self.direct_changes.held_back.file, self.direct_changes.added_directly.file} - {""}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Manifest:
        """
        Return the manifest that :meth:`as_json` has returned as JSON.

        :param content: the JSON, as a dictionary.
        :raises TypeError, ValueError, KeyError: the JSON is not a manifest.
        """
        # The first format did not say whether there are members that the ledger lacks.
        content = {"has_strangers": True, **content}
        address = AudienceAddress.from_folders(*(content.pop(key) for key in _ADDRESS))
        landings = content.pop("landings")
        names = {key: name for name, key in _KEYS.items()}
        values = {names.get(key, key): value for key, value in content.items()}
        values["run_date"] = RunDate.from_list(values.get("run_date"))
        values["ledger"] = StoredLedger(**values["ledger"])
        stored = values.get("direct_changes", {})
        files = {_DIRECT_CHANGES[key]: KeyFile(**file) for key, file in stored.items()}
        values["direct_changes"] = DirectChangeFiles(**files)
        values["late"] = LateRequests(**values.get("late", {}))
        values["layout"] = Layout(**values.get("layout", {}))
        values["delivered"] = delivered_from_json(landings) if landings else None
        return cls(address=address, **values)


# Some keys are those of the first versions, whose states are read on.
_ADDRESS = ("platform", "host", "audience_id")
_DIRECT_CHANGES = {"held_back": "held_back", "by_hand": "added_directly"}
_KEYS = {field.name: field.name for field in fields(Manifest) if field.name not in {"address", "delivered"}}
_KEYS |= {
    "has_unknown_members": "has_strangers",
    "is_content_known": "is_known",
    "direct_changes": "marks",
    "late_until": "settled_at",
    "removed_opt_outs_fingerprint": "purged",
    "replacement_fingerprint": "replacement",
}


def no_ledger_error(place: str) -> LedgerLostError:
    """
    Return the error of a state that has no ledger, as the audience is kept by changes that are handed in.

    :param place: where the state is.
    """
    return LedgerLostError(
        f"{place}: this audience is kept by changes that are handed in, so no ledger says who is in it",
        advice="Hand changes in. Or, to let syncs keep the audience from now on, run one sync with "
        "on_lost_ledger='rebuild' (the source is sent, and nobody is removed who is not known) or, where the "
        "platform can replace the content, 'replace' (the source becomes the audience's whole content).",
    )


def delivered_to_json(delivered: Delivered) -> dict[str, Any]:
    """
    Return what is delivered of a plan as JSON.

    :param delivered: delivered rows of a plan.
    """
    return {
        "begun_at": delivered.begun_at,
        "batches": delivered.batches,
        "is_repeated": delivered.is_repeated,
        "is_update_repeated": delivered.is_replacement_repeated,
        "additions": delivered.additions.as_list(),
        "removals": delivered.removals.as_list(),
    }


def delivered_from_json(content: Mapping[str, Any]) -> Delivered:
    """
    Return what :func:`delivered_to_json` has returned as JSON.

    :param content: the JSON, as a dictionary.
    """
    return Delivered(
        begun_at=content["begun_at"],
        batches=content["batches"],
        is_repeated=content["is_repeated"],
        is_replacement_repeated=content["is_update_repeated"],
        additions=DeliveredRanges(DeliveredRange(*item) for item in content["additions"]),
        removals=DeliveredRanges(DeliveredRange(*item) for item in content["removals"]),
    )
