"""Waiting for many groups at once: which requests a look makes, and what it says."""

import time

import pytest

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.hooks.pai import PaiHook
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.watches import GroupsWatch, ReadyWhen, group_ids_of
from airflow_provider_audiences.triggers.pai import PaiGroupTrigger
from airflow_provider_audiences.waiting.looks import Bill, Request, look_here


@pytest.fixture
def look(pai):
    """Looks once with a watch, and returns what it saw and how many GetGroups are billed."""

    def once(watch):
        bill = Bill(["get"])
        return look_here(watch(pai), bill), bill.calls["get"]

    return once


def asked(emulator):
    """How many pages and groups were asked for since the last time."""
    counts = [len(emulator.requests(f"pai.{name}")) for name in ("list", "get")]
    emulator.clear_requests()
    return counts


def watch(ids, **ready_when):
    return GroupsWatch(ids, ReadyWhen(**ready_when))


def make(pai, name, phones=2):
    text = "\n".join(f"1390000{number:04d}" for number in range(phones))
    spec = GroupSpec(source=PaiSource.TEXT, name=name, text=text, phone_number=True)
    return pai.create_group(spec, marker=None).group.id


def test_a_page_shows_a_hundred_for_nothing(make_groups, emulator, look):
    ids = make_groups(100)
    emulator.clear_requests()
    waiting = watch(ids)
    sighting, billed = look(waiting)
    assert (sighting.state, billed) == ("waiting", 0)
    assert sighting.reason.startswith("0 of 100 groups are ready; ")
    assert "and 97 more: still being checked (Status 0, Amount 0)" in sighting.reason
    emulator.advance(5)
    sighting, billed = look(waiting)
    assert (sighting.state, billed) == ("ready", 0)
    assert sighting.seen == [{"id": item, "name": "VIP", "status": 1, "amount": 2} for item in ids]
    assert asked(emulator) == [2, 0]
    assert emulator.billing()["get"]["billed"] == 0


def test_pages_are_read_while_they_are_no_more_calls(make_groups, emulator, look):
    """Newest first: of 35 groups on pages of 5, two are on the last page, and six pages lie before it."""
    emulator.settings(max_page_size=5, processing_seconds=0)
    old = make_groups(2)
    make_groups(33)
    emulator.clear_requests()
    sighting, billed = look(watch(old))
    assert (sighting.state, billed) == ("ready", 2)
    assert asked(emulator) == [1, 2]
    new = make_groups(2)
    emulator.clear_requests()
    assert look(watch(new))[0].state == "ready"
    assert asked(emulator) == [1, 0]
    # Twelve ids, six more pages: the list to its end.
    most = [*old, *(group["Id"] for group in emulator.groups()[8:18])]
    assert look(watch(most))[0].state == "ready"
    assert asked(emulator) == [8, 0]


def test_what_was_dear_by_list_is_got_one_by_one_the_next_time(make_groups, emulator, look):
    emulator.settings(max_page_size=5)
    old = make_groups(2)
    make_groups(33)
    emulator.clear_requests()
    waiting = watch(old)
    look(waiting)
    assert asked(emulator) == [1, 2]
    look(waiting)
    assert asked(emulator) == [0, 2]
    emulator.advance(5)
    assert look(waiting)[0].state == "ready"
    assert asked(emulator) == [0, 2]


def test_those_that_are_ready_are_not_looked_at_again(pai, emulator, look):
    emulator.settings(max_page_size=1)
    first = make(pai, "first")
    emulator.advance(5)
    others = [make(pai, name) for name in ("second", "third")]
    emulator.clear_requests()
    waiting = watch([first, *others])
    sighting, _ = look(waiting)
    assert sighting.reason.startswith("1 of 3 groups are ready")
    asked(emulator)
    emulator.advance(5)
    sighting, _ = look(waiting)
    assert [group["name"] for group in sighting.seen] == ["first", "second", "third"]
    assert f"Id={first}" not in str(emulator.requests("pai.get"))


