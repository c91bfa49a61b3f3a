"""
A refresh of PAI groups against the emulator: which groups are ours, which go, and when.

``AUDIENCES_MACHINE_EXAMPLES=2000`` runs the random sequences long.
"""

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.adapters import BaseAdapter

from airflow_provider_audiences.exceptions import (
    AudienceError,
    AuthenticationError,
    BadRequestError,
    InvalidInputError,
    PermanentError,
    ServerError,
)
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
from airflow_provider_audiences.platforms.pai.marker import GroupMarker
from airflow_provider_audiences.platforms.pai.pending_refresh import PendingRefresh, RefreshResult
from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule
from airflow_provider_audiences.platforms.pai.refresh import GroupRefresh, TidiedGroups
from airflow_provider_audiences.waiting.polls import PollState

EXAMPLES = int(os.environ.get("AUDIENCES_MACHINE_EXAMPLES", "30"))
OWNER = "dag.refresh"
SPEC = GroupSpec(source=PaiSource.ALGORITHM, name="VIP", algorithm="a", inference_job_id="j")
MIN_AMOUNT = 10
CHECKING, READY = 0, 1


NOTHING_FOUND = TidiedGroups(current=None, is_newest=False, rejected=None, sequence=0)


@dataclass
class Work:
    """The refresh of one call, with what belongs to it."""

    client: PaiClient
    marker: GroupMarker
    refresh: GroupRefresh
    tidied: TidiedGroups = NOTHING_FOUND

    def tidy(self, **allowed: bool) -> AudienceGroup | None:
        self.tidied = self.refresh.tidy(self.marker, **allowed)
        return self.tidied.current

    def begin(self) -> PendingRefresh:
        return self.refresh.begin(SPEC, self.marker, self.tidied, began_epoch_seconds=0)

    def run(self) -> RefreshResult:
        """Do all of it, for groups that are ready at once."""
        self.tidy()
        return self.refresh.finish(self.begin())


def work_of(client: PaiClient, run: str, *, keep: Any = 0, owner: str = OWNER, **of_marker: Any) -> Work:
    marker = client.marker(provenance=owner, run=run, spec=SPEC, **of_marker)
    rule = ReadinessRule(min_amount=MIN_AMOUNT)
    refresh = GroupRefresh(
        client,
        name="VIP",
        owner=marker.owner,
        idempotency_key=marker.idempotency_key,
        map_index=marker.map_index,
        rule=rule,
        keep_previous=keep,
    )
    return Work(client, marker, refresh)


@pytest.fixture
def work(pai: PaiClient, emulator: Any) -> Callable[..., Work]:
    """Makes the refresh of a run: ``work("r1", keep=1)``; groups are ready at once, and a minute passes in between."""
    emulator.settings(processing_seconds=0)

    def make(run: str, **changes: Any) -> Work:
        emulator.advance(60)
        return work_of(pai, run, **changes)

    return make


def ids(emulator: Any) -> list[str]:
    return [group["Id"] for group in emulator.groups()]


