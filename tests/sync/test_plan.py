"""The plan against Python's sets: what is sent, what is counted, and what the audience is afterwards."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from airflow_provider_audiences.members.keys import key_order, key_set
from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter
from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace
from airflow_provider_audiences.sync.direct_changes import DirectChanges
from airflow_provider_audiences.sync.ledger import Ledger, LedgerRows, LedgerWriter
from airflow_provider_audiences.sync.plan import Plan, PlanCounts, PlanRules, make_plan
from airflow_provider_audiences.sync.state.delivered import Delivered
from airflow_provider_audiences.sync.state.fold import fold

Times = tuple[int, int]

ADDITION_IN_DOUBT, REMOVAL_IN_DOUBT = 0, 1
LATEST_UNKNOWN = 2**32 - 1
NOW = 5000.5
TTL = 3000
MODES = ("mirror", "append", "replace")

HASHES: dict[str, Callable[[NDArray[np.uint64]], NDArray[np.uint64]]] = {
    "its own": key_order.hashes_of,
    "one for all": lambda keys: np.zeros(len(keys), np.uint64),
    "a few": lambda keys: (keys[:, 1] & np.uint64(3)) << np.uint64(62),
}

members = st.integers(0, 20)
doubts = st.sampled_from([ADDITION_IN_DOUBT, REMOVAL_IN_DOUBT])
times = st.tuples(doubts | st.sampled_from([6000, 6001]) | st.integers(2, 9000), st.integers(2, 9000)).map(
    lambda pair: (pair[0], max(pair))
) | st.just((REMOVAL_IN_DOUBT, LATEST_UNKNOWN))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> StagingSettings:
    return StagingSettings(temp_folder=tmp_path_factory.mktemp("work"))


def as_keys(keys: Any) -> NDArray[np.uint64]:
    """Small numbers, which are the last halves of keys, in order."""
    return key_order.unique(np.array([(0, key) for key in keys], np.uint64).reshape(len(keys), 2)).keys


def key_set_of(workspace: Workspace, keys: Any) -> KeySet:
    writer = KeySetWriter(workspace.new_file())
    writer.add(as_keys(keys))
    return writer.finish()


def ledger_of(workspace: Workspace, content: dict[int, Times]) -> Ledger:
    keys = as_keys(content)
    earliest, latest = (np.array([content[key][column] for key in keys[:, 1].tolist()], np.uint32) for column in (0, 1))
    writer = LedgerWriter(workspace)
    writer.add(LedgerRows(keys=keys, earliest_expiry=earliest, latest_expiry=latest))
    return writer.finish()


def listed(keys: KeySet) -> list[int]:
    return [int(low) for low in keys.slice(0, keys.count)[:, 1]]


def rules_of(mode: str, *, due_before: float = NOW, has_unknown_members: bool = False) -> PlanRules:
    return PlanRules(
        now=NOW,
        due_before=due_before,
        ttl_seconds=TTL,
        replaces=mode == "replace",
        removes=mode != "append",
        has_unknown_members=has_unknown_members,
        removes_all_opt_outs=has_unknown_members,
    )


@dataclass(frozen=True)
class Case:
    """What a plan is made of."""

    mode: str
    source: set[int]
    suppressed: set[int]
    ledger: dict[int, Times]
    due_before: float
    hash_name: str
    has_unknown_members: bool = False

    @property
    def unknown(self) -> set[int]:
        """Whom the plan removes although the ledger lacks them."""
        known = {key for key, (_, latest) in self.ledger.items() if latest > NOW}
        return self.suppressed - known if self.has_unknown_members and self.mode != "replace" else set()

    @property
    def wanted(self) -> set[int]:
        return self.source - self.suppressed

    @contextmanager
    def planned(self, work: StagingSettings) -> Iterator[tuple[Plan, Ledger, Workspace]]:
        with pytest.MonkeyPatch.context() as patch, open_workspace(work) as workspace:
            patch.setattr(key_order, "PART_BITS", 2)
            patch.setattr(key_order, "PARTS", 4)
            patch.setattr(key_order, "hashes_of", HASHES[self.hash_name])
            patch.setattr(key_set, "_COMPARED_KEYS", 3)
            ledger = ledger_of(workspace, self.ledger)
            plan = make_plan(
                key_set_of(workspace, self.source),
                key_set_of(workspace, self.suppressed),
                ledger,
                rules=rules_of(self.mode, due_before=self.due_before, has_unknown_members=self.has_unknown_members),
                workspace=workspace,
            )
            yield plan, ledger, workspace


cases = st.builds(
    Case,
    mode=st.sampled_from(MODES),
    source=st.sets(members),
    suppressed=st.sets(members, max_size=5),
    ledger=st.dictionaries(members, times),
    due_before=st.sampled_from([NOW, 6000.0, 6001.0]) | st.floats(NOW, 8000),
    hash_name=st.sampled_from(sorted(HASHES)),
    has_unknown_members=st.booleans(),
)


@settings(deadline=None, max_examples=300)
@given(case=cases)
def test_against_sets(case: Case, work: StagingSettings) -> None:
    with case.planned(work) as (plan, _, _):
        additions, removals = listed(plan.additions), listed(plan.removals)
        assert additions == [int(low) for low in as_keys(additions)[:, 1]], "in the one order, and each once"
        assert removals == [int(low) for low in as_keys(removals)[:, 1]]
    may_live = {key for key, (_, latest) in case.ledger.items() if latest > NOW}
    surely_live = {key for key, (earliest, _) in case.ledger.items() if earliest > NOW}
    lasting = {key for key, (earliest, _) in case.ledger.items() if earliest >= case.due_before}
    sent = case.wanted if case.mode == "replace" else case.wanted - lasting
    gone = may_live & case.suppressed if case.mode == "append" else may_live - case.wanted
    in_doubt = {
        doubt: {key for key, (earliest, _) in case.ledger.items() if earliest == doubt}
        for doubt in (ADDITION_IN_DOUBT, REMOVAL_IN_DOUBT)
    }
    unknown = {key for key, (_, latest) in case.ledger.items() if latest == LATEST_UNKNOWN}
    assert set(additions) == sent
    assert set(removals) == (set() if case.mode == "replace" else gone | case.unknown), (
        "an update removes without a list"
    )
    assert plan.counts == PlanCounts(
        added=len(sent - surely_live),
        refreshed=len(sent & surely_live),
        removed=len(gone | case.unknown),
        unchanged=len(case.wanted - sent),
        suppressed=len(case.source & case.suppressed),
        live=len(case.wanted | (may_live - gone)),
        maybe_live=len(may_live),
        surely_live=len(may_live - in_doubt[ADDITION_IN_DOUBT] - unknown),
        surely_new=len(sent - may_live),
        surely_live_removed=len(gone - in_doubt[ADDITION_IN_DOUBT] - unknown),
        unknown_removed=len(case.unknown),
        contradicted=len(gone & in_doubt[ADDITION_IN_DOUBT]) + len(sent & in_doubt[REMOVAL_IN_DOUBT]),
    )
    assert plan.counts.wanted == len(case.wanted)
    assert plan.has_unknown_members == (case.has_unknown_members and case.mode != "replace")
    assert bool(plan.removed_opt_outs_fingerprint) == bool(plan.has_unknown_members and case.suppressed)
    assert (plan.replaces, plan.ttl_seconds) == (case.mode == "replace", TTL)
    assert bool(plan) == bool(case.mode == "replace" or additions or removals)


@settings(deadline=None, max_examples=300)
@given(case=cases, strangers=st.sets(st.integers(100, 105)), data=st.data())
def test_what_the_audience_is_afterwards(case: Case, work: StagingSettings, strangers: set[int], data: Any) -> None:
    """Whatever the doubts came to; of members that this sync did not send only opt-outs are its business."""
    if case.has_unknown_members:
        strangers = strangers | data.draw(st.sets(st.sampled_from(sorted(case.suppressed or {1}))))
        strangers -= {key for key, (_, latest) in case.ledger.items() if latest > NOW}
    expiry: dict[int, float] = dict.fromkeys(strangers, 10**9)
    for key, (earliest, latest) in case.ledger.items():
        if earliest > REMOVAL_IN_DOUBT or data.draw(st.booleans()):
            expiry[key] = data.draw(st.integers(max(earliest, 2), min(latest, 10**9)))
    before = {key for key, expires in expiry.items() if expires >= NOW}
    with case.planned(work) as (plan, _, _):
        additions, removals = set(listed(plan.additions)), set(listed(plan.removals))
    assert not additions & removals
    assert removals <= case.ledger.keys() | case.suppressed
    half_way = (set() if plan.replaces else before) | additions
    after = half_way - removals
    if case.mode == "mirror":
        assert after == case.wanted | (strangers - case.unknown)
        assert half_way >= (before & case.wanted) | additions, "never smaller than both its old and its new self"
    elif case.mode == "append":
        assert after == (before - case.unknown - (case.suppressed & case.ledger.keys())) | case.wanted
    else:
        assert after == case.wanted
    if case.mode != "append":
        assert plan.counts.live == len(case.wanted)
    # Nobody of them expires before the next look.
    assert all(expiry[key] >= case.due_before for key in case.wanted - additions)


@settings(deadline=None, max_examples=100)
@given(
    source=st.sets(members),
    suppressed=st.sets(members, max_size=5),
    held_back=st.sets(members, max_size=5),
    ledger=st.dictionaries(members, times, max_size=5),
    removes_all_opt_outs=st.booleans(),
)
def test_whoever_was_removed_directly_goes_although_the_ledger_was_lost(
    source: set[int],
    suppressed: set[int],
    held_back: set[int],
    ledger: dict[int, Times],
    removes_all_opt_outs: bool,
    work: StagingSettings,
) -> None:
    with open_workspace(work) as workspace:
        rules = rules_of("append", has_unknown_members=removes_all_opt_outs)
        plan = make_plan(
            key_set_of(workspace, source),
            key_set_of(workspace, suppressed),
            ledger_of(workspace, ledger),
            rules=replace(rules, removes_all_held_back=True),
            workspace=workspace,
            direct_changes=DirectChanges(
                held_back=key_set_of(workspace, held_back), added_directly=key_set_of(workspace, set())
            ),
        )
        removals = listed(plan.removals)
        assert removals == [int(low) for low in as_keys(removals)[:, 1]], "in the one order, and each once"
        assert not set(listed(plan.additions)) & held_back
    known = {key for key, (_, latest) in ledger.items() if latest > NOW}
    unknown = (held_back | (suppressed if removes_all_opt_outs else set())) - known
    assert set(removals) == unknown | (known & (suppressed | held_back))
    assert (plan.counts.unknown_removed, plan.counts.removed) == (len(unknown), len(removals))


@settings(deadline=None, max_examples=100)
@given(case=cases)
def test_once_it_has_landed_nothing_is_left_to_do(case: Case, work: StagingSettings) -> None:
    with case.planned(work) as (plan, ledger, workspace):
        delivered = Delivered(begun_at=5000)
        delivered.additions.add(0, plan.additions.count, began=5000, ended=5001)
        delivered.removals.add(0, plan.removals.count, began=5000, ended=5001)
        writer = LedgerWriter(workspace)
        for rows in fold(ledger, plan, delivered, now=NOW, late_effect_seconds=100, late_until=0):
            writer.add(rows)
        new = writer.finish()
        assert new.keys.count == plan.counts.live
        mode = "mirror" if case.mode == "replace" else case.mode
        again = make_plan(
            key_set_of(workspace, case.source),
            key_set_of(workspace, case.suppressed),
            new,
            rules=rules_of(mode, due_before=min(case.due_before, 5000.0 + TTL)),
            workspace=workspace,
        )
        assert not again
        # An append leaves alone whom the source lacks, and so does not settle whether they ever began to be added.
        in_doubt = {key for key, (earliest, latest) in case.ledger.items() if not earliest and latest > NOW}
        in_doubt |= {key for key, (_, latest) in case.ledger.items() if latest == LATEST_UNKNOWN}
        left = in_doubt - case.source - case.suppressed if case.mode == "append" else set()
        assert again.counts == PlanCounts(
            unchanged=len(case.wanted),
            suppressed=plan.counts.suppressed,
            live=plan.counts.live,
            maybe_live=plan.counts.live,
            surely_live=plan.counts.live - len(left),
        )


@pytest.mark.parametrize(
    ("replaces", "additions", "removals", "batch_size", "requests"),
    [
        (False, 0, 0, 5, 0),
        (True, 0, 0, 5, 1),  # an update without members empties the audience
        (True, 1, 0, 5, 1),
        (True, 11, 0, 5, 3),
        (False, 5, 5, 5, 2),
        (False, 6, 1, 5, 3),
        (False, 6, 6, 1, 12),
        (False, 0, 1, 5, 1),
    ],
)
def test_requests_and_members(
    replaces: bool, additions: int, removals: int, batch_size: int, requests: int, work: StagingSettings
) -> None:
    with open_workspace(work) as workspace:
        plan = Plan(
            replaces=replaces,
            ttl_seconds=TTL,
            additions=key_set_of(workspace, range(additions)),
            removals=key_set_of(workspace, range(100, 100 + removals)),
            counts=PlanCounts(),
        )
        assert plan.requests(batch_size) == requests
        assert plan.members == additions + removals
        assert bool(plan) == bool(requests)


def test_counts_add_up() -> None:
    names = [field.name for field in dataclasses.fields(PlanCounts)]
    one = PlanCounts(**{name: 2**number for number, name in enumerate(names)})
    two = PlanCounts(**{name: 1000 * 2**number for number, name in enumerate(names)})
    assert one + two == PlanCounts(**{name: 1001 * 2**number for number, name in enumerate(names)})
    assert one + PlanCounts() == one
    assert PlanCounts(added=1, refreshed=10, unchanged=100, removed=1000, suppressed=9).wanted == 111


def test_many_members(work: StagingSettings) -> None:
    """More than are compared at once, in parts as they really are."""
    old, new = set(range(300_000)), set(range(10_000, 310_000))
    with open_workspace(work) as workspace:
        plan = make_plan(
            key_set_of(workspace, new),
            key_set_of(workspace, range(20_000, 30_000)),
            ledger_of(workspace, dict.fromkeys(old, (6000, 6100))),
            rules=rules_of("mirror"),
            workspace=workspace,
        )
        assert set(listed(plan.additions)) == set(range(300_000, 310_000))
        assert set(listed(plan.removals)) == set(range(10_000)) | set(range(20_000, 30_000))
        assert plan.counts.unchanged == 280_000
