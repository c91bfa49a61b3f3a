"""The command ``doctor``: what is installed and configured, and what is wrong with it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from airflow_provider_audiences.cli.output import Output, TableOf
from airflow_provider_audiences.cli.running import command

if TYPE_CHECKING:
    from airflow_provider_audiences.cli.findings import Finding
    from airflow_provider_audiences.cli.terminal import Terminal


@command
def examine(arguments: argparse.Namespace, terminal: Terminal) -> Output:
    """Check versions, settings, the state path, connections, and, with ``--test``, keys and clocks."""
    checks = _checks(arguments, terminal)
    findings: list[Finding] = []
    with terminal.progress("Checking", total=len(checks)) as step:
        for name, check in checks.items():
            step(name)
            findings += check()
    rows = [asdict(finding) for finding in findings]
    wrong = [finding for finding in findings if finding.status == "wrong"]
    return Output(
        content=rows,
        tables=[TableOf(rows=rows)],
        exit_code=1 if wrong else 0,
        complaint=f"wrong: {', '.join(f'{finding.area}: {finding.name}' for finding in wrong)}." if wrong else "",
    )


def _checks(arguments: argparse.Namespace, terminal: Terminal) -> dict[str, Callable[[], Iterator[Finding]]]:
    from airflow_provider_audiences.cli.connection_checks import connection_findings
    from airflow_provider_audiences.cli.installation import setting_findings, version_findings
    from airflow_provider_audiences.cli.state_checks import state_findings

    return {
        "versions": version_findings,
        "settings": setting_findings,
        "state path": lambda: state_findings(test=arguments.test),
        "connections": lambda: connection_findings(arguments.conn_id, terminal, test=arguments.test),
    }
