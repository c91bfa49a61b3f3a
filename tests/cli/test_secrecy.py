"""No member of the state, and no secret of a connection, is in any output of any command."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pytest
from support.fixtures import Connect, MakeContext

from airflow_provider_audiences.operators.applovin import AppLovinRemoveUsersOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator

Run = Callable[..., Any]
SECRET = "s3cret+of/the=connection"
OTHER_SECRET = "another-secret-of-the-store"


def _members(state: Path) -> set[str]:
    """The members in all Parquet files of a state, as they are stored."""
    found: set[str] = set()
    for path in state.rglob("*.parquet"):
        found |= {str(row[0]) for row in duckdb.execute("SELECT #1 FROM read_parquet(?)", [str(path)]).fetchall()}
    return found


def _spellings(text: str) -> Iterator[str]:
    yield from (text, text.lower(), text.upper(), text.replace("-", ""), quote(text, safe=""))
    yield base64.b64encode(text.encode()).decode()


@pytest.fixture
def everything(run: Run) -> Callable[..., str]:
    """Runs a command in each form, once with its log; returns all that it prints."""

    def act(*arguments: str) -> str:
        forms = (("table", "--verbose"), ("json",), ("yaml",))
        ended = [run(*arguments, "-o", *form) for form in forms]
        return "".join(one.out + one.err for one in ended)

    return act


def test_in_no_output(
    everything: Callable[..., str],
    stored: Any,
    connect: Connect,
    task_context: MakeContext,
    source_file: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    AppLovinRemoveUsersOperator(task_id="r", audience_id=stored.audience_id, source=stored.ids[:2]).execute(
        task_context()
    )
    AppLovinSyncAudienceOperator(
        task_id="p", audience_id=stored.audience_id, source=stored.ids[:5], plan_only=True, drift_patience_seconds=0
    ).execute(task_context())
    members = _members(stored.state)
    assert members >= set(stored.ids)

    source = source_file([*stored.ids, f"{stored.ids[0]}0", "+8613812345678"])
    said = everything("list") + everything("show", stored.audience_id) + everything("ledger", "verify")
    said += everything("plan", stored.audience_id, "--source", source)
    said += everything("plan", stored.audience_id, "--source", stored.ids[0])
    said += everything("plan", stored.audience_id, "--sql", f"SELECT '{stored.ids[0]}' AS", "--conn-id", "warehouse")
    # Then with secrets that are wrong for the emulator, and a damaged state.
    connect("applovin", password=SECRET, extra={"suppression_api_key": OTHER_SECRET, "max_retries": OTHER_SECRET})
    said += everything("doctor", "--test", "--conn-id", "applovin_default")
    connect("applovin", password=SECRET, extra={"suppression_api_key": OTHER_SECRET})
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps({"conn_type": "pai", "password": SECRET, "host": "[::"}))
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", '{"conn_type": "pai", "password": "' + SECRET)
    for conn_id in ("applovin_default", "pai_default", "broken"):
        said += everything("doctor", "--test", "--conn-id", conn_id)
    max(stored.folder(stored.audience_id).glob("head-*.json")).write_text(stored.ids[3])
    said += everything("list") + everything("show", stored.audience_id) + everything("ledger", "verify")
    monkeypatch.setenv(
        "AIRFLOW__AUDIENCES__STATE_PATH", f"nowhere://key:{OTHER_SECRET}@bucket/audiences?token={SECRET}"
    )
    said += everything("doctor", "--conn-id", "applovin_default") + everything("list")

    assert len(said) > 10_000
    for text in (*members, *stored.ids, "+8613812345678", SECRET, OTHER_SECRET):
        assert [spelling for spelling in _spellings(text) if spelling in said] == []