def test_a_group_that_slips_through_while_the_list_shifts_is_looked_up(make_groups, emulator, pai, look):
    emulator.settings(max_page_size=2, processing_seconds=0)
    ids = make_groups(6)
    newest_first = ids[::-1]
    steps = watch(ids)(pai)
    request = next(steps)
    page = request.send()
    # One of the first page goes: what was first on the second page is now last on the first.
    pai.delete_group(newest_first[0])
    emulator.clear_requests()
    asked_for = []
    try:
        while True:
            request = steps.send(page)
            asked_for.append(request.billed_as)
            page = request.send()
    except StopIteration as end:
        sighting = end.value
    assert sighting.state == "ready"
    assert len(sighting.seen) == 6
    assert asked_for == [None, None, "get"]


def test_a_group_that_does_not_exist_is_named(make_groups, look):
    (group_id,) = make_groups(1)
    with pytest.raises(exceptions.NotFoundError, match="group nobody:"):
        look(watch([group_id, "nobody"]))


def test_the_first_that_is_rejected_fails_all_and_says_why(pai, emulator, look):
    emulator.settings(reject_names=["bad", "worse"])
    bad, worse, good = (make(pai, name) for name in ("bad", "worse", "good"))
    emulator.advance(5)
    emulator.clear_requests()
    sighting, billed = look(watch([good, bad, worse]))
    assert (sighting.state, billed) == ("failed", 1)
    # The first in the order given, whatever the order of the list.
    assert sighting.reason.startswith(f"group {bad} (bad): ")
    assert "History: The audience did not pass the review" in sighting.reason
    assert sighting.reason.endswith(f"Failed too: 'worse' ({worse}).")
    assert [group["id"] for group in sighting.seen] == [bad, worse]
    assert asked(emulator) == [1, 1]
    assert look(watch([worse, good, bad]))[0].reason.startswith(f"group {worse} (worse): ")


def test_of_many_that_are_rejected_a_few_are_named(pai, emulator, look):
    names = [f"bad {number}" for number in range(6)]
    emulator.settings(reject_names=names, processing_seconds=0)
    ids = [make(pai, name) for name in names]
    sighting, billed = look(watch(ids))
    others = ", ".join(f"'bad {number}' ({ids[number]})" for number in (1, 2, 3))
    assert sighting.reason.endswith(f"Failed too: {others} and 2 more.")
    assert billed == 1


def test_who_is_waited_for_is_named_in_the_order_given(pai, emulator, look):
    ids = [make(pai, name) for name in ("A", "B", "")]
    sighting, _ = look(watch(ids))
    assert sighting.reason == (
        f"0 of 3 groups are ready; waiting for 'A' ({ids[0]}), 'B' ({ids[1]}), {ids[2]}: "
        "still being checked (Status 0, Amount 0)"
    )


def test_one_by_one_it_stops_at_the_first_that_is_rejected(pai, emulator, look):
    emulator.settings(reject_names=["bad"], max_page_size=1)
    ids = [make(pai, name) for name in ("bad", "good", "new 1", "new 2", "new 3")]
    emulator.advance(5)
    emulator.clear_requests()
    sighting, _ = look(watch(ids[:2]))
    assert sighting.state == "failed"
    # A page of the five shows neither; the first of the two is the rejected one, and its History is there already.
    assert asked(emulator) == [1, 1]


def test_too_few_people_are_a_failure_without_a_further_call(pai, emulator, look):
    few, many = make(pai, "few", 1), make(pai, "many", 3)
    emulator.advance(5)
    emulator.clear_requests()
    sighting, _ = look(watch([many, few], min_amount=2))
    assert sighting.state == "failed"
    assert f"group {few} (few): passed with 1 people, and min_amount is 2" in sighting.reason
    assert asked(emulator) == [1, 0]


