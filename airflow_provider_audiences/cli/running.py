"""Running a command: its exit code, its errors in one line, and where its output goes."""

from __future__ import annotations

import argparse
import os
import traceback
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING

from airflow_provider_audiences.cli.terminal import opened_terminal, without_personal_data
from airflow_provider_audiences.exceptions import AudienceError

if TYPE_CHECKING:
    from airflow_provider_audiences.cli.output import Output
    from airflow_provider_audiences.cli.terminal import Terminal

Work = Callable[[argparse.Namespace, "Terminal"], "Output"]

_DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
_NO_DATABASE = "airflow-db-not-allowed:"
"""How the address of the database begins in the environment of a task of Airflow 3."""


def command(work: Work) -> Callable[[argparse.Namespace], None]:
    """
    Return a function that runs a command, prints its result, and ends the process if the exit code is not 0.

    :param work: does the work, and returns the result.
    """

    @wraps(work)
    def run(arguments: argparse.Namespace) -> None:
        # Airflow 3 lets hooks read connections from its database in processes that say so, as its own commands do.
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
        if os.environ.get(_DATABASE, "").startswith(_NO_DATABASE):
            # Importing Airflow fails at that address. With this variable, Airflow starts without a database.
            os.environ["PYTHON_OPERATORS_VIRTUAL_ENV_MODE"] = "1"
        try:
            with opened_terminal(verbose=arguments.verbose) as terminal:
                code = _exit_code(work, arguments, terminal)
        except BrokenPipeError:  # whoever reads the output has enough
            code = 1
        if code:
            raise SystemExit(code)

    return run


def _exit_code(work: Work, arguments: argparse.Namespace, terminal: Terminal) -> int:
    try:
        output = work(arguments, terminal)
        output.print(terminal.out, form=arguments.output)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        terminal.complain("stopped; nothing was changed.")
        return 1
    except Exception as error:  # noqa: BLE001 - the last handler of the process
        terminal.complain(_said(error))
        if arguments.verbose:
            terminal.err.print("".join(traceback.format_tb(error.__traceback__)), soft_wrap=True)
        return 1
    if output.complaint:
        terminal.complain(output.complaint)
    return output.exit_code


def _said(error: Exception) -> str:
    if isinstance(error, AudienceError):
        return str(error)
    return f"{type(error).__name__}: {without_personal_data(error)}. With --verbose, a traceback says where."
