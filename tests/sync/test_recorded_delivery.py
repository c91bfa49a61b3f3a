"""Members that somebody removes or adds directly, in an audience that is synced: the syncs respect it."""

import contextlib
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.changes import Killed, killed_in_request
from support.direct_changes import change_directly
from support.fixtures import MakeIds
from support.partitioned import PartitionedAudience
from support.synced import TTL_SECONDS, AudienceOverHttp, SyncedAudience

from airflow_provider_audiences.exceptions import (
    AudienceBusyError,
    ConnectionFailedError,
    GuardError,
    LedgerLostError,
    ServerError,
    StateUnavailableError,
)
from airflow_provider_audiences.members.keys import key_sets
from airflow_provider_audiences.members.keys.key_runs import KeySetBuilder
from airflow_provider_audiences.members.partition import ALL_MEMBERS
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace


def _down(_post: Any) -> None:
    raise ServerError("the platform is down")


class TestRemoved:
    @pytest.mark.parametrize("mode", ["mirror", "append", "replace"])
    def test_stay_out_while_the_source_has_them(self, synced: SyncedAudience, make_ids: MakeIds, mode: str) -> None:
        ids = make_ids(6)
        synced.run(ids)
        removal = change_directly(synced, "remove", ids[:2])
        assert (removal.in_ledger, removal.sent) == (True, 2)
        for _ in range(3):
            report = synced.run(ids, mode=mode)
            assert (report.held_back, report.live, report.drift) == (2, 4, 0)
            assert synced.members == ids[2:]
            synced.advance(TTL_SECONDS * 0.95)  # all are due
        synced.run(ids)
        assert synced.members == ids[2:]

    def test_are_free_when_the_source_has_had_them_no_more(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        """Who comes back later has agreed again."""
        ids = make_ids(6)
        synced.run(ids)
        change_directly(synced, "remove", ids[:2])
        assert synced.run(ids[1:]).held_back == 1
        assert synced.members == ids[2:]
        report = synced.run(ids)
        assert (report.held_back, report.added) == (1, 1)
        assert synced.members == [ids[0], *ids[2:]]

    def test_an_append_of_others_frees_nobody(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        """Its source is only a part of the audience."""
        ids = make_ids(6)
        synced.run(ids[:4], mode="append")
        change_directly(synced, "remove", ids[:1])
        synced.run(ids[4:], mode="append")
        assert synced.run(ids, mode="append").held_back == 1
        assert synced.members == ids[1:]

    def test_may_be_released(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        ids = make_ids(4)
        synced.run(ids)
        change_directly(synced, "remove", ids[:2])
        report = synced.run(ids, release_held_back=True)
        assert (report.held_back, report.added) == (0, 2)
        report = synced.run(ids)
        assert (report.held_back, report.batches) == (0, 0)
        assert synced.members == ids

    @pytest.mark.parametrize("is_carried_out", [True, False])
    @pytest.mark.parametrize("mode", ["mirror", "append", "replace"])
    def test_stay_released_although_the_run_is_cut_off(
        self, synced: SyncedAudience, make_ids: MakeIds, mode: str, is_carried_out: bool
    ) -> None:
        ids = make_ids(6)
        synced.run(ids)
        change_directly(synced, "remove", ids[:4])
        with pytest.raises(Killed), killed_in_request(synced, 2, is_carried_out=is_carried_out):
            synced.run(ids, release_held_back=True, mode=mode)
        for _ in range(2):
            assert synced.run(ids, mode=mode).held_back == 0
            assert synced.members == ids

    def test_are_released_whatever_the_ledger_says(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        """They were removed while it was lost, and it was found again: it takes them for live."""
        ids = make_ids(6)
        synced.run(ids)
        (ledger,) = synced.path.glob("ledger-*")
        content = ledger.read_bytes()
        ledger.write_bytes(b"")
        change_directly(synced, "remove", ids[:2])
        ledger.write_bytes(content)
        report = synced.run(ids[1:], release_held_back=True, suppress=ids[5:])
        assert (report.held_back, report.refreshed, report.removed) == (0, 1, 2)
        assert synced.members == ids[1:5]
        assert synced.run(ids).held_back == 0
        assert synced.members == ids

    def test_are_free_after_a_plan_whose_source_has_them_no_more(
        self, synced: SyncedAudience, make_ids: MakeIds
    ) -> None:
        ids = make_ids(6)
        synced.run(ids)
        change_directly(synced, "remove", ids[:2])
        for number, source in enumerate([ids[1:5], ids[2:5]], 1):  # the second one has nothing to send
            plan = synced.run(source, plan_only=True)
            synced.apply(plan.plan_id)
            assert synced.apply(plan.plan_id).batches == 0, "a retry finds that it was carried out"
            assert synced.run(ids, plan_only=True).held_back == 2 - number
        report = synced.run(ids)
        assert (report.held_back, report.added) == (0, 3)
        assert synced.members == ids

    def test_a_plan_of_a_part_frees_nobody(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        ids = make_ids(6)
        synced.run(ids[:4], mode="append")
        change_directly(synced, "remove", ids[:1])
        synced.apply(synced.run(ids[4:], mode="append", plan_only=True).plan_id)
        assert synced.run(ids, mode="append").held_back == 1

    def test_a_plan_holds_them_back_too(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        ids = make_ids(6)
        synced.run(ids[:4])
        change_directly(synced, "remove", ids[:2])
        plan = synced.run(ids, plan_only=True)
        assert plan.held_back == 2
        synced.apply(plan.plan_id)
        assert synced.members == ids[2:]
        assert synced.run(ids).held_back == 2

    def test_a_run_that_changes_nothing_outdates_no_plan(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        ids = make_ids(6)
        synced.run(ids[:4])
        change_directly(synced, "remove", ids[:2])
        plan = synced.run(ids, plan_only=True)
        assert synced.run(ids[:4]).batches == 0
        synced.apply(plan.plan_id)
        assert synced.members == ids[2:]

    def test_a_plan_made_before_is_outdated(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        from airflow_provider_audiences.exceptions import PlanOutdatedError

        synced.run(make_ids(4))
        plan = synced.run(make_ids(6), plan_only=True)
        change_directly(synced, "remove", make_ids(1, start=6))
        with pytest.raises(PlanOutdatedError):
            synced.apply(plan.plan_id)
        synced.run(make_ids(6))
        assert synced.members == make_ids(5)

    @pytest.mark.parametrize("lost", ["replace", "rebuild"])
    def test_are_known_although_the_ledger_is_lost(self, synced: SyncedAudience, make_ids: MakeIds, lost: str) -> None:
        ids = make_ids(5)
        synced.run(ids)
        change_directly(synced, "remove", ids[:2])
        (ledger,) = synced.path.glob("ledger-*")
        ledger.write_bytes(b"")
        synced.run(ids, lost=lost)
        assert synced.run(ids).held_back == 2
        assert synced.members == ids[2:]

    @pytest.mark.parametrize("lost", ["replace", "rebuild"])
    @pytest.mark.parametrize("has_ledger", [True, False])
    def test_are_known_although_the_manifest_is_lost(
        self, synced: SyncedAudience, make_ids: MakeIds, lost: str, has_ledger: bool
    ) -> None:
        ids = make_ids(5)
        synced.run(ids)
        change_directly(synced, "remove", ids[:1])
        change_directly(synced, "remove", ids[1:2])
        for file in [*synced.path.glob("head-*"), *([] if has_ledger else synced.path.glob("ledger-*"))]:
            file.unlink()
        with pytest.raises(LedgerLostError, match="head"):
            synced.run(ids)
        plan = synced.run(ids, lost=lost, plan_only=True)
        assert plan.held_back == 2
        assert synced.apply(plan.plan_id).live == 3
        assert synced.run(ids).held_back == 2
        assert synced.members == ids[2:]

    def test_go_after_all_although_their_removal_failed_and_the_ledger_is_lost(
        self, synced: SyncedAudience, make_ids: MakeIds
    ) -> None:
        ids = make_ids(5)
        synced.run(ids)
        synced.wire.before = _down
        with pytest.raises(ServerError):
            change_directly(synced, "remove", ids[:2])
        synced.clear()
        for file in synced.path.glob("head-*"):
            file.unlink()
        report = synced.run(ids, lost="rebuild")
        assert (report.held_back, report.suppress_unknown) == (2, 2)
        assert synced.members == ids[2:]

    def test_are_known_as_far_as_their_files_can_be_read(
        self, synced: SyncedAudience, make_ids: MakeIds, caplog: pytest.LogCaptureFixture
    ) -> None:
        ids = make_ids(5)
        synced.run(ids)
        change_directly(synced, "remove", ids[:2])
        for file in synced.path.glob("head-*"):
            file.unlink()
        (held_back,) = synced.path.glob("held-*")
        (synced.path / "held-0123456789abcdef.parquet").write_bytes(held_back.read_bytes()[:-9])
        synced.run(ids, lost="rebuild")
        assert synced.members == ids[2:]
        assert "Some of those who were removed directly are not known any more" in caplog.text

    @pytest.mark.parametrize("pattern", ["ledger-*", "head-*"])
    @pytest.mark.parametrize("afterwards", ["replace", "rebuild", "restored"])
    @pytest.mark.parametrize("has_held_back", [True, False])
    def test_go_although_the_ledger_is_lost_and_stay_out(
        self, synced: SyncedAudience, make_ids: MakeIds, pattern: str, afterwards: str, has_held_back: bool
    ) -> None:
        ids = make_ids(6)
        synced.run(ids)
        if has_held_back:
            change_directly(synced, "remove", ids[4:5])
        lost = {file: file.read_bytes() for file in synced.path.glob(pattern)}
        for file in lost:
            file.write_bytes(b"")
        for number in range(2):
            assert not change_directly(synced, "remove", ids[number : number + 1]).in_ledger
        assert not change_directly(synced, "append", ids[5:]).in_ledger
        out = {*ids[:2], *(ids[4:5] if has_held_back else [])}
        assert synced.members == [member for member in ids if member not in out]
        if afterwards == "restored":
            for file, content in lost.items():
                file.write_bytes(content)
            synced.run(ids)
        else:
            with pytest.raises(LedgerLostError):
                synced.run(ids)
            synced.run(ids, lost=afterwards)
        assert not list(synced.path.glob("held-unrecorded-*")), "the manifest notes them now"
        assert synced.run(ids).held_back == len(out)
        assert synced.members == [member for member in ids if member not in out]
        assert synced.run(ids[2:]).held_back == len(out) - 2
        assert synced.run(ids).added == 2, "the source has released them"

    def test_that_no_manifest_noted_stay_out_of_partitions(self, make_ids: MakeIds, tmp_path: Path) -> None:
        """The ledger is found again, and the state is moved before any sync."""
        audience = PartitionedAudience(tmp_path / "state")
        ids = [f"{digit:x}{member[1:]}" for digit, member in enumerate(make_ids(16))]
        whole = audience.at(ALL_MEMBERS)
        whole.run(ids)
        (ledger,) = audience.path.glob("ledger-*")
        content = ledger.read_bytes()
        ledger.write_bytes(b"")
        assert not change_directly(whole, "remove", ids[:3]).in_ledger
        ledger.write_bytes(content)
        audience.require(16)
        assert audience.direct_changes() == (set(ids[:3]), set())
        assert not list(audience.path.rglob("held-unrecorded-*"))
        audience.sync(ids, count=16)
        assert audience.members == sorted(ids[3:])

    def test_that_can_not_be_noted_are_told(
        self, synced: SyncedAudience, make_ids: MakeIds, caplog: pytest.LogCaptureFixture
    ) -> None:
        ids = make_ids(3)
        synced.run(ids)
        (ledger,) = synced.path.glob("ledger-*")
        ledger.write_bytes(b"")

        def full(method: str, name: str) -> None:
            if method == "store" and name.startswith("held-"):
                raise StateUnavailableError("the disk is full")

        synced.folder.before = full
        assert not change_directly(synced, "remove", ids[:1]).in_ledger
        assert synced.members == ids[1:]
        assert "A later sync adds these members again if its source has them: the disk is full" in caplog.text


class TestAdded:
    def test_stay_and_are_counted(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        ids = make_ids(8)
        synced.run(ids[:4])
        assert change_directly(synced, "append", ids[4:6]).in_ledger
        for source in (ids[:4], ids[1:4], ids[1:5]):
            report = synced.run(source)
            assert (report.live, report.drift) == (len({*source, *ids[4:6]}), 0)
            assert synced.members == sorted({*source, *ids[4:6]})
        # One that the source had for a while stays as well: it was added directly.
        synced.run(ids[1:4])
        assert synced.members == ids[1:6]

    def test_go_when_they_opt_out(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        ids = make_ids(6)
        synced.run(ids[:4])
        change_directly(synced, "append", ids[4:])
        synced.run(ids[:4], suppress=ids[5:])
        assert synced.members == ids[:5]
        synced.run(ids[:4])
        assert synced.members == ids[:5]

    def test_go_when_they_are_removed_directly_and_come_when_they_are_added_again(
        self, synced: SyncedAudience, make_ids: MakeIds
    ) -> None:
        ids = make_ids(4)
        synced.run(ids[:3])
        change_directly(synced, "append", ids[3:])
        change_directly(synced, "remove", ids[2:])
        assert synced.run(ids).held_back == 2
        assert synced.members == ids[:2]
        change_directly(synced, "append", ids[2:3])
        assert synced.run(ids).held_back == 1
        assert synced.members == ids[:3]

    def test_expire_and_are_forgotten(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        ids = make_ids(4)
        synced.run(ids[:3])
        change_directly(synced, "append", ids[3:], ttl=500)
        synced.advance(1000)
        synced.run(ids[:2])
        assert synced.members == ids[:2]
        synced.run(ids)
        synced.run(ids[:2])
        assert synced.members == ids[:2], "it was added by the source this time"

    def test_an_update_is_all_that_is_left(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        ids = make_ids(8)
        synced.run(ids[:4])
        change_directly(synced, "remove", ids[:1])
        change_directly(synced, "replace", ids[4:7])
        assert synced.members == ids[4:7]
        report = synced.run(ids[1:3])
        assert (report.added, report.removed, report.live, report.drift) == (2, 0, 5, 0)
        assert synced.members == [*ids[1:3], *ids[4:7]]
        synced.run(ids[:3], mode="replace")
        synced.run(ids[1:3])
        assert synced.members == ids[1:3], "a replacement leaves nobody else"


class TestAfterAReplacementThatWasNeverAccepted:
    """It is still to be made: a direct change knows nothing of the members that it was to replace."""

    @pytest.mark.parametrize("mode", ["remove", "append"])
    @pytest.mark.parametrize("is_lost", [False, True])
    @pytest.mark.parametrize("is_accepted_at_once", [True, False])
    def test_the_next_sync_replaces(
        self, synced: SyncedAudience, make_ids: MakeIds, mode: str, is_lost: bool, is_accepted_at_once: bool
    ) -> None:
        ids = make_ids(9)
        wanted: dict[str, Any] = {"suppress": ids[5:6], "initial": "replace", "lost": "replace"}
        if is_lost:
            synced.run(ids[3:6])
            (ledger,) = synced.path.glob("ledger-*")
            ledger.write_bytes(b"")
        synced.post_by_others("append", ids[3:7])
        synced.wire.before = _down
        with pytest.raises(ServerError):
            synced.run(ids[:4], **wanted)
        synced.advance(1000)
        if not is_accepted_at_once:
            with pytest.raises(ServerError):
                change_directly(synced, mode, ids[7:8])
        synced.wire.clear()
        assert change_directly(synced, mode, ids[8:]).in_ledger
        synced.wire.clear()
        with pytest.raises(GuardError, match="never accepted"):
            synced.run(ids[:4])
        synced.run(ids[:4], **wanted)
        assert [operation for operation, _ in synced.sent] == ["update", "append"]
        assert synced.members == ids[:4]

    def test_an_update_directly_is_the_replacement(self, synced: SyncedAudience, make_ids: MakeIds) -> None:
        ids = make_ids(6)
        synced.post_by_others("append", ids[4:])
        synced.wire.before = _down
        with pytest.raises(ServerError):
            synced.run(ids[:2], initial="replace")
        synced.wire.clear()
        synced.advance(1000)
        change_directly(synced, "replace", ids[2:4])
        assert synced.run(ids[:2]).drift == 0
        assert synced.members == ids[:4]


def test_an_audience_without_ledger_needs_none(synced: SyncedAudience, make_ids: MakeIds) -> None:
    assert not change_directly(synced, "append", make_ids(3)).in_ledger
    assert not change_directly(synced, "remove", make_ids(1)).in_ledger
    assert synced.members == make_ids(3)[1:]
    synced.run(make_ids(3), initial="append")
    assert synced.members == make_ids(3)


def test_a_sync_that_is_under_way_comes_first(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(3))
    with synced.open_audience(key="other"), pytest.raises(AudienceBusyError, match="other, try 1"):
        change_directly(synced, "remove", make_ids(1))
    assert synced.members == make_ids(3)


@pytest.mark.parametrize("mode", ["remove", "append", "replace"])
@pytest.mark.parametrize("landed", [0, 1, 2])
def test_cut_off_at_any_request(over_http: AudienceOverHttp, make_ids: MakeIds, mode: str, landed: int) -> None:
    """Whatever of it has arrived, the next sync knows; and who was to go stays out."""
    ids = make_ids(12)
    over_http.run(ids[:6])
    first = "update" if mode == "replace" else "append"
    if landed == 0:
        over_http.emulator.fault(f"applovin.{first}", "status", status=500, times=None)
    else:
        number = landed if mode == "replace" else landed + 1
        over_http.emulator.fault("applovin.append", "status", status=500, number=number, times=None)
    sent = ids[3:9]
    with pytest.raises(ServerError):
        change_directly(over_http, mode, sent)
    over_http.emulator.clear_faults()
    source = ids[:5]
    over_http.run(source)
    report = over_http.run(source)
    assert report.batches == 0
    assert report.drift == 0 or mode != "remove", "who was added and never arrived is counted until they expire"
    held = set(sent) if mode == "remove" else set()
    assert set(source) - held <= set(over_http.members)
    assert not held & set(over_http.members)
    assert set(over_http.members) <= (set(source) | set(sent)) - held


@pytest.mark.parametrize(("mode", "has_to_wait"), [("remove", True), ("replace", True), ("append", False)])
def test_waits_for_late_requests_that_could_undo_it(
    over_http: AudienceOverHttp, make_ids: MakeIds, mode: str, has_to_wait: bool
) -> None:
    ids = make_ids(6)
    over_http.run(ids[:2])
    over_http.emulator.fault("applovin.append", "drop_before", times=None)
    with pytest.raises(ConnectionFailedError):
        change_directly(over_http, "append", ids[2:4])
    over_http.emulator.clear_faults()
    over_http.clear()
    change_directly(over_http, mode, ids[2:4])
    assert [240 < seconds <= 252 for seconds in over_http.sleeps] == [True] * has_to_wait


numbers = st.sets(st.integers(0, 60))


@settings(max_examples=60)
@given(one=numbers, other=numbers)
def test_sets(one: set[int], other: set[int]) -> None:
    import numpy as np

    settings = StagingSettings()
    with open_workspace(settings) as workspace, contextlib.ExitStack() as stack:

        def made(found: set[int], name: str) -> Any:
            folder = workspace.folder / name
            folder.mkdir()
            builder = stack.enter_context(KeySetBuilder(folder))
            builder.add(np.array([(number, number * 7) for number in found], np.uint64).reshape(-1, 2))
            return builder.finish().as_set()

        def listed(keys: Any) -> list[int]:
            return [int(key[0]) for key in keys.slice(0, keys.count)]

        names = itertools.count()
        for work, expected in (
            (key_sets.intersection, one & other),
            (key_sets.difference, one - other),
            (key_sets.union, one | other),
        ):
            found = work(made(one, f"a{next(names)}"), made(other, f"b{next(names)}"), workspace)
            whole = made(expected, f"c{next(names)}")
            assert listed(found) == listed(whole)
            assert list(found.starts()) == list(whole.starts())
