"""
A state that is moved from one number of partitions to another: nobody is lost, whenever the move is cut off.

``AUDIENCES_LONG_TESTS=1`` (``make test-rounds``) cuts it off at each call of a store.
"""

import contextlib
import itertools
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from support.partitioned import MOVER, PartitionedAudience

from airflow_provider_audiences.exceptions import (
    AudienceBusyError,
    ConflictError,
    GuardError,
    LedgerLostError,
)
from airflow_provider_audiences.members.partition import ALL_MEMBERS, Partition
from airflow_provider_audiences.members.partition import partitions as all_partitions
from airflow_provider_audiences.sync.direct_changes import DirectChanges
from airflow_provider_audiences.sync.run_date import RunDate

EVERY_CALL = bool(os.environ.get("AUDIENCES_LONG_TESTS"))
IDS = [str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))) for number in range(300)]
OLD, NEW = IDS[:250], IDS[50:]
DAY = 86_400
Begun: TypeAlias = Callable[[int], PartitionedAudience]
A, B = Partition(hex="a"), Partition(hex="b")


class Killed(BaseException):
    """The process is gone: nothing that it would do afterwards is done."""


@pytest.fixture
def audience(tmp_path: Path) -> PartitionedAudience:
    return PartitionedAudience(tmp_path / "state")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], PartitionedAudience]:
    """Makes an audience in so many partitions, after two days of syncs, so that members differ in their times."""
    numbers = itertools.count(1)

    @cache
    def made(count: int) -> PartitionedAudience:
        audience = PartitionedAudience(tmp_path_factory.mktemp("begun") / "state")
        audience.require(count)
        audience.sync(OLD, count=count)
        audience.destination.platform.advance(1000)
        audience.sync(NEW, count=count)
        assert audience.members == sorted(NEW)
        return audience

    return lambda count: made(count).copied_to(tmp_path_factory.mktemp("copy") / str(next(numbers)))


def stored(audience: PartitionedAudience) -> list[Path]:
    return sorted(audience.path.glob("**/*.parquet"))


@pytest.mark.parametrize("counts", [(1, 16, 1), (16, 1, 16), (16, 256, 1)])
def test_a_move_forgets_nobody(begun: Begun, counts: tuple[int, ...]) -> None:
    audience = begun(counts[0])
    rows = audience.rows()
    assert set(rows) == set(NEW)
    for count in counts[1:]:
        audience.require(count)
        assert (audience.count, audience.rows()) == (count, rows)
        manifest = audience.manifest()
        assert manifest is not None
        assert (manifest.layout.moves_to, manifest.layout.leftovers) == (0, 0)
        # Nothing is left of those before: each file has members of a present partition.
        folders = {path.parent for path in stored(audience)}
        assert folders == {audience.folder_of(one) for one in all_partitions(count) if _has_members(rows, one)}
    assert audience.destination.posts == []
    # The next sync finds the audience as it left it.
    audience.sync(NEW, count=counts[-1])
    assert audience.destination.posts == []
    audience.sync(OLD, count=counts[-1])
    assert audience.members == sorted(OLD)


def _has_members(rows: dict[str, Any], partition: Partition) -> bool:
    return any(member.startswith(partition.hex) for member in rows)


def test_it_is_done_once(begun: Begun) -> None:
    audience = begun(16)
    audience.require(16)
    before = sorted(audience.path.glob("**/*"))
    audience.require(16)
    assert sorted(audience.path.glob("**/*")) == before


def change_directly(audience: PartitionedAudience, held_back: set[str], added_directly: set[str]) -> None:
    """As single changes do, in an audience that is one."""
    with audience.at(ALL_MEMBERS).open_audience(key="hand") as opened:
        opened.load_state()
        opened.state.record_no_change(
            run_date=None,
            direct_changes=DirectChanges(
                held_back=_keys(opened.workspace, held_back), added_directly=_keys(opened.workspace, added_directly)
            ),
        )