def test_a_rejection_that_a_closer_look_takes_back_is_none(make_groups, emulator, look, pai):
    """The list may lag behind: what GetGroup says holds."""
    ids = make_groups(2)
    emulator.advance(5)
    steps = watch(ids)(pai)
    page, total = next(steps).send()
    stale = [group.__class__(**{**vars(group), "status": 2}) for group in page]
    request = steps.send((stale, total))
    try:
        while True:
            request = steps.send(request.send())
    except StopIteration as end:
        sighting = end.value
    assert sighting.state == "ready"


def test_an_unknown_status_is_told(pai, emulator, look):
    emulator.settings(processing_seconds=0, final_status=7)
    ids = [make(pai, name) for name in "ab"]
    sighting, _ = look(watch(ids))
    assert (sighting.state, sighting.unknown_status) == ("waiting", True)
    assert "Status 7" in sighting.reason


def test_a_look_that_fails_in_the_middle_keeps_what_it_saw(pai, emulator, look, make_pai):
    emulator.settings(max_page_size=2)
    ids = [make(pai, str(number)) for number in range(4)]
    emulator.advance(5)
    client = make_pai(max_retries=0)
    waiting = watch(ids)
    emulator.fault("pai.list", "status", status=503, number=2)
    with pytest.raises(exceptions.ServerError):
        look_here(waiting(client), Bill())
    emulator.clear_requests()
    assert look(waiting)[0].state == "ready"
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
def test_ids_come_as_a_list_or_as_the_text_of_one(value, ids):
    assert group_ids_of(value) == ids


@pytest.mark.parametrize("value", [[], "[]", "", "a, b", "a", "{{ x }}", None, 7, {"a": 1}, b"a", [None], [""], [7.5]])
def test_what_is_no_list_of_ids_is_refused_by_name(value):
    with pytest.raises(exceptions.InvalidInputError, match="group_ids"):
        group_ids_of(value)


# --- in a worker, as the triggerer does ---


@pytest.fixture
def here(connect):
    """Waits with a trigger in this thread; ``between`` is called instead of each sleep."""

    def wait(between, **arguments):
        defaults = {
            "conn_id": "pai_default",
            "poll_interval_seconds": 60,
            "max_poll_interval_seconds": 600,
            "deadline_epoch_seconds": time.time() + 86_400,
            "max_poll_failures": 1,
            "jitter": False,
        }
        slept = []

        def sleep(seconds):
            slept.append(seconds)
            between(len(slept))

        trigger = PaiGroupTrigger(**(defaults | arguments))
        return trigger.wait_here(lambda: PaiHook("pai_default").get_connection("pai_default"), sleep=sleep), slept

    return wait


def test_a_worker_waits_as_the_triggerer_does(here, make_groups, emulator):
    (group_id,) = make_groups(1)
    emulator.freeze()
    payload, slept = here(lambda sleeps: sleeps == 4 and emulator.advance(5), group_id=group_id)
    assert (payload["state"], payload["seen"]["id"]) == ("ready", group_id)
    assert slept == [0, 60, 120, 240]
    assert payload["billable_calls"] == {"get": 4} == {"get": emulator.billing()["get"]["billed"]}


def test_a_worker_ends_as_the_triggerer_does(here, make_groups, emulator):
    (group_id,) = make_groups(1)
    emulator.freeze()
    late, _ = here(lambda _: None, group_id=group_id, deadline_epoch_seconds=0)
    assert (late["state"], late["billable_calls"]) == ("timeout", {"get": 1})
    emulator.fault("pai.get", "status", status=503, times=2)
    error, slept = here(lambda _: None, group_id=group_id)
    assert (error["state"], error["error_type"], len(slept)) == ("error", "ServerError", 2)
    assert error["billable_calls"] == {"get": 0}
    for wrong in ({}, {"group_id": group_id, "group_ids": [group_id]}, {"group_ids": []}, {"group_id": ""}):
        refused, slept = here(lambda _: None, **wrong)
        assert (refused["error_type"], slept) == ("InvalidInputError", [])


