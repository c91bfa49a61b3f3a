"""What a sync sends, what it does not, and what it says about it: through the emulator, over HTTP."""

import contextlib
import itertools
import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fixtures import MakeIds
from support.synced import TTL_SECONDS, AudienceOverHttp, SyncedAudience

from airflow_provider_audiences.exceptions import (
    AudienceBusyError,
    AudienceError,
    BadRequestError,
    GuardError,
    InvalidInputError,
    LedgerLostError,
    NotFoundError,
    PlanOutdatedError,
    ServerError,
    StateUnavailableError,
)
from airflow_provider_audiences.platforms.applovin.audience_destination import AudienceDestination
from airflow_provider_audiences.platforms.applovin.defaults import AUDIENCE_LIMITS

MODES = ("mirror", "append", "replace")
HOUR = 3600


def state_of(synced: SyncedAudience) -> dict[str, bytes]:
    """What is stored: all files without leases, and what the last manifest says."""
    names = [path.name for path in synced.path.glob("*") if not path.name.startswith(("lease-", "head"))]
    files = {name: (synced.path / name).read_bytes() for name in sorted(names)}
    for last in sorted(synced.path.glob("head-*"))[-1:]:
        content = last.read_bytes()
        with contextlib.suppress(ValueError):  # a damaged one
            content = json.dumps(json.loads(content)["head"]).encode()
        files["head"] = content
    return {name: content for name, content in files.items() if content != b"null"}


def manifest_of(synced: SyncedAudience) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(max(synced.path.glob("head-*")).read_bytes())["head"]
    return manifest


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if ".sync." in record.name and record.levelno > 20]


class Stopped(BaseException):
    """The process ends here."""


def stop_at(
    synced: SyncedAudience, method: str, name: str, *, number: int = 1, when: str = "before", by: Any = Stopped
) -> None:
    """End the next run at a call to its folder."""
    calls = iter(range(1, 1_000))
    is_dead = False

    def hook(called: str, called_name: str) -> None:
        nonlocal is_dead
        if is_dead or ((called, name in called_name) == (method, True) and next(calls) == number):
            is_dead = by is Stopped
            raise by

    setattr(synced.folder, when, hook)
    if when == "after":
        synced.folder.before = lambda *_: hook("", "") if is_dead else None


