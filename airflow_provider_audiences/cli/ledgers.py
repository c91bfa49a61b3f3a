"""The command ``ledger verify``: whether all files of the stored states are there, and are what was written."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.cli.audiences import address_facts, full_address, stored_audience
from airflow_provider_audiences.cli.output import Output, TableOf
from airflow_provider_audiences.cli.running import command

if TYPE_CHECKING:
    from airflow_provider_audiences.cli.terminal import Terminal
    from airflow_provider_audiences.common.state import StoredAudience


@command
def verify_ledgers(arguments: argparse.Namespace, terminal: Terminal) -> Output:
    """Verify the state of one audience, or of all."""
    from airflow_provider_audiences.common.state import stored_audiences

    with terminal.progress("Reading the state path"):
        chosen = [stored_audience(arguments.audience)] if arguments.audience else list(stored_audiences())
    rows: list[dict[str, Any]] = []
    with terminal.progress("Verifying", total=len(chosen)) as step:
        for stored in chosen:
            step(stored.address.audience_id)
            rows += _rows(stored)
    bad = sum(row["status"] != "ok" for row in rows)
    return Output(
        content=rows,
        tables=[TableOf(rows=rows, empty="No audience has a ledger.")],
        exit_code=1 if bad else 0,
        complaint=f"files that are missing or damaged: {bad}. Restore them from a backup of state_path, or let the "
        "next sync go without the ledger: its argument on_lost_ledger says how."
        if bad
        else "",
    )


def _rows(stored: StoredAudience) -> list[dict[str, Any]]:
    from airflow_provider_audiences.members.workspace import open_workspace
    from airflow_provider_audiences.sources.staging import staging_settings
    from airflow_provider_audiences.sync.state.verifying import StateVerifier

    with open_workspace(staging_settings()) as workspace:
        checks = StateVerifier(stored.files, workspace, address=full_address(stored)).verify()
    return [
        {
            **address_facts(stored.address, partition=stored.partition),
            "holds": check.holds,
            "file": check.name,
            "members": check.members,
            "status": check.status,
            "problem": check.problem or None,
        }
        for check in checks
    ]