def test_who_was_changed_directly_stays_so(begun: Begun) -> None:
    audience = begun(1)
    held_back, added_directly = set(IDS[:30]), set(IDS[270:])
    change_directly(audience, held_back, added_directly)
    for count in (16, 1):
        audience.require(count)
        assert audience.direct_changes() == (held_back, added_directly)
    audience.sync(OLD, count=1)
    assert set(audience.members) == (set(OLD) | added_directly) - held_back


def test_files_are_closed_although_all_partitions_have_direct_changes(begun: Begun) -> None:
    audience = begun(1)
    held_back, added_directly = set(IDS[:30]), set(IDS[270:])
    change_directly(audience, held_back, added_directly)
    before, most = open_files(), 0

    def look(_when: str, _method: str, _place: str) -> None:
        nonlocal most
        most = max(most, open_files())

    audience.hook = look
    for count in (16, 1):
        audience.require(count)
        assert audience.direct_changes() == (held_back, added_directly)
    assert before < most < before + 30


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_requests_may_be_under_way_although_the_manifest_is_lost(begun: Begun) -> None:
    """A removal that was cut off takes effect after the member is wanted again, unless that waits for it."""
    audience = begun(16)
    ours = [member for member in NEW if member.startswith("a")]

    def cut(_post: Any) -> None:
        raise Killed

    audience.destination.before = cut
    with pytest.raises(Killed):
        audience.at(A).run(ours[1:])
    audience.destination.clear()
    for file in audience.path.glob("head-*"):
        file.unlink()
    audience.require(16, lost="rebuild", try_number=2)
    one = audience.at(A)
    one.run(ours, opened={"key": MOVER, "try_number": 3})
    (seconds,) = one.sleeps
    assert 0 < seconds <= audience.destination.limits.late_effect_seconds


@pytest.mark.parametrize("was_moved", [True, False])
def test_who_was_removed_directly_stays_out_although_the_manifest_is_lost(begun: Begun, was_moved: bool) -> None:
    audience = begun(1)
    held_back = set(IDS[:30])
    change_directly(audience, held_back, set())
    if was_moved:
        audience.require(16)
    for file in audience.path.glob("head-*"):
        file.unlink()
    with pytest.raises(LedgerLostError, match="head"):
        audience.require(16)
    audience.require(16, lost="rebuild")
    assert (audience.count, audience.direct_changes()) == (16, (held_back, set()))
    assert not list(audience.path.glob("*.parquet"))
    audience.sync(OLD, count=16, lost="rebuild")
    assert held_back <= set(OLD)
    assert set(audience.rows()) == set(OLD) - held_back


def _keys(workspace: Any, texts: set[str]) -> Any:
    import numpy as np

    from airflow_provider_audiences.members.keys.key_order import order_of
    from airflow_provider_audiences.members.keys.key_set import KeySetWriter

    words = [[uuid.UUID(text).int >> 64, uuid.UUID(text).int & (2**64 - 1)] for text in texts]
    keys = np.array(words, np.uint64).reshape(-1, 2)
    writer = KeySetWriter(workspace.new_file())
    writer.add(keys[order_of(keys)])
    return writer.finish()


def test_an_audience_without_members_is_moved(audience: PartitionedAudience) -> None:
    audience.require(16, initial="append")
    audience.require(1)
    manifest = audience.manifest()
    assert manifest is not None
    assert (audience.count, manifest.ledger.members, manifest.has_unknown_members) == (1, 0, True)
    # What was decided about unknown members when the first partitions were begun is not asked again.
    audience.destination.platform.carry_out("append", [IDS[0]], 1000)
    audience.sync(IDS[1:5], count=1, suppress=[IDS[0]], initial="fail")
    assert audience.members == sorted(IDS[1:5])


