"""
Orphans: another process has taken over from a sync that is in the middle of a request, and nobody can end that.

It sends the body for as long as the client lets it, and the platform then takes all of its time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.fixtures import MakeIds
from support.memory_destination import WITH_TTL, Post
from support.synced import SyncedAudience

SENDING, LATE = 150, 100
PARTS: dict[str, Any] = {"batch": 3}


class Gone(BaseException):
    """Whoever waits for the request is not there any more."""


class Orphan:
    """
    The request that a sync is in the middle of when others take over; it takes effect at the last moment.

    :param synced: the audience.
    :param begin: begins the sync.
    """

    def __init__(self, synced: SyncedAudience, begin: Callable[[], Any]) -> None:
        self._synced = synced
        self._held: list[Post] = []
        synced.clear()
        synced.wire.before = self._hold
        with pytest.raises(Gone):
            begin()
        self._moment = synced.now() + SENDING + LATE - 1
        synced.wire.before = lambda _post: self._take_effect()

    def _hold(self, post: Post) -> None:
        self._held.append(post)
        raise Gone

    def sleep(self, seconds: float) -> None:
        """Wait, as a sync does."""
        self._synced.sleeps.append(seconds)
        self._synced.advance(seconds)
        self._take_effect()

    def end(self) -> None:
        """Let the time go by in which it may take effect."""
        self._synced.advance(SENDING + LATE)
        self._take_effect()
        assert not self._held

    def _take_effect(self) -> None:
        if self._synced.now() < self._moment:
            return
        for post in self._held:
            self._synced.destination.platform.carry_out(post.operation, post.ids, post.ttl_seconds)
        self._held.clear()


@pytest.fixture
def orphan_of(synced: SyncedAudience, make_ids: MakeIds, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Orphan]:
    """Makes an orphan of a sync: ``orphan_of(lambda: synced.run(ids))``; the audience has four members before."""
    limits = replace(WITH_TTL, max_request_seconds=SENDING, late_effect_seconds=LATE)
    monkeypatch.setattr(synced.destination.platform, "limits", limits)
    synced.run(make_ids(4))

    def make(begin: Callable[[], Any]) -> Orphan:
        orphan = Orphan(synced, begin)
        monkeypatch.setattr(synced, "sleep", orphan.sleep)
        return orphan

    return make


def test_whoever_opts_out_meanwhile_stays_out(
    synced: SyncedAudience, make_ids: MakeIds, orphan_of: Callable[..., Orphan]
) -> None:
    orphan = orphan_of(lambda: synced.run(make_ids(6)))
    report = synced.run(make_ids(6), suppress=make_ids(6)[4:])
    assert (report.contradicted, report.removed) == (2, 2)
    orphan.end()
    assert synced.members == make_ids(4)


def test_whoever_is_wanted_again_stays_in(
    synced: SyncedAudience, make_ids: MakeIds, orphan_of: Callable[..., Orphan]
) -> None:
    orphan = orphan_of(lambda: synced.run(make_ids(2)))
    synced.run(make_ids(4))
    orphan.end()
    assert synced.members == make_ids(4)


def test_nobody_is_waited_for_who_is_not_contradicted(
    synced: SyncedAudience, make_ids: MakeIds, orphan_of: Callable[..., Orphan]
) -> None:
    orphan = orphan_of(lambda: synced.run(make_ids(6)))
    synced.run(make_ids(7))
    assert synced.sleeps == []
    orphan.end()
    assert synced.members == make_ids(7)


@pytest.mark.parametrize("lost", ["rebuild", "replace"])
def test_of_a_lost_ledger(
    synced: SyncedAudience, make_ids: MakeIds, orphan_of: Callable[..., Orphan], lost: str
) -> None:
    orphan = orphan_of(lambda: synced.run(make_ids(6)))
    for path in synced.path.glob("ledger-*"):
        path.unlink()
    synced.run(make_ids(6), suppress=make_ids(6)[4:], lost=lost)
    orphan.end()
    assert synced.members == make_ids(4)


@pytest.fixture
def orphan_of_plan(synced: SyncedAudience, orphan_of: Callable[..., Orphan]) -> Callable[..., tuple[Orphan, str]]:
    """Makes an orphan that carries out a stored plan; returns the plan's id too."""

    def make(source: list[str], **settings: Any) -> tuple[Orphan, str]:
        plans: list[str] = []

        def apply() -> None:
            plans.append(synced.run(source, plan_only=True, **settings).plan_id)
            synced.apply(plans[0], **PARTS)

        return orphan_of(apply), plans[0]

    return make


def test_a_replacement_takes_nobody_away_who_came_after_it(
    synced: SyncedAudience, make_ids: MakeIds, orphan_of_plan: Callable[..., tuple[Orphan, str]]
) -> None:
    orphan, plan_id = orphan_of_plan(make_ids(9), mode="replace")
    synced.apply(plan_id, **PARTS)
    orphan.end()
    assert synced.members == make_ids(9)


def test_a_plan_that_is_taken_up_again_leaves_the_doubt(
    synced: SyncedAudience, make_ids: MakeIds, orphan_of_plan: Callable[..., tuple[Orphan, str]]
) -> None:
    orphan, plan_id = orphan_of_plan(make_ids(6))
    synced.apply(plan_id)
    assert synced.run(make_ids(4)).removed == 2
    orphan.end()
    assert synced.members == make_ids(4)
