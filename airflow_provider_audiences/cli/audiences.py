"""The commands ``list`` and ``show``: what is known of the audiences by their stored states."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.cli.output import Output, TableOf, facts, moment
from airflow_provider_audiences.cli.running import command
from airflow_provider_audiences.exceptions import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from airflow_provider_audiences.cli.terminal import Terminal
    from airflow_provider_audiences.common.state import StoredAudience
    from airflow_provider_audiences.sync.destination import AudienceAddress
    from airflow_provider_audiences.sync.state.summary import AudienceDetails, AudienceSummary, PlanSummary

_READERS = 8
"""States that are read at the same time: those in object stores mostly wait."""


@command
def list_audiences(arguments: argparse.Namespace, terminal: Terminal) -> Output:  # noqa: ARG001 - as all commands
    """List all audiences and suppression lists that have a ledger."""
    from airflow_provider_audiences.common.recognition import shown_address
    from airflow_provider_audiences.common.state import state_path, stored_audiences
    from airflow_provider_audiences.sync.state.reading import StateReader

    with terminal.progress("Reading the state path"):
        found = list(stored_audiences())
    with terminal.progress("Reading", total=len(found)) as step, ThreadPoolExecutor(_READERS) as threads:
        rows = []
        summaries = threads.map(lambda stored: StateReader(stored.files, address=full_address(stored)).summary(), found)
        for stored, summary in zip(found, summaries, strict=True):
            step(address_of(stored, summary).audience_id)
            rows.append(_row(stored, summary))
    where = shown_address(state_path())
    return Output(content=rows, tables=[TableOf(rows=rows, empty=f"No audience has a ledger in {where}.")])


@command
def show_audience(arguments: argparse.Namespace, terminal: Terminal) -> Output:
    """Show one audience in full."""
    from airflow_provider_audiences.members.workspace import open_workspace
    from airflow_provider_audiences.sources.staging import staging_settings
    from airflow_provider_audiences.sync.state.reading import StateReader

    stored = stored_audience(arguments.audience)
    with terminal.progress("Reading the ledger"), open_workspace(staging_settings()) as workspace:
        details = StateReader(stored.files, address=full_address(stored)).details(workspace)
    about = _about(stored, details)
    plans = [_plan(plan) for plan in details.plans]
    return Output(
        content={**about, "plans": plans},
        tables=[
            facts(about, always=("live", "held_back", "added_directly")),
            TableOf(title="Stored plans", rows=plans, empty="No plan is stored."),
        ],
    )


def stored_audience(name: str) -> StoredAudience:
    """
    Return the stored audience that a user means.

    :param name: its id, or API, host and id with slashes; both may be followed by the folder of a partition.
    :raises NotFoundError: no audience of that name has a ledger.
    :raises InvalidInputError: several have.
    """
    from airflow_provider_audiences.common.state import stored_audiences

    fitting = [
        stored
        for stored in stored_audiences()
        if name in {stored.address.audience_id, "/".join(stored.folders[2:]), "/".join(stored.folders)}
    ]
    if not fitting:
        raise NotFoundError(
            f"no audience {name} has a ledger in this state path", advice="See 'list' for those that have."
        )
    if len(fitting) > 1:
        addresses = ", ".join("/".join(stored.folders) for stored in fitting)
        raise InvalidInputError(f"several audiences have the id {name}: give one of {addresses}")
    return fitting[0]


def address_of(stored: StoredAudience, summary: AudienceSummary) -> AudienceAddress:
    """
    Return the address of an audience: that of its manifest, or that of its folders if the manifest can't be read.

    :param stored: the folder of the audience's state.
    :param summary: what its manifest says.
    """
    return summary.manifest.address if summary.manifest else stored.address


def full_address(stored: StoredAudience) -> AudienceAddress | None:
    """
    Return the address that the manifest must have; None if the folders' names do not tell it.

    :param stored: the folder of the audience's state.
    """
    return None if stored.is_shortened else stored.address


def _row(stored: StoredAudience, summary: AudienceSummary) -> dict[str, Any]:
    manifest = summary.manifest
    return {
        **address_facts(address_of(stored, summary), partition=stored.partition),
        "live": manifest.ledger.members if manifest and manifest.keeps_ledger else None,
        "generation": manifest.generation if manifest else None,
        "last_run": manifest.run_date.text if manifest and manifest.run_date else None,
        "unfinished_plan": (manifest.plan_id or None) if manifest else None,
        **_lease(summary),
        "problem": summary.problem or None,
    }


def address_facts(address: AudienceAddress, *, partition: str = "") -> dict[str, str | None]:
    """
    Return an address as columns of a table.

    :param address: of an audience.
    :param partition: folder of one of its partitions; empty (default) for the whole audience.
    """
    return {
        "api": address.api,
        "host": address.host,
        "account": address.account or None,
        "audience": "/".join(filter(None, (address.audience_id, partition))),
    }


def _lease(summary: AudienceSummary) -> dict[str, str | None]:
    claim = summary.claim
    return {
        "held_by": f"{claim.key}, try {claim.try_number}" if claim else None,
        "held_until": moment(claim.until) if claim else None,
    }


def _about(stored: StoredAudience, details: AudienceDetails) -> dict[str, Any]:
    summary, ledger = details.summary, details.ledger
    manifest = summary.manifest
    run_date = manifest.run_date if manifest else None
    has_ledger = manifest is None or manifest.keeps_ledger
    return {
        **address_facts(address_of(stored, summary), partition=stored.partition),
        "state": summary.where,
        "kept_by": "syncs" if has_ledger else "changes that are handed in",
        "generation": manifest.generation if manifest else None,
        "live": ledger.live if has_ledger else None,
        "maybe_live": ledger.maybe_live if has_ledger else None,
        "expired": ledger.expired if has_ledger else None,
        "first_expiry": moment(ledger.expiry.first),
        "last_expiry": moment(ledger.expiry.last),
        "held_back": details.held_back,
        "added_directly": details.added_directly,
        "content_is_known": manifest.is_content_known if manifest else None,
        "may_have_unknown_members": manifest.has_unknown_members if manifest else None,
        "last_run": run_date.text if run_date else None,
        "last_run_interval_end": moment(run_date.end) if run_date else None,
        "unfinished_plan": (manifest.plan_id or None) if manifest else None,
        "late_requests_until": moment(manifest.late_until) if manifest and manifest.late_until else None,
        **_lease(summary),
    }


def _plan(plan: PlanSummary) -> dict[str, Any]:
    return {
        "plan": plan.plan_id,
        "status": plan.status,
        "generation": plan.generation,
        "added": plan.added,
        "refreshed": plan.refreshed,
        "removed": plan.removed,
        "delivered": plan.delivered,
        "stopped_by": list(plan.stopped_by),
    }
