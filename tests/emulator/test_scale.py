import os
import tracemalloc
from itertools import islice
from pathlib import Path

import pytest
from support.bare_clients import AppLovin
from support.fixtures import MakeIds

from airflow_provider_audiences.emulator.members import MemberStore, parse_ids

MILLION = 1_000_000
BATCH = 100_000


def random_body(count: int) -> bytes:
    text = os.urandom(16 * count).hex()
    cuts = (text[start : start + 32] for start in range(0, len(text), 32))
    return "\n".join(f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}" for h in cuts).encode()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_million_members_over_http(applovin: AppLovin, make_ids: MakeIds) -> None:
    audience_id = applovin.create()
    for operation, start in [("update", 1), *(("append", 1 + batch * BATCH) for batch in range(1, 10))]:
        reply = applovin.send(operation, audience_id, make_ids(BATCH, start=start), ttl_seconds=1000)
        assert reply["num_valid_ids"] == BATCH
    assert applovin.entry(audience_id)["user_count"] == str(MILLION)
    found = applovin.emulator.members(audience_id)
    assert len(found) == MILLION
    assert found[:3] == make_ids(3)
    assert found == sorted(found)
    reply = applovin.send("update", audience_id, islice(found, 0, MILLION, 2), ttl_seconds=1000)
    assert (reply["num_valid_ids"], applovin.emulator.member_count(audience_id)) == (MILLION // 2, MILLION // 2)
    applovin.emulator.advance(1000)
    assert applovin.emulator.member_count(audience_id) == 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory from /proc")
def test_a_million_members_stay_below_a_hundred_bytes_each() -> None:
    assert not tracemalloc.is_tracing()
    store = MemberStore()
    # One batch first: what parsing takes for itself is not the members' share.
    store.put(parse_ids(random_body(BATCH)).ids, expires_ms=1)
    before = resident_bytes()
    for _ in range(10):
        store.put(parse_ids(random_body(BATCH)).ids, expires_ms=2**40)
    assert store.live(0).count == 11 * BATCH
    assert (resident_bytes() - before) / MILLION < 100
    store.close()
