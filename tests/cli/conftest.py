"""Audiences with real states, made by syncs against the emulator; and ways to run commands on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.fixtures import Connect, MakeContext, MakeIds

from airflow_provider_audiences.cli.console import main
from airflow_provider_audiences.operators.applovin_suppression import AppLovinSyncSuppressionOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator

PACKAGE = "com.example.game"
READERS: dict[str, Callable[[str], Any]] = {"json": json.loads, "yaml": yaml.safe_load}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def content(self, form: str = "json") -> Any:
        """What it printed, parsed."""
        return READERS[form](self.out)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An audience and a suppression list with states."""

    state: Path
    audience_id: str
    package: str
    ids: list[str]
    """Members of the audience; the list has the first three."""

    def folder(self, name: str) -> Path:
        """The folder of an audience's state."""
        (found,) = self.state.glob(f"*/*/{name}")
        return found

    def contents(self) -> dict[str, tuple[bytes, int]]:
        """All files, and when each was written."""
        files = (path for path in self.state.rglob("*") if path.is_file() and "accounts" not in path.parts)
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture
def state_path(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")  # as commands set it
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path / "state"


@pytest.fixture
def run(state_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs a command in this process: ``run("list", "-o", "json")``."""

    def act(*arguments: str) -> Ended:
        capfd.readouterr()
        code = 0
        try:
            main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        said, errors = capfd.readouterr()
        return Ended(code=code, out=said, err=errors)

    return act


@pytest.fixture
def stored(state_path: Path, task_context: MakeContext, make_ids: MakeIds, emulator: Any) -> Stored:
    """An audience with ten members and a suppression list with three, of a run with a date."""
    ids = make_ids(10, start=0xABCDEF0123456789ABCDEF0123450000)
    context = task_context() | {"logical_date": datetime(2026, 1, 31, tzinfo=UTC)}
    named: dict[str, Any] = {"name": "n", "platform": "ios", "package_name": "p"}
    sync = AppLovinSyncAudienceOperator(task_id="t", source=ids, drift_patience_seconds=0, **named)
    audience_id = sync.execute(context)["audience_id"]
    AppLovinSyncSuppressionOperator(task_id="l", package_name=PACKAGE, source=ids[:3]).execute(context)
    emulator.clear_requests()
    return Stored(state=state_path, audience_id=audience_id, package=PACKAGE, ids=ids)


@pytest.fixture
def source_file(tmp_path: Path) -> Callable[..., str]:
    """Writes a source: ``source_file(ids)``; returns its path."""

    def write(ids: list[str], name: str = "ids.txt") -> str:
        path = tmp_path / name
        path.write_text("".join(f"{item}\n" for item in ids))
        return str(path)

    return write
