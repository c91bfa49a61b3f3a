"""The drift: how often the platform is asked, what is warned of, and which errors count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.fixtures import MakeIds
from support.memory_destination import MemoryDestination, MemoryPlatform

from airflow_provider_audiences.exceptions import NotFoundError
from airflow_provider_audiences.sync.drift import measured_drift
from airflow_provider_audiences.sync.settings import DeliverySettings


class Audience:
    """An audience of five members, whose drift is measured; ``sleeps`` are the pauses between two polls."""

    def __init__(self, ids: list[str]) -> None:
        self.platform = MemoryPlatform()
        self.platform.carry_out("append", ids, None)
        self.sleeps: list[float] = []
        self.while_asleep: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.while_asleep()

    def drift(self, live: int, *, max_drift: float | None = 0.2, patience: int = 25, **known: Any) -> int | None:
        known = {"accepts_unknown_members": False, "has_sent": True} | known
        destination: Any = MemoryDestination(self.platform)
        return measured_drift(
            destination,
            live=live,
            delivery_settings=DeliverySettings(
                batch_size=1, max_parallel_requests=1, max_drift=max_drift, drift_patience_seconds=patience
            ),
            sleep=self.sleep,
            **known,
        )


@pytest.fixture
def audience(make_ids: MakeIds) -> Audience:
    return Audience(make_ids(5))


@pytest.mark.parametrize(("live", "drift"), [(5, 0), (6, -1)])
def test_a_small_drift_is_no_news(audience: Audience, caplog: pytest.LogCaptureFixture, live: int, drift: int) -> None:
    assert audience.drift(live) == drift
    assert (audience.sleeps, caplog.messages) == ([], [])


@pytest.mark.parametrize(("live", "drift"), [(7, -2), (4, 1), (0, 5)])
def test_a_large_drift_is_asked_for_again_until_patience_ends(
    audience: Audience, caplog: pytest.LogCaptureFixture, live: int, drift: int
) -> None:
    assert audience.drift(live) == drift
    assert audience.sleeps == [10, 10, 5]
    [warning] = caplog.messages
    assert f"counts 5 members in audience a, and {live} {'is' if live == 1 else 'are'} expected" in warning


def test_a_count_that_comes_late_is_no_news(
    audience: Audience, caplog: pytest.LogCaptureFixture, make_ids: MakeIds
) -> None:
    audience.while_asleep = lambda: audience.platform.carry_out("append", make_ids(2, start=9), None)
    assert audience.drift(7) == 0
    assert (audience.sleeps, caplog.messages) == ([10], [])


def test_without_patience_or_limit_the_platform_is_asked_once(
    audience: Audience, caplog: pytest.LogCaptureFixture
) -> None:
    assert audience.drift(50, patience=0) == -45
    assert len(caplog.messages) == 1
    assert audience.drift(50, max_drift=None) == -45
    assert (audience.sleeps, len(caplog.messages)) == ([], 1)


def test_others_that_were_accepted_are_no_news_but_too_few_are(
    audience: Audience, caplog: pytest.LogCaptureFixture
) -> None:
    assert audience.drift(1, accepts_unknown_members=True) == 4
    assert (audience.sleeps, caplog.messages) == ([], [])
    assert audience.drift(50, accepts_unknown_members=True) == -45
    assert len(caplog.messages) == 1


def test_a_platform_that_does_not_count_has_no_drift(audience: Audience, caplog: pytest.LogCaptureFixture) -> None:
    audience.platform.counts_members = False
    assert audience.drift(50) is None
    assert (audience.sleeps, caplog.messages) == ([], [])


def test_an_audience_that_is_gone_is_an_error_unless_members_were_sent_just_now(
    audience: Audience, caplog: pytest.LogCaptureFixture
) -> None:
    audience.platform.is_missing = True
    with pytest.raises(NotFoundError):
        audience.drift(5, has_sent=False)
    assert caplog.messages == []
    assert audience.drift(5, has_sent=True) is None
    assert "was not learnt" in caplog.messages[0]


def test_a_failed_request_is_only_warned_of(audience: Audience, caplog: pytest.LogCaptureFixture) -> None:
    audience.platform.is_down = True
    assert audience.drift(50) is None
    [warning] = caplog.messages
    assert "down" in warning