def test_a_state_that_begins_asks_about_members_that_nobody_knows(audience: PartitionedAudience) -> None:
    audience.destination.platform.carry_out("append", IDS[:3], 1000)
    with pytest.raises(GuardError, match=r"holds 3 members, and .* has no ledger") as stopped:
        audience.require(16, initial="fail")
    assert stopped.value.guard == "initial"
    audience.require(1, initial="fail")  # the sync of the whole asks by itself
    assert not list(audience.path.glob("partition-*"))


@pytest.mark.parametrize("count", [1, 16])
def test_who_must_not_move_is_refused(begun: Begun, count: int) -> None:
    audience = begun(count)
    with pytest.raises(ConflictError, match=r"and this task asks for 256 partitions"):
        audience.require(256, may_move=False)
    audience.require(count, may_move=False)


@pytest.mark.parametrize(("count", "to"), [(1, 16), (16, 1)])
def test_a_plan_that_is_begun_is_finished_first(begun: Begun, count: int, to: int) -> None:
    audience = begun(count)

    def cut(post: Any) -> None:
        if audience.destination.posts[:-1]:
            raise Killed

    audience.destination.after = cut
    with pytest.raises(Killed):
        audience.sync(OLD, count=count)
    audience.destination.clear()
    with pytest.raises(ConflictError, match="a plan was begun and is not finished") as refused:
        audience.require(to)
    assert "Let a run end first" in str(refused.value)
    # All is as before: the run is finished, and then the state may be moved.
    assert audience.count == count
    audience.sync(OLD, count=count)
    assert audience.members == sorted(OLD)
    audience.require(to)
    assert set(audience.rows()) == set(OLD)


def test_a_move_that_is_refused_outdates_no_plan(begun: Begun) -> None:
    """One that is stored and waits for a person, while another one was begun and cut off."""
    audience = begun(1)
    with audience.at(ALL_MEMBERS).open_audience(key="replaces") as opened:
        opened.load_state()
        assert opened.state.manifest is not None
        opened.state._commit(replace(opened.state.manifest, is_content_known=False))
    plan_id = audience.at(ALL_MEMBERS).run(OLD, plan_only=True, initial="append").plan_id
    with pytest.raises(ConflictError, match="a plan was begun and is not finished"):
        audience.require(16)
    assert audience.at(ALL_MEMBERS).apply(plan_id).removed == len(set(NEW) - set(OLD))
    assert audience.members == sorted(OLD)


def test_changes_that_are_handed_in_have_no_ledger_to_move(begun: Begun) -> None:
    audience = begun(1)
    with audience.at(ALL_MEMBERS).open_audience(key="changes") as opened:
        opened.load_state()
        manifest = opened.state.manifest
        assert manifest is not None
        opened.state._commit(replace(manifest, changes_fingerprint="f"))
    with pytest.raises(ConflictError, match="kept by changes that are handed in"):
        audience.require(16)
    assert audience.count == 1


def test_a_ledger_that_is_lost_is_not_moved(begun: Begun) -> None:
    audience = begun(16)
    next(iter(audience.folder_of(A).glob("ledger-*"))).write_bytes(b"lost")
    with pytest.raises(LedgerLostError, match="partition-a/ledger-"):
        audience.require(1)
    # It is rebuilt as ever, and then moved.
    audience.sync(NEW, count=16, lost="rebuild")
    audience.require(1)
    assert set(audience.rows()) == set(NEW)


class Deaths:
    """Kills the mover at one of its calls to the stores."""

    def __init__(self, audience: PartitionedAudience) -> None:
        self._audience = audience
        self.calls: list[tuple[str, str, str]] = []

    def run(self, count: int, *, at: int | None = None, try_number: int = 1) -> None:
        """Move the state; die at call number ``at``, counted from 0."""
        self.calls.clear()

        def hook(when: str, method: str, place: str) -> None:
            if at is not None and len(self.calls) >= at:
                raise Killed
            self.calls.append((when, method, place))

        self._audience.hook = hook
        try:
            self._audience.require(count, try_number=try_number)
        finally:
            self._audience.hook = None


