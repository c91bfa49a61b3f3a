"""What a poll of groups asks, and what it says: of many at once, and of new ones of a name."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.dialects import BEARER
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
from airflow_provider_audiences.platforms.pai.polls import GroupsPoll, NewGroupsPoll, epoch_seconds, group_ids_of
from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule
from airflow_provider_audiences.waiting.polls import PollResult, answered

Once = Callable[[GroupsPoll], tuple[PollResult, int]]
MakeGroups = Callable[..., list[str]]


@pytest.fixture
def make_groups(pai: PaiClient) -> MakeGroups:
    """Makes groups of two people each, and returns their ids: ``make_groups(3, name="VIP")``."""
    return lambda count, *, name="VIP": [make(pai, name) for _ in range(count)]


@pytest.fixture
def once(pai: PaiClient) -> Once:
    """Polls once, and returns the result and how many GetGroups of this poll are billed."""

    def poll_once(poll: GroupsPoll) -> tuple[PollResult, int]:
        before = poll.billable_calls["get"]
        return answered(poll(pai)), poll.billable_calls["get"] - before

    return poll_once


def asked(emulator: AudiencesEmulator) -> list[int]:
    """How many pages and groups were asked for since the last time."""
    counts = [len(emulator.requests(f"pai.{name}")) for name in ("list", "get")]
    emulator.clear_requests()
    return counts


def groups_poll(ids: Sequence[str], **rule: Any) -> GroupsPoll:
    return GroupsPoll(ids, ReadinessRule.of(**rule))


def make(pai: PaiClient, name: str, phones: int = 2) -> str:
    text = "\n".join(f"1390000{number:04d}" for number in range(phones))
    spec = GroupSpec(source=PaiSource.TEXT, name=name, text=text, phone_number=True)
    return pai.create_group(spec, marker=None).group.id


def test_a_page_shows_a_hundred_for_nothing(make_groups: MakeGroups, emulator: AudiencesEmulator, once: Once) -> None:
    ids = make_groups(100)
    emulator.clear_requests()
    poll = groups_poll(ids)
    result, billed = once(poll)
    assert (result.state, billed) == ("waiting", 0)
    assert result.reason.startswith("0 of 100 groups are ready; ")
    assert "and 97 more: still being checked (Status 0, Amount 0)" in result.reason
    emulator.advance(5)
    result, billed = once(poll)
    assert (result.state, billed) == ("ready", 0)
    assert result.seen == [{"id": item, "name": "VIP", "status": 1, "amount": 2} for item in ids]
    assert asked(emulator) == [2, 0]
    assert emulator.billing()["get"]["billed"] == 0


def test_pages_are_read_while_they_are_no_more_calls(
    make_groups: MakeGroups, emulator: AudiencesEmulator, once: Once
) -> None:
    """Newest first: of 35 groups on pages of 5, two are on the last page, and six pages lie before it."""
    emulator.settings(max_page_size=5, processing_seconds=0)
    old = make_groups(2)
    make_groups(33)
    emulator.clear_requests()
    result, billed = once(groups_poll(old))
    assert (result.state, billed) == ("ready", 2)
    assert asked(emulator) == [1, 2]
    new = make_groups(2)
    emulator.clear_requests()
    assert once(groups_poll(new))[0].state == "ready"
    assert asked(emulator) == [1, 0]
    # Twelve ids, six more pages: the list to its end.
    most = [*old, *(group["Id"] for group in emulator.groups()[8:18])]
    assert once(groups_poll(most))[0].state == "ready"
    assert asked(emulator) == [8, 0]


def test_the_first_page_is_asked_for_each_time_since_it_is_free(
    make_groups: MakeGroups, emulator: AudiencesEmulator, once: Once
) -> None:
    emulator.settings(max_page_size=5)
    old = make_groups(2)
    make_groups(33)
    emulator.clear_requests()
    poll = groups_poll(old)
    once(poll)
    emulator.advance(5)
    assert once(poll)[0].state == "ready"
    assert asked(emulator) == [2, 4]


def test_those_that_are_ready_are_not_polled_again(pai: PaiClient, emulator: AudiencesEmulator, once: Once) -> None:
    emulator.settings(max_page_size=1)
    first = make(pai, "first")
    emulator.advance(5)
    others = [make(pai, name) for name in ("second", "third")]
    emulator.clear_requests()
    poll = groups_poll([first, *others])
    result, _ = once(poll)
    assert result.reason.startswith("1 of 3 groups are ready")
    asked(emulator)
    emulator.advance(5)
    result, _ = once(poll)
    assert [group["name"] for group in result.seen] == ["first", "second", "third"]
    assert f"Id={first}" not in str(emulator.requests("pai.get"))


def test_a_group_that_slips_through_while_the_list_shifts_is_looked_up(
    make_groups: MakeGroups, emulator: AudiencesEmulator, pai: PaiClient, once: Once
) -> None:
    emulator.settings(max_page_size=2, processing_seconds=0)
    ids = make_groups(6)
    newest_first = ids[::-1]
    poll = groups_poll(ids)
    steps = poll(pai)
    request = next(steps)
    page = request.send()
    # One of the first page goes: what was first on the second page is now last on the first.
    pai.delete_group(newest_first[0])
    emulator.clear_requests()
    asked_for = []
    try:
        while True:
            request = steps.send(page)
            asked_for.append(poll.billable_calls["get"])
            page = request.send()
    except StopIteration as end:
        result = end.value
    assert result.state == "ready"
    assert len(result.seen) == 6
    # Two more pages, and a GetGroup.
    assert asked_for == [0, 0, 0]
    assert poll.billable_calls == {"get": 1}


def test_a_group_that_does_not_exist_is_named(make_groups: MakeGroups, once: Once) -> None:
    (group_id,) = make_groups(1)
    with pytest.raises(exceptions.NotFoundError, match="group nobody:"):
        once(groups_poll([group_id, "nobody"]))


def test_the_first_that_is_rejected_fails_all_and_says_why(
    pai: PaiClient, emulator: AudiencesEmulator, once: Once
) -> None:
    emulator.settings(reject_names=["bad", "worse"])
    bad, worse, good = (make(pai, name) for name in ("bad", "worse", "good"))
    emulator.advance(5)
    emulator.clear_requests()
    result, billed = once(groups_poll([good, bad, worse]))
    assert (result.state, billed) == ("failed", 1)
    # The first in the order given, whatever the order of the list.
    assert result.reason.startswith(f"group {bad} (bad): ")
    assert "History: The audience did not pass the review" in result.reason
    assert result.reason.endswith(f"Failed too: 'worse' ({worse}).")
    assert [group["id"] for group in result.seen] == [bad, worse]
    assert asked(emulator) == [1, 1]
    assert once(groups_poll([worse, good, bad]))[0].reason.startswith(f"group {worse} (worse): ")


def test_of_many_that_are_rejected_a_few_are_named(pai: PaiClient, emulator: AudiencesEmulator, once: Once) -> None:
    names = [f"bad {number}" for number in range(6)]
    emulator.settings(reject_names=names, processing_seconds=0)
    ids = [make(pai, name) for name in names]
    result, billed = once(groups_poll(ids))
    others = ", ".join(f"'bad {number}' ({ids[number]})" for number in (1, 2, 3))
    assert result.reason.endswith(f"Failed too: {others} and 2 more.")
    assert billed == 1


def test_who_is_waited_for_is_named_in_the_order_given(pai: PaiClient, emulator: AudiencesEmulator, once: Once) -> None:
    ids = [make(pai, name) for name in ("A", "B", "")]
    result, _ = once(groups_poll(ids))
    assert result.reason == (
        f"0 of 3 groups are ready; waiting for 'A' ({ids[0]}), 'B' ({ids[1]}), {ids[2]}: "
        "still being checked (Status 0, Amount 0)"
    )


def test_one_by_one_it_stops_at_the_first_that_is_rejected(
    pai: PaiClient, emulator: AudiencesEmulator, once: Once
) -> None:
    emulator.settings(reject_names=["bad"], max_page_size=1)
    ids = [make(pai, name) for name in ("bad", "good", "new 1", "new 2", "new 3")]
    emulator.advance(5)
    emulator.clear_requests()
    result, _ = once(groups_poll(ids[:2]))
    assert result.state == "failed"
    # A page of the five shows neither; the first of the two is the rejected one, and its History is there already.
    assert asked(emulator) == [1, 1]


def test_too_few_people_are_a_failure_without_a_further_call(
    pai: PaiClient, emulator: AudiencesEmulator, once: Once
) -> None:
    few, many = make(pai, "few", 1), make(pai, "many", 3)
    emulator.advance(5)
    emulator.clear_requests()
    result, _ = once(groups_poll([many, few], min_amount=2))
    assert result.state == "failed"
    assert f"group {few} (few): passed with 1 person, and min_amount is 2" in result.reason
    assert asked(emulator) == [1, 0]


def test_a_rejection_that_a_closer_look_takes_back_is_none(
    make_groups: MakeGroups, emulator: AudiencesEmulator, once: Once, pai: PaiClient
) -> None:
    """The list may lag behind: what GetGroup says holds."""
    ids = make_groups(2)
    emulator.advance(5)
    steps = groups_poll(ids)(pai)
    page, total = next(steps).send()
    stale = [group.__class__(**{**vars(group), "status": 2}) for group in page]
    request = steps.send((stale, total))
    try:
        while True:
            request = steps.send(request.send())
    except StopIteration as end:
        result = end.value
    assert result.state == "ready"


def test_an_unknown_status_is_told(pai: PaiClient, emulator: AudiencesEmulator, once: Once) -> None:
    emulator.settings(processing_seconds=0, final_status=7)
    ids = [make(pai, name) for name in "ab"]
    result, _ = once(groups_poll(ids))
    assert (result.state, result.unknown_status) == ("waiting", True)
    assert "Status 7" in result.reason


def test_a_poll_that_fails_in_the_middle_keeps_what_it_saw(
    pai: PaiClient, emulator: AudiencesEmulator, once: Once, make_pai: Callable[..., PaiClient]
) -> None:
    emulator.settings(max_page_size=2)
    ids = [make(pai, str(number)) for number in range(4)]
    emulator.advance(5)
    client = make_pai(max_retries=0)
    poll = groups_poll(ids)
    emulator.fault("pai.list", "status", status=503, number=2)
    with pytest.raises(exceptions.ServerError):
        answered(poll(client))
    emulator.clear_requests()
    assert once(poll)[0].state == "ready"
    # Of the two that are left, the first page shows none, and the second both.
    assert asked(emulator) == [2, 0]


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (["a", "b", "a"], ["a", "b"]),
        (("a",), ["a"]),
        ("['a', 'b']", ["a", "b"]),
        (' ["a"] ', ["a"]),
        ({"a": 1}.keys(), ["a"]),
        ((item for item in "ab"), ["a", "b"]),
    ],
)
def test_ids_come_as_a_list_or_as_the_text_of_one(value: Any, ids: list[str]) -> None:
    assert group_ids_of(value) == ids


@pytest.mark.parametrize("value", [[], "[]", "", "a, b", "a", "{{ x }}", None, 7, {"a": 1}, b"a", [None], [""], [7.5]])
def test_what_is_no_list_of_ids_is_refused_by_name(value: Any) -> None:
    with pytest.raises(exceptions.InvalidInputError, match="group_ids"):
        group_ids_of(value)


# --- new ones of a name ---


def group(
    group_id: str, *, status: int = 1, updated: str = "2026-01-01 12:00:00", created: str = "2026-01-01 11:00:00"
) -> AudienceGroup:
    data = {"Id": group_id, "Name": "VIP", "Status": status, "Amount": 2}
    return AudienceGroup.from_api(data | {"UpdatedTime": updated, "CreatedTime": created})


class Pages:
    """A client that shows one page."""

    dialect = BEARER
    price_per_call = None

    def __init__(self, *groups: AudienceGroup) -> None:
        self._groups = groups

    def list_page(self, page_number: int, *, query: Any) -> tuple[list[AudienceGroup], int]:
        assert (page_number, query) == (1, {"Name": "VIP"})
        return list(self._groups), len(self._groups)


NOON = 1767240000.0  # 04:00 UTC


def new_groups_poll(since: float) -> NewGroupsPoll:
    return NewGroupsPoll("VIP", ReadinessRule(), since_epoch_seconds=since)


def told(poll: NewGroupsPoll, *groups: AudienceGroup) -> list[str]:
    result = answered(poll(Pages(*groups)))  # type: ignore[arg-type] # which is enough of a client
    assert (result.state == "ready") is bool(result.seen)
    return [found["id"] for found in result.seen]


def test_times_are_of_utc_plus_eight() -> None:
    assert epoch_seconds("2026-01-01 12:00:00") == NOON
    assert epoch_seconds("") is None
    assert epoch_seconds("2026-01-01T12:00:00Z") is None


def test_a_group_that_was_seen_waiting_is_news_whatever_its_time() -> None:
    poll = new_groups_poll(NOON + 1)
    assert told(poll, group("old"), group("a", status=9)) == []
    assert told(poll, group("old"), group("a")) == ["a"]
    assert told(poll, group("old"), group("a", status=9)) == []
    assert told(poll, group("old"), group("a")) == []


def test_the_older_news_comes_first_and_the_time_of_creation_stands_in() -> None:
    found = [
        group("late", updated="2026-01-01 12:30:00"),
        group("early"),
        group("created", updated="", created="2026-01-01 12:10:00"),
        group("before", updated="", created="2026-01-01 11:10:00"),
        group("ageless", updated="", created=""),
    ]
    assert set(told(new_groups_poll(NOON), *found)) == {"late", "early", "created", "ageless"}
    assert told(new_groups_poll(NOON), *found[:2]) == ["early", "late"]
