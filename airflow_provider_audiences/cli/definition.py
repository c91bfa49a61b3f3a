"""The commands as Airflow 3.2 and newer take them from a provider (``cli`` of the provider's metadata)."""

from __future__ import annotations

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

from airflow_provider_audiences.cli.commands import AUDIENCES, Command, Group


def get_cli_commands() -> list[CLICommand]:
    """Return the commands of ``airflow audiences``."""
    return [_airflow_command(AUDIENCES)]


def _airflow_command(command: Command | Group) -> CLICommand:
    if isinstance(command, Group):
        return GroupCommand(
            name=command.name,
            help=command.help,
            subcommands=tuple(_airflow_command(inner) for inner in command.commands),
        )
    return ActionCommand(
        name=command.name,
        help=command.help,
        description=command.description,
        func=lazy_load_command(command.function),
        args=tuple(Arg(argument.flags, **argument.settings) for argument in command.arguments),
    )
