"""
The ledger after a plan, against a model of its own: what may have become of each member, listed one by one.

What landed is sure. Of what did not land, each row may have been sent or not, at any time since the plan was begun,
and takes effect up to 100 s later. The two times of a member must hold for all that may have happened, and be no wider.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.ledgers import Times, content_of, key_set_of, ledger_of, ordered

from airflow_provider_audiences.members.keys import key_order, key_set
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.sync.ledger import Ledger, LedgerRows, LedgerWriter
from airflow_provider_audiences.sync.plan import Plan, PlanCounts
from airflow_provider_audiences.sync.state.delivered import Delivered
from airflow_provider_audiences.sync.state.fold import fold

ADDITION_IN_DOUBT, REMOVAL_IN_DOUBT = 0, 1
NOT_THERE = 0
LATE_SECONDS = 100
END_OF_TIME, LATEST_UNKNOWN = 2**32 - 2, 2**32 - 1
BEGUN = 5000

HASHES: dict[str, Callable[[NDArray[np.uint64]], NDArray[np.uint64]]] = {
    "its own": key_order.hashes_of,
    "one for all": lambda keys: np.zeros(len(keys), np.uint64),
    "a few": lambda keys: (keys[:, 1] & np.uint64(3)) << np.uint64(62),
}


@pytest.fixture(scope="module")
def settings_of_work(tmp_path_factory: pytest.TempPathFactory) -> StagingSettings:
    return StagingSettings(temp_folder=tmp_path_factory.mktemp("work"))


@contextmanager
def small_parts(name: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_order, "PART_BITS", 2)
        patch.setattr(key_order, "PARTS", 4)
        patch.setattr(key_order, "hashes_of", HASHES[name])
        patch.setattr(key_set, "_COMPARED_KEYS", 3)
        yield


@dataclass(frozen=True)
class Case:
    """A ledger, a plan that fits it or not, and what landed of it: rows by their place in the order, with times."""

    old: dict[int, Times]
    replaces: bool
    ttl: int
    additions: set[int]
    removals: set[int]
    landed_additions: list[Times | None]
    landed_removals: list[Times | None]
    update_landed_empty: bool
    now: float
    hash_name: str

    def delivered(self) -> Delivered:
        found = Delivered(begun_at=BEGUN)
        for rows, times in ((found.additions, self.landed_additions), (found.removals, self.landed_removals)):
            first = 0
            for moment, group in groupby(times):
                count = len(list(group))
                if moment:
                    rows.add(first, first + count, began=moment[0], ended=moment[1])
                first += count
        if self.update_landed_empty:
            found.additions.add(0, 0, began=BEGUN, ended=BEGUN)
        return found

    def outcomes(self, key: int, at: dict[int, Times | None]) -> list[int]:
        """Return when a member may expire at the platform, in whole seconds: the extremes of what may have happened."""
        earliest, latest = self.old.get(key, (NOT_THERE, NOT_THERE))
        found = [NOT_THERE if earliest <= REMOVAL_IN_DOUBT else earliest, latest]
        if self.replaces:
            has_happened = self.update_landed_empty or any(self.landed_additions)
            found = [NOT_THERE] if has_happened else [NOT_THERE, *found]
        moment = at.get(key)
        if key in self.removals:
            return [NOT_THERE] if moment else [NOT_THERE, *found]
        if key not in self.additions:
            return found
        if moment:
            return [moment[0] + self.ttl, moment[1] + LATE_SECONDS + self.ttl]
        return [*found, BEGUN + self.ttl, math.floor(self.now) + 1 + LATE_SECONDS + self.ttl]

    def times(self, key: int, at: dict[int, Times | None]) -> Times | None:
        """Return the times that say no more than that, and no less; None for a member who surely is not there."""
        if key in self.removals and key not in self.old and at[key] is None:
            # Somebody wants to be rid of one whom this ledger does not know: that must not be forgotten.
            return REMOVAL_IN_DOUBT, LATEST_UNKNOWN
        expiries = self.outcomes(key, at)
        if max(expiries) <= self.now:
            return None
        earliest = min(expiries)
        # Whoever had expired before is added like anybody else: the ledger must not call it a refresh.
        if earliest == NOT_THERE or (key in self.additions and earliest <= BEGUN):
            if key in self.additions:
                # Whoever was there before a replacement that nobody has accepted is counted by guards afterwards.
                was_there = self.old.get(key, (NOT_THERE, NOT_THERE))[1] > BEGUN
                is_open = self.replaces and not (self.update_landed_empty or any(self.landed_additions))
                earliest = REMOVAL_IN_DOUBT if is_open and was_there else ADDITION_IN_DOUBT
            elif key in self.removals or self.replaces:
                earliest = REMOVAL_IN_DOUBT
            else:
                earliest = self.old[key][0]
        latest = max(expiries)
        return min(earliest, END_OF_TIME), latest if latest == LATEST_UNKNOWN else min(latest, END_OF_TIME)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    keys = st.integers(0, 15)
    now = BEGUN + draw(st.integers(0, 400) | st.floats(0, 400))
    times = st.tuples(
        st.sampled_from([ADDITION_IN_DOUBT, REMOVAL_IN_DOUBT]) | st.integers(2, 12_000), st.integers(2, 12_000)
    )
    old = draw(st.dictionaries(keys, times.map(lambda pair: (pair[0], max(pair))), max_size=12))
    replaces = draw(st.booleans())
    additions = draw(st.sets(keys, max_size=12))
    removals = set() if replaces else draw(st.sets(keys, max_size=12)) - additions
    begins = st.integers(BEGUN, math.floor(now))
    moments = st.none() | st.builds(lambda one, other: (min(one, other), max(one, other)), begins, begins)
    fully = draw(st.booleans())

    def landed(count: int) -> list[Times | None]:
        if fully:
            return [(BEGUN, math.ceil(now))] * count
        found = draw(st.lists(moments, min_size=count, max_size=count))
        # Neighbours that landed did so in one request; what becomes of several is told in the tests of landings.
        return [found[row] if row == 0 or None in (found[row - 1], found[row]) else None for row in range(count)]

    return Case(
        old=old,
        replaces=replaces,
        ttl=draw(st.integers(1, 9000) | st.sampled_from([10**10])),
        additions=additions,
        removals=removals,
        landed_additions=landed(len(additions)),
        landed_removals=landed(len(removals)),
        update_landed_empty=replaces and not additions and draw(st.booleans()),
        now=now,
        hash_name=draw(st.sampled_from(sorted(HASHES))),
    )


def folded(case: Case, work: StagingSettings) -> tuple[dict[int, Times], dict[int, Times | None]]:
    """Return the new ledger, and when the rows of the plan landed, by their members."""
    with small_parts(case.hash_name), open_workspace(work) as workspace:
        plan = Plan(
            replaces=case.replaces,
            ttl_seconds=case.ttl,
            additions=key_set_of(workspace, case.additions),
            removals=key_set_of(workspace, case.removals),
            counts=PlanCounts(),
        )
        old = ledger_of(workspace, case.old)
        writer = LedgerWriter(workspace)
        for rows in fold(old, plan, case.delivered(), now=case.now, late_effect_seconds=100, late_until=0):
            writer.add(rows)
        new = writer.finish()
        assert content_of(old) == case.old, "the old one stays as it was"
        at = dict(zip(ordered(case.additions), case.landed_additions, strict=True))
        at |= dict(zip(ordered(case.removals), case.landed_removals, strict=True))
        content = content_of(new)
        assert new.fingerprint == ledger_of(workspace, content).fingerprint, "the content alone makes it"
        return content, at


@settings(deadline=None, max_examples=300)
@given(case=cases())
def test_all_that_may_have_happened_and_no_more(case: Case, settings_of_work: StagingSettings) -> None:
    new, at = folded(case, settings_of_work)
    expected = {key: case.times(key, at) for key in case.old.keys() | case.additions | case.removals}
    assert new == {key: times for key, times in expected.items() if times}


def history(case: Case, at: dict[int, Times | None], data: Any) -> dict[int, float]:
    """Draw what really happened, row by row; return who is in the audience, and until when."""
    expiry: dict[int, float] = {}
    for key, (earliest, latest) in case.old.items():
        is_there = earliest > REMOVAL_IN_DOUBT or data.draw(st.booleans())
        if is_there:
            expiry[key] = data.draw(st.integers(max(2, earliest), latest))
    may_be_late = st.floats(0, 1) if not data.draw(st.booleans()) else st.just(1.0)
    if case.replaces and (case.update_landed_empty or any(case.landed_additions) or data.draw(st.booleans())):
        expiry.clear()
    for key, moment in at.items():
        if moment is None and not data.draw(st.booleans()):
            continue
        first, last = moment or (BEGUN, case.now)
        effect = first + data.draw(may_be_late) * (last + LATE_SECONDS - first)
        if key in case.removals:
            expiry.pop(key, None)
        else:
            expiry[key] = effect + case.ttl
    return expiry


@settings(deadline=None, max_examples=200)
@given(case=cases(), data=st.data())
def test_any_real_outcome_is_within_the_times(case: Case, settings_of_work: StagingSettings, data: Any) -> None:
    """Not the extremes: one history drawn row by row, carried out on a dict as a platform would."""
    new, at = folded(case, settings_of_work)
    expiry = history(case, at, data)
    for key, expires in expiry.items():
        if expires <= case.now:
            continue
        earliest, latest = new[key]  # nobody who may live is forgotten
        assert min(expires, END_OF_TIME) <= latest
        assert earliest <= REMOVAL_IN_DOUBT or earliest <= expires
    for key, (earliest, _) in new.items():
        if earliest > case.now:
            assert expiry.get(key, NOT_THERE) > case.now or earliest == END_OF_TIME, "called surely alive"


@settings(deadline=None, max_examples=100)
@given(old=st.dictionaries(st.integers(0, 15), st.integers(6000, 9000)), data=st.data())
def test_a_plan_that_landed_wholly(old: dict[int, int], data: Any, settings_of_work: StagingSettings) -> None:
    replaces = data.draw(st.booleans())
    additions = data.draw(st.sets(st.integers(0, 15)))
    removals = set() if replaces else data.draw(st.sets(st.integers(0, 15))) - additions
    case = Case(
        old={key: (expires, expires + 10) for key, expires in old.items()},
        replaces=replaces,
        ttl=3000,
        additions=additions,
        removals=removals,
        landed_additions=[(5001, 5002)] * len(additions),
        landed_removals=[(5003, 5004)] * len(removals),
        update_landed_empty=replaces and not additions,
        now=5005.5,
        hash_name="its own",
    )
    left = {} if replaces else {key: times for key, times in case.old.items() if key not in additions | removals}
    new, _ = folded(case, settings_of_work)
    assert new == left | dict.fromkeys(additions, (8001, 8002 + LATE_SECONDS))


def test_what_was_just_cut_off_may_have_begun_in_this_very_second(settings_of_work: StagingSettings) -> None:
    """Times are whole seconds: the later one is never rounded to before the moment that it stands for."""
    case = Case(
        old={},
        replaces=False,
        ttl=10,
        additions={1},
        removals=set(),
        landed_additions=[None],
        landed_removals=[],
        update_landed_empty=False,
        now=5000.25,
        hash_name="its own",
    )
    assert folded(case, settings_of_work)[0] == {1: (ADDITION_IN_DOUBT, 5111)}


def test_what_may_have_been_sent_again_may_also_live_shorter(settings_of_work: StagingSettings) -> None:
    """A request restarts a member's time, and this one came with a shorter time than an earlier one."""
    case = Case(
        old={1: (9000, 9100), 2: (5200, 5300)},
        replaces=False,
        ttl=1000,
        additions={1, 2},
        removals=set(),
        landed_additions=[None, None],
        landed_removals=[],
        update_landed_empty=False,
        now=5050.0,
        hash_name="its own",
    )
    assert folded(case, settings_of_work)[0] == {1: (6000, 9100), 2: (5200, 6151)}