def deaths_of(calls: int, *, every: int) -> Iterator[int]:
    """Choose calls: the first and last ones, and some in between."""
    yield from sorted({*range(0, calls, every), *range(1, calls, every), calls - 4, calls - 1})


@pytest.mark.parametrize(("count", "to"), [(1, 16), (16, 1)])
def test_a_mover_that_is_killed(begun: Begun, tmp_path: Path, count: int, to: int) -> None:
    """Another try completes the move, or gives it up; either way, all are there with their times."""
    audience = begun(count)
    rows = audience.rows()
    numbers = itertools.count(1)

    def copies(one: PartitionedAudience) -> PartitionedAudience:
        return one.copied_to(tmp_path / str(next(numbers)))

    whole = Deaths(copies(audience))
    whole.run(to)
    calls, ends = len(whole.calls), set()
    every = 1 if EVERY_CALL else 1 + calls // 4
    for at in deaths_of(calls, every=every):
        one = copies(audience)
        with pytest.raises(Killed):
            Deaths(one).run(to, at=at)
        ends.add(one.count)
        assert one.rows() == rows, f"after call {at} of {calls}: {whole.calls[at]}"
        other = copies(one)
        one.require(to, try_number=2)
        other.require(count, try_number=2)
        for moved, goal in ((one, to), (other, count)):
            assert (moved.count, moved.rows()) == (goal, rows), f"after call {at} of {calls}: {whole.calls[at]}"
            assert {path.parent for path in stored(moved)} == {
                moved.folder_of(partition) for partition in all_partitions(goal) if _has_members(rows, partition)
            }
    assert ends == {count, to}


@pytest.mark.parametrize(("count", "to"), [(1, 16), (16, 1)])
def test_nobody_syncs_while_a_move_is_cut_off(begun: Begun, count: int, to: int) -> None:
    audience = begun(count)
    with pytest.raises(Killed):
        Deaths(audience).run(to, at=60)
    for asked in (count, to):
        later_try = {"key": MOVER, "try_number": 2}  # the lease of the one that was cut off is no hindrance
        with pytest.raises(ConflictError, match="is being moved from"):
            audience.at(A if asked == 16 else ALL_MEMBERS).run(NEW[:1], opened=later_try)
    assert audience.destination.posts == []


@pytest.mark.parametrize("has_loaded", [True, False])
@pytest.mark.parametrize("count", [1, 16])
def test_a_sync_that_began_before_the_move_changes_nothing(begun: Begun, count: int, has_loaded: bool) -> None:
    """Its process was suspended for so long that its lease is over."""
    audience = begun(count)
    partition = A if count == 16 else ALL_MEMBERS
    with audience.at(partition).open_audience(key=MOVER) as suspended:  # a later try of its task takes the lease over
        if has_loaded:
            suspended.load_state()
        audience.require(17 - count, try_number=2)
        rows = audience.rows()

        def go_on() -> None:
            if not has_loaded:
                suspended.load_state()
            nobody = DirectChanges.none(suspended.workspace)
            suspended.state.record_no_change(run_date=RunDate(logical=9e9), direct_changes=nobody)

        with pytest.raises((AudienceBusyError, ConflictError)):
            go_on()
    assert (audience.count, audience.rows()) == (17 - count, rows)


def test_a_mover_that_stood_still_does_not_undo_what_came_after(begun: Begun) -> None:
    """Another one has given the move up meanwhile, and the audience was synced."""
    audience = begun(16)
    rival = PartitionedAudience(audience.path, audience.destination)

    def hook(when: str, method: str, place: str) -> None:
        # All partitions are read, and the whole is about to be written.
        if (when, method, place) == ("before", "store", "whole"):
            audience.hook = None
            rival.require(16, try_number=2)
            rival.sync(OLD, count=16)

    audience.hook = hook
    with pytest.raises(AudienceBusyError):
        audience.require(1)
    assert audience.hook is None
    assert (audience.count, set(audience.rows())) == (16, set(OLD))
    audience.sync(OLD, count=16)
    assert audience.members == sorted(OLD)


