"""The console script ``airflow-audiences``, for every Airflow: the commands of ``airflow audiences``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from airflow_provider_audiences import __version__
from airflow_provider_audiences.cli.commands import AUDIENCES, Command, Group


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with exit code 1: argparse's own is 2, which says that there are changes."""
        self.exit(1, f"error: {message}. See {self.prog} --help.\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run a command.

    :param arguments: the words of the command line; None for those of this process.
    :raises SystemExit: always if the exit code is not 0.
    """
    parser = _Parser(prog="airflow-audiences", description=f"{AUDIENCES.help}.")
    parser.add_argument("--version", action="version", version=f"airflow-provider-audiences {__version__}")
    _add(parser, AUDIENCES)
    given = parser.parse_args(arguments)
    module, _, function = given.function.rpartition(".")
    getattr(import_module(module), function)(given)


def _add(parser: argparse.ArgumentParser, command: Command | Group) -> None:
    if isinstance(command, Group):
        inner_parsers = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
        for inner in command.commands:
            about = inner.description if isinstance(inner, Command) else f"{inner.help}."
            _add(inner_parsers.add_parser(inner.name, help=inner.help, description=about), inner)
        return
    for argument in command.arguments:
        parser.add_argument(*argument.flags, **argument.settings)
    parser.set_defaults(function=command.function)


if __name__ == "__main__":
    main(sys.argv[1:])
