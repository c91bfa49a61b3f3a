"""Arguments of a sync: who is sent again and when, what is warned of, and what is refused."""

import logging
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.platforms.applovin.defaults import AUDIENCE_LIMITS
from airflow_provider_audiences.sync.delivery.direct_delivery import DirectDelivery
from airflow_provider_audiences.sync.guards import Guards
from airflow_provider_audiences.sync.settings import DeliverySettings, SyncSettings

HOUR, DAY = 3600, 24 * 3600
GUARDS = Guards(allow_empty=False, max_removed_ratio=0.3, max_added_ratio=None, min_members=0)
DELIVERY: dict[str, Any] = {
    "batch_size": 100_000,
    "max_parallel_requests": 4,
    "max_drift": 0.05,
    "drift_patience_seconds": 60,
}


def checked(**changes: Any) -> SyncSettings:
    arguments: dict[str, Any] = {
        "limits": AUDIENCE_LIMITS,
        "mode": "mirror",
        "ttl_seconds": None,
        "refresh_before_seconds": None,
        "next_run_seconds": None,
        "initial": "fail",
        "on_lost_ledger": "fail",
        "guards": GUARDS,
    }
    return SyncSettings.checked(**(arguments | changes))


@pytest.mark.parametrize(
    ("ttl", "explicit", "next_run", "refresh"),
    [
        # A tenth of the TTL, and at most 7 days.
        (None, None, None, 7 * DAY),
        (365 * DAY, None, None, 7 * DAY),
        (70 * DAY, None, None, 7 * DAY),
        (30 * DAY, None, None, 3 * DAY),
        (DAY, None, None, DAY // 10),
        (9, None, None, 0),
        # What is given, more or less than that.
        (30 * DAY, 0, None, 0),
        (30 * DAY, 1, None, 1),
        (30 * DAY, 20 * DAY, None, 20 * DAY),
        (30 * DAY, " 60 ", None, 60),
        # Never later than the next run, which may begin a tenth late, and takes an hour in any case.
        (30 * DAY, None, HOUR, 3 * DAY),
        (30 * DAY, 0, HOUR, 2 * HOUR),
        (30 * DAY, 0, DAY, DAY + DAY // 10),
        (30 * DAY, 0, 0.0, HOUR),
        (30 * DAY, 10 * DAY, DAY, 10 * DAY),
        (30 * DAY, None, 7 * DAY, 7 * DAY + 7 * DAY // 10),
        (365 * DAY, None, 30 * DAY, 33 * DAY),
        (DAY, None, HOUR, 8640),
        (10 * HOUR, None, 2 * HOUR, 3 * HOUR),
    ],
)
def test_who_is_due(
    ttl: Any, explicit: Any, next_run: float | None, refresh: int, caplog: pytest.LogCaptureFixture
) -> None:
    found = checked(ttl_seconds=ttl, refresh_before_seconds=explicit, next_run_seconds=next_run)
    assert found.refresh_before_seconds == refresh
    assert found.ttl_seconds == (ttl if isinstance(ttl, int) else 365 * DAY)
    assert not caplog.records


@given(
    ttl=st.integers(1, 400 * DAY),
    explicit=st.none() | st.integers(0, 400 * DAY),
    next_run=st.none() | st.floats(0, 400 * DAY),
)
def test_nobody_expires_before_the_next_run(ttl: int, explicit: int | None, next_run: float | None) -> None:
    found = checked(ttl_seconds=ttl, refresh_before_seconds=explicit, next_run_seconds=next_run)
    refresh = found.refresh_before_seconds
    assert refresh >= (explicit or 0)
    if next_run is not None:
        # Who is not due now lives until then, with time to spare.
        assert refresh >= next_run + HOUR - 1
    elif explicit is None:
        assert refresh == min(ttl // 10, 7 * DAY)


@pytest.mark.parametrize(
    ("changes", "warnings"),
    [
        (
            {"ttl_seconds": DAY, "next_run_seconds": float(DAY)},
            [
                "ttl_seconds=86400 ends before the next run, in 86400 s: members will be missing in between.",
                "Members live for 86400 s, and are due 95040 s before: each run sends all of them.",
            ],
        ),
        (
            {"ttl_seconds": DAY, "next_run_seconds": 23.5 * HOUR},
            ["Members live for 86400 s, and are due 93060 s before: each run sends all of them."],
        ),
        (
            {"ttl_seconds": 100, "refresh_before_seconds": 100},
            ["Members live for 100 s, and are due 100 s before: each run sends all of them."],
        ),
        ({"ttl_seconds": 100, "refresh_before_seconds": 99}, []),
        ({"ttl_seconds": 1}, []),
    ],
)
def test_warnings(changes: dict[str, Any], warnings: list[str], caplog: pytest.LogCaptureFixture) -> None:
    checked(**changes)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, warning) for warning in warnings
    ]


def test_words_in_any_case() -> None:
    found = checked(mode=" Append ", initial="REPLACE", on_lost_ledger="Rebuild", ttl_seconds="60")
    assert (found.mode, found.initial, found.on_lost_ledger, found.ttl_seconds) == ("append", "replace", "rebuild", 60)
    assert found.guards is GUARDS
    for mode in ("mirror", "append", "replace"):
        assert checked(mode=mode).mode == mode
    for initial in ("fail", "append", "replace"):
        assert checked(initial=initial).initial == initial
    for on_lost_ledger in ("fail", "replace", "rebuild"):
        assert checked(on_lost_ledger=on_lost_ledger).on_lost_ledger == on_lost_ledger


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mode", "sync", "mode must be 'mirror' or 'append' or 'replace', not 'sync'"),
        ("mode", None, "mode must be 'mirror' or 'append' or 'replace', not None"),
        ("mode", "remove", "mode must be 'mirror' or 'append' or 'replace', not 'remove'"),
        ("initial", "rebuild", "initial must be 'fail' or 'append' or 'replace', not 'rebuild'"),
        ("initial", "", "initial must be 'fail' or 'append' or 'replace', not ''"),
        ("on_lost_ledger", "append", "on_lost_ledger must be 'fail' or 'replace' or 'rebuild', not 'append'"),
        ("on_lost_ledger", 1, "on_lost_ledger must be 'fail' or 'replace' or 'rebuild', not 1"),
        ("ttl_seconds", 0, "ttl_seconds must be a whole number of at least 1, not 0"),
        ("ttl_seconds", -1, "ttl_seconds must be a whole number of at least 1, not -1"),
        ("ttl_seconds", 1.5, "ttl_seconds must be a whole number of at least 1, not 1.5"),
        ("ttl_seconds", True, "ttl_seconds must be a whole number of at least 1, not True"),
        ("ttl_seconds", "1 day", "ttl_seconds must be a whole number of at least 1, not '1 day'"),
        ("refresh_before_seconds", -1, "refresh_before_seconds must be a whole number of at least 0, not -1"),
        ("refresh_before_seconds", "soon", "refresh_before_seconds must be a whole number of at least 0, not 'soon'"),
    ],
)
def test_wrong_arguments(name: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        checked(**{name: value})
    assert str(caught.value) == f"{message}."


def test_how_it_is_sent() -> None:
    assert DeliverySettings(**DELIVERY).within(AUDIENCE_LIMITS) == DeliverySettings(**DELIVERY)
    texts: dict[str, Any] = {
        "batch_size": "1",
        "max_parallel_requests": "16",
        "max_drift": "0.1",
        "drift_patience_seconds": "0",
    }
    assert DeliverySettings(**texts) == DeliverySettings(
        batch_size=1, max_parallel_requests=16, max_drift=0.1, drift_patience_seconds=0
    )
    for value in (None, "off", "Off"):
        assert DeliverySettings(**(DELIVERY | {"max_drift": value})).max_drift is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("batch_size", 1.0),
        ("batch_size", None),
        ("max_parallel_requests", 0),
        ("max_parallel_requests", 17),
        ("max_drift", -0.1),
        ("max_drift", "5%"),
        ("drift_patience_seconds", -1),
        ("drift_patience_seconds", None),
    ],
)
def test_wrong_arguments_of_sending(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=rf"^{name} must be "):
        DeliverySettings(**(DELIVERY | {name: value})).within(AUDIENCE_LIMITS)


@pytest.mark.parametrize(
    ("size", "most", "is_taken"), [(1, 1, True), (10_000, 10_000, True), (10_001, 10_000, False), (10**9, None, True)]
)
def test_a_platforms_limit_of_a_request(size: int, most: int | None, is_taken: bool) -> None:
    limits = replace(AUDIENCE_LIMITS, max_batch_size=most)
    settings = DeliverySettings(**DELIVERY | {"batch_size": size})
    upload: dict[str, Any] = {"audience_id": "a", "mode": "append", "ttl_seconds": None, "limits": limits}
    if is_taken:
        assert (
            settings.within(limits).batch_size == DirectDelivery.checked(**upload, batch_size=size).batch_size == size
        )
        return
    for check in (lambda: settings.within(limits), lambda: DirectDelivery.checked(**upload, batch_size=size)):
        with pytest.raises(InvalidInputError, match="batch_size must be at most 10000, not 10001"):
            check()