def lose(path: Path) -> None:
    for manifest in path.glob("head-*"):
        manifest.write_bytes(b"lost")


@pytest.mark.parametrize("is_deleted", [True, False])
def test_a_lost_manifest_of_the_whole(begun: Begun, is_deleted: bool) -> None:
    """Nothing tells how many partitions there are, so none of their ledgers is believed."""
    audience = begun(16)
    if is_deleted:
        for path in audience.path.glob("head*"):
            path.unlink()
    else:
        lose(audience.path)
    with pytest.raises(LedgerLostError, match="head-"):
        audience.require(16)
    audience.require(16, lost="rebuild")
    assert audience.rows() == {}
    manifest = audience.manifest()
    assert manifest is not None
    assert manifest.layout.has_unknown_members
    audience.sync(NEW, count=16)
    assert set(audience.rows()) == set(NEW)


def test_a_partition_of_a_lost_whole_is_not_synced(begun: Begun) -> None:
    audience = begun(16)
    lose(audience.path)
    with pytest.raises(LedgerLostError, match="head-"):
        audience.at(A).run(NEW[:1])


@pytest.mark.parametrize("is_known", [True, False], ids=["nobody else is there", "others may be there"])
@pytest.mark.parametrize("moved_from", [None, 1, 256])
def test_a_partition_whose_folder_is_lost_is_not_taken_for_a_new_one(
    audience: PartitionedAudience, moved_from: int | None, is_known: bool
) -> None:
    """Nobody would remove those who were sent before: those who opted out, and those who left the source."""
    if not is_known:
        audience.destination.platform.carry_out("append", IDS[250:255], 1000)
    audience.state().require(
        moved_from or 16, settings=audience.at(ALL_MEMBERS).settings(initial="append"), is_new=is_known, may_move=True
    )
    if moved_from:
        audience.sync(OLD[:3], count=moved_from)
        audience.require(16)
    audience.sync(OLD, count=16)
    opted_out = [member for member in OLD if member.startswith("a")][:2]
    shutil.rmtree(audience.folder_of(A))
    with pytest.raises(LedgerLostError, match=r"partition-a: its manifest \(head-\*.json\) is missing"):
        audience.at(A).run([member for member in OLD if member.startswith("a")], suppress=opted_out)
    with pytest.raises(LedgerLostError, match=r"partition-a: its manifest \(head-\*.json\) is missing"):
        audience.require(1)
    audience.require(16)
    audience.sync(OLD, count=16, suppress=opted_out, lost="rebuild")
    assert not set(opted_out) & set(audience.members)
    assert set(audience.rows()) == set(OLD) - set(opted_out)


@pytest.mark.parametrize("calls", range(0, 60, 7))
def test_partitions_whose_beginning_was_cut_off(audience: PartitionedAudience, calls: int) -> None:
    """The next run completes it: no partition is taken for a lost one, whichever already had a manifest."""
    left = itertools.count(calls, -1)

    def kill(_when: str, _method: str, _place: str) -> None:
        if not next(left):
            raise Killed

    audience.hook = kill
    with contextlib.suppress(Killed):
        audience.require(16)
    audience.hook = None
    audience.require(16, try_number=2)
    assert all(audience.manifest(partition) for partition in all_partitions(16))
    audience.sync(OLD, count=16)
    assert set(audience.rows()) == set(OLD)


def test_a_busy_partition_is_waited_for(begun: Begun) -> None:
    audience = begun(16)
    with audience.at(B).open_audience(key="other"), pytest.raises(AudienceBusyError, match="other, try 1"):
        audience.require(1)
    # Whoever waits in vain gives the move up.
    manifest = audience.manifest()
    assert manifest is not None
    assert (manifest.layout.partitions, manifest.layout.moves_to) == (16, 0)
    audience.require(1)
    assert audience.count == 1
