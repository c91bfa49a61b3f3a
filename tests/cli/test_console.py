"""Both command lines in processes of their own: what they print, where, and how they end."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple

from airflow_provider_audiences import __version__
from airflow_provider_audiences.cli.commands import AUDIENCES, Command, Group
from airflow_provider_audiences.cli.definition import get_cli_commands

FROM_3_2 = pytest.mark.skipif(
    get_base_airflow_version_tuple() < (3, 2), reason="Airflow takes commands of providers from 3.2 on"
)
SCRIPT = Path(sys.executable).with_name("airflow-audiences")


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, capture_output=True, text=True, timeout=120, check=False, env=os.environ | environment
    )


def test_the_console_script(stored: Any, source_file: Any) -> None:
    ended = _run(str(SCRIPT), "plan", stored.audience_id, "--source", source_file(stored.ids[1:]), "-o", "json")
    assert (ended.returncode, ended.stderr) == (2, "")
    assert json.loads(ended.stdout)["removed"] == 1


@FROM_3_2
def test_the_command_of_airflow(stored: Any) -> None:
    ended = _run(sys.executable, "-m", "airflow", "audiences", "list", "--output", "json")
    assert ended.returncode == 0, ended.stderr
    assert [row["live"] for row in json.loads(ended.stdout)] == [10, 3]


@FROM_3_2
def test_airflows_parser_takes_them(stored: Any, capfd: pytest.CaptureFixture[str]) -> None:
    from airflow.cli.cli_parser import get_parser

    next(stored.folder(stored.audience_id).glob("ledger-*")).unlink()
    given = get_parser().parse_args(["audiences", "ledger", "verify", stored.audience_id, "-o", "json"])
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        given.func(given)
    assert ended.value.code == 1
    said = capfd.readouterr()
    assert [row["status"] for row in json.loads(said.out)] == ["ok", "missing"]
    assert said.err.startswith("error: files that are missing or damaged: 1.")


def test_help_and_mistakes_need_no_airflow(state_path: Path) -> None:
    broken = {"AIRFLOW__CORE__EXECUTOR": "no.such.Executor"}
    for arguments, code in ((["--help"], 0), (["plan", "--help"], 0), (["--version"], 0), ([], 1), (["plan"], 1)):
        ended = _run(str(SCRIPT), *arguments, **broken)
        assert ended.returncode == code, arguments
        assert "Traceback" not in ended.stderr
    assert _run(str(SCRIPT), "--version").stdout == f"airflow-provider-audiences {__version__}\n"
    assert _run(str(SCRIPT), "list", "-o", "xml").stderr.startswith("error: argument -o/--output: invalid choice")


def test_a_terminal_has_progress_and_colours(stored: Any) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(SCRIPT, [str(SCRIPT), "ledger", "verify"], os.environ | {"TERM": "xterm"})  # noqa: S606
    said = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # its other end is closed
            break
        if not part:
            break
        said += part
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"Verifying" in said
    assert b"\x1b[32mok" in said


def _commands(group: Group) -> list[str]:
    found: list[str] = []
    for command in group.commands:
        found += [command.function] if isinstance(command, Command) else _commands(command)
    return found


def test_both_have_the_same_commands() -> None:
    (group,) = get_cli_commands()
    named: list[str] = []

    def walk(command: Any, *before: str) -> None:
        words = (*before, command.name)
        for inner in getattr(command, "subcommands", ()):
            walk(inner, *words)
        if hasattr(command, "args"):
            named.append(" ".join(words))

    walk(group)
    assert named == [
        "audiences list",
        "audiences show",
        "audiences plan",
        "audiences ledger verify",
        "audiences doctor",
    ]
    assert len(_commands(AUDIENCES)) == len(named)
