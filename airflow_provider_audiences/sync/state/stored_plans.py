"""Stored plans: what is to be sent, stored before any of it is sent."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import LedgerLostError
from airflow_provider_audiences.members.keys.key_set import fingerprint_of
from airflow_provider_audiences.sync.plan import Plan, PlanCounts
from airflow_provider_audiences.sync.run_date import RunDate
from airflow_provider_audiences.sync.state.sealing import sealed, unsealed

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.state.file_store import FileStore
    from airflow_provider_audiences.sync.state.tables import StateTables

_PLAN_ID = re.compile(r"[0-9a-f]{16}")
_PLAN_FILE = re.compile(r"plan-([0-9a-f]{16})[.]json")
_PHASES = ("additions", "removals")
_HELD_BACK = "held-back"


@dataclass(frozen=True, kw_only=True)
class StoredPlan:
    """
    A stored plan with its members.

    :param plan_id: random id of the plan.
    :param generation: number of the ledger that the plan was made for.
    :param begins_anew: whether the plan was made without the ledger, as that was lost.
    :param plan: the plan itself, with its members.
    :param details: JSON that was stored with the plan, such as its report.
    :param run_date: dates of the run that made the plan; None if it has none.
    """

    plan_id: str
    generation: int
    begins_anew: bool
    plan: Plan
    details: dict[str, Any]
    run_date: RunDate | None = None


@dataclass(frozen=True, kw_only=True)
class PlanFile:
    """
    A stored plan without its members, which may be large.

    :param generation: number of the ledger that the plan was made for.
    :param state_id: identifies the state that the plan was made for.
    :param content: the whole JSON of the plan's file.
    """

    generation: int
    state_id: str
    content: Mapping[str, Any]


class StoredPlans:
    """
    Stores plans, and fetches them.

    :param files: the file store of the audience's state.
    :param tables: stores the plans' members.
    """

    def __init__(self, files: FileStore, tables: StateTables) -> None:
        self._files = files
        self._tables = tables

    def store(
        self,
        plan: Plan,
        *,
        generation: int,
        begins_anew: bool,
        state_id: str,
        details: dict[str, Any],
        run_date: RunDate | None,
    ) -> StoredPlan:
        """
        Store a plan.

        :param plan: the plan to store.
        :param generation: number of the ledger that the plan was made for.
        :param begins_anew: whether the plan was made without the ledger, as that was lost.
        :param state_id: identifies the state that the plan was made for.
        :param details: JSON to store with the plan, such as its report.
        :param run_date: dates of the run that makes the plan; None if it has none.
        """
        plan_id = secrets.token_hex(8)
        fingerprints = {}
        for phase, keys in zip(_PHASES, (plan.additions, plan.removals), strict=True):
            fingerprints[phase] = fingerprint_of(keys)
            self._tables.store_keys(_file(plan_id, phase), keys)
        if plan.held_back is not None:
            fingerprints[_HELD_BACK] = fingerprint_of(plan.held_back)
            self._tables.store_keys(_file(plan_id, _HELD_BACK), plan.held_back)
        content = {
            "plan_id": plan_id,
            "generation": generation,
            "begins_anew": begins_anew,
            "head": state_id,
            "replaces": plan.replaces,
            "ttl_seconds": plan.ttl_seconds,
            "changes": plan.counts.as_json(),
            "has_strangers": plan.has_unknown_members,
            "purged": plan.removed_opt_outs_fingerprint,
            "run_date": run_date.as_list() if run_date else None,
            "details": details,
            **fingerprints,
        }
        self._files.write(_file(plan_id), sealed(content))
        return StoredPlan(
            plan_id=plan_id,
            generation=generation,
            begins_anew=begins_anew,
            plan=plan,
            details=details,
            run_date=run_date,
        )

    def find(self, plan_id: str) -> PlanFile | None:
        """
        Return a plan without its members; None if there is no such plan.

        :param plan_id: id of the plan.
        :raises LedgerLostError: the plan's file is damaged.
        """
        return plan_in(self._files, plan_id)

    def fetch(self, file: PlanFile) -> StoredPlan:
        """
        Return a plan with its members.

        :param file: the plan, as :meth:`find` returned it.
        :raises LedgerLostError: files of its members are damaged or missing.
        """
        content = file.content
        plan_id = content["plan_id"]
        held_back = content.get(_HELD_BACK)
        return StoredPlan(
            plan_id=plan_id,
            generation=content["generation"],
            begins_anew=content["begins_anew"],
            plan=Plan(
                replaces=content["replaces"],
                ttl_seconds=content["ttl_seconds"],
                additions=self._tables.keys(_file(plan_id, "additions"), fingerprint=content["additions"]),
                removals=self._tables.keys(_file(plan_id, "removals"), fingerprint=content["removals"]),
                counts=PlanCounts.from_json(content["changes"]),
                has_unknown_members=content.get("has_strangers", True),
                removed_opt_outs_fingerprint=content.get("purged", ""),
                held_back=self._tables.keys(_file(plan_id, _HELD_BACK), fingerprint=held_back) if held_back else None,
            ),
            details=content["details"],
            run_date=RunDate.from_list(content.get("run_date")),
        )


def plan_in(files: FileStore, plan_id: str) -> PlanFile | None:
    """
    Return a plan of a state without its members; None if there is no such plan.

    :param files: the file store of the state.
    :param plan_id: id of the plan.
    :raises LedgerLostError: the plan's file is damaged.
    """
    if not _PLAN_ID.fullmatch(plan_id):
        return None
    where = f"{files.name}/{_file(plan_id)}"
    try:
        content = unsealed(files.read(_file(plan_id)), where=where)
        return PlanFile(generation=content["generation"], state_id=content["head"], content=content)
    except FileNotFoundError:
        return None
    except KeyError:
        raise LedgerLostError(f"{where} is damaged") from None


def plan_ids(names: Iterable[str]) -> list[str]:
    """
    Return the ids of all stored plans, sorted.

    :param names: names of all files of a state.
    """
    return sorted(found[1] for name in names if (found := _PLAN_FILE.fullmatch(name)))


def member_files(file: PlanFile) -> list[tuple[str, str]]:
    """
    Return name and fingerprint of each file with a plan's members: first the additions, then the removals; and at last
    those who stay held back, if the plan says that.

    :param file: the plan, as :meth:`StoredPlans.find` returned it.
    """
    names = [*_PHASES, *([_HELD_BACK] if _HELD_BACK in file.content else [])]
    return [(_file(file.content["plan_id"], name), file.content[name]) for name in names]


def _file(plan_id: str, phase: str = "") -> str:
    return f"plan-{plan_id}-{phase}.parquet" if phase else f"plan-{plan_id}.json"
