"""Operators at servers that never end: they fail in time, with an error that is retried, and let go what they hold."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fixtures import Connect, MakeContext
from support.hostile import DRIPPING, ENDLESS, hostile_server

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.operators.pai import PaiCreateGroupOperator
from airflow_provider_audiences.platforms.pai.group_spec import PaiSource

EXTRA = {"request_deadline_seconds": 0.5, "max_retries": 0}
IDS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(1, 9)]


def append(_tmp_path: Path) -> AppLovinAppendUsersOperator:
    return AppLovinAppendUsersOperator(task_id="send", audience_id="a", source=IDS)


def sync(_tmp_path: Path) -> AppLovinSyncAudienceOperator:
    return AppLovinSyncAudienceOperator(task_id="send", audience_id="a", source=IDS, initial="append")


def group(_tmp_path: Path) -> PaiCreateGroupOperator:
    return PaiCreateGroupOperator(
        task_id="send", name="n", source=PaiSource.TEXT, text="13900001111", phone_number=True
    )


@pytest.mark.parametrize("make", [append, sync, group])
@pytest.mark.parametrize("behaviour", [DRIPPING["headers"], DRIPPING["chunks"], ENDLESS["body without length"]])
def test_an_operator_ends(
    connect: Connect,
    task_context: MakeContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[..., Any],
    behaviour: Any,
) -> None:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
    platform = "pai" if make is group else "applovin"
    with hostile_server(behaviour) as server:
        connect(platform, host=server.url, extra=EXTRA)
        began = time.monotonic()
        with pytest.raises(exceptions.ConnectionFailedError) as caught:
            make(tmp_path).execute(task_context())
        assert time.monotonic() - began < 10
    assert not [member for member in (*IDS, "13900001111") if member in str(caught.value)]
    assert not list((tmp_path / "state").rglob("lease-*"))


def test_twenty_tasks_stop_together(
    connect: Connect,
    task_context: MakeContext,
    emulator: AudiencesEmulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Beside the leases, on ``state_path``: what one task has seen, all know."""
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
    connect("applovin", extra={"backoff_seconds": 0, "max_errors": 6})
    emulator.fault("applovin.append", "status", status=500, times=None)
    seen = []
    for number in range(20):
        with pytest.raises(exceptions.TransientError) as caught:
            AppLovinAppendUsersOperator(task_id="send", audience_id=str(number), source=IDS).execute(task_context())
        seen.append(type(caught.value).__name__)
    assert seen == ["ServerError"] + ["RateLimitedError"] * 19
    assert "UTC" in str(caught.value)
    assert len(emulator.requests("applovin.append")) == 6
    assert len(list((tmp_path / "state" / "accounts").rglob("*-*"))) == 6
