"""A kind with wider keys needs no change in the sync: its members are sent, remembered, refreshed and removed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from support.hashed_emails import HashedEmails, digests_of
from support.memory_destination import Post
from support.synced import SyncedAudience

from airflow_provider_audiences.exceptions import ConnectionFailedError

PEOPLE = [f"person{number}@example.com" for number in range(8)]


@pytest.fixture
def emails(make_in_memory: Callable[..., SyncedAudience]) -> SyncedAudience:
    """An audience without members whose members are hashed e-mails."""
    audience = make_in_memory()
    audience.destination.identifier_kind = audience.identifier_kind = HashedEmails()
    return audience


def test_days_of_an_audience(emails: SyncedAudience) -> None:
    first = emails.run([*PEOPLE[:5], f"  {PEOPLE[0].upper()} ", "nobody", digests_of(PEOPLE)[1]])
    assert (first.added, first.malformed, first.duplicates, first.live) == (5, 1, 2, 5)
    assert emails.members == sorted(digests_of(PEOPLE[:5]))
    emails.clear()
    assert emails.run(PEOPLE[:5]).planned_requests == 0
    second = emails.run(PEOPLE[3:], suppress=PEOPLE[7:])
    assert (second.added, second.removed, second.unchanged, second.suppressed) == (2, 4, 2, 1)  # the opt-out too
    assert emails.members == sorted(digests_of(PEOPLE[3:7]))
    assert sorted(emails.ids_sent("append")) == sorted(digests_of(PEOPLE[5:7]))
    emails.advance(emails.ttl_seconds or 0)
    assert emails.run(PEOPLE[3:7]).added == 4


def test_a_stored_plan(emails: SyncedAudience) -> None:
    emails.run(PEOPLE[:2])
    plan = emails.run(PEOPLE[1:4], plan_only=True)
    assert emails.apply(plan.plan_id).live == 3
    assert emails.members == sorted(digests_of(PEOPLE[1:4]))


@pytest.mark.parametrize("lost", range(4))
def test_a_run_that_was_cut_off_is_finished_by_the_next(emails: SyncedAudience, lost: int) -> None:
    emails.run(PEOPLE[:4])
    emails.clear()

    def lose(post: Post) -> None:
        if len(emails.wire.posts) > lost:
            raise ConnectionFailedError("gone", maybe_applied=True)

    emails.wire.after = lose
    with contextlib.suppress(ConnectionFailedError):
        emails.run(PEOPLE[2:])
    emails.clear()
    emails.run(PEOPLE[2:])
    assert emails.members == sorted(digests_of(PEOPLE[2:]))
