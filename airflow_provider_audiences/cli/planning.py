"""The command ``plan``: what a sync would change, by the operator's own arguments, guards and planner."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.cli.audiences import address_facts
from airflow_provider_audiences.cli.output import Output, TableOf, facts
from airflow_provider_audiences.cli.running import command
from airflow_provider_audiences.common.targets import synced_kinds
from airflow_provider_audiences.exceptions import InvalidInputError

if TYPE_CHECKING:
    from airflow_provider_audiences.cli.terminal import Terminal
    from airflow_provider_audiences.operators.sync_base import SyncOperator
    from airflow_provider_audiences.sync.destination import AudienceAddress
    from airflow_provider_audiences.sync.report import SyncReport

_GIVEN_TO_OPERATOR = (
    *("mode", "on_lost_ledger", "allow_empty", "max_removed_ratio", "max_added_ratio", "max_removed", "max_added"),
    *("min_members", "min_suppressed", "on_malformed", "max_malformed_ratio", "suppress_on_malformed"),
    *("release_held_back", "batch_size", "account", "initial", "ttl_seconds", "refresh_before_seconds"),
)
_NOT_OF_PLANS = frozenset(
    {
        *(
            "plan_only",
            "plan_id",
            "drift",
            "first_expiry",
            "last_expiry",
            "requests",
            "batches",
            "splits",
            "accepted",
            "rejected_by_api",
        ),
        *("miscounted_batches", "bytes_sent", "seconds", "verdicts", "audience_id"),
    }
)
"""Fields of a report that only sending fills, or that are shown elsewhere."""

_ALWAYS_SHOWN = ("added", "refreshed", "removed", "unchanged", "live", "planned_requests")


@command
def plan(arguments: argparse.Namespace, terminal: Terminal) -> Output:
    """Show what a sync would change; send nothing, and store nothing."""
    operator = _operator(arguments)
    address, report = _report(operator, terminal)
    stopped_by = [verdict for verdict in report.verdicts if not verdict.passed]
    has_changes = bool(report.planned_requests or report.replaces)
    about = {
        **address_facts(address),
        "changes": has_changes,
        **{name: value for name, value in report.as_dict().items() if name not in _NOT_OF_PLANS},
    }
    verdicts = [verdict.as_dict() for verdict in report.verdicts]
    shown = [
        {
            "guard": verdict["guard"],
            "verdict": "passed" if verdict["passed"] else "STOPPED",
            "message": verdict["message"],
        }
        for verdict in verdicts
    ]
    return Output(
        content={**about, "verdicts": verdicts},
        tables=[facts(about, always=_ALWAYS_SHOWN), TableOf(title="Guards", rows=shown)],
        exit_code=1 if stopped_by else 2 if has_changes else 0,
        complaint="a sync would stop, and send nothing: "
        + "; ".join(f"{verdict.guard}: {verdict.message}" for verdict in stopped_by)
        if stopped_by
        else "",
    )


def _operator(arguments: argparse.Namespace) -> SyncOperator:
    """Return an operator with the arguments of the command line; its own defaults stand for all others."""
    given = _given(arguments, _GIVEN_TO_OPERATOR)
    given |= {"task_id": "plan", "source": _source(arguments, "source", "sql", "column")}
    suppress = _source(arguments, "suppress", "suppress_sql", "suppress_column")
    if given["source"] is None:
        raise InvalidInputError("give --source, or --sql with --conn-id")
    if suppress is not None:
        given["suppress"] = suppress
    kind = synced_kinds()[arguments.kind]
    operator_class = kind.sync_operator_class
    for name in given.keys() - _arguments_of(operator_class):
        raise InvalidInputError(f"--{name.replace('_', '-')} is not for a {kind.title.lower()}")
    if arguments.audience_conn_id is not None:
        given[kind.platform.conn_argument] = arguments.audience_conn_id
    operator: SyncOperator = operator_class(**{operator_class.target_argument: arguments.audience}, **given)
    return operator


def _arguments_of(operator_class: type[Any]) -> set[str]:
    """Return the names of the arguments that an operator takes."""
    own = [vars(one)["__init__"] for one in operator_class.__mro__ if "__init__" in vars(one)]
    return {name for init in own for name in inspect.signature(init).parameters}


def _given(arguments: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of these names that the command line has; a switch that it has not is False."""
    values = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in values.items() if value is not None and value is not False}  # 0 is given


def _source(arguments: argparse.Namespace, of_paths: str, of_sql: str, of_column: str) -> Any:
    """Return the source that the arguments of these names give; None if they give none."""
    from airflow_provider_audiences.sources import FileSource, SqlSource

    paths, sql, column = (getattr(arguments, name) for name in (of_paths, of_sql, of_column))
    if paths and sql:
        raise InvalidInputError(f"give --{of_paths} or --{of_sql.replace('_', '-')}, not both")
    if sql:
        if not arguments.conn_id:
            raise InvalidInputError(f"--{of_sql.replace('_', '-')} needs --conn-id, the connection of the database")
        return SqlSource(conn_id=arguments.conn_id, sql=_query(sql), column=column)
    if paths:
        from airflow_provider_audiences.common.rendering import is_template

        if any(map(is_template, paths)):
            raise InvalidInputError("a path has a template in it, which only a task can fill in: give the path itself")
        return FileSource(
            paths if len(paths) > 1 else paths[0],
            column=column,
            conn_id=None if arguments.sql else arguments.conn_id,
            file_format=arguments.file_format,
        )
    return None


def _query(sql: str) -> str:
    if not sql.rstrip().lower().endswith(".sql"):
        return sql
    try:
        return Path(sql.strip()).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"the query {sql} can't be read ({type(error).__name__})") from None


def _report(operator: SyncOperator, terminal: Terminal) -> tuple[AudienceAddress, SyncReport]:
    from airflow_provider_audiences.common.state import state_store
    from airflow_provider_audiences.sources.member_arguments import MemberArguments
    from airflow_provider_audiences.sources.staging import staging_settings
    from airflow_provider_audiences.sync.preview import Preview

    members = MemberArguments.of(operator, identifier_kind=operator.identifier_kind)
    delivery_settings = operator.delivery_settings()
    # Which DAG syncs the audience, and when, is not known here.
    settings = operator.sync_settings(run_date=None, next_run_seconds=None)
    with ExitStack() as stack:
        destination = operator.destination_at(stack.enter_context(_client(operator)), operator.target_id())
        with terminal.progress("Reading the source"):
            opt_outs = stack.enter_context(members.staged_opt_outs())
            staged = stack.enter_context(members.staged_source(is_compared_once=True))
        with terminal.progress("Comparing it with the ledger"):
            files = state_store(*destination.address.folders)
            preview = Preview(destination, files, staging=staging_settings())
            return destination.address, preview.plan(staged, opt_outs, settings, delivery_settings=delivery_settings)


def _client(operator: SyncOperator) -> AbstractContextManager[Any]:
    """Return a client that notes no error below the state path, as those of tasks do."""
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    try:
        return operator.open_client(notes_errors=False)
    except AirflowNotFoundException:
        conn_id = getattr(operator, operator.conn_argument())
        raise InvalidInputError(
            f"connection {conn_id!r} is not defined",
            advice=f"Name another by --audience-conn-id, or give it in AIRFLOW_CONN_{conn_id.upper()}.",
        ) from None
