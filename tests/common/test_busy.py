"""An audience that another sync holds is waited for, and that costs no retry."""

import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple
from support.fixtures import Connect, MakeAudience, MakeContext, MakeIds

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.common import busy
from airflow_provider_audiences.common.state import holder_of, state_store
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.applovin_sync import AppLovinApplyPlanOperator, AppLovinSyncAudienceOperator
from airflow_provider_audiences.sync.state.lease import leased

RESCHEDULES = get_base_airflow_version_tuple() >= (3, 3, 0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, connect: Connect) -> None:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
    monkeypatch.setattr(busy, "_LOOK_SECONDS", 0.05)


@pytest.fixture
def audience_id(make_audience: MakeAudience) -> str:
    return make_audience("n")


@pytest.fixture
def held(emulator: AudiencesEmulator, audience_id: str, task_context: MakeContext) -> Iterator[Any]:
    """Another sync holds the audience; its lease."""
    folder = state_store("applovin", emulator.url.removeprefix("http://"), audience_id)
    with leased(folder, holder_of(task_context(task_id="other"))) as lease:
        yield lease


@pytest.fixture
def context(task_context: MakeContext) -> MakeContext:
    """Makes a context of a task that was first rescheduled some time ago, or never."""

    def make(*, seconds_ago: Any = None, **identity: Any) -> Any:
        first = None if seconds_ago is None else datetime.now(UTC) - timedelta(seconds=seconds_ago)
        return task_context(get_first_reschedule_date=lambda _context: first, **identity)

    return make


def by_name(source: Any, **arguments: Any) -> AppLovinSyncAudienceOperator:
    target: dict[str, Any] = {"name": "n", "platform": "ios", "package_name": "p"}
    return AppLovinSyncAudienceOperator(task_id="sync", source=source, **target, **arguments)


def test_a_task_that_has_staged_waits_in_the_worker(
    held: Any,
    emulator: AudiencesEmulator,
    audience_id: str,
    context: MakeContext,
    make_ids: MakeIds,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """On any version: what it has read would have to be read again."""
    caplog.set_level(logging.INFO)

    def release() -> None:
        until = time.monotonic() + 60
        while "Waiting for the audience" not in caplog.text and time.monotonic() < until:
            time.sleep(0.01)
        assert not emulator.requests("applovin.append")
        held.release()

    thread = threading.Thread(target=release)
    thread.start()
    report = by_name(make_ids(3)).execute(context())
    thread.join()
    assert report["live"] == 3
    assert emulator.members(audience_id) == make_ids(3)
    assert "Waiting for the audience, for 3600 seconds more at most: another sync" in caplog.text
    assert "DAG dag, run run, task other, try 1" in caplog.text


def test_not_for_ever(held: Any, context: MakeContext, make_ids: MakeIds, emulator: AudiencesEmulator) -> None:
    for wait in (0.3, "0.3", timedelta(milliseconds=300)):
        with pytest.raises(exceptions.AudienceBusyError) as caught:
            by_name(make_ids(3), wait_for_audience_seconds=wait).execute(context())
        assert "task other, try 1" in str(caught.value)
        assert "It was waited for, 0 seconds" in str(caught.value)
    with pytest.raises(exceptions.AudienceBusyError) as caught:
        by_name(make_ids(3), wait_for_audience_seconds=0).execute(context())
    assert "waited" not in str(caught.value)
    assert not emulator.requests("applovin.append")


@pytest.mark.parametrize("work", ["sync", "apply"])
def test_a_task_that_has_done_nothing_yet_leaves_the_worker(
    held: Any, audience_id: str, context: MakeContext, make_ids: MakeIds, work: str
) -> None:
    """Where operators can be rescheduled; else it waits as well."""

    def operator(**arguments: Any) -> AppLovinSyncAudienceOperator | AppLovinApplyPlanOperator:
        if work == "sync":
            return AppLovinSyncAudienceOperator(task_id="t", audience_id=audience_id, source=make_ids(3), **arguments)
        return AppLovinApplyPlanOperator(task_id="t", audience_id=audience_id, plan_id="0" * 16, **arguments)

    if RESCHEDULES:
        from airflow.sdk.exceptions import AirflowRescheduleException

        with pytest.raises(AirflowRescheduleException) as rescheduled:
            operator().execute(context())
        wait = rescheduled.value.reschedule_date - datetime.now(UTC)
        assert timedelta(seconds=20) < wait <= timedelta(seconds=30)
        with pytest.raises(AirflowRescheduleException) as rescheduled:
            operator(wait_for_audience_seconds=105).execute(context(seconds_ago=100))
        assert rescheduled.value.reschedule_date - datetime.now(UTC) <= timedelta(seconds=5)
        with pytest.raises(exceptions.AudienceBusyError, match="It was waited for, 105 seconds"):
            operator(wait_for_audience_seconds=105).execute(context(seconds_ago=106))
    else:
        with pytest.raises(exceptions.AudienceBusyError, match="It was waited for, 0 seconds"):
            operator(wait_for_audience_seconds=0.2).execute(context())


@pytest.mark.parametrize("wait", [-1, "soon", True, None])
def test_other_lengths_are_refused(audience_id: str, context: MakeContext, make_ids: MakeIds, wait: Any) -> None:
    operator = AppLovinSyncAudienceOperator(
        task_id="t", audience_id=audience_id, source=make_ids(3), wait_for_audience_seconds=wait
    )
    with pytest.raises(exceptions.InvalidInputError, match="wait_for_audience_seconds"):
        operator.execute(context())
