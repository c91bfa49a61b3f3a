"""
The commands with their arguments, for both command lines: ``airflow audiences …`` and ``airflow-audiences …``.

Airflow imports this at each of its commands, so nothing that takes its time is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_audiences.common.targets import platforms, synced_kinds


@dataclass(frozen=True)
class Argument:
    """
    An argument of a command.

    :param flags: its flags, such as ``-o`` and ``--output``; one name without dashes for a positional one.
    :param settings: what ``argparse`` takes beside the flags, such as ``help`` and ``choices``.
    """

    flags: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Command:
    """
    A command.

    :param name: word of the command line.
    :param help: what it does, in one line.
    :param description: what it does, with its exit codes; shown by ``--help``.
    :param function: import path of the function, which takes the parsed arguments.
    :param arguments: its arguments.
    """

    name: str
    help: str
    description: str
    function: str
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Group:
    """
    A group of commands.

    :param name: word of the command line.
    :param help: what its commands do, in one line.
    :param commands: its commands and groups.
    """

    name: str
    help: str
    commands: tuple[Command | Group, ...] = field(default=())


def _argument(*flags: str, **settings: Any) -> Argument:
    return Argument(flags, settings)


_PACKAGE = "airflow_provider_audiences.cli"
_SHARED = (
    _argument(
        "-o",
        "--output",
        choices=("table", "json", "yaml"),
        default="table",
        help="Form of the output (default: table).",
    ),
    _argument(
        "-v",
        "--verbose",
        action="store_true",
        help="Write this package's log to the standard error, and a traceback if the command fails.",
    ),
)
_NAMES_AUDIENCE = (
    "Id of an audience, or package name of an app that has a suppression list; as api/host/id if several have it."
)
_ERROR = "Exit code 1: error."

_KINDS = tuple(synced_kinds())

PLAN_ARGUMENTS = (
    _argument(
        "audience", metavar="AUDIENCE", help="Id of the audience; of a suppression list, the app's package name."
    ),
    _argument("--kind", choices=_KINDS, default=_KINDS[0], help=f"What AUDIENCE is (default: {_KINDS[0]})."),
    _argument(
        "--audience-conn-id",
        metavar="ID",
        help="Airflow connection of the audience's account (default: that of the sync operator).",
    ),
    _argument("--account", metavar="NAME", help="Argument account of the list's operators, if they have it."),
    _argument("--source", nargs="+", metavar="PATH", help="Files, folders, globs or addresses with the members."),
    _argument("--sql", metavar="QUERY", help="In place of --source: one SELECT, or the path of a .sql file."),
    _argument("--conn-id", metavar="ID", help="Airflow connection of the store of --source, or of the database."),
    _argument("--column", metavar="NAME", help="Column with the members (default: the only one)."),
    _argument("--file-format", choices=("text", "csv", "jsonl", "parquet"), help="Default: by the files' names."),
    _argument("--suppress", nargs="+", metavar="PATH", help="Files with the opt-outs (default: none)."),
    _argument("--suppress-sql", metavar="QUERY", help="In place of --suppress: a query, by the same --conn-id."),
    _argument("--suppress-column", metavar="NAME", help="Column with the opt-outs (default: the only one)."),
    _argument("--mode", choices=("mirror", "append", "replace"), help="As of the operator (default: mirror)."),
    _argument("--initial", choices=("fail", "append", "replace"), help="As of the operator (default: fail)."),
    _argument("--on-lost-ledger", choices=("fail", "replace", "rebuild"), help="As of the operator (default: fail)."),
    _argument("--ttl-seconds", metavar="N", help="How long members stay (default: the platform's)."),
    _argument("--refresh-before-seconds", metavar="N", help="Members that expire sooner are sent again."),
    _argument("--allow-empty", action="store_true", help="Let an empty source empty the audience."),
    _argument("--max-removed-ratio", metavar="X", help="Guard, 0 to 1, or off (default: 0.3)."),
    _argument("--max-added-ratio", metavar="X", help="Guard, at least 0, or off (default: off)."),
    _argument("--max-removed", metavar="N", help="Guard (default: off)."),
    _argument("--max-added", metavar="N", help="Guard (default: off)."),
    _argument("--min-members", metavar="N", help="Guard (default: 0)."),
    _argument("--min-suppressed", metavar="N", help="Guard (default: 0)."),
    _argument("--on-malformed", choices=("drop", "fail"), help="For texts that are no members (default: drop)."),
    _argument("--max-malformed-ratio", metavar="X", help="Largest share of such texts, 0 to 1 (default: off)."),
    _argument("--suppress-on-malformed", choices=("fail", "drop"), help="For such opt-outs (default: fail)."),
    _argument("--release-held-back", action="store_true", help="Add members removed directly again."),
    _argument("--batch-size", type=int, metavar="N", help="Most members in one request (default: 100,000)."),
)

AUDIENCES = Group(
    name="audiences",
    help="Show and check the audiences that this Airflow keeps equal to their sources",
    commands=(
        Command(
            name="list",
            help="List all audiences and suppression lists that have a ledger",
            description=f"List all audiences and suppression lists that have a ledger below [audiences] state_path. "
            f"Nothing is changed, and syncs may run. {_ERROR}",
            function=f"{_PACKAGE}.audiences.list_audiences",
            arguments=_SHARED,
        ),
        Command(
            name="show",
            help="Show one audience in full",
            description="Show what the ledger and the stored plans of an audience say, and how many members were "
            "removed or added directly: counts and dates, never a member. Nothing is changed, and a sync may run. "
            f"{_ERROR}",
            function=f"{_PACKAGE}.audiences.show_audience",
            arguments=(_argument("audience", metavar="AUDIENCE", help=_NAMES_AUDIENCE), *_SHARED),
        ),
        Command(
            name="plan",
            help="Show what a sync would change, and send nothing",
            description="Read a source, compare it with an audience's ledger, and show the changes and the guards' "
            "verdicts. Nothing is sent, and nothing is stored. Exit code 0: nothing to do; 2: changes; 1: error, or a "
            "guard would stop the sync.",
            function=f"{_PACKAGE}.planning.plan",
            arguments=(*PLAN_ARGUMENTS, *_SHARED),
        ),
        Group(
            name="ledger",
            help="Check the files of ledgers",
            commands=(
                Command(
                    name="verify",
                    help="Read all files of the ledgers, and compare them with their fingerprints",
                    description="Read all files of one audience's state, or of all, and name the missing and damaged "
                    "ones. Nothing is changed, and syncs may run. Exit code 0: all is well; 1: a file is damaged or "
                    "missing, or another error.",
                    function=f"{_PACKAGE}.ledgers.verify_ledgers",
                    arguments=(
                        _argument(
                            "audience", nargs="?", metavar="AUDIENCE", help=f"{_NAMES_AUDIENCE} All if left out."
                        ),
                        *_SHARED,
                    ),
                ),
            ),
        ),
        Command(
            name="doctor",
            help="Check versions, settings, the state path, connections and the clock",
            description="Check versions, the settings of [audiences], the state path, and the connections of the types "
            f"{' and '.join(platform.conn_types[0] for platform in platforms())}. Without --test no request is sent "
            "and nothing is written. Exit code 0: nothing is wrong; 1: something is.",
            function=f"{_PACKAGE}.doctor.examine",
            arguments=(
                _argument(
                    "--test",
                    action="store_true",
                    help="Also call the APIs (one request each, which changes nothing), compare this machine's clock "
                    "with theirs, and write a small file to the state path, which is deleted at once.",
                ),
                _argument(
                    "--conn-id",
                    action="append",
                    metavar="ID",
                    help="Check this connection only; may be repeated. Default: all of both types that the database "
                    "and the environment have (other secrets backends can't be listed).",
                ),
                *_SHARED,
            ),
        ),
    ),
)