@pytest.fixture
def waiting_here(make_groups):
    """A trigger that waits for a group for an hour."""
    (group_id,) = make_groups(1)
    return PaiGroupTrigger(
        conn_id="pai_default",
        group_id=group_id,
        poll_interval_seconds=60,
        deadline_epoch_seconds=time.time() + 3600,
        max_poll_failures=2,
        jitter=False,
    )


def fetched():
    return PaiHook("pai_default").get_connection("pai_default")


def test_a_worker_takes_a_renewed_token_after_a_wait(waiting_here, emulator, connect):
    connect("pai", password="old")
    emulator.advance(5)
    slept = []

    def fetch():
        connection = fetched()
        connect("pai")
        return connection

    assert waiting_here.wait_here(fetch, sleep=slept.append)["state"] == "ready"
    assert [request["status"] for request in emulator.requests("pai.get")] == [403, 200]
    assert slept == [0, 60]


def test_a_worker_does_not_go_on_with_one_wrong_token_after_the_other(waiting_here, emulator, connect):
    numbers = iter(range(1000))

    def fetch():
        connect("pai", password=f"wrong {next(numbers)}")
        return fetched()

    payload = waiting_here.wait_here(fetch, sleep=lambda _: None)
    assert (payload["state"], payload["error_type"]) == ("failed", "AuthenticationError")
    assert len(emulator.requests("pai.get")) == 2


@pytest.mark.parametrize("error", [OSError("https://x/?token=s3cret"), RuntimeError("no supervisor")])
def test_a_worker_bears_a_moment_without_connections(waiting_here, emulator, connect, error):
    emulator.advance(5)
    left = [error, error]

    def fetch():
        if left:
            raise left.pop()
        return fetched()

    assert waiting_here.wait_here(fetch, sleep=lambda _: None)["state"] == "ready"
    left = [error] * 3
    payload = waiting_here.wait_here(fetch, sleep=lambda _: None)
    assert (payload["state"], payload["error_type"]) == ("error", "ConnectionFailedError")
    assert type(error).__name__ in payload["reason"]
    assert "s3cret" not in str(payload)


def test_a_connection_that_is_missing_ends_the_wait_as_in_the_triggerer(waiting_here, connect, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_PAI_DEFAULT")
    payload = waiting_here.wait_here(fetched)
    assert (payload["state"], payload["error_type"]) == ("error", None)
    assert "pai_default" in payload["reason"]


def test_a_wait_that_is_interrupted_leaves_its_bill(waiting_here, emulator, connect):
    bill = waiting_here.new_bill()

    class TaskTimeoutError(BaseException):
        pass

    def sleep(_seconds):
        if bill.calls["get"] == 3:
            raise TaskTimeoutError

    with pytest.raises(TaskTimeoutError):
        waiting_here.wait_here(fetched, bill=bill, sleep=sleep)
    assert bill.calls == {"get": 3} == {"get": emulator.billing()["get"]["billed"]}


def test_a_request_that_is_interrupted_may_be_billed():
    bill = Bill(["get"])

    def steps(send):
        yield Request(send=send, billed_as="get")

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look_here(steps(interrupted), bill)
    assert bill.calls == {"get": 1}
    with pytest.raises(ZeroDivisionError):
        look_here(steps(lambda: 1 / 0), bill)
    assert bill.calls == {"get": 1}


def test_a_lost_reply_may_be_billed_and_a_refused_request_is_not(here, make_groups, emulator):
    (group_id,) = make_groups(1)
    emulator.advance(5)
    emulator.fault("pai.get", "drop_after")
    payload, _ = here(lambda _: None, group_id=group_id)
    assert payload["billable_calls"] == {"get": 2} == {"get": emulator.billing()["get"]["billed"]}
    emulator.fault("pai.get", "status", status=429)
    payload, _ = here(lambda _: None, group_id=group_id)
    assert payload["billable_calls"] == {"get": 1}