class TestFirst:
    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("initial", ["fail", "append", "replace"])
    def test_an_empty_audience(self, over_http: AudienceOverHttp, make_ids: MakeIds, mode: str, initial: str) -> None:
        ids = make_ids(5)
        report = over_http.run(ids, mode=mode, initial=initial)

        assert over_http.members == ids
        first = "update" if mode == "replace" else "append"
        assert over_http.sent == [(first, 2), ("append", 2), ("append", 1)]
        assert (report.added, report.refreshed, report.removed, report.unchanged) == (5, 0, 0, 0)
        assert (report.live, report.drift, report.generation) == (5, 0, 1)
        assert (report.batches, report.planned_requests, report.accepted, report.bytes_sent) == (3, 3, 5, 5 * 37)
        assert report.requests == len(over_http.emulator.requests())
        assert over_http.sleeps == []

    @pytest.mark.parametrize(
        ("mode", "initial", "expected"),
        [
            ("mirror", "append", {1, 2, 3, 4, 5}),
            ("mirror", "replace", {3, 4, 5}),
            ("append", "fail", {1, 2, 3, 4, 5}),
            ("append", "append", {1, 2, 3, 4, 5}),
            ("append", "replace", {1, 2, 3, 4, 5}),
            ("replace", "fail", {3, 4, 5}),
            ("replace", "append", {3, 4, 5}),
            ("replace", "replace", {3, 4, 5}),
        ],
    )
    def test_an_audience_with_members(
        self, synced: SyncedAudience, make_ids: MakeIds, mode: str, initial: str, expected: set[int]
    ) -> None:
        synced.post_by_others("append", make_ids(3))
        report = synced.run(make_ids(3, start=3), mode=mode, initial=initial)

        assert synced.members == make_ids(5)[min(expected) - 1 :]
        assert report.replaces == (len(expected) == 3)
        # What this sync did not add stays from now on.
        synced.run(make_ids(1, start=5))
        assert synced.members == (make_ids(2) if len(expected) == 5 else []) + make_ids(1, start=5)

    @pytest.mark.parametrize("plan_only", [True, False])
    def test_unknown_members_stop_it(self, synced: SyncedAudience, make_ids: MakeIds, plan_only: bool) -> None:
        synced.post_by_others("append", make_ids(3))
        with pytest.raises(GuardError, match=r"holds 3 members.*no ledger.*initial='replace'"):
            synced.run(make_ids(5), plan_only=plan_only)
        assert (synced.wire.posts, state_of(synced), synced.members) == ([], {}, make_ids(3))

    def test_no_such_audience(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.destination.platform.is_missing = True
        with pytest.raises(NotFoundError, match="Nothing was sent"):
            synced.run(make_ids(2))
        assert synced.wire.posts == []

    def test_only_malformed_texts(self, synced: SyncedAudience) -> None:
        with pytest.raises(InvalidInputError, match="right column"):
            synced.run(["email", "a@b"])
        assert synced.wire.posts == []

    def test_nobody(self, synced: SyncedAudience) -> None:
        assert synced.run([]).planned_requests == 0
        assert (synced.wire.posts, state_of(synced)) == ([], {})


class TestMirror:
    @pytest.mark.parametrize("parallel", [1, 3])
    def test_additions_before_removals(self, synced: SyncedAudience, make_ids: MakeIds, parallel: int) -> None:
        synced.run(make_ids(9))
        synced.clear()
        report = synced.run(make_ids(9, start=6), opened={"parallel": parallel})

        assert synced.members == make_ids(9, start=6)
        assert (report.added, report.removed, report.unchanged, report.live) == (5, 5, 4, 9)
        assert [operation for operation, _ in synced.sent] == ["append"] * 3 + ["remove"] * 3
        assert sorted(synced.ids_sent("append")) == make_ids(5, start=10)
        assert sorted(synced.ids_sent("remove")) == make_ids(5)

    @pytest.mark.parametrize("mode", ["mirror", "append"])
    def test_an_unchanged_source_makes_no_request(self, synced: SyncedAudience, make_ids: MakeIds, mode: str) -> None:
        synced.run(make_ids(5), mode=mode)
        state = state_of(synced)
        synced.clear()
        synced.advance(TTL_SECONDS * 0.8)
        report = synced.run(reversed(make_ids(5)), mode=mode)

        assert synced.wire.posts == []
        assert (report.unchanged, report.live, report.drift, report.requests) == (5, 5, 0, 1)
        assert state_of(synced) == state

    def test_members_are_sent_again_before_they_expire(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        ids = make_ids(5)
        synced.run(ids[:3])
        synced.advance(HOUR)
        synced.run(ids)
        synced.clear()
        # The first three are due a tenth of the TTL before they expire, the others an hour later.
        synced.advance(TTL_SECONDS * 0.9 - HOUR + 60)
        report = synced.run(ids)
        assert (report.added, report.refreshed, report.unchanged) == (0, 3, 2)
        assert sorted(synced.ids_sent("append")) == ids[:3]
        synced.advance(TTL_SECONDS / 10)
        assert synced.run(ids).refreshed == 2
        synced.advance(TTL_SECONDS * 0.8)
        assert synced.members == ids

    def test_members_that_have_expired_are_new_again(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(5))
        synced.advance(TTL_SECONDS + HOUR)
        report = synced.run(make_ids(3))
        # The two that are gone need no request any more.
        assert (report.added, report.refreshed, report.removed) == (3, 0, 0)
        assert synced.members == make_ids(3)

    def test_what_others_added_stays(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(4))
        synced.post_by_others("append", make_ids(2, start=50))
        report = synced.run(make_ids(2))
        assert synced.members == make_ids(2) + make_ids(2, start=50)
        assert (report.live, report.drift) == (2, 2)

    def test_suppressed_members(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        ids = make_ids(6)
        synced.run(ids[:4])
        synced.clear()
        report = synced.run(ids, suppress=[*ids[3:5], *make_ids(1, start=90)])
        assert synced.members == [*ids[:3], ids[5]]
        assert (report.suppressed, report.removed, report.added, report.unchanged) == (2, 3, 1, 3)
        # Nobody is suppressed any more.
        assert synced.run(ids).added == 2
        assert synced.members == ids

    def test_all_may_go_if_that_is_allowed(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(3))
        synced.run([])
        assert synced.members == []
        assert manifest_of(synced)["ledger"]["file"] == ""
        synced.run(make_ids(2))
        assert synced.members == make_ids(2)


class TestOtherModes:
    def test_append_removes_nobody_but_opt_outs(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        ids = make_ids(8)
        synced.run(ids[:4], mode="append")
        synced.clear()
        report = synced.run(ids[4:], suppress=[ids[0], ids[7]], mode="append")
        assert synced.members == ids[1:7]
        assert (report.added, report.removed, report.suppressed, report.live) == (3, 2, 1, 6)
        # Who knows whether the second of them was added directly, before the platform counted it?
        assert sorted(synced.ids_sent("remove")) == [ids[0], ids[7]]
        # A mirror knows them all.
        synced.run(ids[5:])
        assert synced.members == ids[5:]

    def test_replace_sends_all_each_time(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(5))
        synced.post_by_others("append", make_ids(2, start=50))
        for _ in range(2):
            synced.clear()
            report = synced.run(make_ids(5, start=3), suppress=make_ids(1, start=3), mode="replace")
            assert synced.sent == [("update", 2), ("append", 2)]
            assert synced.members == make_ids(4, start=4)
            assert (report.replaces, report.suppressed, report.live, report.drift) == (True, 1, 4, 0)

    def test_replace_by_nobody(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(3))
        synced.clear()
        synced.run([], mode="replace")
        assert (synced.sent, synced.members) == ([("update", 0)], [])

    def test_a_replacement_that_was_carried_out_but_for_its_end_is_not_the_next_one(
        self, synced: SyncedAudience, make_ids: MakeIds
    ) -> None:
        synced.run(make_ids(4))
        stop_at(synced, "store", "ledger-")
        with pytest.raises(Stopped):
            synced.run(make_ids(4), mode="replace")
        synced.clear()
        synced.run(make_ids(4), mode="replace")
        assert synced.wire.posts == []
        # Its end was only written down now: this is another day.
        synced.post_by_others("append", make_ids(2, start=50))
        synced.run(make_ids(4), mode="replace")
        assert synced.sent == [("update", 2), ("append", 2)]
        assert synced.members == make_ids(4)


class TestGuards:
    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize(
        ("guard", "limits", "source", "message"),
        [
            ("allow_empty", {"allow_empty": False}, (0, 0), "no member of the source is wanted"),
            ("max_removed_ratio", {"max_removed_ratio": 0.3}, (4, 7), r"remove 4 of 10 members \(40.0%\)"),
            ("max_added_ratio", {"max_added_ratio": 0.1}, (1, 12), r"add 2 to 10 members \(20.0%\)"),
            ("min_members", {"min_members": 10}, (1, 9), "at least 10 are expected"),
        ],
    )
    def test_it_stops_before_the_first_request(
        self, synced: SyncedAudience, make_ids: MakeIds, mode: str, guard: str, limits: Any, source: Any, message: str
    ) -> None:
        synced.run(make_ids(10))
        state = state_of(synced)
        synced.clear()
        first, count = source
        wanted = make_ids(count, start=first) if guard != "max_removed_ratio" else make_ids(6, start=5)
        suppress = make_ids(4) if guard == "max_removed_ratio" else ()
        with pytest.raises(GuardError, match=rf"stopped by {guard}: .*{message}.*nothing was sent"):
            synced.run(wanted, suppress=suppress, mode=mode, **limits)
        assert (synced.wire.posts, synced.members, state_of(synced)) == ([], make_ids(10), state)
        # Its override.
        override: dict[str, dict[str, Any]] = {"allow_empty": {"allow_empty": True}, "min_members": {"min_members": 0}}
        synced.run(wanted, suppress=suppress, mode=mode, **override.get(guard, {guard: None}))
        assert set(wanted) <= set(synced.members)

    def test_a_limit_is_allowed(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(10), max_added_ratio=0.0)  # nobody is there yet
        synced.run(make_ids(9, start=4), max_removed_ratio=0.3, max_added_ratio=0.2, min_members=9)
        assert synced.members == make_ids(9, start=4)


Damage = Callable[[Path], None]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:20] + bytes(byte ^ 1 for byte in content[20:60]) + content[60:])


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES: dict[str, Damage] = {"truncated": truncate, "flipped": flip, "emptied": empty, "deleted": Path.unlink}


def replaced_by_an_older_one(synced: SyncedAudience, make_ids: MakeIds) -> str:
    """Leave a ledger in the state that is not its newest."""
    (old,) = synced.path.glob("ledger-*")
    content = old.read_bytes()
    synced.run(make_ids(7))
    (new,) = synced.path.glob("ledger-*")
    new.write_bytes(content)
    return str(new.name)


class TestLostLedger:
    @pytest.mark.parametrize("damage", DAMAGES)
    @pytest.mark.parametrize("file", ["ledger-*", "head-*"])
    @pytest.mark.parametrize("mode", ["mirror", "append"])
    def test_it_fails(self, synced: SyncedAudience, make_ids: MakeIds, damage: str, file: str, mode: str) -> None:
        synced.run(make_ids(6))
        path = max(synced.path.glob(file))
        DAMAGES[damage](path)
        state = state_of(synced)
        synced.clear()
        for initial in ("fail", "append", "replace"):
            with pytest.raises(LedgerLostError, match=r"(?s)(damaged|missing|not what was written).*on_lost_ledger"):
                synced.run(make_ids(6, start=2), mode=mode, initial=initial)
        assert (synced.wire.posts, state_of(synced), synced.members) == ([], state, make_ids(6))

    @pytest.mark.parametrize("damage", DAMAGES)
    @pytest.mark.parametrize("file", ["ledger-*", "head-*"])
    @pytest.mark.parametrize(("lost", "kept"), [("replace", 0), ("rebuild", 1)])
    def test_it_goes_on_as_told(
        self, synced: SyncedAudience, make_ids: MakeIds, damage: str, file: str, lost: str, kept: int
    ) -> None:
        synced.run(make_ids(6))
        path = max(synced.path.glob(file))
        DAMAGES[damage](path)
        synced.clear()
        source = make_ids(6, start=2)
        report = synced.run(source, lost=lost)

        # Whom the ledger would have removed stays if it is rebuilt.
        assert synced.members == make_ids(kept) + source
        assert [operation for operation, _ in synced.sent] == ["update" if not kept else "append", "append", "append"]
        assert (report.added, report.replaces) == (6, not kept)
        synced.clear()
        synced.run(source)
        assert synced.wire.posts == []

    @pytest.mark.parametrize("lost", ["replace", "rebuild"])
    @pytest.mark.parametrize("how", ["finished", "interrupted", "folded", "without a manifest"])
    def test_late_requests_of_before_are_waited_for(
        self, synced: SyncedAudience, make_ids: MakeIds, how: str, lost: str
    ) -> None:
        """A removal whose reply was lost must not take out whom the rebuilt ledger holds to be there."""
        synced.run(make_ids(4))
        if how in {"interrupted", "folded"}:
            stop_at(synced, "create", "head-", number=4)
            with pytest.raises(Stopped):
                synced.run(make_ids(4, start=3))
            synced.clear()
        if how == "folded":
            synced.run(make_ids(4), plan_only=True)
        flip(max(synced.path.glob("head-*" if how == "without a manifest" else "ledger-*")))
        synced.clear()
        synced.run(make_ids(4, start=3), lost=lost)
        waits = 0 if how == "finished" else 100
        assert abs(sum(synced.sleeps) - waits) <= 1
        assert set(make_ids(4, start=3)) <= set(synced.members)

    def test_an_older_ledger(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(4))
        name = replaced_by_an_older_one(synced, make_ids)
        synced.clear()
        with pytest.raises(LedgerLostError, match=f"{name} is not what was written"):
            synced.run(make_ids(7))
        assert synced.wire.posts == []

    def test_another_audiences_state(self, synced: SyncedAudience, make_synced: Any, make_ids: MakeIds) -> None:
        other = make_synced()
        other.run(make_ids(3, start=40))
        synced.run(make_ids(4))
        for path in synced.path.iterdir():
            path.unlink()
        for path in other.path.iterdir():
            (synced.path / path.name).write_bytes(path.read_bytes())
        synced.clear()
        with pytest.raises(LedgerLostError, match=f"is about audience {other.audience_id}"):
            synced.run(make_ids(4))
        assert synced.wire.posts == []
        synced.run(make_ids(4, start=2), lost="replace")
        assert synced.members == make_ids(4, start=2)
        assert other.members == make_ids(3, start=40)

    @pytest.mark.parametrize("damage", DAMAGES)
    @pytest.mark.parametrize("file", ["plan-*[0-9a-f].json", "plan-*-additions.parquet", "plan-*-removals.parquet"])
    def test_a_plan_that_was_begun(self, synced: SyncedAudience, make_ids: MakeIds, damage: str, file: str) -> None:
        synced.run(make_ids(4))
        stop_at(synced, "create", "head-", number=4)
        with pytest.raises(Stopped):
            synced.run(make_ids(4, start=3))
        path = max(synced.path.glob(file))
        DAMAGES[damage](path)
        synced.clear()
        with pytest.raises(LedgerLostError):
            synced.run(make_ids(4, start=3))
        assert synced.wire.posts == []
        synced.run(make_ids(4, start=3), lost="replace")
        assert synced.members == make_ids(4, start=3)
        assert {name.split("-")[0] for name in synced.folder.names()} == {"head", "head.json", "ledger"}

    def test_every_byte_of_a_stored_plan_counts(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(4))
        plan_id = synced.run(make_ids(4, start=3), plan_only=True).plan_id
        path = synced.path / f"plan-{plan_id}.json"
        content = path.read_bytes()
        unnoticed = []
        for position in range(0, len(content), 23):
            path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
            synced.clear()
            synced.wire.before = _no_post
            try:
                synced.apply(plan_id)
            except PlanOutdatedError:
                continue
            except _Posted:
                unnoticed.append(position)
                break
        assert unnoticed == []


class _Posted(BaseException):
    pass


def _no_post(_post: Any) -> None:
    raise _Posted


class TestPlans:
    def test_exactly_the_stored_plan(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(6))
        synced.clear()
        planned = synced.run(make_ids(6, start=4), plan_only=True)
        assert (planned.plan_only, planned.planned_requests, planned.planned_ids) == (True, 4, 6)
        assert (planned.added, planned.removed, planned.unchanged) == (3, 3, 3)
        assert (synced.wire.posts, synced.members) == ([], make_ids(6))

        report = synced.apply(planned.plan_id)
        assert synced.members == make_ids(6, start=4)
        assert sorted(synced.ids_sent("append")) == make_ids(3, start=7)
        assert sorted(synced.ids_sent("remove")) == make_ids(3)
        names = ("added", "refreshed", "removed", "unchanged", "planned_requests", "planned_bytes", "live")
        assert [getattr(report, name) for name in names] == [getattr(planned, name) for name in names]
        assert (report.plan_id, report.batches, report.plan_only) == (planned.plan_id, 4, False)

    def test_the_second_time_does_nothing(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        plan_id = synced.run(make_ids(5), plan_only=True).plan_id
        synced.apply(plan_id)
        synced.clear()
        report = synced.apply(plan_id)
        assert synced.wire.posts == []
        assert (report.batches, report.batches_skipped_by_resume, report.live) == (0, 3, 5)

    def test_a_plan_without_requests(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(5))
        plan_id = synced.run(make_ids(5), plan_only=True).plan_id
        synced.clear()
        for _ in range(2):
            assert synced.apply(plan_id).batches == 0
        assert synced.wire.posts == []

    @pytest.mark.parametrize("is_over", [True, False])
    def test_refused_after_another_sync(self, synced: SyncedAudience, make_ids: MakeIds, is_over: bool) -> None:
        synced.run(make_ids(5))
        plan_id = synced.run(make_ids(6), plan_only=True).plan_id
        if not is_over:
            stop_at(synced, "create", "head-", number=3)
        try:
            synced.run(make_ids(7))
        except Stopped:
            assert not is_over
        synced.clear()
        with pytest.raises(PlanOutdatedError, match="another sync has run"):
            synced.apply(plan_id)
        assert synced.wire.posts == []

    def test_a_sync_without_requests_does_not_outdate_it(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(5))
        plan_id = synced.run(make_ids(6), plan_only=True).plan_id
        synced.run(make_ids(5))
        synced.apply(plan_id)
        assert synced.members == make_ids(6)

    @pytest.mark.parametrize("plan_id", ["0" * 16, "", "../head", "a\nb"])
    def test_no_such_plan(self, synced: SyncedAudience, make_ids: MakeIds, plan_id: str) -> None:
        synced.run(make_ids(2))
        with pytest.raises(PlanOutdatedError):
            synced.apply(plan_id)

    def test_guards_speak_when_it_is_carried_out(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(5))
        planned = synced.run(make_ids(2), plan_only=True, max_removed_ratio=0.3)
        assert [verdict.guard for verdict in planned.verdicts if not verdict.passed] == ["max_removed_ratio"]
        synced.clear()
        with pytest.raises(GuardError, match="max_removed_ratio"):
            synced.apply(planned.plan_id)
        assert synced.wire.posts == []
        stop_at(synced, "create", "head-", number=3)
        with pytest.raises(Stopped):
            synced.apply(planned.plan_id, override_guards=True)
        # It was begun: its rest is not in question.
        synced.folder.clear()
        synced.apply(planned.plan_id)
        assert synced.members == make_ids(2)

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    def test_the_next_try_goes_on(self, synced: SyncedAudience, make_ids: MakeIds, mode: str, number: int) -> None:
        synced.run(make_ids(3))
        plan_id = synced.run(make_ids(6, start=2), plan_only=True, mode=mode).plan_id
        synced.clear()
        stop_at(synced, "create", "head-", number=number + 1, when="after")
        with pytest.raises(Stopped):
            synced.apply(plan_id)
        requests = {"mirror": 3, "append": 2, "replace": 3}[mode]
        assert len(synced.sent) == min(number - 1, requests)
        synced.folder.clear()
        report = synced.apply(plan_id)
        assert synced.members == make_ids(6 + (mode == "append"), start=2 - (mode == "append"))
        assert len(synced.sent) == requests
        assert sorted(synced.ids_sent("update", "append")) == make_ids(7)[1 if mode == "replace" else 3 :]
        assert report.batches_skipped_by_resume == min(number - 1, requests)

    @pytest.mark.parametrize("lost", ["replace", "rebuild"])
    @pytest.mark.parametrize("file", ["ledger-*", "head-*"])
    def test_a_plan_for_a_lost_ledger(self, synced: SyncedAudience, make_ids: MakeIds, lost: str, file: str) -> None:
        synced.run(make_ids(4))
        path = max(synced.path.glob(file))
        empty(path)
        plan_id = synced.run(make_ids(4, start=2), plan_only=True, lost=lost).plan_id
        synced.apply(plan_id)
        assert synced.members == (make_ids(4, start=2) if lost == "replace" else make_ids(5))
        assert synced.run(make_ids(4, start=2)).batches == 0

    def test_a_plan_for_a_lost_ledger_that_was_restored_is_refused(
        self, synced: SyncedAudience, make_ids: MakeIds
    ) -> None:
        synced.run(make_ids(4))
        manifest = max(synced.path.glob("head-*"))
        content = manifest.read_bytes()
        manifest.write_bytes(b"")
        plan_id = synced.run(make_ids(4, start=2), plan_only=True, lost="replace").plan_id
        manifest.write_bytes(content)
        synced.clear()
        with pytest.raises(PlanOutdatedError):
            synced.apply(plan_id)
        assert synced.wire.posts == []

    def test_a_plan_that_was_damaged(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(4))
        plan_id = synced.run(make_ids(4, start=2), plan_only=True).plan_id
        (path,) = synced.path.glob("plan-*-additions.parquet")
        flip(path)
        synced.clear()
        with pytest.raises(PlanOutdatedError, match="additions"):
            synced.apply(plan_id)
        assert synced.wire.posts == []
        # Nothing was begun: a sync makes a plan of its own.
        synced.run(make_ids(4, start=2))
        assert synced.members == make_ids(4, start=2)


class TestBusy:
    def test_the_second_sends_nothing(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(2))
        with synced.open_audience(key="other/run/task"):
            works: list[Callable[[], Any]] = [lambda: synced.run(make_ids(4)), lambda: synced.apply("0" * 16)]
            for work in works:
                synced.wire.clear()
                with pytest.raises(AudienceBusyError, match=r"other/run/task, try 1; nothing was sent"):
                    work()
                assert synced.wire.posts == []
        synced.run(make_ids(4))
        assert synced.members == make_ids(4)

    def test_a_later_try_takes_over_and_the_earlier_one_sends_nothing_more(
        self, synced: SyncedAudience, make_ids: MakeIds, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from airflow_provider_audiences.sync.state import lease

        monkeypatch.setattr(lease, "_LOOK_SECONDS", 0)
        ids = make_ids(6)

        def take_over(_post: Any) -> None:
            synced.wire.after = lambda _post: None
            synced.run(ids, opened={"try_number": 2})

        synced.wire.after = take_over
        with pytest.raises(AudienceBusyError, match="another sync has changed the audience's state"):
            synced.run(ids)
        assert synced.members == ids
        # The first request of the first try was in flight; the second one has sent it again, and all others once.
        assert len(synced.ids_sent()) == len(ids) + 2


class TestReconcile:
    def test_drift(self, synced: SyncedAudience, make_ids: MakeIds, caplog: pytest.LogCaptureFixture) -> None:
        synced.run(make_ids(4))
        synced.post_by_others("append", make_ids(3, start=50))
        report = synced.run(make_ids(5), opened={"max_drift": 0.5, "patience": 25})
        assert (report.drift, report.live) == (3, 5)
        assert synced.sleeps == [10, 10, 5]
        assert any("counts 8 members" in line and "5 are expected" in line for line in said(caplog))

    def test_a_drift_that_is_allowed(
        self, synced: SyncedAudience, make_ids: MakeIds, caplog: pytest.LogCaptureFixture
    ) -> None:
        synced.run(make_ids(4))
        synced.post_by_others("append", make_ids(2, start=50))
        report = synced.run(make_ids(4), opened={"max_drift": 0.5, "patience": 60})
        assert (report.drift, synced.sleeps, said(caplog)) == (2, [], [])

    @pytest.mark.parametrize("argument", ["initial", "mode"])
    def test_members_that_no_ledger_knows_are_no_news(
        self, over_http: AudienceOverHttp, make_ids: MakeIds, caplog: pytest.LogCaptureFixture, argument: str
    ) -> None:
        """With ``append`` as ``initial`` or ``mode``, the platform counts more than the ledger; fewer would be news."""
        accepted: dict[str, Any] = {argument: "append"}
        over_http.post_by_others("append", make_ids(9, start=50))
        limits = {"max_drift": 0.1, "patience": 20}
        report = over_http.run(make_ids(4), opened=limits, **accepted)
        assert (report.drift, over_http.sleeps, said(caplog)) == (9, [], [])
        over_http.post_by_others("update", [])
        report = over_http.run(make_ids(4), opened=limits, **accepted)
        assert (report.drift, over_http.sleeps) == (-4, [10, 10])
        assert any("counts 0 members" in line for line in said(caplog))

    def test_a_count_that_lags(
        self, over_http: AudienceOverHttp, make_ids: MakeIds, caplog: pytest.LogCaptureFixture
    ) -> None:
        over_http.emulator.settings(user_count_lag_seconds=15)
        report = over_http.run(make_ids(4), opened={"max_drift": 0.0, "patience": 60})
        assert (report.drift, over_http.sleeps, said(caplog)) == (0, [10, 10], [])

    def test_no_patience_and_no_limit(
        self, over_http: AudienceOverHttp, make_ids: MakeIds, caplog: pytest.LogCaptureFixture
    ) -> None:
        over_http.emulator.settings(user_count_lag_seconds=15)
        report = over_http.run(make_ids(4), opened={"max_drift": None, "patience": 60})
        assert (report.drift, over_http.sleeps, said(caplog)) == (-4, [], [])

    @pytest.mark.parametrize("kind", ["html", "wrong_counts", "drop_before"])
    def test_a_list_that_fails_fails_no_sync(
        self, over_http: AudienceOverHttp, make_ids: MakeIds, caplog: pytest.LogCaptureFixture, kind: str
    ) -> None:
        over_http.run(make_ids(2))
        over_http.emulator.fault("applovin.list", kind, times=None)
        report = over_http.run(make_ids(4), opened={"max_drift": 0.1})
        assert over_http.members == make_ids(4)
        if kind != "wrong_counts":
            assert report.drift is None
            assert any("count was not learnt" in line for line in said(caplog))

    def test_wrong_counts_in_the_replies(
        self, over_http: AudienceOverHttp, make_ids: MakeIds, caplog: pytest.LogCaptureFixture
    ) -> None:
        over_http.emulator.fault("applovin.append", "wrong_counts", times=None)
        report = over_http.run(make_ids(4))
        assert (report.accepted, report.miscounted_batches, report.live, report.drift) == (2, 2, 4, 0)
        assert any("counted other numbers" in line for line in said(caplog))


class TestSplits:
    @pytest.mark.parametrize("parallel", [1, 3])
    def test_what_has_landed_is_not_sent_again(
        self, over_http: AudienceOverHttp, make_ids: MakeIds, monkeypatch: pytest.MonkeyPatch, parallel: int
    ) -> None:
        monkeypatch.setattr(over_http.destination, "limits", replace(AUDIENCE_LIMITS, min_split_size=1))
        over_http.emulator.settings(max_body_ids=3)
        ids = make_ids(20)
        stop_at(over_http, "create", "head-", number=6)
        with pytest.raises(Stopped):
            over_http.run(ids, opened={"batch": 10, "parallel": parallel})
        done = manifest_of(over_http)["landings"]
        assert done["batches"] == 3
        rows = sum(end - first for first, end, *_ in done["additions"])
        assert 3 <= rows <= 9
        over_http.clear()
        over_http.emulator.settings(max_body_ids=None)
        report = over_http.run(ids, opened={"batch": 10})
        assert over_http.members == ids
        assert len(over_http.ids_sent()) == len(set(over_http.ids_sent())) == 20 - rows
        assert report.batches_skipped_by_resume == 3

    def test_a_platform_that_is_too_slow(
        self, make_synced: Any, make_ids: MakeIds, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(AudienceDestination, "limits", replace(AUDIENCE_LIMITS, min_split_size=1))
        over_http = make_synced(read_timeout_seconds=0.5)
        over_http.emulator.fault("applovin.append", "slow", seconds=3)
        report = over_http.run(make_ids(8), opened={"batch": 8})
        assert (report.splits, over_http.members) == (1, make_ids(8))
        # The slow one may take effect once more: what contradicts it waits.
        over_http.clear()
        over_http.run(make_ids(4))
        assert len(over_http.sleeps) == 1
        assert 90 < over_http.sleeps[0] <= 101
        assert over_http.members == make_ids(4)


class TestFailures:
    @pytest.mark.parametrize("parallel", [1, 3])
    def test_a_platform_that_is_unwell_for_a_while(self, make_synced: Any, make_ids: MakeIds, parallel: int) -> None:
        over_http = make_synced(max_retries=3)
        over_http.run(make_ids(8))
        over_http.emulator.fault("applovin.append", "status", status=503, number=2, times=2)
        report = over_http.run(make_ids(8, start=5), opened={"parallel": parallel})
        assert over_http.members == make_ids(8, start=5)
        assert (report.batches, report.requests) == (4, 7)

    @pytest.mark.parametrize("fault", [("status", {"status": 500}), ("status", {"status": 413}), ("drop_after", {})])
    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    def test_the_next_run_goes_on(
        self, over_http: AudienceOverHttp, make_ids: MakeIds, fault: Any, number: int
    ) -> None:
        over_http.run(make_ids(8))
        over_http.clear()
        kind, options = fault
        over_http.emulator.fault("applovin.append", kind, number=number, **options)
        with pytest.raises(AudienceError) as caught:
            over_http.run(make_ids(8, start=5))
        accepted = "1 batch was accepted" if number == 2 else f"{number - 1} batches were accepted"
        assert (caught.value.so_far or "").startswith(accepted)
        landed = over_http.ids_sent()[: 2 * (number - 1)]
        over_http.clear()
        report = over_http.run(make_ids(8, start=5))
        assert over_http.members == make_ids(8, start=5)
        assert not set(landed) & set(over_http.ids_sent())
        assert len(over_http.sent) == 5 - number
        assert report.batches_skipped_by_resume == number - 1

    @pytest.mark.parametrize(("mode", "when"), [("mirror", "before"), ("mirror", "after"), ("replace", "after")])
    def test_a_folder_that_fails_at_any_call(
        self, synced: SyncedAudience, make_ids: MakeIds, mode: str, when: str
    ) -> None:
        sources = itertools.cycle([make_ids(4, start=3), make_ids(4)])
        synced.run(make_ids(4))
        number = 0
        is_over = False
        while not is_over:
            number += 1
            source = next(sources)
            generation = manifest_of(synced)["generation"]
            synced.clear()

            def fail(_method: str, _name: str, number: int = number) -> None:
                if len(synced.folder.calls) == number:
                    raise StateUnavailableError("the folder fails")

            setattr(synced.folder, when, fail)
            try:
                synced.run(source, mode=mode)
            except StateUnavailableError:
                # All that is left after the last commit may fail without harm.
                assert manifest_of(synced)["generation"] <= generation + (when == "after")
            else:
                is_over = len(synced.folder.calls) < number
            is_finished = manifest_of(synced)["generation"] > generation
            first = synced.ids_sent()
            synced.folder.clear()
            synced.wire.clear()
            synced.run(source, mode="mirror" if is_finished else mode)
            assert synced.members == source
            # One request may have landed without being written down.
            again = synced.ids_sent()
            assert len(set(first) & set(again)) <= (0 if is_finished else 2)
            assert len(again) == len(set(again))
        assert number > 20


class TestLateEffects:
    """A request that failed takes effect after the next one: real time, since the emulator's delay is real."""

    @pytest.fixture
    def after_waiting(self, over_http: AudienceOverHttp, monkeypatch: pytest.MonkeyPatch) -> AudienceOverHttp:
        """Waits until what was to come late has come."""

        def sleep(seconds: float) -> None:
            over_http.sleeps.append(seconds)
            time.sleep(1.2)

        monkeypatch.setattr(over_http, "sleep", sleep)
        return over_http

    def test_an_addition_before_its_removal(self, after_waiting: AudienceOverHttp, make_ids: MakeIds) -> None:
        over_http = after_waiting
        over_http.run(make_ids(2))
        over_http.emulator.fault("applovin.append", "apply_late", delay_seconds=1)
        with pytest.raises(ServerError):
            over_http.run(make_ids(4))
        report = over_http.run(make_ids(2))
        assert (report.contradicted, report.removed) == (2, 2)
        assert len(over_http.sleeps) == 1
        assert 245 < over_http.sleeps[0] <= 252
        assert over_http.members == make_ids(2)

    def test_a_removal_before_its_addition(self, after_waiting: AudienceOverHttp, make_ids: MakeIds) -> None:
        over_http = after_waiting
        over_http.run(make_ids(4))
        over_http.emulator.fault("applovin.append", "apply_late", delay_seconds=1)
        with pytest.raises(ServerError):
            over_http.run(make_ids(2))
        report = over_http.run(make_ids(4))
        assert (report.contradicted, report.added, len(over_http.sleeps)) == (2, 2, 1)
        assert over_http.members == make_ids(4)

    def test_what_does_not_contradict_does_not_wait(self, after_waiting: AudienceOverHttp, make_ids: MakeIds) -> None:
        over_http = after_waiting
        over_http.run(make_ids(2))
        over_http.emulator.fault("applovin.append", "apply_late", delay_seconds=1)
        with pytest.raises(ServerError):
            over_http.run(make_ids(4))
        over_http.run(make_ids(5))
        assert (over_http.sleeps, over_http.members) == ([], make_ids(5))
        # But the doubt is carried on: this one would be undone.
        over_http.run(make_ids(2))
        assert len(over_http.sleeps) == 1
        assert over_http.members == make_ids(2)

    def test_two_that_were_cut_off_one_after_the_other(
        self, after_waiting: AudienceOverHttp, make_ids: MakeIds
    ) -> None:
        """The second has overwritten the first one's doubt: what comes next waits if it removes anybody."""
        over_http = after_waiting
        over_http.run(make_ids(2))
        for size in (4, 8):
            over_http.emulator.fault("applovin.append", "apply_late", delay_seconds=1)
            with pytest.raises(ServerError):
                over_http.run(make_ids(size))
            over_http.emulator.clear_faults()
        report = over_http.run(make_ids(9))
        assert (report.live, over_http.sleeps, over_http.members) == (9, [], make_ids(9))
        over_http.run(make_ids(3))
        assert len(over_http.sleeps) == 1
        assert over_http.members == make_ids(3)

    def test_a_removal_that_was_cut_off_before_an_addition_that_was(
        self, after_waiting: AudienceOverHttp, make_ids: MakeIds
    ) -> None:
        over_http = after_waiting
        over_http.run(make_ids(4))
        over_http.emulator.fault("applovin.append", "apply_late", delay_seconds=1)
        with pytest.raises(ServerError):
            over_http.run(make_ids(3))
        over_http.emulator.fault("applovin.append", "status", status=500)
        with pytest.raises(ServerError):
            over_http.run(make_ids(3) + make_ids(2, start=7))
        report = over_http.run(make_ids(4) + make_ids(2, start=7))
        assert (report.live, len(over_http.sleeps)) == (6, 1)
        assert over_http.members == make_ids(4) + make_ids(2, start=7)

    def test_an_addition_of_somebody_who_had_expired(self, after_waiting: AudienceOverHttp, make_ids: MakeIds) -> None:
        """The ledger still has the old row: the new request is in doubt like that of anybody else."""
        over_http = after_waiting
        over_http.run(make_ids(2), ttl=1000)
        over_http.advance(2000)
        over_http.emulator.fault("applovin.append", "apply_late", delay_seconds=1)
        with pytest.raises(ServerError):
            over_http.run(make_ids(2), ttl=1000)
        report = over_http.run(make_ids(1), ttl=1000)
        assert (report.contradicted, report.removed, len(over_http.sleeps)) == (1, 1, 1)
        assert over_http.members == make_ids(1)

    def test_a_longer_time_is_not_cut_short(self, after_waiting: AudienceOverHttp, make_ids: MakeIds) -> None:
        """Additions of before that would come late would shorten it."""
        over_http = after_waiting
        over_http.run(make_ids(2))
        for size in (4, 6):
            over_http.emulator.fault("applovin.append", "apply_late", delay_seconds=1)
            with pytest.raises(ServerError):
                over_http.run(make_ids(size), ttl=5000)
            over_http.emulator.clear_faults()
        over_http.run(make_ids(6), ttl=4000)
        assert over_http.sleeps == []
        over_http.run(make_ids(7), ttl=6000)
        assert len(over_http.sleeps) == 1

    def cut_off(self, over_http: AudienceOverHttp, make_ids: MakeIds, *, ttl: int) -> None:
        """Let an audience of two become one of four, by a request that takes effect a second later."""
        over_http.run(make_ids(2), ttl=6000)
        over_http.emulator.fault("applovin.append", "apply_late", delay_seconds=1)
        with pytest.raises(ServerError):
            over_http.run(make_ids(4), ttl=ttl)
        over_http.emulator.clear_faults()

    def test_a_longer_time_is_not_cut_short_by_a_single_one(
        self, after_waiting: AudienceOverHttp, make_ids: MakeIds
    ) -> None:
        over_http = after_waiting
        self.cut_off(over_http, make_ids, ttl=1000)
        over_http.run(make_ids(4), ttl=6000)
        assert len(over_http.sleeps) == 1
        over_http.advance(2000)
        assert over_http.members == make_ids(4)

    def test_whoever_stays_longer_than_was_meant_is_not_forgotten(
        self, after_waiting: AudienceOverHttp, make_ids: MakeIds
    ) -> None:
        """The next request gives a shorter time, and the late one a longer one after it."""
        over_http = after_waiting
        self.cut_off(over_http, make_ids, ttl=6000)
        over_http.run(make_ids(4), ttl=1000)
        assert over_http.sleeps == []
        time.sleep(1.3)
        over_http.advance(2000)
        assert over_http.members == make_ids(4)
        assert over_http.run(make_ids(2), ttl=1000).removed == 2
        assert over_http.members == make_ids(2)

    def test_an_update_that_was_repeated(self, make_synced: Any, make_ids: MakeIds) -> None:
        over_http = make_synced(max_retries=1)
        over_http.emulator.fault("applovin.update", "apply_late", delay_seconds=1)
        over_http.sleep = lambda seconds: (over_http.sleeps.append(seconds), time.sleep(1.2))  # type: ignore[func-returns-value]  # both, in one lambda
        over_http.run(make_ids(6), mode="replace")
        # It wiped out what came before it only: the rest was sent after the wait.
        assert over_http.sleeps == [100]
        assert over_http.members == make_ids(6)

    @pytest.mark.parametrize("number", [1, 2])
    def test_a_plan_that_is_taken_up_again(
        self, after_waiting: AudienceOverHttp, make_ids: MakeIds, number: int
    ) -> None:
        over_http = after_waiting
        over_http.run(make_ids(2))
        plan_id = over_http.run(make_ids(6), plan_only=True, mode="replace").plan_id
        over_http.emulator.fault("applovin.update", "apply_late", delay_seconds=1)
        for _ in range(number):
            with pytest.raises(ServerError):
                over_http.apply(plan_id)
            over_http.emulator.fault("applovin.append", "status", status=500)
        over_http.emulator.clear_faults()
        over_http.apply(plan_id)
        time.sleep(1.2)
        assert over_http.members == make_ids(6)

    def test_a_plan_that_was_taken_up_again_leaves_doubt(
        self, after_waiting: AudienceOverHttp, make_ids: MakeIds
    ) -> None:
        over_http = after_waiting
        over_http.run(make_ids(2))
        plan_id = over_http.run(make_ids(4), plan_only=True).plan_id
        over_http.emulator.fault("applovin.append", "apply_late", delay_seconds=1)
        with pytest.raises(ServerError):
            over_http.apply(plan_id)
        over_http.apply(plan_id)
        over_http.run(make_ids(2))
        assert len(over_http.sleeps) == 1
        assert over_http.members == make_ids(2)


def test_no_member_is_in_a_log(
    over_http: AudienceOverHttp, make_ids: MakeIds, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    over_http.run(make_ids(4))
    over_http.emulator.fault("applovin.append", "status", status=500)
    with pytest.raises(ServerError) as caught:
        over_http.run(make_ids(4, start=3))
    over_http.run(make_ids(4, start=3))
    assert not re.search(r"0{8}-0{4}-", caplog.text + str(caught.value))


def test_what_a_killed_process_left_goes_with_the_next_plan(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(3))
    for name in (
        "ledger-2-aa.parquet-00ff.part",
        "plan-00ff-additions.parquet-00ff.part",
        "head-000000000009.json-00ff.part",
        "head.json-00ff.part",
    ):
        (synced.path / name).write_bytes(b"half")
    synced.run(make_ids(4))
    assert {path.name.partition("-")[0] for path in synced.path.iterdir()} == {"head", "head.json", "ledger"}
    assert not list(synced.path.glob("*.part"))
    assert synced.members == make_ids(4)


def test_a_refresh_in_doubt_is_waited_for(synced: SyncedAudience, make_ids: MakeIds) -> None:
    """A member that lives in any case is refreshed when the run is cut off, and the next run removes it."""
    synced.run(make_ids(4), ttl=1000)
    synced.advance(950)
    stop_at(synced, "create", "head-", number=2, when="after")  # the plan was begun
    with pytest.raises(Stopped):
        synced.run(make_ids(4), ttl=1000)
    synced.clear()
    synced.run(make_ids(3), ttl=1000)
    assert len(synced.sleeps) == 1
    assert 90 < synced.sleeps[0] <= 101
    assert synced.members == make_ids(3)


@pytest.mark.parametrize("initial", ["append", "replace", "fail"])
def test_a_replacement_that_never_landed_binds_nobody(
    over_http: AudienceOverHttp, make_ids: MakeIds, initial: str
) -> None:
    """What happens to strangers is for the present settings to say, not for those of a run that failed."""
    strangers = make_ids(2, start=50)
    over_http.post_by_others("append", strangers)
    over_http.emulator.fault("applovin.update", "status", status=400)
    with pytest.raises(BadRequestError):
        over_http.run(make_ids(3), mode="replace")
    if initial == "fail":
        with pytest.raises(GuardError, match="holds 2 members"):
            over_http.run(make_ids(3), initial=initial)
        assert over_http.members == strangers
    else:
        over_http.run(make_ids(3), initial=initial)
        assert over_http.members == sorted(make_ids(3) + (strangers if initial == "append" else []))
        assert over_http.run(make_ids(3), initial=initial).batches == 0


@pytest.mark.parametrize("more", [0, 40])
@pytest.mark.parametrize("limit", [{"max_removed_ratio": 0.3}, {"max_removed": 5}])
def test_guards_count_who_was_there_before_a_replacement_that_failed(
    over_http: AudienceOverHttp, make_ids: MakeIds, more: int, limit: dict[str, Any]
) -> None:
    """Its source had all of them, and perhaps some more, so that nobody's removal was in doubt."""
    ids = make_ids(40 + more)
    over_http.run(ids[:40])
    over_http.emulator.fault("applovin.update", "status", status=400)
    with pytest.raises(BadRequestError):
        over_http.run(ids, mode="replace")
    over_http.clear()
    with pytest.raises(GuardError, match=r"would remove 39 ") as stop:
        over_http.run(ids[:1], **limit)
    assert [stop.value.guard] == list(limit)
    assert over_http.sent == []
    over_http.run(ids[:36], **limit)
    assert over_http.members == ids[:36]


@pytest.mark.parametrize("limit", [{"max_removed_ratio": 0.3}, {"max_removed": 5}])
def test_guards_ask_the_platform_when_a_lost_ledger_is_replaced(
    over_http: AudienceOverHttp, make_ids: MakeIds, limit: dict[str, Any]
) -> None:
    """A source that was cut short would replace all."""
    ids = make_ids(40)
    over_http.run(ids)
    empty(max(over_http.path.glob("head-*")))
    over_http.clear()
    with pytest.raises(GuardError, match=r"would remove 39 ") as stop:
        over_http.run(ids[:1], lost="replace", **limit)
    assert [stop.value.guard] == list(limit)
    assert over_http.sent == []
    # A replacement that passes, and fails, leaves an empty ledger; that says no more than none.
    over_http.emulator.fault("applovin.update", "status", status=400)
    with pytest.raises(BadRequestError):
        over_http.run(ids, lost="replace", **limit)
    with pytest.raises(GuardError, match=r"would remove 39 "):
        over_http.run(ids[:1], lost="replace", **limit)
    over_http.run(ids[:36], lost="replace", **limit)
    assert over_http.members == ids[:36]


@pytest.mark.parametrize("limit", [{"max_removed_ratio": 0.3}, {"max_removed": 5}])
@pytest.mark.parametrize("how", [{"mode": "replace"}, {"initial": "replace"}])
def test_guards_ask_the_platform_when_a_replacement_is_the_first_sync(
    over_http: AudienceOverHttp, make_ids: MakeIds, how: dict[str, Any], limit: dict[str, Any]
) -> None:
    """The state path may have been lost, and the source cut short."""
    ids = make_ids(40)
    over_http.post_by_others("append", ids)
    with pytest.raises(GuardError, match=r"would remove 39 ") as stop:
        over_http.run(ids[:1], **how, **limit)
    assert [stop.value.guard] == list(limit)
    assert over_http.sent == []
    assert [request["operation"] for request in over_http.emulator.requests()].count("applovin.list") == 1
    assert over_http.run(ids[:36], **how, **limit).live == 36
    assert over_http.members == ids[:36]


@pytest.mark.parametrize("limit", [{"max_removed_ratio": 0.3}, {"max_removed": 5}])
def test_guards_ask_the_platform_when_a_replacement_meets_unknown_members(
    over_http: AudienceOverHttp, make_ids: MakeIds, limit: dict[str, Any]
) -> None:
    ids = make_ids(40)
    over_http.post_by_others("append", ids)
    over_http.run(ids[:2], initial="append")
    over_http.clear()
    with pytest.raises(GuardError, match=r"would remove 38 of 40 |would remove 38 members"):
        over_http.run(ids[:2], mode="replace", **limit)
    assert over_http.sent == []
    over_http.run(ids[:36], mode="replace", **limit)
    assert over_http.members == ids[:36]
    # From now on, the ledger knows all.
    with pytest.raises(GuardError, match=r"would remove 35 "):
        over_http.run(ids[:1], mode="replace", **limit)


def test_a_replacement_that_is_completed_leaves_nobody_unknown(synced: SyncedAudience, make_ids: MakeIds) -> None:
    """Its first request was accepted, so whoever was there before is gone."""
    synced.post_by_others("append", make_ids(3, start=50))
    synced.run(make_ids(2), initial="append")
    synced.wire.before = lambda post: None if post.operation == "update" else stop()
    with pytest.raises(Stopped):
        synced.run(make_ids(8), mode="replace", opened={"batch": 3})
    synced.clear()
    report = synced.run(make_ids(8), mode="replace", suppress=make_ids(2, start=60), opened={"batch": 3})
    assert (report.replaces, report.added, report.suppress_unknown) == (False, 5, 0)
    assert manifest_of(synced)["has_strangers"] is False
    assert synced.members == make_ids(8)


def stop() -> None:
    raise Stopped


@pytest.mark.parametrize("cut_off", [False, True])
def test_opt_outs_go_although_the_ledger_was_lost(synced: SyncedAudience, make_ids: MakeIds, cut_off: bool) -> None:
    synced.run(make_ids(5))
    empty(max(synced.path.glob("head-*")))
    if cut_off:
        stop_at(synced, "create", "head-", number=2, when="after")
        with pytest.raises(Stopped):
            synced.run(make_ids(5), suppress=make_ids(2), lost="rebuild")
        synced.clear()
        synced.run(make_ids(5), suppress=make_ids(2))
    else:
        synced.run(make_ids(5), suppress=make_ids(2), lost="rebuild")
    assert synced.members == make_ids(5)[2:]
    assert synced.run(make_ids(5), suppress=make_ids(2)).batches == 0


def test_an_audience_that_is_gone_is_told(over_http: AudienceOverHttp, make_ids: MakeIds) -> None:
    over_http.run(make_ids(3))
    over_http.stranger.delete_audience(audience_id=over_http.audience_id)
    with pytest.raises(NotFoundError, match="has no audience"):
        over_http.run(make_ids(3))


def test_a_try_that_was_taken_over_while_it_waits_sends_nothing_more(make_synced: Any, make_ids: MakeIds) -> None:
    """A repetition may have to wait for minutes; meanwhile the task's next try removes who has left."""
    later = make_synced()
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            later.run(make_ids(4, start=10), opened={"try_number": 2})
            later.emulator.clear_requests()
        time.sleep(min(seconds, 1.1))

    over_http = make_synced(sleep=sleep)
    over_http.joins(later)
    over_http.path, over_http.folder = later.path, later.folder
    over_http.emulator.fault("applovin.append", "status", status=503, retry_after=60)
    with pytest.raises(AudienceBusyError, match="no longer holds"):
        over_http.run(make_ids(2))
    assert later.members == make_ids(4, start=10)
    assert over_http.emulator.requests("applovin.append") == []
