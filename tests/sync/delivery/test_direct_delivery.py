"""From a staged set to the platform: batches, modes, reports, and failures in the middle."""

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.fixtures import MakeIds

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import (
    AuthenticationError,
    ConnectionFailedError,
    InvalidInputError,
    NotFoundError,
    ServerError,
)
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.platforms.applovin.audience_destination import AudienceDestination
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.platforms.applovin.defaults import AUDIENCE_LIMITS
from airflow_provider_audiences.sync.delivery.direct_delivery import DeliveryMode, DirectDelivery
from airflow_provider_audiences.sync.report import DirectDeliveryReport

REPLACE, APPEND, REMOVE = DeliveryMode.REPLACE, DeliveryMode.APPEND, DeliveryMode.REMOVE
YEAR = 365 * 24 * 3600


@pytest.fixture
def deliver(applovin: AppLovinClient, audience_id: str, as_staged: Any) -> Callable[..., DirectDeliveryReport]:
    def run(
        ids: list[str],
        mode: DeliveryMode,
        *,
        client: AppLovinClient = applovin,
        batch_size: Any = 2,
        ttl_seconds: Any = None,
        allow_empty: bool = False,
        max_parallel_requests: Any = 1,
        dry_run: bool = False,
        sleep: Callable[[float], None] = lambda _seconds: None,
        **counts: int,
    ) -> DirectDeliveryReport:
        delivery = DirectDelivery.checked(
            audience_id=audience_id,
            limits=AUDIENCE_LIMITS,
            mode=mode,
            batch_size=batch_size,
            ttl_seconds=ttl_seconds,
            allow_empty=allow_empty,
            max_parallel_requests=max_parallel_requests,
        )
        staged = as_staged(ids, **counts)
        destination = AudienceDestination(client, audience_id, identifier_kind=AdvertisingIds())
        return delivery.dry_run(destination, staged) if dry_run else delivery.run(destination, staged, sleep=sleep)

    return run


def said(caplog: pytest.LogCaptureFixture, *, level: int = logging.WARNING) -> list[str]:
    """What sync/ logged."""
    return [record.getMessage() for record in caplog.records if ".sync." in record.name and record.levelno >= level]


def sent(emulator: AudiencesEmulator) -> list[tuple[str, int]]:
    """Operations and lines of the requests."""
    return [(request["operation"].removeprefix("applovin."), request["body_lines"]) for request in emulator.requests()]


class TestModes:
    def test_replace_is_update_then_append(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        audience_id: str,
        make_ids: MakeIds,
    ) -> None:
        report = deliver(make_ids(5, start=3), REPLACE)

        assert sent(emulator) == [("update", 2), ("append", 2), ("append", 1)]
        assert emulator.members(audience_id) == make_ids(5, start=3)
        assert (report.batches, report.requests, report.sent, report.accepted) == (3, 3, 5, 5)

    def test_append_keeps_what_is_there(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        audience_id: str,
        make_ids: MakeIds,
    ) -> None:
        deliver(make_ids(3, start=3), APPEND)

        assert sent(emulator) == [("append", 2), ("append", 1)]
        assert emulator.members(audience_id) == make_ids(5)

    def test_remove_takes_out(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        audience_id: str,
        make_ids: MakeIds,
    ) -> None:
        deliver(make_ids(9, start=2), REMOVE)

        assert emulator.members(audience_id) == make_ids(1)
        assert all("&ttl_seconds=0&" in request["target"] for request in emulator.requests())

    @pytest.mark.parametrize("mode", DeliveryMode)
    def test_twice_is_the_same(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        audience_id: str,
        make_ids: MakeIds,
        mode: DeliveryMode,
    ) -> None:
        deliver(make_ids(3, start=2), mode)
        once = emulator.members(audience_id)
        deliver(make_ids(3, start=2), mode)

        assert emulator.members(audience_id) == once

    @pytest.mark.parametrize(("size", "sizes"), [(1, [1] * 5), (4, [4, 1]), (5, [5]), ("5", [5]), (100_000, [5])])
    def test_batch_sizes(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        make_ids: MakeIds,
        size: Any,
        sizes: list[int],
    ) -> None:
        deliver(make_ids(5), APPEND, batch_size=size)
        assert [lines for _, lines in sent(emulator)] == sizes

    @pytest.mark.parametrize("mode", DeliveryMode)
    @pytest.mark.parametrize("parallel", [1, 2, 16, "4"])
    def test_several_at_a_time_come_to_the_same(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        audience_id: str,
        make_ids: MakeIds,
        mode: DeliveryMode,
        parallel: Any,
    ) -> None:
        report = deliver(make_ids(25, start=3), mode, max_parallel_requests=parallel)

        expected = {REPLACE: make_ids(25, start=3), APPEND: make_ids(27), REMOVE: make_ids(2)}
        assert emulator.members(audience_id) == expected[mode]
        assert sorted(lines for _, lines in sent(emulator)) == [1] + [2] * 12
        assert sent(emulator)[0][0] == ("update" if mode is REPLACE else "append")
        assert [operation for operation, _ in sent(emulator)[1:]] == ["append"] * 12
        assert (report.requests, report.batches, report.sent, report.bytes_sent) == (13, 13, 25, 25 * 37)