class TestRefresh:
    @pytest.mark.parametrize("name", ["", " ", None, "None", 7.0])
    def test_has_a_name(self, pai: PaiClient, name: Any) -> None:
        with pytest.raises(InvalidInputError, match="name"):
            GroupRefresh(pai, name=name, owner="o", idempotency_key="c", map_index=-1, rule=ReadinessRule())

    def test_is_not_alone_if_the_groups_can_not_be_listed(
        self, work: Callable[..., Work], emulator: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What another run may still need is not deleted: the next run cleans up."""
        begun = work("r1").begin()
        other = work("r2").refresh
        assert other.is_alone(begun.group_id)
        emulator.fault("pai.list", "status", status=403, times=None)
        assert not other.is_alone(begun.group_id)
        assert "It can't be told whether another run is under way" in caplog.text

    @pytest.mark.parametrize("keep", [-1, 0.5, None, "many", True])
    def test_keeps_a_whole_number(self, pai: PaiClient, keep: Any) -> None:
        with pytest.raises(InvalidInputError, match="keep_previous"):
            work_of(pai, "r1", keep=keep)

    def test_leaves_something_small_between_its_two_halves(self, work: Any) -> None:
        begun = work("r1").begin()
        stored = json.dumps(begun.as_json())
        assert PendingRefresh.from_json(json.loads(stored)) == begun
        assert len(stored) < 500

    def test_replaces_and_tells_what(self, work: Any, emulator: Any) -> None:
        first = work("r1", keep=1).run()
        assert (first.deleted, first.kept) == ((), ())
        second = work("r2", keep=1).run()
        assert (second.deleted, second.kept) == ((), (first.group.id,))
        third = work("r3", keep=1).run()
        assert (third.deleted, third.kept) == ((first.group.id,), (second.group.id,))
        assert ids(emulator) == [second.group.id, third.group.id]
        assert third.group.marker.run == "r3"

    def test_is_begun_once(self, work: Any, emulator: Any) -> None:
        first, again, other = work("r1").begin(), work("r1").begin(), work("r1", clear_count=1).begin()
        assert (first.adopted, again.adopted, other.adopted) == (False, True, False)
        assert first.group_id == again.group_id
        assert ids(emulator) == [first.group_id, other.group_id]

    def test_finds_the_newest_ready_group_of_an_earlier_run(self, work: Any, emulator: Any) -> None:
        assert work("r0").tidy() is None
        made = [work(run, keep=2).begin().group_id for run in ("r1", "r2", "r3")]
        emulator.settings(default_algorithm_amount=MIN_AMOUNT - 1)
        small = work("r4", keep=2).begin().group_id
        current = work("r5", keep=2).tidy()
        assert current.id == made[2]
        # While there is a ready one, nobody needs those that are not; nor those beyond what is kept.
        assert ids(emulator) == made
        assert work("r5", keep=1).tidy().id == made[2]
        assert ids(emulator) == made[1:]
        assert small not in ids(emulator)

    def test_leaves_a_small_group_while_there_is_no_other(self, work: Any, emulator: Any) -> None:
        emulator.settings(default_algorithm_amount=MIN_AMOUNT - 1)
        small = work("r1").begin().group_id
        emulator.settings(reject_names=["VIP"])
        work("r2").begin()
        assert work("r3").tidy() is None
        assert ids(emulator) == [small]
        emulator.settings(reject_names=[], default_algorithm_amount=MIN_AMOUNT)
        assert work("r3").run().deleted == (small,)

    def test_tidies_no_group_that_is_being_checked(self, work: Any, emulator: Any) -> None:
        """Whoever made it may be waiting for it."""
        emulator.settings(processing_seconds=1000)
        begun = work("r1").begin()
        for run in ("r1", "r2"):
            work(run).tidy()
            assert ids(emulator) == [begun.group_id]
        emulator.settings(processing_seconds=0)
        later = work("r3")
        assert later.tidy() is None
        assert later.run().deleted == (begun.group_id,)

    def test_gives_up_without_a_word_of_what_fails(self, work: Any, emulator: Any, caplog: Any) -> None:
        begun = work("r1").begin()
        emulator.fault("pai.delete", "status", status=500, times=4)
        work("r1").refresh.delete_unready(begun.group_id)
        assert f"The group {begun.group_id} could not be deleted; the next run does it" in caplog.text
        work("r1").refresh.delete_unready(begun.group_id)
        caplog.clear()
        work("r1").refresh.delete_unready(begun.group_id)  # it is gone, which is what was wanted
        assert "could not be deleted" not in caplog.text
        assert ids(emulator) == []

    def test_deletes_what_it_can(self, work: Any, emulator: Any) -> None:
        made = [work(run, keep=2).begin().group_id for run in ("r1", "r2", "r3")]
        new = work("r4")
        begun = new.begin()
        emulator.fault("pai.delete", "status", status=500, times=4)
        with pytest.raises(ServerError, match=f"The new group {begun.group_id} is ready; the next try deletes"):
            new.refresh.finish(begun)
        # The newest is the first to go.
        assert ids(emulator) == [made[2], begun.group_id]
        assert new.refresh.finish(begun).deleted == (made[2],)

    @pytest.mark.parametrize(
        ("status", "error_type", "attempts"),
        [(401, AuthenticationError, 1), (403, AuthenticationError, 1), (400, BadRequestError, 3)],
    )
    def test_does_not_try_the_next_delete_when_none_is_allowed(
        self, work: Any, emulator: Any, status: int, error_type: type[Exception], attempts: int
    ) -> None:
        """Each attempt may be billed."""
        made = [work(run, keep=2).begin().group_id for run in ("r1", "r2", "r3")]
        new = work("r4")
        begun = new.begin()
        emulator.fault("pai.delete", "status", status=status, times=None)
        with pytest.raises(error_type, match=f"{begun.group_id} is ready; the next run deletes what it replaces"):
            new.refresh.finish(begun)
        assert len(emulator.requests("pai.delete")) == attempts
        assert ids(emulator) == [*made, begun.group_id]

    @pytest.mark.parametrize(("status", "is_over"), [(403, True), (400, True), (500, False)])
    def test_is_over_when_what_was_left_behind_can_not_be_deleted_for_good(
        self, work: Any, emulator: Any, status: int, is_over: bool
    ) -> None:
        old, new = (work(run, keep=2).begin().group_id for run in ("r1", "r2"))
        refresh = work("r3")
        emulator.fault("pai.delete", "status", status=status, times=None)
        if is_over:
            with pytest.raises(PermanentError, match="No new group was made, since those that it would replace can't"):
                refresh.tidy()
        else:
            assert refresh.tidy().id == new
        assert ids(emulator) == [old, new]

    def test_tells_what_earlier_runs_had_left_behind(self, work: Any, emulator: Any) -> None:
        first, second, third = (work(run, keep=2).begin().group_id for run in ("r1", "r2", "r3"))
        now = work("r4", keep=1)
        current = now.tidy()
        assert now.refresh.keep(current, now.tidied, began_epoch_seconds=0).leftovers == [first]
        assert now.begin().leftovers == [first]
        emulator.fault("pai.delete", "status", status=500, times=4)
        now = work("r5")
        now.tidy()
        # The newest of them could not be deleted now.
        assert now.begin().leftovers == [second]
        assert third in ids(emulator)

    def test_finds_a_new_group_that_the_list_does_not_show_yet(self, work: Any, emulator: Any) -> None:
        old = work("r1").run().group.id
        new = work("r2")
        begun = new.begin()
        [hidden] = [group["Name"] for group in emulator.groups() if group["Id"] == begun.group_id]
        other = GroupRefresh(
            new.client,
            name=f"{hidden} 2",
            owner=new.marker.owner,
            idempotency_key="c",
            map_index=-1,
            rule=ReadinessRule(),
        )
        replaced = other.finish(begun)
        assert (replaced.group.id, replaced.deleted) == (begun.group_id, ())
        assert ids(emulator) == [old, begun.group_id]


class Killed(BaseException):
    """The process is dead: nothing of it runs on."""


class Wire(BaseAdapter):
    """Counts a client's requests, kills it at one of them, and lets somebody look after each."""

    def __init__(self, inner: Any, *, killed: tuple[str, int] | None, look: Callable[[], None]) -> None:
        super().__init__()
        self._inner, self._killed, self._look = inner, killed, look
        self._requests = itertools.count(1)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        number = next(self._requests)
        if self._killed == ("before", number):
            raise Killed
        response = self._inner.send(request, *args, **kwargs)
        self._look()
        if self._killed == ("after", number):
            raise Killed
        return response

    def close(self) -> None:
        self._inner.close()


@dataclass(frozen=True)
class Try:
    """
    What one try meets.

    ``kind`` is what it is to the one before it, if that ended in a way that leaves the choice.
    """

    kind: str
    fate: str
    keep: int
    delete_failed: bool
    killed: tuple[str, int] | None
    fault: tuple[str, str, int] | None
    seconds: int


tries = st.builds(
    Try,
    kind=st.sampled_from(("next run", "next run", "next try", "cleared")),
    fate=st.sampled_from(("ready", "ready", "ready", "rejected", "small", "late")),
    keep=st.integers(0, 2),
    delete_failed=st.booleans(),
    killed=st.one_of(st.none(), st.tuples(st.sampled_from(("before", "after")), st.integers(1, 9))),
    fault=st.one_of(
        st.none(),
        st.tuples(st.sampled_from(("pai.create", "pai.delete")), st.sampled_from(("drop_after", "500")), st.just(1)),
        st.tuples(st.sampled_from(("pai.create", "pai.delete")), st.sampled_from(("drop_after", "500")), st.just(9)),
    ),
    seconds=st.sampled_from((1, 60)),
)


class World:
    """The platform, the tries, and what has to be true."""

    def __init__(self, emulator: Any, make_pai: Any, counts: Counter[str]) -> None:
        self.emulator, self.make_pai, self.counts = emulator, make_pai, counts
        emulator.reset()
        emulator.freeze()
        with make_pai() as client:
            self.owner = client.marker(provenance=OWNER, run="r", spec=SPEC).owner
            by_hand = client.create_group(SPEC, marker=None).group.id
            theirs = work_of(client, "r0", owner="dag.other").begin().group_id
            longer = GroupSpec(source=PaiSource.ALGORITHM, name="VIP 2", algorithm="a", inference_job_id="j")
            mark = client.marker(provenance=OWNER, run="r0", spec=longer)
            self.strangers = {by_hand, theirs, client.create_group(longer, marker=mark).group.id}
        self.run_number, self.again, self.is_over = 1, 0, False
        self.was_ready = False

    @property
    def ours(self) -> dict[str, dict[str, Any]]:
        """Our groups by id, oldest first, with their marks."""
        found = {}
        for group in self.emulator.groups():
            marker = GroupMarker.read(group["Remark"])[1]
            if marker and group["Name"] == "VIP" and marker.owner == self.owner:
                found[group["Id"]] = {**group, "key": marker.idempotency_key}
        return found

    @staticmethod
    def is_ready(group: dict[str, Any]) -> bool:
        return bool(group["Status"] == READY and group["Amount"] >= MIN_AMOUNT)

    def look(self) -> None:
        """Check what is true at any time."""
        ours = self.ours
        ready = [group for group in ours.values() if self.is_ready(group)]
        assert ready or not self.was_ready, "the last ready group was deleted"
        self.was_ready = bool(ready)
        assert self.strangers <= set(ids(self.emulator)), "a group of others was deleted"
        assert max(Counter(group["key"] for group in ours.values()).values(), default=0) <= 1, "a group was doubled"

    def choose(self, kind: str) -> None:
        if kind == "next run" or (kind == "next try" and self.is_over):
            self.run_number, self.again = self.run_number + 1, 0
        elif kind == "cleared":
            self.again += 1

    def attempt(self, given: Try) -> None:
        self.choose(given.kind)
        self.emulator.settings(
            reject_names=["VIP"] if given.fate == "rejected" else [],
            default_algorithm_amount=MIN_AMOUNT - (given.fate == "small"),
            processing_seconds=1e6 if given.fate == "late" else 30,
        )
        self.emulator.advance(given.seconds)
        self.emulator.clear_faults()
        if given.fault:
            operation, kind, times = given.fault
            options = {"kind": "status", "status": 500} if kind == "500" else {"kind": kind}
            self.emulator.fault(operation, times=times, **options)
        self.look()
        before = self.ours
        with self.make_pai() as client:
            work = work_of(client, f"r{self.run_number}", keep=given.keep, clear_count=self.again)
            session = client._transport._session
            wire = Wire(session.get_adapter(self.emulator.url), killed=given.killed, look=self.look)
            session.mount("http://", wire)
            outcome = self.carry_out(work, given)
        self.is_over = outcome in {"ready", "failed"}
        self.counts[outcome] += 1
        had_ready = any(map(self.is_ready, before.values()))
        most = len(before) + 1
        if had_ready and not given.fault:
            # What should be there, what an earlier setting kept and is still to go, one, and those of runs that were
            # cut off, while they are checked: these runs may be alive.
            checking = [group for group in self.ours.values() if group["Status"] == CHECKING]
            most = max(len(before), 2 + given.keep + len(checking))
        assert len(self.ours) <= most, "more than one extra group"
        self.look()

    def carry_out(self, work: Work, given: Try) -> str:
        """Do what the operators do."""
        try:
            work.tidy()
            begun = work.begin()
            self.emulator.advance(30)
            group = work.client.get_group(begun.group_id)
            state = ReadinessRule(min_amount=MIN_AMOUNT).assess(group, work.client.dialect).state
            if state is not PollState.READY:
                if given.delete_failed:
                    work.refresh.delete_unready(begun.group_id)
                return "failed"
            before = self.ours
            replaced = work.refresh.finish(begun)
        except Killed:
            return "killed"
        except AudienceError:
            assert given.fault
            return "error"
        ours = self.ours
        earlier = [
            name
            for name, group in before.items()
            if self.is_ready(group) and group["key"] != work.marker.idempotency_key
        ]
        kept = earlier[::-1][: given.keep]
        assert replaced.kept == tuple(kept)
        assert list(ours) == [*reversed(kept), replaced.group.id]
        assert all(map(self.is_ready, ours.values()))
        return "ready"


@pytest.fixture(scope="module")
def counts() -> Any:
    """How the random tries ended, which is printed in the end."""
    counted: Counter[str] = Counter()
    yield counted
    print(dict(counted))  # noqa: T201 - pytest -s


class TestRandomSequences:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        derandomize="AUDIENCES_MACHINE_EXAMPLES" not in os.environ,
    )
    @given(sequence=st.lists(tries, min_size=4, max_size=9))
    def test_leave_what_they_should(
        self, emulator: Any, make_pai: Any, counts: Counter[str], sequence: list[Try]
    ) -> None:
        world = World(emulator, make_pai, counts)
        for given_try in sequence:
            world.attempt(given_try)

    def test_end_in_every_way(self, counts: Counter[str]) -> None:
        """Else the sequences above prove nothing."""
        assert all(counts[name] for name in ("ready", "failed", "killed", "error"))
