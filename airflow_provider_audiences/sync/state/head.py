"""The head of an audience's state: a small JSON file that says what is true. Replacing it is the commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from airflow_provider_audiences.exceptions import LedgerLostError
from airflow_provider_audiences.sync.run_date import RunDate
from airflow_provider_audiences.sync.state.landings import LandedRows, Landing, Landings

_FORMAT = 2
_READ_FORMATS = frozenset({1, _FORMAT})


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
class Head:
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
    :param landings: what has landed of it.
    :param replacement: fingerprint of the members of a replacement that was begun and is not finished; else empty.
    :param settled_at: until then a request of an earlier plan may still take effect; seconds since 1970.
    :param is_doubt_in_ledger: whether all that it may do is in the ledger, as members in doubt.
    :param finished_plan_id: the last plan that was carried out to its end.
    :param finished_batches: how many requests that took.
    :param seconds_per_request: of the last plan; 0 if there was none.
    :param has_strangers: whether the audience may hold members that the ledger lacks.
    :param purged: fingerprint of the opt-outs that were removed although the ledger lacks them; empty for none.
    :param run_date: of the newest run that has changed the audience; None if no such run had a date.
    """

    platform: str
    host: str
    audience_id: str
    generation: int
    ledger: StoredLedger
    is_known: bool
    plan_id: str = ""
    landings: Landings | None = None
    replacement: str = ""
    settled_at: int = 0
    is_doubt_in_ledger: bool = True
    finished_plan_id: str = ""
    finished_batches: int = 0
    seconds_per_request: float = 0.0
    has_strangers: bool = False
    purged: str = ""
    run_date: RunDate | None = None

    def to_bytes(self) -> bytes:
        """Return it as JSON with a checksum."""
        content = {name: getattr(self, name) for name in _FIELDS}
        content["ledger"] = asdict(self.ledger)
        content["landings"] = landings_to_json(self.landings) if self.landings else None
        content["run_date"] = self.run_date.as_list() if self.run_date else None
        content["format"] = _FORMAT
        return json.dumps(content | {"checksum": _checksum(content)}, indent=1).encode()

    @classmethod
    def from_bytes(cls, text: bytes, *, where: str) -> Head:
        """
        Read it.

        :param text: what :meth:`to_bytes` returned.
        :param where: the file, for messages.
        :raises LedgerLostError: it is damaged, or of a newer version of this program.
        """
        try:
            content = json.loads(text)
            checksum = content.pop("checksum")
            if checksum != _checksum(content):
                raise ValueError("its checksum does not fit")
            stored_format = content.pop("format")
        except (ValueError, TypeError, KeyError, AttributeError):
            raise LedgerLostError(f"{where} is damaged") from None
        if stored_format not in _READ_FORMATS:
            raise LedgerLostError(
                f"{where} has format {stored_format}, and this version of airflow-provider-audiences knows {_FORMAT}",
                advice="Update airflow-provider-audiences on this worker.",
            )
        # The first format did not say whether there are strangers.
        content.setdefault("has_strangers", True)
        content["run_date"] = RunDate.from_list(content.get("run_date"))
        content["ledger"] = StoredLedger(**content["ledger"])
        content["landings"] = landings_from_json(content["landings"]) if content["landings"] else None
        return cls(**content)


_FIELDS = [field.name for field in fields(Head)]


def landings_to_json(landings: Landings) -> dict[str, Any]:
    """
    Return landings as small JSON.

    :param landings: what has landed.
    """
    return {
        "begun_at": landings.begun_at,
        "batches": landings.batches,
        "is_repeated": landings.is_repeated,
        "is_update_repeated": landings.is_update_repeated,
        "additions": landings.additions.as_list(),
        "removals": landings.removals.as_list(),
    }


def landings_from_json(content: Mapping[str, Any]) -> Landings:
    """
    Return what :func:`landings_to_json` was given.

    :param content: JSON.
    """
    return Landings(
        begun_at=content["begun_at"],
        batches=content["batches"],
        is_repeated=content["is_repeated"],
        is_update_repeated=content["is_update_repeated"],
        additions=LandedRows(Landing(*item) for item in content["additions"]),
        removals=LandedRows(Landing(*item) for item in content["removals"]),
    )


def _checksum(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True).encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()
