"""What is too large is cut, what is not is not, and the rest of the run knows it."""

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.fixtures import MakeIds

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import (
    AudienceError,
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    NotFoundError,
    RateLimitedError,
    ServerError,
)
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.sync.delivery.direct_delivery import DeliveryMode

REPLACE, APPEND, REMOVE = DeliveryMode.REPLACE, DeliveryMode.APPEND, DeliveryMode.REMOVE
MakeApplovin = Callable[..., AppLovinClient]


def said(caplog: pytest.LogCaptureFixture, *, level: int = logging.WARNING) -> list[str]:
    """What sync/ logged."""
    return [record.getMessage() for record in caplog.records if ".sync." in record.name and record.levelno >= level]


def lines_sent(emulator: AudiencesEmulator) -> list[int]:
    return [request["body_lines"] for request in emulator.requests()]


class TestSplits:
    @pytest.mark.parametrize("mode", DeliveryMode)
    @pytest.mark.parametrize("parallel", [1, 4])
    @pytest.mark.parametrize(("limit", "batch_size"), [(1_000, 10_000), (1_700, 5_001), (2_499, 7_777)])
    def test_what_is_too_large_is_cut(
        self,
        emulator: AudiencesEmulator,
        applovin: AppLovinClient,
        audience_id: str,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
        waits: list[float],
        mode: DeliveryMode,
        parallel: int,
        limit: int,
        batch_size: int,
    ) -> None:
        emulator.settings(max_body_ids=limit)
        ids = make_ids(23_456)
        report = deliver(
            applovin, as_staged(ids), mode, audience_id=audience_id, batch_size=batch_size, parallel=parallel
        )

        assert emulator.members(audience_id) == ([] if mode is REMOVE else ids)
        refused = [request for request in emulator.requests() if request["status"] == 413]
        assert report.splits == len(refused) >= 1
        assert (report.sent, report.accepted, report.bytes_sent) == (23_456, 23_456, 23_456 * 37)
        assert report.requests == len(emulator.requests()) == report.batches + report.splits
        assert waits == []
        operations = [request["operation"] for request in emulator.requests() if request["status"] == 200]
        assert operations == ["applovin.update" if mode is REPLACE else "applovin.append"] + ["applovin.append"] * (
            report.batches - 1
        )

    def test_the_rest_goes_on_at_the_size_that_works(
        self,
        emulator: AudiencesEmulator,
        applovin: AppLovinClient,
        audience_id: str,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        emulator.settings(max_body_ids=3_000)
        report = deliver(
            applovin, as_staged(make_ids(25_000)), REPLACE, audience_id=audience_id, batch_size=10_000, parallel=1
        )

        assert lines_sent(emulator) == [10_000, 5_000] + [2_500] * 10
        assert report.splits == 2
        first, second = said(caplog)
        assert first.startswith(
            "A request of 10,000 members failed, and is cut to 5,000 from now on: applovin.update: "
        )
        assert "HTTP 413" in first
        assert second.startswith("A request of 5,000 members failed, and is cut to 2,500 from now on")

    def test_one_bad_batch_in_the_middle(
        self,
        emulator: AudiencesEmulator,
        applovin: AppLovinClient,
        audience_id: str,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
    ) -> None:
        emulator.fault("applovin.append", "status", status=408, number=2)
        ids = make_ids(16_000)
        report = deliver(applovin, as_staged(ids), audience_id=audience_id, batch_size=4_000, parallel=1)

        assert lines_sent(emulator) == [4_000, 4_000, 2_000, 2_000, 2_000, 2_000, 2_000, 2_000]
        assert emulator.member_count(audience_id) == 16_000
        assert (report.splits, report.batches, report.requests) == (1, 7, 8)

    @pytest.mark.parametrize(
        ("kind", "options", "repetitions"),
        [
            ("status", {"status": 408}, 0),
            ("status", {"status": 413}, 0),
            ("error_code", {"error_code": 413}, 0),
            ("status", {"status": 500}, 3),
            ("status", {"status": 504, "html": True}, 3),
            ("drop_before", {}, 3),
            ("drop_after", {}, 3),
            ("truncated_json", {}, 3),
            ("truncated_json", {"cut": "connection"}, 3),
        ],
    )
    def test_what_splits_and_when(
        self,
        emulator: AudiencesEmulator,
        applovin: AppLovinClient,
        audience_id: str,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
        kind: str,
        options: dict[str, Any],
        repetitions: int,
    ) -> None:
        emulator.fault("applovin.update", kind, times=1 + repetitions, **options)
        ids = make_ids(2_001)
        report = deliver(applovin, as_staged(ids), REPLACE, audience_id=audience_id, batch_size=4_000)

        assert lines_sent(emulator) == [2_001] * (1 + repetitions) + [1_001, 1_000]
        assert emulator.members(audience_id) == ids
        assert (report.splits, report.batches, report.sent) == (1, 2, 2_001)

    def test_no_reply_in_time(
        self,
        platform: Any,
        make_applovin: MakeApplovin,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
        waits: list[float],
    ) -> None:
        platform.answer = lambda _operation, _number, lines: time.sleep(3 if lines > 2_000 else 0) or 200  # type: ignore[func-returns-value]  # both, in one lambda
        report = deliver(
            make_applovin(base_url=platform.url, read_timeout_seconds=1.0),
            as_staged(make_ids(9_000)),
            batch_size=8_000,
            parallel=1,
        )

        assert [lines for _, lines in platform.requests] == [8_000, 4_000] + [2_000] * 4 + [1_000]
        assert (report.splits, report.sent) == (2, 9_000)
        assert waits == []

    @pytest.mark.parametrize(
        ("kind", "options", "error_type", "requests"),
        [
            ("status", {"status": 400}, BadRequestError, 1),
            ("status", {"status": 401}, AuthenticationError, 1),
            ("status", {"status": 403}, AuthenticationError, 1),
            ("status", {"status": 404}, NotFoundError, 1),
            ("status", {"status": 429}, RateLimitedError, 2),
            ("status", {"status": 429, "retry_after": 9999}, RateLimitedError, 1),
            ("status", {"status": 503, "retry_after": 1}, ServerError, 4),
            ("html", {}, AudienceError, 1),
            ("redirect", {}, AudienceError, 1),
        ],
    )
    def test_what_does_not_split(
        self,
        emulator: AudiencesEmulator,
        applovin: AppLovinClient,
        audience_id: str,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
        kind: str,
        options: dict[str, Any],
        error_type: type[AudienceError],
        requests: int,
    ) -> None:
        emulator.fault("applovin.append", kind, times=None, **options)
        with pytest.raises(error_type):
            deliver(applovin, as_staged(make_ids(4_000)), audience_id=audience_id, batch_size=4_000)
        assert lines_sent(emulator) == [4_000] * requests

    def test_refused_connection_does_not_split(
        self,
        make_applovin: MakeApplovin,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        import socket

        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            client = make_applovin(base_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
            with pytest.raises(ConnectionFailedError, match="could not connect"):
                deliver(client, as_staged(make_ids(4_000)), batch_size=4_000)
        assert client.requests_sent == 4
        assert said(caplog) == []

    @pytest.mark.parametrize(("status", "at_the_floor"), [(413, 1), (408, 4), (500, 4)])
    def test_floor(
        self,
        emulator: AudiencesEmulator,
        applovin: AppLovinClient,
        audience_id: str,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
        status: int,
        at_the_floor: int,
    ) -> None:
        emulator.fault("applovin.append", "status", status=status, times=None)
        with pytest.raises(AudienceError) as caught:
            deliver(applovin, as_staged(make_ids(3_000)), audience_id=audience_id, batch_size=3_000)

        above = 4 if status == 500 else 1
        assert lines_sent(emulator) == [3_000] * above + [1_500] * above + [1_000] * at_the_floor
        assert caught.value.attempts == at_the_floor

    def test_landed_counts_the_pieces(
        self,
        emulator: AudiencesEmulator,
        applovin: AppLovinClient,
        audience_id: str,
        as_staged: Any,
        deliver: Any,
        make_ids: MakeIds,
    ) -> None:
        emulator.settings(max_body_ids=2_000)
        emulator.fault("applovin.append", "status", status=403, number=3)
        with pytest.raises(AuthenticationError) as caught:
            deliver(
                applovin, as_staged(make_ids(12_000)), REPLACE, audience_id=audience_id, batch_size=4_000, parallel=1
            )

        said = str(caught.value)
        assert "Before that, 3 batches (6,000 of 12,000 members) were accepted." in said
        assert "The audience now holds a part of the set" in said
        assert emulator.member_count(audience_id) == 6_000