def long_fold(ledger: Ledger, plan: Plan) -> Any:
    return fold(ledger, plan, Delivered(begun_at=BEGUN), now=5050.0, late_effect_seconds=100, late_until=0)


@contextmanager
def long_ledger(work: StagingSettings) -> Iterator[tuple[Ledger, Plan]]:
    """Yield a ledger of 600 members, which is folded three members at a time, and a plan that changes nothing."""
    with small_parts("its own"), pytest.MonkeyPatch.context() as patch, open_workspace(work) as workspace:
        patch.setattr(key_order, "PART_BITS", 12)
        patch.setattr(key_order, "PARTS", 1 << 12)
        nobody = key_set_of(workspace, [])
        plan = Plan(replaces=False, ttl_seconds=10, additions=nobody, removals=nobody, counts=PlanCounts())
        yield ledger_of(workspace, dict.fromkeys(range(600), (9000, 9100))), plan


def folding_threads() -> int:
    return sum("audiences-ledger" in thread.name for thread in threading.enumerate())


def test_pieces_are_made_as_they_are_needed(settings_of_work: StagingSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, and a few ahead: a ledger of any size passes through memory."""
    made: list[slice] = []
    rows_of_ledger = Ledger.rows

    def rows(self: Ledger, range_of_rows: slice) -> LedgerRows:
        made.append(range_of_rows)
        return rows_of_ledger(self, range_of_rows)

    monkeypatch.setattr(Ledger, "rows", rows)
    with long_ledger(settings_of_work) as (ledger, plan):
        pieces = long_fold(ledger, plan)
        assert not made, "nothing is made before it is asked for"
        found = [next(pieces)]
        assert len(made) <= 10
        found += pieces
        assert len(made) == len(found) >= 200
        keys = [int(low) for piece in found for low in piece.keys[:, 1]]
        assert keys == ordered(range(600))
    assert folding_threads() == 0


def test_a_fold_that_is_given_up_leaves_no_threads(settings_of_work: StagingSettings) -> None:
    with long_ledger(settings_of_work) as (ledger, plan):
        pieces = long_fold(ledger, plan)
        next(pieces)
        assert folding_threads() > 0
        pieces.close()
        assert folding_threads() == 0


def test_an_error_in_a_thread_is_raised_where_the_piece_is_asked_for(
    settings_of_work: StagingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(_ledger: Ledger, range_of_rows: slice) -> LedgerRows:
        raise OSError(f"no row {range_of_rows.start}")

    monkeypatch.setattr(Ledger, "rows", rows)
    with long_ledger(settings_of_work) as (ledger, plan), pytest.raises(OSError, match="no row 0"):
        next(long_fold(ledger, plan))
    assert folding_threads() == 0
