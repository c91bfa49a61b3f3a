from typing import Any

import pytest
from support.bare_clients import AppLovin
from support.fixtures import MakeIds

DAY = 24 * 3600
START = 1_700_000_000


@pytest.fixture
def clocked(applovin: AppLovin) -> Any:
    applovin.emulator.set_clock(START, freeze=True)
    return applovin


def test_members_live_for_a_year_unless_told_otherwise(clocked: Any, make_ids: MakeIds) -> None:
    audience_id = clocked.create()
    clocked.send("update", audience_id, make_ids(2))
    assert clocked.emulator.member_expiries(audience_id) == dict.fromkeys(make_ids(2), START + 365 * DAY)
    clocked.emulator.advance(365 * DAY - 1)
    assert clocked.emulator.member_count(audience_id) == 2
    clocked.emulator.advance(1)
    assert clocked.emulator.members(audience_id) == []
    assert clocked.entry(audience_id)["user_count"] == "0"


def test_every_member_expires_on_its_own(clocked: Any, make_ids: MakeIds) -> None:
    audience_id = clocked.create()
    clocked.send("update", audience_id, make_ids(4), ttl_seconds=100)
    clocked.emulator.advance(60)
    clocked.send("append", audience_id, make_ids(2), ttl_seconds=100)
    details = clocked.emulator.audience(audience_id)
    assert (details["count"], details["expires_min"], details["expires_max"]) == (4, START + 100, START + 160)
    clocked.emulator.advance(40)
    assert clocked.emulator.members(audience_id) == make_ids(2)
    details = clocked.emulator.audience(audience_id)
    assert (details["count"], details["stored"]) == (2, 4)
    clocked.emulator.advance(60)
    details = clocked.emulator.audience(audience_id)
    assert (details["count"], details["expires_min"], details["expires_max"]) == (0, None, None)


def test_append_may_shorten_a_life(clocked: Any, make_ids: MakeIds) -> None:
    audience_id = clocked.create()
    clocked.send("update", audience_id, make_ids(2), ttl_seconds=1000)
    clocked.send("append", audience_id, make_ids(1), ttl_seconds=10)
    clocked.emulator.advance(10)
    assert clocked.emulator.members(audience_id) == make_ids(1, start=2)


def test_an_expired_member_can_come_back(clocked: Any, make_ids: MakeIds) -> None:
    audience_id = clocked.create()
    clocked.send("update", audience_id, make_ids(1), ttl_seconds=10)
    clocked.emulator.advance(20)
    clocked.send("append", audience_id, make_ids(1), ttl_seconds=10)
    assert clocked.emulator.members(audience_id) == make_ids(1)


def test_append_with_no_ttl_left_removes(clocked: Any, make_ids: MakeIds) -> None:
    audience_id = clocked.create()
    clocked.send("update", audience_id, make_ids(3))
    reply = clocked.send("append", audience_id, [*make_ids(2), make_ids(1, start=99)[0]], ttl_seconds=0)
    assert reply["num_valid_ids"] == 3
    assert clocked.emulator.members(audience_id) == make_ids(1, start=3)


def test_update_with_no_ttl_left_empties(clocked: Any, make_ids: MakeIds) -> None:
    audience_id = clocked.create()
    clocked.send("update", audience_id, make_ids(3))
    clocked.send("update", audience_id, make_ids(3), ttl_seconds=0)
    assert clocked.emulator.audience(audience_id)["stored"] == 0


def test_turning_the_clock_back_brings_members_back(clocked: Any, make_ids: MakeIds) -> None:
    audience_id = clocked.create()
    clocked.send("update", audience_id, make_ids(1), ttl_seconds=10)
    clocked.emulator.advance(20)
    assert clocked.emulator.member_count(audience_id) == 0
    clocked.emulator.set_clock(START)
    assert clocked.emulator.member_count(audience_id) == 1


def test_the_user_count_may_lag(clocked: Any, make_ids: MakeIds) -> None:
    clocked.emulator.settings(user_count_lag_seconds=60)
    audience_id = clocked.create()

    def shown() -> Any:
        return clocked.entry(audience_id)["user_count"]

    clocked.send("update", audience_id, make_ids(5), ttl_seconds=200)
    assert shown() == "0"
    clocked.emulator.advance(60)
    assert shown() == "5"
    clocked.send("append", audience_id, make_ids(3), ttl_seconds=0)
    clocked.emulator.advance(59)
    assert shown() == "5"
    clocked.emulator.advance(1)
    assert shown() == "2"
    clocked.emulator.advance(139)
    assert (shown(), clocked.emulator.member_count(audience_id)) == ("2", 0)
    clocked.emulator.advance(1)
    assert shown() == "0"