COUNTS = {"malformed": 4, "zeroed": 5, "duplicates": 6, "blank": 7}


@pytest.mark.parametrize("parallel", [1, 4])
def test_report(
    emulator: AudiencesEmulator,
    deliver: Callable[..., DirectDeliveryReport],
    audience_id: str,
    make_ids: MakeIds,
    parallel: int,
) -> None:
    emulator.fault("applovin.append", "status", status=500)
    report = deliver(make_ids(7), REPLACE, max_parallel_requests=parallel, **COUNTS)

    assert 0 < report.seconds < 60
    assert report.as_dict() == {
        "audience_id": audience_id,
        "dry_run": False,
        "planned_requests": 4,
        "planned_ids": 7,
        "planned_bytes": 259,
        "requests": 5,
        "batches": 4,
        "splits": 0,
        "sent": 7,
        "accepted": 7,
        "rejected_by_api": 0,
        "miscounted_batches": 0,
        **COUNTS,
        "members_by_column": {},
        "bytes_sent": 259,
        "in_ledger": False,
        "seconds": report.seconds,
    }


class TestDryRun:
    @pytest.mark.parametrize("mode", DeliveryMode)
    def test_says_what_would_be_sent_and_sends_nothing(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        audience_id: str,
        make_ids: MakeIds,
        mode: DeliveryMode,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level("INFO", logger="airflow_provider_audiences")
        report = deliver(make_ids(7), mode, dry_run=True, **COUNTS)

        assert emulator.requests() == []
        assert emulator.members(audience_id) == make_ids(3)
        nothing = dict.fromkeys(
            ["requests", "batches", "splits", "sent", "accepted", "rejected_by_api", "miscounted_batches"], 0
        )
        assert report.as_dict() == {
            "audience_id": audience_id,
            "dry_run": True,
            "planned_requests": 4,
            "planned_ids": 7,
            "planned_bytes": 259,
            **nothing,
            **COUNTS,
            "members_by_column": {},
            "bytes_sent": 0,
            "in_ledger": False,
            "seconds": 0.0,
        }
        (line,) = said(caplog, level=logging.INFO)
        assert line == (
            f"Dry run: 7 members in 4 requests (259 bytes) would go to audience {audience_id} by {mode.value}. "
            "Nothing was sent."
        )

    @pytest.mark.parametrize(("mode", "planned"), [(REPLACE, 1), (APPEND, 0), (REMOVE, 0)])
    def test_empty_set(self, deliver: Callable[..., DirectDeliveryReport], mode: DeliveryMode, planned: int) -> None:
        report = deliver([], mode, allow_empty=True, dry_run=True)
        assert (report.planned_requests, report.planned_ids, report.planned_bytes) == (planned, 0, 0)

    @pytest.mark.parametrize("mode", DeliveryMode)
    @pytest.mark.parametrize("size", [1, 3, 7, 8])
    def test_plan_is_what_a_run_without_faults_sends(
        self, deliver: Callable[..., DirectDeliveryReport], make_ids: MakeIds, mode: DeliveryMode, size: int
    ) -> None:
        plan = deliver(make_ids(7), mode, batch_size=size, dry_run=True)
        report = deliver(make_ids(7), mode, batch_size=size)

        assert (plan.planned_requests, plan.planned_ids, plan.planned_bytes) == (
            report.requests,
            report.sent,
            report.bytes_sent,
        )


class TestCounts:
    def test_wrong_counts_are_warned_about_once_and_summed_up(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        make_ids: MakeIds,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        emulator.fault("applovin.append", "wrong_counts", by=2, number=2, times=3)
        report = deliver(make_ids(12), APPEND)

        assert (report.sent, report.accepted, report.rejected_by_api, report.miscounted_batches) == (12, 6, 0, 3)
        first, summary = said(caplog)
        assert first.startswith("A batch has 2 advertising IDs; AppLovin counted 0 valid and 0 invalid.")
        assert summary == (
            "AppLovin counted other numbers than were sent in 3 of 6 batches: 12 advertising IDs were sent, and it "
            "counted 6 valid and 0 invalid."
        )

    def test_rejected_ids_are_warned_about(
        self,
        deliver: Callable[..., DirectDeliveryReport],
        make_ids: MakeIds,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        # To the emulator the all-zero ID is invalid; staging would not have let it through.
        report = deliver([*make_ids(4), "00000000-0000-0000-0000-000000000000"], APPEND)

        assert (report.accepted, report.rejected_by_api, report.miscounted_batches) == (4, 1, 0)
        (warning,) = said(caplog)
        assert warning.startswith("AppLovin rejected 1 of 5 advertising IDs although they are well formed")

    def test_nothing_is_said_about_right_ones(
        self, deliver: Callable[..., DirectDeliveryReport], make_ids: MakeIds, caplog: pytest.LogCaptureFixture
    ) -> None:
        deliver(make_ids(7), REPLACE, max_parallel_requests=4)
        assert said(caplog) == []


class TestFailureInTheMiddle:
    @pytest.mark.parametrize(
        ("mode", "number", "landed", "then"),
        [
            (REPLACE, 1, "1 batch (2 of 5 members)", "a part of the set; the next run begins again with the update"),
            (REPLACE, 2, "2 batches (4 of 5 members)", "a part of the set"),
            (APPEND, 1, "1 batch (2 of 5 members)", "does no harm"),
            (REMOVE, 2, "2 batches (4 of 5 members)", "does no harm"),
        ],
    )
    def test_says_what_landed(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        make_ids: MakeIds,
        mode: DeliveryMode,
        number: int,
        landed: str,
        then: str,
    ) -> None:
        emulator.fault("applovin.*", "status", status=403, number=number + 1)
        with pytest.raises(AuthenticationError) as caught:
            deliver(make_ids(5, start=4), mode)

        assert f"Before that, {landed} {'was' if number == 1 else 'were'} accepted." in str(caught.value)
        assert then in str(caught.value)
        assert str(caught.value.advice) in str(caught.value)
        assert len(emulator.requests()) == number + 1

    def test_next_run_makes_it_whole(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        audience_id: str,
        make_ids: MakeIds,
    ) -> None:
        emulator.fault("applovin.append", "drop_after", times=4)
        with pytest.raises(ConnectionFailedError):
            deliver(make_ids(6, start=10), REPLACE)
        assert emulator.members(audience_id) == make_ids(4, start=10)
        deliver(make_ids(6, start=10), REPLACE)

        assert emulator.members(audience_id) == make_ids(6, start=10)

    @pytest.mark.parametrize("kind", ["drop_after", "drop_before", "truncated_json"])
    @pytest.mark.parametrize("mode", [REPLACE, APPEND])
    def test_lost_replies_lose_nobody(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        audience_id: str,
        make_ids: MakeIds,
        mode: DeliveryMode,
        kind: str,
    ) -> None:
        for operation in ("applovin.update", "applovin.append"):
            for number in (1, 3):
                emulator.fault(operation, kind, number=number)
        report = deliver(make_ids(7), mode)

        assert emulator.members(audience_id) == make_ids(7)
        assert (report.sent, report.accepted, report.batches) == (7, 7, 4)
        assert report.requests == len(emulator.requests()) > 4

    def test_transient_failure_names_its_attempts(
        self, emulator: AudiencesEmulator, deliver: Callable[..., DirectDeliveryReport], make_ids: MakeIds
    ) -> None:
        emulator.fault("applovin.append", "status", status=503, times=None)
        with pytest.raises(ServerError, match=r"^applovin\.append: .* \[HTTP 503, attempts 4\]\. Before that, 1 batch"):
            deliver(make_ids(4), REPLACE)

    def test_missing_audience(
        self, emulator: AudiencesEmulator, deliver: Callable[..., DirectDeliveryReport], make_ids: MakeIds
    ) -> None:
        emulator.reset()
        with pytest.raises(NotFoundError, match="the audience is as it was"):
            deliver(make_ids(1), REPLACE)


class TestEmpty:
    @pytest.mark.parametrize("counts", [{}, {"blank": 2}, {"zeroed": 1}])
    @pytest.mark.parametrize("dry_run", [False, True])
    def test_replace_refuses(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        counts: dict[str, int],
        dry_run: bool,
    ) -> None:
        with pytest.raises(InvalidInputError, match=r"would empty the audience; nothing was sent.*allow_empty=True"):
            deliver([], REPLACE, dry_run=dry_run, **counts)
        assert emulator.requests() == []

    def test_replace_empties_when_told_to(
        self, emulator: AudiencesEmulator, deliver: Callable[..., DirectDeliveryReport], audience_id: str
    ) -> None:
        report = deliver([], REPLACE, allow_empty=True, blank=1)

        assert sent(emulator) == [("update", 0)]
        assert emulator.members(audience_id) == []
        assert (report.sent, report.batches, report.requests, report.bytes_sent) == (0, 1, 1, 0)

    @pytest.mark.parametrize("mode", [APPEND, REMOVE])
    def test_others_send_nothing(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        mode: DeliveryMode,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        report = deliver([], mode)

        assert emulator.requests() == []
        assert (report.requests, report.batches, report.sent) == (0, 0, 0)
        assert said(caplog) == ["The source has no advertising ID."]

    @pytest.mark.parametrize("mode", DeliveryMode)
    @pytest.mark.parametrize("allow_empty", [True, False])
    @pytest.mark.parametrize("dry_run", [False, True])
    def test_source_with_malformed_lines_only_is_the_wrong_file(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        mode: DeliveryMode,
        allow_empty: bool,
        dry_run: bool,
    ) -> None:
        with pytest.raises(
            InvalidInputError, match=r"none of the source's texts is an advertising ID \(2 are malformed\)"
        ):
            deliver([], mode, allow_empty=allow_empty, dry_run=dry_run, malformed=2, blank=1)
        assert emulator.requests() == []


class TestTtl:
    @pytest.mark.parametrize("mode", [REPLACE, APPEND])
    @pytest.mark.parametrize(("ttl_seconds", "lives"), [(None, YEAR), (60, 60), ("60", 60), (1, 1)])
    def test_members_expire(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        audience_id: str,
        make_ids: MakeIds,
        mode: DeliveryMode,
        ttl_seconds: Any,
        lives: int,
    ) -> None:
        emulator.freeze()
        deliver(make_ids(3), mode, ttl_seconds=ttl_seconds)
        emulator.advance(lives - 0.5)
        assert emulator.members(audience_id) == make_ids(3)
        emulator.advance(1)
        assert emulator.members(audience_id) == []

    def test_sending_again_begins_the_time_again(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        audience_id: str,
        make_ids: MakeIds,
    ) -> None:
        emulator.freeze()
        deliver(make_ids(3), REPLACE, ttl_seconds=100)
        emulator.advance(90)
        deliver(make_ids(2), APPEND, ttl_seconds=100)
        emulator.advance(90)
        assert emulator.members(audience_id) == make_ids(2)

    @pytest.mark.parametrize("mode", [REPLACE, APPEND])
    @pytest.mark.parametrize("ttl_seconds", [0, "0", 0.0, False])
    def test_zero_points_to_remove(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        make_ids: MakeIds,
        mode: DeliveryMode,
        ttl_seconds: Any,
    ) -> None:
        with pytest.raises(InvalidInputError, match=r"would remove members.*remove operator"):
            deliver(make_ids(1), mode, ttl_seconds=ttl_seconds)
        assert emulator.requests() == []

    @pytest.mark.parametrize("ttl_seconds", [-1, "-1", 1.5, True, "soon", "00"])
    def test_wrong_values(
        self, deliver: Callable[..., DirectDeliveryReport], make_ids: MakeIds, ttl_seconds: Any
    ) -> None:
        with pytest.raises(InvalidInputError, match="ttl_seconds must be a whole number of at least 1"):
            deliver(make_ids(1), APPEND, ttl_seconds=ttl_seconds)

    def test_remove_has_its_own(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        audience_id: str,
        make_ids: MakeIds,
    ) -> None:
        deliver(make_ids(3), REMOVE, ttl_seconds=60)
        assert emulator.members(audience_id) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"batch_size": True}, "batch_size"),
        ({"batch_size": "many"}, "batch_size"),
        ({"max_parallel_requests": 0}, "max_parallel_requests must be a whole number of at least 1"),
        ({"max_parallel_requests": 17}, "max_parallel_requests must be at most 16, not 17"),
        ({"max_parallel_requests": "99"}, "max_parallel_requests must be at most 16, not 99"),
        ({"max_parallel_requests": 2.0}, "max_parallel_requests"),
        ({"max_parallel_requests": True}, "max_parallel_requests"),
    ],
)
def test_wrong_arguments(changed: dict[str, Any], message: str) -> None:
    values = {
        "audience_id": "a",
        "limits": AUDIENCE_LIMITS,
        "mode": APPEND,
        "batch_size": 1,
        "ttl_seconds": None,
        **changed,
    }
    with pytest.raises(InvalidInputError, match=message):
        DirectDelivery.checked(**values)


