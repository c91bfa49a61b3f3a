"""Which of two runs is the older one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.sync.run_date import RunDate

DAY = 86_400.0
dates = st.builds(RunDate, logical=st.floats(0, 1e10), end=st.none() | st.floats(0, 1e10))


@pytest.mark.parametrize(
    ("run", "last", "is_older"),
    [
        ((2, 3), (3, 4), True),
        ((3, 4), (3, 4), False),  # cleared
        ((4, 5), (3, 4), False),
        ((2, None), (3, None), True),
        ((2, 3), (3, None), True),
        ((3, None), (2, None), False),
        ((5, 6), (5.6, 5), False),  # the scheduled run of a day in which somebody triggered one by hand
        ((5, 6), (6.2, 6), False),  # the latest scheduled run, cleared after one by hand
        ((4, 5), (6.2, 6), True),
        ((5, 5), (6, 6), True),  # timetables whose intervals are points in time
    ],
)
def test_order(run: tuple[float, float | None], last: tuple[float, float | None], is_older: bool) -> None:
    of = [RunDate(logical=logical * DAY, end=None if end is None else end * DAY) for logical, end in (run, last)]
    assert of[0].is_older_than(of[1]) is is_older


@given(one=dates, other=dates)
def test_no_two_runs_are_older_than_each_other(one: RunDate, other: RunDate) -> None:
    assert not one.is_older_than(one)
    assert not (one.is_older_than(other) and other.is_older_than(one))


@given(date=dates)
def test_it_is_stored_as_it_is(date: RunDate) -> None:
    assert RunDate.from_list(date.as_list()) == date
    assert RunDate.from_list(None) is None


def test_people_can_read_it() -> None:
    assert RunDate(logical=1_767_312_000.0).text == "2026-01-02 00:00:00+00:00"
