"""Verifying a state: each file that is needed is read, and what is missing or damaged is named."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.fixtures import MakeIds
from support.synced import SyncedAudience

from airflow_provider_audiences.exceptions import ServerError
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.sync.direct_changes import DirectChanges
from airflow_provider_audiences.sync.state.summary import FileCheck
from airflow_provider_audiences.sync.state.verifying import StateVerifier


def verify(synced: SyncedAudience) -> list[FileCheck]:
    with open_workspace(StagingSettings()) as workspace:
        return StateVerifier(synced.folder, workspace).verify()


def statuses(synced: SyncedAudience) -> dict[str, tuple[str, int | None]]:
    """Status and members by what a file holds; additions and removals of a plan together."""
    return {check.holds: (check.status, check.members) for check in verify(synced)}


@pytest.fixture
def whole(synced: SyncedAudience, make_ids: MakeIds) -> SyncedAudience:
    """An audience with a ledger, direct changes, a plan that was begun, and one that is outdated."""
    synced.run(make_ids(6))
    with synced.open_audience(key="by hand") as audience:
        audience.state.load()
        keys = audience.state.ledger().keys
        direct_changes = DirectChanges(held_back=keys, added_directly=keys)
        audience.state.record_no_change(run_date=None, direct_changes=direct_changes)
    synced.run(make_ids(8), plan_only=True)

    def fail(_post: object) -> None:
        raise ServerError("no reply", maybe_applied=True)

    synced.destination.before = fail
    with pytest.raises(ServerError):
        synced.run(make_ids(9)[3:], release_held_back=True)
    return synced


def test_all_is_well(whole: SyncedAudience) -> None:
    found = statuses(whole)
    assert found["manifest"] == ("ok", None)
    assert found["ledger"] == ("ok", 6)
    assert found["members held back"] == ("ok", 3), "the plan that was begun has released the others"
    assert found["members added directly"] == ("ok", 6)
    begun = [check for check in verify(whole) if check.holds == "plan that was begun"]
    assert [check.status for check in begun] == ["ok"] * 4
    assert [check.name.partition("-")[2].partition("-")[2] for check in begun[1:]] == [
        "additions.parquet",
        "removals.parquet",
        "held-back.parquet",
    ]
    assert "stored plan" not in found, "an outdated one is not needed"


def test_a_plan_that_may_be_applied_is_checked(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(2))
    plan_id = synced.run(make_ids(5), plan_only=True).plan_id
    names = [check.name for check in verify(synced) if check.holds == "stored plan"]
    assert names == [f"plan-{plan_id}{end}" for end in (".json", "-additions.parquet", "-removals.parquet")]


def _delete(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _replace(path: Path) -> None:
    """Put a file there that can be read, and is another one."""
    other = next(found for found in path.parent.glob("*-additions.parquet") if found != path)
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize(("harm", "status"), [(_delete, "missing"), (_cut, "damaged"), (_replace, "damaged")])
@pytest.mark.parametrize(
    "pattern", ["ledger-*", "held-*", "hand-*", "plan-*-removals.parquet", "plan-*-held-back.parquet"]
)
def test_harm_is_found(whole: SyncedAudience, pattern: str, harm: Callable[[Path], None], status: str) -> None:
    begun = next(check.name for check in verify(whole) if check.holds == "plan that was begun")
    pattern = pattern.replace("plan-*", begun.removesuffix(".json"))
    names = {check.name for check in verify(whole)}
    (path,) = [path for path in whole.path.glob(pattern) if path.name in names]
    harm(path)
    (bad,) = [check for check in verify(whole) if check.status != "ok"]
    assert (bad.name, bad.status) == (path.name, status)
    assert path.name in bad.problem


def test_a_missing_plan_is_found(whole: SyncedAudience) -> None:
    begun = next(check.name for check in verify(whole) if check.holds == "plan that was begun")
    (whole.path / begun).unlink()
    (bad,) = [check for check in verify(whole) if check.status != "ok"]
    assert (bad.name, bad.status) == (begun, "missing")
    (whole.path / begun).write_text("{}")
    (bad,) = [check for check in verify(whole) if check.status != "ok"]
    assert (bad.name, bad.status) == (begun, "damaged")


def test_a_damaged_manifest_is_found(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(1))
    max(synced.path.glob("head-*.json")).write_text("{}")
    (bad,) = verify(synced)
    assert (bad.status, "is damaged" in bad.problem) == ("damaged", True)


def test_a_sync_that_ends_meanwhile_is_no_damage(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(3))
    synced.folder.before_fetching("ledger-", lambda: [synced.run(make_ids(count)) for count in (5, 4)])
    assert statuses(synced) == {"manifest": ("ok", None), "ledger": ("ok", 4)}


def test_nothing_is_written_or_deleted(whole: SyncedAudience) -> None:
    whole.folder.clear()
    seen: list[str] = []
    with open_workspace(StagingSettings()) as workspace:
        StateVerifier(whole.folder, workspace, on_file=seen.append).verify()
    assert {method for method, _ in whole.folder.calls} == {"names", "read", "fetch"}
    assert len(seen) == 6
