"""When members begin to expire, as the ledger knows it."""

import datetime as dt
from collections.abc import Callable

import numpy as np
import pytest
from support.fixtures import MakeIds
from support.kinds import ID_KIND
from support.memory_destination import WITHOUT_TTL, MemoryPlatform
from support.synced import SyncedAudience

from airflow_provider_audiences.members.keys import key_order
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.sync import expiry
from airflow_provider_audiences.sync.expiry import Expiry, expiry_of
from airflow_provider_audiences.sync.ledger import (
    ADDITION_IN_DOUBT,
    LATEST,
    REMOVAL_IN_DOUBT,
    LedgerRows,
    LedgerWriter,
)

DAY = 24 * 3600


def counted(*earliest: int, now: float = DAY / 2) -> Expiry:
    with open_workspace(StagingSettings()) as workspace:
        writer = LedgerWriter(workspace)
        keys = np.zeros((len(earliest), 2), np.uint64)
        keys[:, 1] = np.arange(len(earliest))
        keys = keys[key_order.order_of(keys)]
        times = np.array(earliest, dtype=np.uint32)
        writer.add(LedgerRows(keys=keys, earliest_expiry=times, latest_expiry=times))
        return expiry_of(writer.finish(), now=now)


@pytest.mark.parametrize("rows", [2, 1 << 20])
def test_members_are_counted_by_day(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "_ROWS", rows)
    found = counted(20_000 * DAY + 5, 20_000 * DAY, 20_002 * DAY - 1, 20_002 * DAY, 20_000 * DAY + 7)
    assert found == Expiry(first=20_000 * DAY, last=20_002 * DAY, days=((20_000, 3), (20_001, 1), (20_002, 1)))
    assert found.as_dict()["days"][0] == ["2024-10-04", 3]


def test_whoever_is_in_doubt_or_stays_is_not_counted() -> None:
    found = counted(ADDITION_IN_DOUBT, REMOVAL_IN_DOUBT, LATEST, 20_000 * DAY)
    assert found.days == ((20_000, 1),)
    assert counted(19_999 * DAY, 20_000 * DAY, now=19_999 * DAY) == found, "who may have expired is in doubt as well"
    assert counted(LATEST) == counted() == Expiry()
    assert counted().as_dict() == {"first": None, "last": None, "days": []}


def test_only_the_first_days_are_told() -> None:
    found = counted(*(number * DAY for number in range(1, 500)))
    assert (len(found.days), found.days[0], found.last) == (400, (1, 1), 499 * DAY)


def test_it_is_that_of_the_audience(synced: SyncedAudience, make_ids: MakeIds) -> None:
    """The ledger of a sync, of one that found nothing to send, and of a plan that was carried out."""
    found = []
    wanted, rules = make_ids(3), StagingRules()
    plan_id = ""
    for step in ("run", "idle", "plan", "apply"):
        wanted = wanted[:2] if step == "plan" else wanted
        settings = synced.settings(ttl=2 * DAY)
        with (
            synced.opened() as sync,
            stage(ValuesInput(chunks=[wanted]), rules=rules, identifier_kind=ID_KIND) as staged,
        ):
            if step == "plan":
                plan_id = sync.plan(staged, None, settings).plan_id
                continue
            report = sync.apply(plan_id, override_guards=True) if plan_id else sync.run(staged, None, settings)
            assert sync.expiry
            assert sum(count for _, count in sync.expiry.days) == report.live
            found.append(sync.expiry)
            for seconds, text in ((sync.expiry.first, report.first_expiry), (sync.expiry.last, report.last_expiry)):
                assert text
                assert dt.datetime.fromisoformat(text).timestamp() == seconds
    day = dt.datetime.fromtimestamp(synced.now() + 2 * DAY, tz=dt.UTC).date().isoformat()
    assert [one.as_dict()["days"] for one in found] == [[[day, 3]], [[day, 3]], [[day, 2]]]
    assert days_left(report.first_expiry, synced) == 2


def test_a_new_ttl_is_that_of_whoever_is_sent_from_then_on(synced: SyncedAudience, make_ids: MakeIds) -> None:
    """With a refresh beyond the longest TTL, all get the new one, be it longer or shorter; as docs/sync.md says."""
    synced.ttl_seconds = 10 * DAY
    first = synced.run(make_ids(2))
    synced.ttl_seconds = 30 * DAY
    second = synced.run(make_ids(3))
    assert (second.refreshed, second.first_expiry) == (0, first.first_expiry)
    assert days_left(second.last_expiry, synced) == 30
    for days in (40, 1):
        synced.ttl_seconds = days * DAY
        applied = synced.run(make_ids(3), refresh_before_seconds=400 * DAY)
        assert (applied.refreshed, applied.added) == (3, 0)
        assert days_left(applied.first_expiry, synced) == days_left(applied.last_expiry, synced) == days
    assert set(synced.destination.platform.members()) == set(make_ids(3))
    synced.advance(2 * DAY)
    assert synced.members == [], "the shorter one was taken by the platform as well"


def days_left(text: str | None, synced: SyncedAudience) -> float:
    """How many days it is until then, to a thousandth: the clock goes on."""
    assert text
    assert text.endswith("+00:00")
    return round((dt.datetime.fromisoformat(text).timestamp() - synced.now()) / DAY, 3)


def test_without_a_ttl_nobody_expires(make_in_memory: Callable[..., SyncedAudience], make_ids: MakeIds) -> None:
    synced = make_in_memory(MemoryPlatform(limits=WITHOUT_TTL))
    synced.ttl_seconds = None
    report = synced.run(make_ids(2), initial="append")
    assert (report.first_expiry, report.last_expiry) == (None, None)
