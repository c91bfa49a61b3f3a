"""Whether a command line of the documentation can be run: its program, options and settings exist."""

import argparse
import json
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from airflow_provider_audiences.cli.commands import AUDIENCES
from airflow_provider_audiences.cli.console import _add, _Parser
from airflow_provider_audiences.emulator.__main__ import ACCESS_KEY_VARIABLES, KEY_VARIABLE
from airflow_provider_audiences.emulator.__main__ import _parser as emulator_parser
from airflow_provider_audiences.get_provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
SETTINGS = set(get_provider_info()["config"]["audiences"]["options"])
"""Names of the settings in Airflow's section ``audiences``."""
# Programs of any machine, and make, whose targets are looked up by tests/packaging/test_contributing.py.
OF_THE_SYSTEM = {"mkdir", "cd", ".", "make", "pip"}


def parse_command(words: Sequence[str]) -> None:
    """
    Take a command line apart as its program would; nothing is run.

    :param words: of the command, as a shell splits them.
    :raises AssertionError: there is no such program, option or setting.
    """
    program, *arguments = words
    if program == "export":
        for assignment in arguments:
            _check_variable(*assignment.split("=", 1))
    elif program == "airflow-audiences":
        parser = _Parser(prog=program)
        _add(parser, AUDIENCES)
        _parse(parser, arguments)
    elif program == "audiences-emulator":
        _parse(emulator_parser(), arguments)
    elif program == "airflow":
        from airflow.cli.cli_parser import get_parser

        _parse(get_parser(), arguments)
    elif re.fullmatch(r"python3?|[\w./-]*/python", program):
        _check_python(arguments)
    else:
        assert program in OF_THE_SYSTEM, f"unknown program: {program}"


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    try:
        parser.parse_args(arguments)
    except SystemExit as end:
        raise AssertionError(f"{parser.prog} does not take {' '.join(arguments)}") from end


def _check_python(arguments: Sequence[str]) -> None:
    if arguments[0] == "-c":
        compile(arguments[1], "documentation", "exec")
    elif arguments[0] == "-m":
        assert find_spec(arguments[1]), f"no module {arguments[1]}"
    else:
        assert (ROOT / arguments[0]).is_file(), f"no script {arguments[0]}"


def _check_variable(name: str, value: str) -> None:
    if name.startswith("AIRFLOW_CONN_") and value.startswith("{"):
        assert json.loads(value)["conn_type"] in {"applovin", "pai", "aws"}
    elif name.startswith("AIRFLOW__AUDIENCES__"):
        assert name.removeprefix("AIRFLOW__AUDIENCES__").lower() in SETTINGS
    elif name.startswith("AUDIENCES_EMULATOR_"):
        assert name in {KEY_VARIABLE, *ACCESS_KEY_VARIABLES.values()}
    else:
        assert re.match(r"AIRFLOW_|DASHSCOPE_API_KEY$|CLONE$", name), f"unknown variable: {name}"
