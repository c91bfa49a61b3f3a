"""Landed rows against a list of rows, in whatever order they land."""

import json
import math
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.sync.state.delivered import Delivered, DeliveredRanges
from airflow_provider_audiences.sync.state.manifest import delivered_from_json, delivered_to_json

Added = tuple[int, int, float, float]
"""First row, end, and when the request began and ended."""

FAR = 3600
"""Ranges become one as long as their times, together, are no further apart than this."""


@st.composite
def ranges(draw: st.DrawFn, *, most_seconds: int = 10 * FAR) -> list[Added]:
    """Ranges that don't overlap, in any order; some are neighbours."""
    found, first = [], 0
    for _ in range(draw(st.integers(0, 10))):
        first += draw(st.integers(0, 2))
        end = first + draw(st.integers(1, 5))
        began = 1000 + draw(st.integers(0, most_seconds) | st.floats(0, most_seconds))
        found.append((first, end, began, began + draw(st.integers(0, 60) | st.floats(0, 60))))
        first = end
    return draw(st.permutations(found))


def landed_rows(added: list[Added]) -> DeliveredRanges:
    rows = DeliveredRanges()
    for first, end, began, ended in added:
        rows.add(first, end, began=began, ended=ended)
    return rows


def looked_up(rows: DeliveredRanges, first: int, count: int) -> list[tuple[int, int] | None]:
    has_landed, began, ended = rows.lookup(first, count)
    assert len(has_landed) == len(began) == len(ended) == count
    moments = zip(has_landed.tolist(), began.tolist(), ended.tolist(), strict=True)
    return [(began, ended) if landed else None for landed, began, ended in moments]


@settings(deadline=None, max_examples=300)
@given(added=ranges(), count=st.integers(70, 90), first=st.integers(0, 50), size=st.integers(0, 20))
def test_against_a_list(added: list[Added], count: int, first: int, size: int) -> None:
    rows = landed_rows(added)
    moment_of = {row: moment for start, end, *moment in added for row in range(start, end)}
    assert bool(rows) == bool(added)
    assert rows.count == len(moment_of)
    missing = rows.missing(count)
    assert [row for start, end in missing for row in range(start, end)] == [
        row for row in range(count) if row not in moment_of
    ]
    assert all(start < end for start, end in missing)
    assert all(end < start for (_, end), (start, _) in pairwise(missing)), "as few as there can be"
    found = looked_up(rows, 0, count)
    assert [moment is not None for moment in found] == [row in moment_of for row in range(count)]
    assert found[first : first + size] == looked_up(rows, first, size)
    for row, (began, ended) in moment_of.items():
        known = found[row]
        assert known
        assert known[0] <= began
        assert ended <= known[1]
        own_seconds = math.ceil(ended) - math.floor(began)
        assert known[1] - known[0] <= max(FAR, own_seconds), "what lies far apart in time stays apart"


@settings(deadline=None, max_examples=200)
@given(added=ranges(most_seconds=3000), data=st.data())
def test_the_order_in_which_they_land_makes_no_difference(added: list[Added], data: Any) -> None:
    """Within an hour all that is side by side becomes one."""
    rows, others = landed_rows(added), landed_rows(data.draw(st.permutations(added)))
    assert rows.as_list() == others.as_list()
    gaps = sum(start > 0 for start, _ in rows.missing(100))
    assert len(rows.as_list()) <= gaps + 1


@settings(deadline=None, max_examples=200)
@given(added=ranges(), removed=ranges(), is_repeated=st.booleans(), batches=st.integers(0, 99))
def test_json(added: list[Added], removed: list[Added], is_repeated: bool, batches: int) -> None:
    delivered = Delivered(
        begun_at=999,
        batches=batches,
        is_repeated=is_repeated,
        additions=landed_rows(added),
        removals=landed_rows(removed),
    )
    text = json.dumps(delivered_to_json(delivered), allow_nan=False)
    again = delivered_from_json(json.loads(text))
    assert (again.begun_at, again.batches, again.is_repeated) == (999, batches, is_repeated)
    for one, other in ((again.additions, delivered.additions), (again.removals, delivered.removals)):
        assert looked_up(one, 0, 90) == looked_up(other, 0, 90)
        assert (one.missing(90), one.count, bool(one)) == (other.missing(90), other.count, bool(other))
    # What is read goes on as what was written.
    for rows in (again.additions, delivered.additions):
        rows.add(95, 99, began=5000, ended=5001)
    assert delivered_to_json(again) == delivered_to_json(delivered)


def test_nothing() -> None:
    rows = DeliveredRanges()
    assert not rows
    assert rows.count == 0
    assert rows.missing(0) == []
    assert rows.missing(3) == [(0, 3)]
    assert looked_up(rows, 0, 2) == [None, None]
    assert looked_up(rows, 0, 0) == []
    assert rows.as_list() == []


def test_an_update_without_members_has_landed_all_the_same() -> None:
    rows = DeliveredRanges()
    rows.add(0, 0, began=10, ended=11)
    assert rows
    assert (rows.count, rows.missing(0), rows.missing(2)) == (0, [], [(0, 2)])
    assert looked_up(rows, 0, 2) == [None, None]
    assert delivered_from_json(delivered_to_json(Delivered(begun_at=1, additions=rows))).additions
    rows.add(0, 2, began=20, ended=21)
    assert looked_up(rows, 0, 2) == [(10, 21), (10, 21)]


def test_times_are_whole_seconds_that_say_no_more_than_is_known() -> None:
    rows = DeliveredRanges()
    rows.add(0, 1, began=10.9, ended=11.1)
    assert rows.as_list() == [[0, 1, 10, 12]]


def test_neighbours_become_one_or_stay_apart() -> None:
    rows = DeliveredRanges()
    for first, began in ((0, 100), (1, 200), (2, 100 + 2 * FAR), (3, 200 + 2 * FAR), (10, 100)):
        rows.add(first, first + 1, began=began, ended=began + 50)
    assert rows.as_list() == [[0, 2, 100, 250], [2, 4, 100 + 2 * FAR, 250 + 2 * FAR], [10, 11, 100, 150]]
    assert rows.missing(12) == [(4, 10), (11, 12)]


def test_many_requests_stay_a_short_text() -> None:
    """Ten thousand requests on sixteen threads, a second each, that end in nearly the order in which they began."""
    rows = DeliveredRanges()
    for number in range(10_000):
        batch = number ^ 7
        rows.add(batch * 100_000, (batch + 1) * 100_000, began=number / 16, ended=number / 16 + 1)
        assert len(rows.as_list()) < 10
    assert rows.missing(1_000_000_000) == []
    assert rows.as_list() == [[0, 1_000_000_000, 0, 626]]
