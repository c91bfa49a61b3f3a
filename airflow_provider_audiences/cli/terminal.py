"""
The terminal of a command: its result on the standard output, everything else on the standard error.

Airflow and other libraries log to either of them, and some of their lines have parts of addresses that may be secrets.
So what they write is not shown; this package's own log is, which has no secrets and no members.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from airflow_provider_audiences.members.identifiers.patterns import ALL_IN_SERVER_REPLIES
from airflow_provider_audiences.redaction import Redactor

_LOGGER = logging.getLogger("airflow_provider_audiences")
_STANDARD = (1, 2)
"""File descriptors of the standard output and the standard error."""

_STYLES = {logging.WARNING: "yellow", logging.ERROR: "red"}
_WIDTH_OF_FILES = 200
"""Columns of a table that goes to a file or a pipe."""


class LogHandler(logging.Handler):
    """
    Takes the log of this package.

    :param write: called with each record.
    """

    def __init__(self, write: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self.write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record."""
        self.write(record)


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """
    The terminal of a command; made by :func:`opened_terminal`.

    :param out: console of the standard output.
    :param err: console of the standard error.
    :param log: takes the log of this package, and writes it to the standard error.
    """

    out: Console
    err: Console
    log: LogHandler

    @contextmanager
    def collected_warnings(self) -> Iterator[list[str]]:
        """Yield a list to which the texts of the block's warnings are added; the block's log is not shown."""
        collected: list[str] = []

        def collect(record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                collected.append(record.getMessage())

        write, self.log.write = self.log.write, collect
        try:
            yield collected
        finally:
            self.log.write = write

    @contextmanager
    def progress(self, what: str, *, total: int | None = None) -> Iterator[Callable[[str], None]]:
        """
        Show a progress bar on the standard error for the block, if that is a terminal.

        :param what: what is done, in words.
        :param total: number of steps; None if that is not known.
        :return: a function that is called before each step, with its name.
        """
        if not self.err.is_terminal:
            yield lambda _name: None
            return
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.err, transient=True) as bar:
            task = bar.add_task(what, total=total)
            is_first = True

            def step(name: str) -> None:
                nonlocal is_first
                bar.update(task, description=f"{what}: {name}", advance=0 if is_first else 1)
                is_first = False

            yield step

    def complain(self, text: str) -> None:
        """
        Write an error to the standard error, in one line.

        :param text: what is wrong, and what to do.
        """
        self.err.print(f"error: {' '.join(text.split())}", soft_wrap=True, style="red")


@contextmanager
def opened_terminal(*, verbose: bool) -> Iterator[Terminal]:
    """
    Take the standard output and the standard error for the block; what others write to them goes nowhere.

    :param verbose: whether this package's whole log is shown, and not only its warnings.
    """
    with ExitStack() as stack:
        out, err = (stack.enter_context(os.fdopen(os.dup(number), "w", buffering=1)) for number in _STANDARD)
        stack.enter_context(_silenced())
        consoles = (
            Console(
                file=file,
                width=None if file.isatty() else _WIDTH_OF_FILES,
                markup=False,
                highlight=False,
                emoji=False,
            )
            for file in (out, err)
        )
        shown_out, shown_err = consoles
        handler = LogHandler(
            lambda record: shown_err.print(
                f"{record.levelname.lower()}: {record.getMessage()}", soft_wrap=True, style=_STYLES.get(record.levelno)
            )
        )
        stack.enter_context(_handled(handler, logging.INFO if verbose else logging.WARNING))
        yield Terminal(out=shown_out, err=shown_err, log=handler)


@contextmanager
def _silenced() -> Iterator[None]:
    """Let what is written to the standard output and the standard error go nowhere for the block."""
    streams = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.flush()
    kept = [os.dup(number) for number in _STANDARD]
    try:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            # Handlers of logs have kept the streams, or libraries write to the numbers themselves.
            for number in _STANDARD:
                os.dup2(nowhere.fileno(), number)
            yield
    finally:
        for stream in streams:
            stream.flush()
        for number, before in zip(_STANDARD, kept, strict=True):
            os.dup2(before, number)
            os.close(before)


@contextmanager
def _handled(handler: logging.Handler, level: int) -> Iterator[None]:
    """Hand the log of this package, from a level on, to a handler for the block."""
    handler.setLevel(level)
    before = _LOGGER.level
    _LOGGER.setLevel(level)
    _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(before)


def without_personal_data(error: BaseException) -> str:
    """
    Return the text of an error of another library, without members, credentials in addresses, and line ends.

    :param error: error of any type.
    """
    return Redactor(None, ALL_IN_SERVER_REPLIES)(str(error))
