"""
State of versions before manifests (format 2) is read and moved over; afterwards those versions refuse it.

The folders in ``format_2`` were written by such a version: a ledger of the IDs 1 to 6, and a plan for the IDs 3 to 8,
in ``planned`` only stored, in ``begun`` with one of its two additions landed.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.memory_destination import WITH_TTL

from airflow_provider_audiences.exceptions import LedgerLostError, PlanOutdatedError
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.sync.destination import AudienceAddress
from airflow_provider_audiences.sync.state.audience_state import AudienceState
from airflow_provider_audiences.sync.state.file_store import LocalFileStore
from airflow_provider_audiences.sync.state.lease import Holder, leased
from airflow_provider_audiences.sync.state.sealing import sealed

STORED = Path(__file__).parent / "format_2"
PLANNED, BEGUN = "fc7bf4a02b94f41c", "5fdf13103787b723"
NOW = 1_795_001_000.0
ADDRESS = AudienceAddress(api="applovin", host="api.example.com", audience_id="a1")


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """Copies a stored state to where it may be changed."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(STORED / name, tmp_path / name))

    return copy


@contextmanager
def opened(path: Path, folder: Any = None) -> Iterator[AudienceState]:
    folder = folder or LocalFileStore(path)
    with (
        leased(folder, Holder(key="k", try_number=1)) as lease,
        open_workspace(StagingSettings()) as workspace,
    ):
        yield AudienceState(
            folder,
            ADDRESS,
            lease=lease,
            limits=WITH_TTL,
            key_column="advertising_id",
            workspace=workspace,
            clock=lambda: NOW,
        )


def members(state: AudienceState) -> list[int]:
    keys = state.ledger().keys
    lines = AdvertisingIds().lines(keys.slice(0, keys.count)).decode().split()
    return sorted(int(line[-12:]) for line in lines)


def test_a_ledger(copied: Any) -> None:
    path = copied("planned")
    for _ in range(3):
        with opened(path) as state:
            state.load()
            assert state.manifest
            assert (state.generation, state.manifest.ledger.members, state.manifest.has_unknown_members) == (
                1,
                6,
                False,
            )
            assert members(state) == [1, 2, 3, 4, 5, 6]


def test_a_stored_plan_is_carried_out(copied: Any) -> None:
    path = copied("planned")
    with opened(path) as state:  # a run that finds nothing to send outdates no plan
        state.load()
    with opened(path) as state:
        state.load()
        stored = state.plan(PLANNED)
        assert stored.details == {"added": 2, "removed": 2}
        ledger = state.ledger()
        state.begin(stored)
        state.record_delivered("additions", 0, 2, seconds=1, is_repeated=False)
        state.record_delivered("removals", 0, 2, seconds=1, is_repeated=False)
        state.finish(ledger, stored, seconds_per_request=1)
        assert members(state) == [3, 4, 5, 6, 7, 8]
    with opened(path) as state:
        state.load()
        assert members(state) == [3, 4, 5, 6, 7, 8]
        with pytest.raises(PlanOutdatedError):
            state.plan(PLANNED)


@pytest.mark.parametrize("is_applied", [True, False])
def test_a_begun_plan(copied: Any, is_applied: bool) -> None:
    """It goes on where it was; or whoever makes a new plan knows all whom it may have touched."""
    path = copied("begun")
    with opened(path) as state:
        state.load()
        if is_applied:
            stored = state.plan(BEGUN)
            assert state.begin(stored).additions.missing(2) == [(1, 2)]
        else:
            state.fold_unfinished_plan(state.ledger())
            assert members(state) == [1, 2, 3, 4, 5, 6, 7, 8]
            assert state.manifest
            assert state.manifest.plan_id == ""


@pytest.mark.parametrize("stops_before", ["head.json", "head-"])
def test_cut_off_in_the_middle_of_moving(copied: Any, stops_before: str) -> None:
    path = copied("planned")

    class Stops:
        def __init__(self) -> None:
            self.inner = LocalFileStore(path)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def write(self, name: str, content: bytes) -> None:
            if name.startswith(stops_before):
                raise KeyboardInterrupt
            self.inner.write(name, content)

        def create(self, name: str, content: bytes) -> None:
            if name.startswith(stops_before):
                raise KeyboardInterrupt
            self.inner.create(name, content)

    with pytest.raises(KeyboardInterrupt), opened(path, Stops()) as state:
        state.load()
    with opened(path) as state:
        state.load()
        assert members(state) == [1, 2, 3, 4, 5, 6]
        assert state.plan(PLANNED).plan_id == PLANNED
    assert json.loads((path / "head.json").read_bytes())["format"] == 3


def test_what_an_older_version_wrote_afterwards_is_no_ledger(copied: Any) -> None:
    """Neither is right: what it sent is in no manifest of the newer one, and what the newer one sent is not in its."""
    path = copied("planned")
    with opened(path) as state:
        state.load()
    content = json.loads((STORED / "planned" / "head.json").read_bytes())
    del content["checksum"]
    (path / "head.json").write_bytes(sealed(content | {"seconds_per_request": 2.0}))
    with opened(path) as state:
        with pytest.raises(LedgerLostError, match="an older version of airflow-provider-audiences has written"):
            state.load()
        state.ignore_ledger()
        stored = state.store_plan(state_plan(state), details={})
        state.begin(stored)
    with opened(path) as state:
        state.load()
        assert state.manifest
        assert state.manifest.plan_id == stored.plan_id


def state_plan(state: AudienceState) -> Any:
    """A plan with nobody in it."""
    from airflow_provider_audiences.sync.plan import Plan, PlanCounts

    nobody = state.ledger().keys
    return Plan(replaces=True, ttl_seconds=1000, additions=nobody, removals=nobody, counts=PlanCounts())


def test_older_versions_refuse_it(copied: Any) -> None:
    """They check the checksum of head.json first, and then the format that it names."""
    path = copied("planned")
    with opened(path) as state:
        state.load()
    content = json.loads((path / "head.json").read_bytes())
    checksum = content.pop("checksum")
    assert json.loads(sealed(content))["checksum"] == checksum
    assert content["format"] == 3


def test_a_damaged_notice_is_written_again(copied: Any) -> None:
    path = copied("planned")
    with opened(path) as state:
        state.load()
    notice = (path / "head.json").read_bytes()
    for damaged in (None, b"", notice[:-9], sealed({"format": 3, "note": "in other words"})):
        (path / "head.json").unlink()
        if damaged is not None:
            (path / "head.json").write_bytes(damaged)
        with opened(path) as state:
            state.load()
            assert members(state) == [1, 2, 3, 4, 5, 6]
        assert (path / "head.json").read_bytes() == notice
