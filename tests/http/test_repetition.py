"""Whether a call is repeated, and when: backoff, Retry-After, and callers who give up."""

import email.utils
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.fixtures import AsBody, MakeIds

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import AudienceError, RateLimitedError, ServerError, TransientError
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.marker import GroupMarker

MakeApplovin = Callable[..., AppLovinClient]
MARKER = GroupMarker(origin="a.b", run="r", owner="01234567", idempotency_key="0123456789ab")


def test_jitter_adds_up_to_a_quarter(
    emulator: AudiencesEmulator, make_applovin: MakeApplovin, waits: list[float]
) -> None:
    emulator.fault("applovin.list", "status", status=500, times=None)
    client = make_applovin(jitter=True)
    for _ in range(20):
        with pytest.raises(ServerError):
            client.list_audiences()

    for attempt, base in enumerate((1, 2, 4)):
        seen = waits[attempt::3]
        assert all(base <= wait <= base * 1.25 for wait in seen)
        assert len(set(seen)) > 1


def test_jitter_never_comes_before_retry_after(
    emulator: AudiencesEmulator, make_applovin: MakeApplovin, waits: list[float]
) -> None:
    emulator.fault("applovin.list", "status", status=429, retry_after=8)
    make_applovin(jitter=True).list_audiences()

    assert len(waits) == 1
    assert 8 <= waits[0] <= 10


def test_backoff_is_a_setting(emulator: AudiencesEmulator, make_applovin: MakeApplovin, waits: list[float]) -> None:
    emulator.fault("applovin.list", "status", status=500, times=None)
    with pytest.raises(ServerError):
        make_applovin(backoff_seconds=0.5, max_retries=4).list_audiences()

    assert waits == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(("status", "error_type"), [(429, RateLimitedError), (503, ServerError)])
def test_long_retry_after_is_not_slept_through(
    emulator: AudiencesEmulator,
    applovin: AppLovinClient,
    waits: list[float],
    status: int,
    error_type: type[AudienceError],
) -> None:
    emulator.fault("applovin.list", "status", status=status, retry_after=301)
    with pytest.raises(error_type) as caught:
        applovin.list_audiences()

    assert waits == []
    assert (caught.value.attempts, caught.value.retry_after_seconds) == (1, 301.0)
    assert len(emulator.requests()) == 1


def test_retry_after_at_the_limit_is_waited_for(
    emulator: AudiencesEmulator, make_applovin: MakeApplovin, waits: list[float]
) -> None:
    emulator.fault("applovin.list", "status", status=429, retry_after=5)
    make_applovin(max_retry_after_seconds=5).list_audiences()

    assert waits == [5.0]


def test_create_looks_before_it_gives_up_on_a_long_retry_after(emulator: AudiencesEmulator, pai: PaiClient) -> None:
    spec = GroupSpec(source=PaiSource.ALGORITHM, name="n", algorithm="a", inference_job_id="j")
    emulator.fault("pai.create", "status", status=503, retry_after=9999, applied=True)
    created = pai.create_group(spec, marker=MARKER)

    assert [group["Id"] for group in emulator.groups()] == [created.group.id]


@pytest.mark.parametrize(
    "header",
    [
        "soon",
        "-1",
        "1.5",
        "Wed, 21 Oct 2015 07:28:00 +99999999999999999999",
        "Wed, 21 Oct 2015 07:28:00 +9999",
        "Wed, 99 Foo 99999 99:99:99 GMT",
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "",
    ],
)
def test_useless_retry_after_is_passed_over(
    emulator: AudiencesEmulator, applovin: AppLovinClient, waits: list[float], header: str
) -> None:
    emulator.fault("applovin.list", "status", status=503, retry_after=header)
    applovin.list_audiences()

    assert waits == [1.0]


def test_retry_after_date_without_zone_is_utc(
    emulator: AudiencesEmulator, applovin: AppLovinClient, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        moment = email.utils.formatdate(time.time() + 60, usegmt=True).replace("GMT", "-0000")
        emulator.fault("applovin.list", "status", status=503, retry_after=moment)
        applovin.list_audiences()
    finally:
        monkeypatch.undo()
        time.tzset()

    assert 50 <= waits[0] <= 60


def test_retry_after_of_absurd_length(emulator: AudiencesEmulator, applovin: AppLovinClient) -> None:
    emulator.fault("applovin.list", "status", status=503, retry_after="9" * 400)
    with pytest.raises(ServerError) as caught:
        applovin.list_audiences()

    assert caught.value.attempts == 1


class TestGivingUp:
    """What a caller can say who knows better than to repeat."""

    @pytest.mark.parametrize("status", [408, 429, 500])
    def test_before_a_repetition(
        self, emulator: AudiencesEmulator, applovin: AppLovinClient, waits: list[float], as_body: AsBody, status: int
    ) -> None:
        # A 429 that does not say when to come back is not repeated for long.
        when = {"retry_after": 1} if status == 429 else {}
        emulator.fault("applovin.append", "status", status=status, times=None, **when)
        asked: list[TransientError | None] = []
        with pytest.raises((ServerError, RateLimitedError)) as caught:
            applovin.append_users(audience_id="a", advertising_ids=as_body([]), give_up=_remembers(asked, after=2))

        assert asked[0] is not caught.value
        assert asked[-1] is caught.value
        assert caught.value.attempts == len(emulator.requests()) == 2
        assert waits == [1.0]

    def test_in_the_middle_of_a_wait(
        self, emulator: AudiencesEmulator, make_applovin: MakeApplovin, as_body: AsBody
    ) -> None:
        emulator.fault("applovin.update", "status", status=429, retry_after=100)
        slept: list[float] = []
        client = make_applovin(sleep=slept.append)
        with pytest.raises(RateLimitedError) as caught:
            client.update_audience(audience_id="a", advertising_ids=as_body([]), give_up=lambda _error: len(slept) >= 3)

        assert slept == [1.0, 1.0, 1.0]
        assert caught.value.attempts == len(emulator.requests()) == 1

    def test_waits_are_as_long_as_ever(
        self,
        emulator: AudiencesEmulator,
        applovin: AppLovinClient,
        waits: list[float],
        as_body: AsBody,
        make_ids: MakeIds,
    ) -> None:
        audience_id = applovin.create_audience(name="n", platform="ios", package_name="p").audience_id
        emulator.fault("applovin.append", "status", status=500)
        emulator.fault("applovin.append", "status", status=503, number=2, retry_after=2.5)
        emulator.fault("applovin.append", "status", status=503, number=3, retry_after=7)
        applovin.append_users(
            audience_id=audience_id, advertising_ids=as_body(make_ids(2)), give_up=lambda _error: False
        )

        assert sum(waits) == 1 + 2 + 7
        assert max(waits) == 1.0
        assert emulator.member_count(audience_id) == 2

    def test_what_succeeds_is_not_asked_about(
        self, applovin: AppLovinClient, as_body: AsBody, make_ids: MakeIds
    ) -> None:
        audience_id = applovin.create_audience(name="n", platform="ios", package_name="p").audience_id
        asked: list[TransientError | None] = []
        applovin.append_users(
            audience_id=audience_id, advertising_ids=as_body(make_ids(2)), give_up=_remembers(asked, after=1)
        )
        assert asked == []


def _remembers(asked: list[TransientError | None], *, after: int) -> Callable[[TransientError | None], bool]:
    """Give up from the so manieth attempt on."""

    def give_up(error: Any) -> bool:
        if error is None:  # it waits because of what has failed elsewhere
            return False
        asked.append(error)
        return bool(error.attempts >= after)

    return give_up
