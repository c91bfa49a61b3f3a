"""The seam: what a sync makes of a destination whose members stay until they are removed, and that counts nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fixtures import MakeIds
from support.memory_destination import WITHOUT_TTL, MemoryPlatform, Post
from support.synced import SyncedAudience

from airflow_provider_audiences.exceptions import GuardError, InvalidInputError

YEAR_SECONDS = 365 * 86_400
people = st.sets(st.integers(0, 7))


class Cut(BaseException):
    """The process is gone."""


@pytest.fixture
def make(make_in_memory: Callable[..., SyncedAudience]) -> Callable[[], SyncedAudience]:
    """Makes an audience without TTL."""

    def make() -> SyncedAudience:
        made = make_in_memory(MemoryPlatform(limits=WITHOUT_TTL, counts_members=False))
        made.ttl_seconds = None
        return made

    return make


def test_nobody_is_sent_again_however_long_it_lasts(make: Any, make_ids: MakeIds) -> None:
    synced = make()
    report = synced.run(make_ids(5), initial="append")
    assert (report.added, report.live, report.drift) == (5, 5, None)
    for years in (1, 20, 40):
        synced.advance(years * YEAR_SECONDS)
        report = synced.run(make_ids(5))
        assert (report.batches, report.unchanged, report.live) == (0, 5, 5)
    report = synced.run(make_ids(4, start=3))
    assert (report.added, report.removed, report.refreshed) == (1, 2, 0)
    assert synced.members == make_ids(4, start=3)


def test_members_of_unknown_origin_stay(make: Any, make_ids: MakeIds) -> None:
    synced = make()
    synced.post_by_others("append", make_ids(3, start=40))
    with pytest.raises(GuardError, match="holds an unknown number of members"):
        synced.run(make_ids(2))
    synced.run(make_ids(2), initial="append")
    synced.run(make_ids(1))
    assert synced.members == make_ids(1) + make_ids(3, start=40)
    assert synced.run(make_ids(1), suppress=make_ids(1, start=40)).suppress_unknown == 1
    assert synced.members == make_ids(1) + make_ids(2, start=41)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"mode": "replace"}, "mode must be 'mirror' or 'append'"),
        ({"initial": "replace"}, "initial must be 'fail' or 'append'"),
        ({"lost": "replace"}, "on_lost_ledger must be 'fail' or 'rebuild'"),
        ({"ttl": 1000}, "have no TTL"),
    ],
)
def test_what_it_can_not_do_is_refused(make: Any, make_ids: MakeIds, argument: dict[str, Any], message: str) -> None:
    synced = make()
    with pytest.raises(InvalidInputError, match=message):
        synced.run(make_ids(2), **argument)
    assert synced.destination.requests_sent == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(people, people, st.none() | st.tuples(st.booleans(), st.integers(1, 12)), st.sampled_from((0, 3e8))),
        min_size=1,
        max_size=6,
    )
)
def test_any_history_ends_equal(make: Any, make_ids: MakeIds, steps: list[Any]) -> None:
    """Cut off before or after any request or commit, with all of time between two runs."""
    ids = make_ids(8)
    synced = make()
    for source, suppress, cut, seconds in [*steps, (*steps[-1][:2], None, 0)]:
        synced.clear()
        calls = 0

        def act(*_: Any, at: Any = cut) -> None:
            nonlocal calls
            calls += 1
            if at and calls >= at[1]:
                raise Cut

        if cut and cut[0]:
            synced.wire.before, synced.wire.after = act, act
        elif cut:
            synced.folder.after = lambda method, _name: act() if method == "create" else None
        try:
            report = synced.run(
                [ids[number] for number in source],
                suppress=[ids[number] for number in suppress],
                initial="append",
            )
        except Cut:
            synced.clear()
            synced.advance(400)  # the lease ends
        else:
            wanted = sorted(ids[number] for number in source - suppress)
            assert synced.members == wanted
            assert report.live == len(wanted)
            posts: list[Post] = synced.wire.posts
            assert not [post for post in posts if post.operation == "update"]
        synced.advance(seconds)
