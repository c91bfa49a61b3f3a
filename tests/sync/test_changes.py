"""Changes that are handed in: what is sent, what is refused, and how a try goes on where another one ended."""

import dataclasses
import shutil
from typing import Any

import pytest
from support.changes import Killed, hand_in, killed_in_request
from support.fixtures import MakeIds
from support.memory_destination import MemoryPlatform
from support.synced import SyncedAudience

from airflow_provider_audiences.exceptions import (
    ConflictError,
    GuardError,
    InvalidInputError,
    LedgerLostError,
    NotFoundError,
)
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.sync.delivery.direct_delivery import DirectDelivery
from airflow_provider_audiences.sync.recorded_delivery import RecordedDelivery


def hold_back(synced: SyncedAudience, ids: list[str]) -> None:
    """Remove members directly."""
    delivery = DirectDelivery.checked(
        audience_id=synced.audience_id, limits=synced.destination.limits, mode="remove", batch_size=2, ttl_seconds=None
    )
    with (
        stage(ValuesInput(chunks=[ids]), rules=StagingRules(), identifier_kind=synced.identifier_kind) as staged,
        synced.open_audience(key="hand/run/task") as audience,
    ):
        RecordedDelivery(audience).run(delivery, staged)


class TestSent:
    def test_additions_and_refreshes_before_removals(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        ids = make_ids(7)
        synced.post_by_others("append", ids[:4])
        report = hand_in(synced, ids[4:], refreshed=ids[:2], removed=ids[2:4])
        assert synced.sent == [("append", 2), ("append", 2), ("append", 1), ("remove", 2)]
        assert synced.members == [*ids[:2], *ids[4:]]
        assert (report.added, report.refreshed, report.removed) == (3, 2, 2)
        assert (report.members_before, report.live, report.batches, report.planned_ids) == (4, 5, 4, 7)
        assert {post.ttl_seconds for post in synced.wire.posts} == {synced.ttl_seconds, 0}

    def test_nothing_if_nothing_changes(self, synced: SyncedAudience) -> None:
        report = hand_in(synced)
        assert (report.plan_id, report.planned_requests, synced.sent) == ("", 0, [])

    def test_no_file_of_members_stays(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        hand_in(synced, make_ids(5))
        assert [path.name for path in synced.path.iterdir() if path.suffix == ".parquet"] == []


class TestContradictions:
    @pytest.mark.parametrize(
        ("parts", "said"),
        [
            (("added", "refreshed"), "2 members are both in added and in refreshed"),
            (("added", "removed"), "2 members are both in added and in removed"),
            (("refreshed", "removed"), "2 members are both in refreshed and in removed"),
        ],
    )
    def test_are_counted_and_not_shown(self, synced: SyncedAudience, make_ids: MakeIds, parts: Any, said: str) -> None:
        ids = make_ids(4)
        given: dict[str, list[str]] = {"added": [], "refreshed": [], "removed": []} | {
            parts[0]: ids[:3],
            parts[1]: [item.upper() for item in ids[1:]],
        }
        with pytest.raises(InvalidInputError, match=said) as refusal:
            hand_in(synced, given["added"], refreshed=given["refreshed"], removed=given["removed"])
        assert not [item for item in ids if item[-8:] in str(refusal.value)]
        assert synced.sent == []

    def test_another_number_than_expected(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        with pytest.raises(InvalidInputError, match="have 2 members together, and expected_changes is 3"):
            hand_in(synced, make_ids(2), expected_changes="3")
        assert hand_in(synced, make_ids(2), expected_changes=2).added == 2
        assert hand_in(synced, expected_changes="0", key="another").added == 0


class TestGuards:
    @pytest.mark.parametrize(
        ("guards", "changes"),
        [
            ({"max_removed_ratio": 0.2}, {"removed": 3}),
            ({"max_removed": 2}, {"removed": 3}),
            ({"max_added_ratio": 0.2}, {"added": 3}),
            ({"max_added": 2}, {"added": 3}),
            ({"min_members": 8}, {"removed": 3}),
        ],
    )
    def test_stop_by_the_platforms_count(
        self, synced: SyncedAudience, make_ids: MakeIds, guards: Any, changes: Any
    ) -> None:
        there, others = make_ids(10), make_ids(3, start=100)
        synced.post_by_others("append", there)
        with pytest.raises(GuardError) as stop:
            hand_in(
                synced, others if "added" in changes else [], removed=there[: changes.get("removed", 0)], guards=guards
            )
        assert stop.value.guard == next(iter(guards))
        assert stop.value.report
        assert (stop.value.report["members_before"], synced.sent) == (10, [])
        smaller = {"removed": there[:2]} if "removed" in changes else {"added": others[:2]}
        hand_in(synced, smaller.get("added", []), removed=smaller.get("removed", []), guards=guards)

    def test_that_need_a_count_stop_without_one(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.destination.platform.counts_members = False
        for guards in ({"max_removed_ratio": 0.9}, {"max_added_ratio": 9}, {"min_members": 1}):
            with pytest.raises(GuardError, match="does not say how many members there are"):
                hand_in(synced, make_ids(1), guards=guards)
        report = hand_in(synced, make_ids(1), guards={"max_removed": 0, "max_added": 1})
        assert (report.members_before, report.live) == (None, None)

    def test_an_audience_that_is_not_there(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.destination.platform.is_missing = True
        with pytest.raises(NotFoundError, match="Nothing was sent"):
            hand_in(synced, make_ids(1))


class TestSameTask:
    """Its next try reads the same changes."""

    @pytest.mark.parametrize("is_carried_out", [False, True])
    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    def test_sends_the_rest(self, synced: SyncedAudience, make_ids: MakeIds, number: int, is_carried_out: bool) -> None:
        ids = make_ids(8)
        synced.post_by_others("append", ids[6:])
        changes: Any = {"refreshed": ids[4:6], "removed": ids[6:]}
        with pytest.raises(Killed), killed_in_request(synced, number, is_carried_out=is_carried_out):
            hand_in(synced, ids[:4], **changes)
        before = number - 1
        again = hand_in(synced, ids[:4], **changes, guards={"max_removed": 0})  # it was checked when it began
        assert synced.members == ids[:6]
        assert (again.batches_skipped_by_resume, again.batches) == (before, 4 - before)
        # The request in flight is sent twice, and no other one.
        assert len(synced.sent) == 4 + is_carried_out

    def test_sends_nothing_again_once_all_was_sent(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        first = hand_in(synced, make_ids(5))
        synced.clear()
        again = hand_in(synced, make_ids(5))
        assert (again.plan_id, again.batches_skipped_by_resume, again.live) == (first.plan_id, 3, 5)
        assert synced.sent == []

    def test_of_another_run_sends_them_again(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        hand_in(synced, make_ids(5))
        assert hand_in(synced, make_ids(5), key="dag/run 2/send").batches == 3


class TestAnotherRun:
    """It finds a plan that was begun and not finished."""

    @pytest.fixture
    def cut_off(self, synced: SyncedAudience, make_ids: MakeIds) -> list[str]:
        """Of four to add and two to remove, two were added."""
        ids = make_ids(6)
        synced.post_by_others("append", ids[4:])
        with pytest.raises(Killed), killed_in_request(synced, 2, is_carried_out=False):
            hand_in(synced, ids[:4], removed=ids[4:])
        synced.clear()
        return ids

    def test_takes_over_if_it_decides_about_all(self, synced: SyncedAudience, cut_off: list[str]) -> None:
        report = hand_in(synced, [*cut_off[:1], cut_off[4]], removed=[*cut_off[1:4], cut_off[5]], key="dag/run 2/send")
        assert synced.members == [cut_off[0], cut_off[4]]
        assert (report.added, report.removed, report.batches_skipped_by_resume) == (2, 4, 0)
        # An addition in flight may come late, and would undo a removal.
        (slept,) = synced.sleeps
        assert 95 < slept <= 100  # the clock goes on meanwhile

    @pytest.mark.parametrize("left_out", range(6))
    def test_is_refused_if_it_leaves_out_anybody(
        self, synced: SyncedAudience, cut_off: list[str], left_out: int
    ) -> None:
        rest = [item for item in cut_off if item != cut_off[left_out]]
        with pytest.raises(InvalidInputError, match="these changes leave out 1 member of it"):
            hand_in(synced, rest, key="dag/run 2/send")
        with pytest.raises(InvalidInputError, match="these changes leave out 6 members of it"):
            hand_in(synced, key="dag/run 3/send")
        assert synced.sent == []
        # The first run can still be ended.
        hand_in(synced, cut_off[:4], removed=cut_off[4:])
        assert synced.members == cut_off[:4]

    @pytest.mark.parametrize("ending", [".json", "-additions.parquet", "-removals.parquet"])
    @pytest.mark.parametrize("is_gone", [True, False])
    def test_is_refused_if_the_plan_is_damaged(
        self, synced: SyncedAudience, cut_off: list[str], ending: str, is_gone: bool
    ) -> None:
        (path,) = (path for path in synced.path.glob("plan-*") if path.name.endswith(ending))
        if is_gone:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-3])
        for key in ("dag/run 1/send", "dag/run 2/send"):
            with pytest.raises(LedgerLostError, match="Your own tables say who may be in the audience: delete"):
                hand_in(synced, cut_off[:4], removed=cut_off[4:], key=key)
        assert synced.sent == []
        shutil.rmtree(synced.path)
        hand_in(synced, cut_off[:4], removed=cut_off[4:], key="dag/run 3/send")
        assert synced.members == cut_off[:4]

    def test_a_guard_leaves_the_plan_begun(self, synced: SyncedAudience, cut_off: list[str]) -> None:
        with pytest.raises(GuardError):
            hand_in(synced, cut_off, key="dag/run 2/send", guards={"max_added": 1})
        with pytest.raises(InvalidInputError):
            hand_in(synced, cut_off[1:], key="dag/run 2/send")


class TestLedgers:
    """One audience is kept by syncs, or by changes."""

    def test_syncs_shut_changes_out(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(4))
        with pytest.raises(ConflictError, match=r"syncs keep this audience: .* has a ledger of 4 members; nothing"):
            hand_in(synced, make_ids(1, start=9))
        assert synced.run(make_ids(4)).batches == 0

    def test_the_ledger_may_be_forgotten(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        synced.run(make_ids(4))
        hand_in(synced, make_ids(1, start=9), removed=make_ids(1), on_ledger="forget")
        assert synced.members == [*make_ids(3, start=2), *make_ids(1, start=9)]
        hand_in(synced, removed=make_ids(1, start=2), key="dag/run 2/send")
        with pytest.raises(LedgerLostError, match="kept by changes that are handed in"):
            synced.run(make_ids(4))

    def test_the_ledger_is_kept_until_there_are_changes(
        self, synced: SyncedAudience, make_ids: MakeIds, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        synced.run(make_ids(4))
        assert hand_in(synced, on_ledger="forget").plan_id == ""
        assert "The ledger is kept until a run has changes: on_ledger='forget' has to stay until then." in caplog.text
        with pytest.raises(GuardError):
            hand_in(synced, removed=make_ids(1), on_ledger="forget", guards={"max_removed": 0})
        with pytest.raises(ConflictError, match="has a ledger of 4 members"):
            hand_in(synced, removed=make_ids(1))
        assert "is forgotten" not in caplog.text
        hand_in(synced, removed=make_ids(1), on_ledger="forget")
        assert "The ledger of 4 members is forgotten" in caplog.text
        caplog.clear()
        hand_in(synced, on_ledger="forget", key="dag/run 2/send")
        assert "edger" not in caplog.text

    def test_who_was_removed_directly_is_not_added_by_changing_over(
        self, synced: SyncedAudience, make_ids: MakeIds
    ) -> None:
        ids = make_ids(6)
        synced.run(ids[:4])
        hold_back(synced, ids[:2])
        synced.clear()
        with pytest.raises(ConflictError, match="1 member was removed directly, and would be added") as refusal:
            hand_in(synced, [ids[0], *ids[4:]], on_ledger="forget")
        (file,) = synced.path.glob("held-*.parquet")
        assert file.name in str(refusal.value)
        assert synced.sent == []
        with pytest.raises(ConflictError, match="2 members were removed directly"):
            hand_in(synced, ids[4:], refreshed=ids[:2], on_ledger="forget")
        hand_in(synced, ids[4:], removed=ids[:1], on_ledger="forget")
        assert synced.members == ids[2:]

    def test_not_while_a_sync_was_interrupted(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        with pytest.raises(Killed), killed_in_request(synced, 2, is_carried_out=True):
            synced.run(make_ids(4))
        with pytest.raises(ConflictError, match="and its last sync was interrupted"):
            hand_in(synced, make_ids(4), on_ledger="forget")

    @pytest.mark.parametrize(("lost", "stays"), [("replace", 0), ("rebuild", 2)])
    def test_changes_shut_syncs_out_until_one_begins_anew(
        self, synced: SyncedAudience, make_ids: MakeIds, lost: str, stays: int
    ) -> None:
        hand_in(synced, make_ids(4))
        for mode in ("mirror", "append"):
            with pytest.raises(LedgerLostError, match="run one sync with on_lost_ledger='rebuild'"):
                synced.run(make_ids(2), mode=mode)
        synced.run(make_ids(2), lost=lost)
        assert synced.members == make_ids(2 + stays)
        assert synced.run(make_ids(2)).batches == 0
        with pytest.raises(ConflictError):
            hand_in(synced, make_ids(1))

    def test_a_plan_of_a_sync_is_outdated_by_changes(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        plan = synced.run(make_ids(2), plan_only=True)
        hand_in(synced, make_ids(4))
        with pytest.raises(Exception, match=r"no plan|kept by changes"):
            synced.apply(plan.plan_id)


def test_a_list_without_ttl(make_in_memory: Any, make_ids: MakeIds) -> None:
    from support.memory_destination import WITHOUT_TTL

    synced = make_in_memory(MemoryPlatform(limits=WITHOUT_TTL, counts_members=False))
    synced.ttl_seconds = None
    hand_in(synced, make_ids(3))
    hand_in(synced, removed=make_ids(1), key="dag/run 2/send")
    assert synced.members == make_ids(2, start=2)
    assert {post.ttl_seconds for post in synced.wire.posts if post.operation == "append"} == {None}
    assert dataclasses.asdict(hand_in(synced, key="dag/run 3/send"))["live"] is None
