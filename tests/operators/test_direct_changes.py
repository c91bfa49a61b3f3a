"""What operators do directly to an audience that another task syncs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fixtures import Connect, MakeAudience, MakeContext, MakeIds

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.common.state import holder_of, state_store
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.applovin import (
    AppLovinAppendUsersOperator,
    AppLovinRemoveUsersOperator,
    AppLovinUpdateAudienceOperator,
)
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.sync.state.lease import leased


@pytest.fixture(autouse=True)
def state_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, connect: Connect) -> Any:
    path = tmp_path / "state"
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(path))
    return path


@pytest.fixture
def audience_id(make_audience: MakeAudience) -> str:
    return make_audience()


@pytest.fixture
def run(audience_id: str, task_context: MakeContext) -> Callable[..., Any]:
    """Runs an operator on the audience: ``run(operator, source, **arguments)``."""

    def run(operator: Any, source: Any, **arguments: Any) -> Any:
        settings = {"audience_id": audience_id, "wait_for_audience_seconds": 0} | arguments
        task = operator(task_id="task", source=source, **settings)
        task.render_template_fields({})
        return task.execute(task_context(task_id=operator.__name__))

    return run


def test_a_first_sync_comes_first(
    run: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds
) -> None:
    """It has no ledger yet; and whoever was removed meanwhile would be added again."""
    ids = make_ids(4)

    def source() -> Iterator[str]:
        with pytest.raises(exceptions.AudienceBusyError):
            run(AppLovinRemoveUsersOperator, ids[:1])
        yield from ids

    run(AppLovinSyncAudienceOperator, source())
    assert emulator.members(audience_id) == ids
    assert run(AppLovinRemoveUsersOperator, ids[:1])["in_ledger"] is True
    assert run(AppLovinSyncAudienceOperator, ids)["held_back"] == 1
    assert emulator.members(audience_id) == ids[1:]


def test_who_was_removed_stays_out(
    run: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds
) -> None:
    ids = make_ids(6)
    run(AppLovinSyncAudienceOperator, ids)
    assert run(AppLovinRemoveUsersOperator, ids[:2])["in_ledger"] is True
    assert emulator.members(audience_id) == ids[2:]
    report = run(AppLovinSyncAudienceOperator, ids)
    assert (report["held_back"], report["added"], report["live"], report["drift"]) == (2, 0, 4, 0)
    assert emulator.members(audience_id) == ids[2:]
    report = run(AppLovinSyncAudienceOperator, ids, release_held_back="{{ 'true' }}")
    assert (report["held_back"], report["added"]) == (0, 2)
    assert emulator.members(audience_id) == ids


@pytest.mark.parametrize("operator", [AppLovinAppendUsersOperator, AppLovinUpdateAudienceOperator])
def test_who_was_added_stays_in(
    run: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds, operator: type[Any]
) -> None:
    ids = make_ids(6)
    run(AppLovinSyncAudienceOperator, ids[:3])
    assert run(operator, ids[3:])["in_ledger"] is True
    report = run(AppLovinSyncAudienceOperator, ids[:2], max_removed_ratio=None)
    assert (report["live"], report["drift"]) == (5, 0)
    assert emulator.members(audience_id) == [*ids[:2], *ids[3:]]


def test_an_audience_that_is_not_synced_has_no_ledger(
    run: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds, state_path: Any
) -> None:
    for operator in (AppLovinUpdateAudienceOperator, AppLovinAppendUsersOperator, AppLovinRemoveUsersOperator):
        assert run(operator, make_ids(3))["in_ledger"] is False
    assert emulator.members(audience_id) == []
    assert not list(state_path.rglob("applovin"))


def test_a_dry_run_marks_nobody(run: Callable[..., Any], make_ids: MakeIds) -> None:
    run(AppLovinSyncAudienceOperator, make_ids(3))
    assert run(AppLovinRemoveUsersOperator, make_ids(1), dry_run=True)["in_ledger"] is False
    assert run(AppLovinSyncAudienceOperator, make_ids(3))["held_back"] == 0


def test_a_sync_under_way_comes_first(
    run: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds, task_context: MakeContext
) -> None:
    run(AppLovinSyncAudienceOperator, make_ids(3))
    folder = state_store("applovin", emulator.url.removeprefix("http://"), audience_id)
    with leased(folder, holder_of(task_context(task_id="other"))):
        for operator in (AppLovinUpdateAudienceOperator, AppLovinAppendUsersOperator, AppLovinRemoveUsersOperator):
            with pytest.raises(exceptions.AudienceBusyError, match="task other"):
                run(operator, make_ids(1))
    assert emulator.members(audience_id) == make_ids(3)


def test_a_removal_that_can_not_be_noted_is_left_to_a_retry(
    run: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds, state_path: Any
) -> None:
    """The next sync would add them again."""
    run(AppLovinSyncAudienceOperator, make_ids(3))
    (folder,) = state_path.rglob(audience_id)
    folder.rename(state_path / "elsewhere")
    folder.write_text("no folder")
    with pytest.raises(exceptions.StateUnavailableError, match="Not a directory"):
        run(AppLovinRemoveUsersOperator, make_ids(1))
    assert emulator.members(audience_id) == make_ids(3)