@pytest.mark.parametrize("mode", [REPLACE, APPEND, REMOVE])
def test_a_first_batch_that_was_refused_changed_nothing(
    emulator: AudiencesEmulator, deliver: Callable[..., DirectDeliveryReport], make_ids: MakeIds, mode: DeliveryMode
) -> None:
    emulator.fault("applovin.*", "status", status=403)
    with pytest.raises(AuthenticationError, match="Nothing had been accepted before, and the audience is as it was"):
        deliver(make_ids(3), mode)


@pytest.mark.parametrize(
    ("mode", "then"),
    [(REPLACE, "either its old content or the first batch"), (APPEND, "sends all of them again, which does no harm")],
)
def test_a_first_batch_whose_fate_is_unknown_leaves_both_open(
    emulator: AudiencesEmulator,
    deliver: Callable[..., DirectDeliveryReport],
    make_ids: MakeIds,
    mode: DeliveryMode,
    then: str,
) -> None:
    emulator.fault("applovin.*", "drop_after", times=None)
    with pytest.raises(
        ConnectionFailedError, match=r"Before that, 0 batches \(0 of 3 members\) were accepted"
    ) as caught:
        deliver(make_ids(3), mode)
    assert then in str(caught.value)


class TestLateReplacements:
    """An update whose reply was lost may be carried out once more, after what follows it."""

    @pytest.mark.parametrize("parallel", [1, 3])
    def test_what_follows_is_sent_when_it_can_do_no_harm(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        make_applovin: Any,
        audience_id: str,
        make_ids: MakeIds,
        parallel: int,
    ) -> None:
        emulator.fault("applovin.update", "apply_late", delay_seconds=1)
        waits: list[float] = []

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            time.sleep(1.2)

        client = make_applovin(max_retries=1)
        deliver(make_ids(7), REPLACE, client=client, sleep=sleep, max_parallel_requests=parallel)
        assert waits == [AUDIENCE_LIMITS.late_effect_seconds]
        time.sleep(1.2)
        assert emulator.members(audience_id) == make_ids(7)

    def test_nothing_that_follows_is_no_reason_to_wait(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        make_applovin: Any,
        make_ids: MakeIds,
    ) -> None:
        emulator.fault("applovin.update", "drop_after")
        deliver(make_ids(2), REPLACE, client=make_applovin(max_retries=1), sleep=pytest.fail)

    def test_an_update_that_was_sent_once_is_no_reason_to_wait(
        self,
        emulator: AudiencesEmulator,
        deliver: Callable[..., DirectDeliveryReport],
        make_applovin: Any,
        make_ids: MakeIds,
    ) -> None:
        emulator.fault("applovin.append", "drop_after")
        emulator.fault("applovin.update", "status", status=429, retry_after=0)
        deliver(make_ids(6), REPLACE, client=make_applovin(max_retries=1), sleep=pytest.fail)
