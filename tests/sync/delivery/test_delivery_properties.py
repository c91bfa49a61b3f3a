"""Whatever the sizes, the parallelism and the faults: the audience ends as the set says, and the numbers are true."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fixtures import MakeIds

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import AudienceError
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.platforms.applovin.audience_destination import AudienceDestination
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.platforms.applovin.defaults import AUDIENCE_LIMITS
from airflow_provider_audiences.sync.delivery.direct_delivery import DeliveryMode, DirectDelivery

KEPT, NEW = range(1, 21), range(11, 211)
FAULTS = [
    ("status", {"status": 500}),
    ("status", {"status": 500, "applied": True}),
    ("status", {"status": 408}),
    ("status", {"status": 429}),
    ("status", {"status": 503, "retry_after": 2}),
    ("drop_before", {}),
    ("drop_after", {}),
    ("truncated_json", {}),
    ("truncated_json", {"cut": "connection"}),
]
PERMANENT = [("status", {"status": 403}), ("status", {"status": 413}), ("html", {}), ("redirect", {})]
# Real requests: the time of an example depends on the machine.
http = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@st.composite
def runs(draw: st.DrawFn, *, kinds: list[Any], most_faults: int, most_times: int) -> dict[str, Any]:
    floor = draw(st.integers(1, 12))
    fault = st.tuples(st.sampled_from(kinds), st.integers(1, 12), st.integers(1, most_times))
    return {
        "mode": draw(st.sampled_from(DeliveryMode)),
        "members": draw(st.integers(1, 120)),
        "batch_size": draw(st.integers(1, 60)),
        "parallel": draw(st.integers(1, 8)),
        "floor": floor,
        "limit": draw(st.none() | st.integers(floor, 60)),
        "faults": draw(st.lists(fault, max_size=most_faults)),
    }


class _World:
    """An audience with the members 1 to 20, and a delivery to it."""

    def __init__(
        self,
        emulator: AudiencesEmulator,
        client: AppLovinClient,
        as_staged: Any,
        make_ids: MakeIds,
        run: dict[str, Any],
    ) -> None:
        self.emulator, self.client, self.run = emulator, client, run
        emulator.reset()
        self.audience_id = client.create_audience(name="n", platform="ios", package_name="p").audience_id
        old = make_ids(len(KEPT), start=KEPT.start)
        client.append_users(audience_id=self.audience_id, advertising_ids="".join(f"{i}\n" for i in old).encode())
        emulator.clear_requests()
        ids = make_ids(run["members"], start=NEW.start)
        self.staged = as_staged(ids)
        self.expected = {
            DeliveryMode.REPLACE: sorted(ids),
            DeliveryMode.APPEND: sorted({*old, *ids}),
            DeliveryMode.REMOVE: sorted({*old} - {*ids}),
        }[run["mode"]]

    def spoil(self) -> None:
        self.emulator.settings(max_body_ids=self.run["limit"])
        for (kind, options), number, times in self.run["faults"]:
            self.emulator.fault("applovin.*", kind, number=number, times=times, **options)

    def deliver(self) -> Any:
        delivery = DirectDelivery.checked(
            audience_id=self.audience_id,
            limits=AUDIENCE_LIMITS,
            mode=self.run["mode"],
            batch_size=self.run["batch_size"],
            ttl_seconds=None,
            max_parallel_requests=self.run["parallel"],
        )
        return delivery.run(
            AudienceDestination(self.client, self.audience_id, identifier_kind=AdvertisingIds()),
            self.staged,
            sleep=lambda _seconds: None,
        )

    def check_requests(self) -> None:
        """No body is above the batch size, and only the first accepted one may be an update."""
        requests = self.emulator.requests()
        assert all(1 <= request["body_lines"] <= self.run["batch_size"] for request in requests)
        updates = [request["operation"] == "applovin.update" for request in requests]
        if self.run["mode"] is DeliveryMode.REPLACE:
            assert updates == sorted(updates, reverse=True)
            assert updates[0]
        else:
            assert not any(updates)


@http
@given(run=runs(kinds=FAULTS, most_faults=3, most_times=1))
def test_audience_holds_the_set(
    emulator: AudiencesEmulator,
    applovin: AppLovinClient,
    as_staged: Any,
    make_ids: MakeIds,
    waits: list[float],
    run: dict[str, Any],
) -> None:
    # Three faults at most: what is at the floor has four attempts.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AudienceDestination, "limits", replace(AUDIENCE_LIMITS, min_split_size=run["floor"]))
        world = _World(emulator, applovin, as_staged, make_ids, run)
        world.spoil()
        report = world.deliver()

    assert emulator.members(world.audience_id) == world.expected
    world.check_requests()
    n = run["members"]
    assert (report.sent, report.accepted, report.rejected_by_api, report.bytes_sent) == (n, n, 0, n * 37)
    assert report.requests == len(emulator.requests())
    assert report.batches + report.splits <= report.requests
    assert world.staged.max_live <= run["parallel"]


@http
@given(run=runs(kinds=[*FAULTS, *PERMANENT], most_faults=4, most_times=9))
def test_what_landed_is_true_and_the_next_run_makes_it_whole(
    emulator: AudiencesEmulator,
    applovin: AppLovinClient,
    as_staged: Any,
    make_ids: MakeIds,
    waits: list[float],
    run: dict[str, Any],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AudienceDestination, "limits", replace(AUDIENCE_LIMITS, min_split_size=run["floor"]))
        world = _World(emulator, applovin, as_staged, make_ids, run)
        before = emulator.members(world.audience_id)
        world.spoil()
        try:
            world.deliver()
        except AudienceError as error:
            landed = error.so_far or ""
            accepted = [request for request in emulator.requests() if request["status"] == 200 and not request["fault"]]
            if match := re.search(r"(\d+) batch(?:es)? \((\d+) of \d+ members?\)", landed):
                lines = sum(request["body_lines"] for request in accepted)
                assert (int(match[1]), int(match[2])) == (len(accepted), lines)
            else:
                assert landed == "Nothing had been accepted before, and the audience is as it was."
                assert accepted == []
                assert emulator.members(world.audience_id) == before
            world.check_requests()
        emulator.clear_faults()
        world.deliver()

    assert emulator.members(world.audience_id) == world.expected
