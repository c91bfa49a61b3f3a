"""The order of PAI groups that everybody sees alike, and which of them may go."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.platforms.pai.auth import ApiKeyAuth
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup, rank_of
from airflow_provider_audiences.platforms.pai.marker import GroupMarker
from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule
from airflow_provider_audiences.platforms.pai.succession import GroupSeries, has_key
from airflow_provider_audiences.redaction import Secret

TIMES = ("", "2026-11-20 00:00:00", "2026-11-20 00:00:01")
CHECKING, PASSED, REJECTED, UNKNOWN = 0, 1, 2, 7
MIN_AMOUNT = 10


def group(number: str, *, time: str = TIMES[1], sequence: int = 0, key: str = "a" * 12, **shown: Any) -> AudienceGroup:
    mark = GroupMarker(origin="d:t", run="r", owner="0123abcd", idempotency_key=key, sequence=sequence)
    return AudienceGroup.from_api({"Id": number, "CreatedTime": time, "Name": "VIP", "Remark": mark.text, **shown})


states = st.sampled_from(
    [(CHECKING, 0), (PASSED, MIN_AMOUNT), (PASSED, MIN_AMOUNT), (PASSED, MIN_AMOUNT - 1), (REJECTED, 0), (UNKNOWN, 0)]
)
lines = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(TIMES), st.integers(0, 2), st.sampled_from("ab"), states),
    unique_by=lambda made: made[0],
    max_size=7,
).map(
    lambda made: sorted(
        (
            group(str(number), time=time, sequence=sequence, key=key * 12, Status=state[0], Amount=state[1])
            for number, time, sequence, key, state in made
        ),
        key=lambda made: made.rank,
        reverse=True,
    )
)


CLIENT = PaiClient(auth=ApiKeyAuth(Secret("sk-0123")))  # which is asked nothing
RULE = ReadinessRule.of(min_amount=MIN_AMOUNT, ready_statuses=[PASSED])
LINE = GroupSeries(CLIENT, name="VIP", owner="0123abcd", map_index=-1, rule=RULE)


class TestOrder:
    @pytest.mark.parametrize(
        "ids",
        [
            ["7", "8"],
            ["9", "10"],  # as numbers, not as text
            ["999", "0001000"],
            ["007", "7"],  # one number, and yet an order
            ["9" * 400, "1" + "0" * 400],
            ["12", "0a1b"],  # numbers before text
            ["3", "٣"],  # a digit of another script is text
            ["0a1b2c3d-0000", "0a1b2c3d-0001"],
            ["A", "a"],
        ],
        ids=lambda ids: " ".join(text[:10] for text in ids),
    )
    def test_of_one_second_is_that_of_the_ids(self, ids: list[str]) -> None:
        made = [group(number) for number in ids]
        assert sorted(made, key=lambda made: made.rank) == made
        assert max(made, key=lambda made: made.rank) == made[1]

    def test_is_by_time_then_by_generation_then_by_id(self) -> None:
        made = [
            group("9", time=TIMES[0], sequence=5),
            group("8", sequence=1),
            group("3", sequence=10),
            group("4", sequence=10),
            group("1", time=TIMES[2]),
        ]
        mixed = random.Random(1).sample(made, len(made))  # noqa: S311 - no secret
        assert sorted(mixed, key=lambda made: made.rank) == made

    @given(ids=st.lists(st.text(st.characters(codec="utf-8"), max_size=6) | st.from_regex(r"[0-9]{1,6}"), unique=True))
    def test_has_one_place_for_each(self, ids: list[str]) -> None:
        ranks = [rank_of(TIMES[1], 0, number) for number in ids]
        assert len(set(ranks)) == len(ids)
        for one, other in itertools.combinations(ranks, 2):
            assert (one < other) != (other < one)

    def test_of_a_group_without_a_mark(self) -> None:
        by_hand = AudienceGroup.from_api({"Id": "8", "CreatedTime": TIMES[1]})
        assert by_hand.rank < group("7", sequence=1).rank
        assert by_hand.rank > group("7").rank


class TestLeftOver:
    @given(groups=lines, keep=st.integers(0, 2))
    def test_is_what_a_higher_ready_one_replaced_or_pai_refused(self, groups: list[AudienceGroup], keep: int) -> None:
        ready = [one for one in groups if LINE.is_ready(one)]
        gone = LINE.left_over(groups, keep=keep)
        for one in gone:
            refused = one.status == REJECTED or (one.status == PASSED and one.amount < MIN_AMOUNT)
            assert refused or one.rank < ready[0].rank
        assert not [one for one in ready[: 1 + keep] if one in gone]
        # What stays has a reason to.
        for one in groups:
            if one not in gone and one not in ready[: 1 + keep]:
                under_way = one.status in {CHECKING, UNKNOWN} and (not ready or one.rank > ready[0].rank)
                assert under_way or (not ready and one.status == PASSED)

    @given(groups=lines, keep=st.integers(0, 2), place=st.integers(0, 6))
    def test_beside_what_a_ready_one_replaces_is_nothing_higher(
        self, groups: list[AudienceGroup], keep: int, place: int
    ) -> None:
        if place >= len(groups):
            return
        new = groups[place]
        gone, kept = LINE.replaced_by(new.rank, groups, keep=keep, idempotency_key="a" * 12)
        assert sorted([*gone, *kept], key=lambda one: one.rank, reverse=True) == groups[place + 1 :]
        usable = [one for one in groups[place + 1 :] if LINE.is_ready(one) and not has_key(one, "a" * 12)]
        assert kept == usable[:keep]
