"""PAI's create is billed, has no idempotency key, and must make one group."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import (
    AudienceError,
    AuthenticationError,
    ConflictError,
    ConnectionFailedError,
    InvalidInputError,
    ServerError,
    TransientError,
    UnexpectedReplyError,
)
from airflow_provider_audiences.platforms.pai import listing as pai_listing
from airflow_provider_audiences.platforms.pai.client import CreatedGroup, PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.marker import GroupMarker, make_marker

SPEC = GroupSpec(source=PaiSource.ALGORITHM, name="VIP", algorithm="recall", inference_job_id="job", remark="mine")


def marker_of(**changes: Any) -> GroupMarker:
    call: dict[str, Any] = {
        "provenance": "dag.task",
        "run": "run 1",
        "map_index": -1,
        "clear_count": 0,
        "fingerprint": "",
        "spec": SPEC,
        "secret": None,
    }
    return make_marker(**(call | changes))


MARKER = marker_of()
OTHER = marker_of(run="run 2")


def create(client: PaiClient, **options: Any) -> CreatedGroup:
    return client.create_group(options.pop("spec", SPEC), marker=options.pop("marker", MARKER), **options)


def sent(emulator: AudiencesEmulator, operation: str = "pai.create") -> int:
    return len(emulator.requests(operation))


def test_create(emulator: AudiencesEmulator, pai: PaiClient) -> None:
    created = create(pai)

    (group,) = emulator.groups()
    assert not created.adopted
    assert created.group.id == group["Id"]
    # The marker is at the platform, and nowhere else.
    assert group["Remark"] == f"mine {MARKER.text}"
    found = [created.group, pai.get_group(created.group.id), *pai.list_groups()]
    assert [item.remark for item in found] == ["mine"] * 3
    assert [item.marker for item in found] == [MARKER] * 3
    assert not any("marker" in item.public() for item in found)
    assert [request["operation"] for request in emulator.requests()] == [
        "pai.list",
        "pai.create",
        "pai.get",
        "pai.list",
    ]


def test_marker_without_remark(emulator: AudiencesEmulator, pai: PaiClient) -> None:
    created = create(pai, spec=replace(SPEC, remark=None))

    assert emulator.groups()[0]["Remark"] == MARKER.text
    assert created.group.remark == ""


@pytest.mark.parametrize("kind", ["drop_after", "drop_before"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_reply_lost_on_any_attempt(
    emulator: AudiencesEmulator, pai: PaiClient, waits: list[float], kind: str, number: int
) -> None:
    # Attempts before that one are refused for sure; that one is lost; those after it succeed.
    if number > 1:
        emulator.fault("pai.create", "status", status=429, retry_after=1, times=number - 1)
    emulator.fault("pai.create", kind, number=number)
    if kind == "drop_before" and number == 4:
        with pytest.raises(ConnectionFailedError) as caught:
            create(pai)
        assert caught.value.maybe_applied
        assert (emulator.groups(), sent(emulator), sent(emulator, "pai.list")) == ([], 4, 2)
        return
    created = create(pai)

    assert [group["Id"] for group in emulator.groups(deleted=True)] == [created.group.id]
    assert not created.adopted
    assert created.group.remark == "mine"
    assert sent(emulator) == (number if kind == "drop_after" else number + 1)
    assert sent(emulator, "pai.list") == 2
    assert waits == [1.0, 2.0, 4.0][: number if number < 4 else 3]


def test_doubt_is_remembered_over_refusals(emulator: AudiencesEmulator, pai: PaiClient) -> None:
    # Lost and applied, and the list lags: the first look finds nothing, and 429 comes before the second.
    emulator.fault("pai.create", "drop_before")
    emulator.fault("pai.create", "status", status=429, number=2)
    create(pai)

    assert sent(emulator) == 3
    assert sent(emulator, "pai.list") == 3
    assert len(emulator.groups()) == 1


def test_refusal_after_a_lost_reply_looks_once_more(
    emulator: AudiencesEmulator, make_pai: Callable[..., PaiClient]
) -> None:
    emulator.fault("pai.create", "drop_before")
    emulator.fault("pai.create", "status", status=403, number=2)
    with pytest.raises(AuthenticationError) as caught:
        create(make_pai())

    assert caught.value.maybe_applied
    assert caught.value.attempts == 2
    assert sent(emulator, "pai.list") == 3


def test_reply_without_a_group_is_looked_up(recorder: Any, make_pai: Callable[..., PaiClient]) -> None:
    def reply(method: str, target: str) -> tuple[int, dict[str, str], bytes]:
        if method == "POST":
            return 200, {}, b'{"ErrorCode": 0, "Data": {}}'
        if len(recorder.requests) == 1:
            return 200, {}, b'{"ErrorCode": 0, "Data": {"Groups": []}}'
        entry = '{"Id": "g", "Name": "VIP", "Remark": "mine ' + MARKER.text + '"}'
        return 200, {}, ('{"ErrorCode": 0, "Data": {"Groups": [' + entry + '], "TotalCount": 1}}').encode()

    recorder.reply = reply
    assert create(make_pai(base_url=recorder.url)).group.id == "g"
    assert [method for method, *_ in recorder.requests] == ["GET", "POST", "GET"]


def test_reply_without_a_group_that_can_not_be_found(recorder: Any, make_pai: Callable[..., PaiClient]) -> None:
    recorder.answer(200, {}, b'{"ErrorCode": 0, "Data": {"Groups": []}}')
    with pytest.raises(UnexpectedReplyError, match="no group with an Id") as caught:
        create(make_pai(base_url=recorder.url))

    assert caught.value.maybe_applied
    assert [method for method, *_ in recorder.requests] == ["GET", "POST", "GET"]


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 500}, {"kind": "drop_before"}])
def test_look_that_fails_for_a_while(emulator: AudiencesEmulator, pai: PaiClient, fault: dict[str, Any]) -> None:
    emulator.fault("pai.create", "drop_after")
    emulator.fault("pai.list", number=2, times=3, **fault)
    created = create(pai)

    assert [group["Id"] for group in emulator.groups()] == [created.group.id]
    assert (sent(emulator), sent(emulator, "pai.list")) == (1, 5)


@pytest.mark.parametrize(
    ("fault", "error_type", "looks"),
    [
        ({"kind": "status", "status": 500}, ServerError, 4),
        ({"kind": "drop_before"}, ConnectionFailedError, 4),
        ({"kind": "status", "status": 403}, AuthenticationError, 1),
        ({"kind": "html"}, UnexpectedReplyError, 1),
    ],
)
def test_look_that_fails_for_good_never_sends_again(
    emulator: AudiencesEmulator, pai: PaiClient, fault: dict[str, Any], error_type: type[AudienceError], looks: int
) -> None:
    emulator.fault("pai.create", "drop_after")
    emulator.fault("pai.list", number=2, times=None, **fault)
    with pytest.raises(error_type) as caught:
        create(pai)

    assert (sent(emulator), sent(emulator, "pai.list")) == (1, 1 + looks)
    assert len(emulator.groups()) == 1
    assert caught.value.operation == "pai.list"
    assert caught.value.maybe_applied
    assert "An earlier pai.create may have been carried out, and could not be looked up." in str(caught.value)

    # What the task's next try does.
    emulator.clear_faults()
    assert create(pai).group.id == emulator.groups()[0]["Id"]
    assert len(emulator.groups()) == 1


def test_look_that_fails_at_the_end(
    emulator: AudiencesEmulator, make_pai: Callable[..., PaiClient], waits: list[float]
) -> None:
    emulator.fault("pai.create", "drop_after")
    emulator.fault("pai.list", "status", status=403, number=2)
    with pytest.raises(AuthenticationError) as caught:
        create(make_pai(max_retries=0))

    assert caught.value.maybe_applied
    assert (sent(emulator), sent(emulator, "pai.list"), waits) == (1, 2, [])


def test_first_look_that_fails_sends_nothing(emulator: AudiencesEmulator, pai: PaiClient) -> None:
    emulator.fault("pai.list", "status", status=403)
    with pytest.raises(AuthenticationError) as caught:
        create(pai)

    assert caught.value.operation == "pai.list"
    assert not caught.value.maybe_applied
    assert sent(emulator) == 0
    assert pai.billable_calls == {"create": 0, "get": 0, "delete": 0}


class TestWithoutMarker:
    def test_neither_mark_nor_look(self, emulator: AudiencesEmulator, pai: PaiClient) -> None:
        groups = [create(pai, marker=None).group for _ in range(2)]

        assert [group["Remark"] for group in emulator.groups()] == ["mine", "mine"]
        assert [group.marker for group in groups] == [None, None]
        assert (sent(emulator), sent(emulator, "pai.list")) == (2, 0)

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "drop_after"},
            {"kind": "drop_before"},
            {"kind": "status", "status": 500},
            {"kind": "truncated_json"},
        ],
        ids=lambda fault: fault["kind"],
    )
    def test_doubt_is_not_repeated(
        self, emulator: AudiencesEmulator, pai: PaiClient, waits: list[float], fault: dict[str, Any]
    ) -> None:
        emulator.fault("pai.create", **fault)
        with pytest.raises(TransientError, match="The group may exist: look for it before you create it again"):
            create(pai, marker=None)

        assert (sent(emulator), sent(emulator, "pai.list"), waits) == (1, 0, [])

    @pytest.mark.parametrize("fault", [{"status": 429, "times": 1}, {"status": 429, "retry_after": 3, "times": 2}])
    def test_what_was_refused_for_sure_is_repeated(
        self, emulator: AudiencesEmulator, pai: PaiClient, fault: dict[str, Any]
    ) -> None:
        emulator.fault("pai.create", "status", **fault)
        create(pai, marker=None)

        assert (sent(emulator), len(emulator.groups())) == (1 + fault["times"], 1)

    def test_doubt_after_a_refusal(self, emulator: AudiencesEmulator, pai: PaiClient) -> None:
        emulator.fault("pai.create", "status", status=429)
        emulator.fault("pai.create", "drop_after", number=2)
        with pytest.raises(ConnectionFailedError, match="The group may exist"):
            create(pai, marker=None)

        assert sent(emulator) == 2

    def test_refusal_leaves_no_doubt(self, emulator: AudiencesEmulator, pai: PaiClient) -> None:
        emulator.fault("pai.create", "status", status=403)
        with pytest.raises(AuthenticationError) as caught:
            create(pai, marker=None)

        assert "may exist" not in str(caught.value)
        assert "'VIP' was to be made from the algorithm recall, job job" in str(caught.value)

    def test_names_are_looked_at_all_the_same(self, pai: PaiClient) -> None:
        first = create(pai, marker=None)
        assert create(pai, marker=None, if_exists="adopt").group.id == first.group.id
        with pytest.raises(ConflictError):
            create(pai, marker=None, if_exists="fail")


class TestEarlierCall:
    def test_adopts_its_group(self, emulator: AudiencesEmulator, pai: PaiClient) -> None:
        first = create(pai)
        emulator.clear_requests()
        again = create(pai)

        assert again.adopted
        assert again.group.id == first.group.id
        assert again.group.remark == "mine"
        assert sent(emulator) == 0

    def test_creates_when_there_is_none(self, emulator: AudiencesEmulator, pai: PaiClient) -> None:
        created = create(pai)

        assert not created.adopted
        assert [request["operation"] for request in emulator.requests()] == ["pai.list", "pai.create"]

    def test_passes_over_another_run(self, emulator: AudiencesEmulator, pai: PaiClient) -> None:
        create(pai, marker=OTHER)
        created = create(pai)

        assert not created.adopted
        assert len(emulator.groups()) == 2

    def test_passes_over_similar_names_and_remarks(self, pai: PaiClient) -> None:
        create(pai, spec=replace(SPEC, name="VIP 2"), marker=OTHER)
        create(pai, spec=replace(SPEC, remark=f"{MARKER.text} copied by a person"), marker=OTHER)
        created = create(pai)

        assert not created.adopted

    def test_takes_the_oldest_of_several(
        self, emulator: AudiencesEmulator, pai: PaiClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        emulator.set_clock(1_700_000_000, freeze=True)
        first = create(pai)
        emulator.advance(60)
        # As a person may, who copies a group with its remark.
        create(pai, spec=replace(SPEC, remark=f"mine {MARKER.text}"), marker=None)
        found = create(pai)

        assert found.group.id == first.group.id
        assert "Several PAI groups have the marker" in caplog.text

    @pytest.mark.parametrize("if_exists", ["create", "adopt", "fail"])
    def test_a_rejected_one_is_passed_over_and_named(
        self, emulator: AudiencesEmulator, pai: PaiClient, caplog: pytest.LogCaptureFixture, if_exists: str
    ) -> None:
        emulator.settings(reject_names=["VIP"])
        rejected = create(pai).group.id
        emulator.advance(5)
        emulator.settings(reject_names=[])
        created = create(pai, if_exists=if_exists)

        assert not created.adopted
        assert created.group.id != rejected
        assert f"PAI rejected what an earlier request of this task made: {rejected}" in caplog.text
        # And from now on it is the new one.
        emulator.advance(5)
        assert create(pai, if_exists=if_exists).group.id == created.group.id
        assert "Several" not in caplog.text

    def test_a_rejected_one_of_somebody_else_is_a_conflict_all_the_same(
        self, emulator: AudiencesEmulator, pai: PaiClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        emulator.settings(reject_names=["VIP"], processing_seconds=0)
        rejected = create(pai, marker=OTHER).group.id
        with pytest.raises(ConflictError, match=rejected):
            create(pai, if_exists="fail")
        assert "Passed over" not in caplog.text

    def test_what_this_very_call_made_is_taken_although_it_is_rejected(
        self, emulator: AudiencesEmulator, pai: PaiClient
    ) -> None:
        emulator.settings(reject_names=["VIP"], processing_seconds=0)
        emulator.fault("pai.create", "drop_after")
        created = create(pai)

        assert (created.adopted, created.group.status) == (False, 2)
        assert (sent(emulator), len(emulator.groups())) == (1, 1)

    def test_a_lost_request_is_not_taken_for_the_rejected_one_before_it(
        self, emulator: AudiencesEmulator, pai: PaiClient
    ) -> None:
        emulator.settings(reject_names=["VIP"])
        rejected = create(pai).group.id
        emulator.advance(5)
        emulator.settings(reject_names=[])
        emulator.fault("pai.create", "drop_before", number=1)
        created = create(pai)

        assert created.group.id != rejected
        assert len(emulator.groups()) == 2

    def test_finds_it_on_a_later_page(self, emulator: AudiencesEmulator, pai: PaiClient) -> None:
        emulator.settings(max_page_size=3)
        mine = create(pai)
        for number in range(10):
            create(pai, marker=marker_of(provenance="x.y", run=str(number)))
        emulator.clear_requests()
        found = create(pai)

        assert found.group.id == mine.group.id
        assert sent(emulator, "pai.list") == 4

    def test_finds_a_group_without_a_name(self, pai: PaiClient) -> None:
        spec = replace(SPEC, name=None)
        first = create(pai, spec=spec)

        assert create(pai, spec=spec).group.id == first.group.id


class TestIfExists:
    @pytest.mark.parametrize("fuzzy", [True, False])
    def test_create_makes_another(self, emulator: AudiencesEmulator, pai: PaiClient, fuzzy: bool) -> None:
        emulator.settings(fuzzy_filters=fuzzy)
        create(pai)
        create(pai, marker=OTHER)

        assert len(emulator.groups()) == 2
        assert sent(emulator, "pai.list") == 2

    def test_adopt_takes_the_one(self, emulator: AudiencesEmulator, pai: PaiClient) -> None:
        first = create(pai, marker=OTHER)
        adopted = create(pai, if_exists="adopt")

        assert adopted.adopted
        assert adopted.group.id == first.group.id
        assert adopted.group.remark == "mine"
        assert sent(emulator) == 1

    @pytest.mark.parametrize("name", ["VIP 2", "A VIP", "vip", "VIP "])
    @pytest.mark.parametrize("if_exists", ["adopt", "fail"])
    def test_similar_name_is_not_the_name(
        self, emulator: AudiencesEmulator, pai: PaiClient, name: str, if_exists: str
    ) -> None:
        emulator.settings(fuzzy_filters=True)
        create(pai, spec=replace(SPEC, name=name), marker=OTHER)
        created = create(pai, if_exists=if_exists)

        assert not created.adopted
        assert len(emulator.groups()) == 2

    def test_adopt_refuses_to_choose(self, emulator: AudiencesEmulator, pai: PaiClient) -> None:
        ids = [create(pai, marker=marker).group.id for marker in (OTHER, marker_of(run="run 3"))]
        with pytest.raises(ConflictError) as caught:
            create(pai, if_exists="adopt")

        assert all(group_id in str(caught.value) for group_id in ids)
        assert caught.value.operation == "pai.create"
        assert len(emulator.groups()) == 2

    def test_fail_names_the_group(self, emulator: AudiencesEmulator, pai: PaiClient) -> None:
        first = create(pai, marker=OTHER)
        with pytest.raises(ConflictError, match=first.group.id):
            create(pai, if_exists="fail")
        assert len(emulator.groups()) == 1

    def test_fail_takes_the_group_of_its_own_key(self, pai: PaiClient) -> None:
        first = create(pai)

        assert create(pai, if_exists="fail").group.id == first.group.id

    @pytest.mark.parametrize("if_exists", ["adopt", "fail"])
    def test_needs_a_name(self, emulator: AudiencesEmulator, pai: PaiClient, if_exists: str) -> None:
        with pytest.raises(ValueError, match="name is empty"):
            create(pai, spec=replace(SPEC, name=None), if_exists=if_exists)
        assert emulator.requests() == []

    def test_deleted_group_does_not_count(self, pai: PaiClient) -> None:
        pai.delete_group(create(pai).group.id)

        assert not create(pai, if_exists="fail").adopted


class TestListing:
    @pytest.fixture(autouse=True)
    def groups(self, emulator: AudiencesEmulator, pai: PaiClient) -> list[str]:
        for number in range(7):
            create(pai, spec=replace(SPEC, name=f"g{number}"))
        emulator.clear_requests()
        return [group["Id"] for group in reversed(emulator.groups())]

    @pytest.mark.parametrize(("page_size", "pages"), [(100, 1), (7, 1), (6, 2), (3, 3), (1, 7)])
    def test_believes_the_page_size_of_the_reply(
        self, emulator: AudiencesEmulator, pai: PaiClient, groups: list[str], page_size: int, pages: int
    ) -> None:
        emulator.settings(max_page_size=page_size)

        assert [group.id for group in pai.list_groups()] == groups
        targets = [request["target"] for request in emulator.requests("pai.list")]
        assert len(targets) == pages
        assert all(f"PageNumber={number}&PageSize=100" in target for number, target in enumerate(targets, start=1))

    def test_stops_on_an_empty_page(
        self, emulator: AudiencesEmulator, pai: PaiClient, groups: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        emulator.fault("pai.list", "wrong_counts", by=1000, times=None)

        assert [group.id for group in pai.list_groups()] == groups
        # To its end, and twice again: a group may have been overlooked.
        assert len(emulator.requests("pai.list")) == 6
        assert "PAI speaks of 1,007 groups and listed 7" in caplog.text

    def test_drops_what_it_has_seen(self, recorder: Any, make_pai: Callable[..., PaiClient]) -> None:
        pages = {1: ["a", "b"], 2: ["b", "c"], 3: ["d"]}

        def reply(method: str, target: str) -> tuple[int, dict[str, str], bytes]:
            number = int(target.partition("PageNumber=")[2].partition("&")[0])
            entries = ", ".join(f'{{"Id": "{name}"}}' for name in pages.get(number, []))
            return 200, {}, ('{"ErrorCode": "0", "Data": {"TotalCount": 4, "Groups": [' + entries + "]}}").encode()

        recorder.reply = reply
        assert [group.id for group in make_pai(base_url=recorder.url).list_groups()] == ["a", "b", "c", "d"]

    def test_reads_a_bare_list_until_it_is_empty(self, recorder: Any, make_pai: Callable[..., PaiClient]) -> None:
        def reply(method: str, target: str) -> tuple[int, dict[str, str], bytes]:
            entries = '[{"Id": "a"}, "junk"]' if "PageNumber=1&" in target else "[]"
            return 200, {}, f'{{"ErrorCode": 0, "Data": {entries}}}'.encode()

        recorder.reply = reply
        client = make_pai(base_url=recorder.url)
        assert [group.id for group in client.list_groups()] == ["a"]
        assert client.count_groups() == 1

    def test_caps_the_pages(
        self,
        emulator: AudiencesEmulator,
        pai: PaiClient,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        # A thousand real pages would take their time.
        monkeypatch.setattr(pai_listing, "_MAX_PAGES", 3)
        emulator.settings(max_page_size=2)

        assert len(pai.list_groups()) == 6
        assert len(emulator.requests("pai.list")) == 3
        assert "Stopped listing PAI groups after 3 pages" in caplog.text

    def test_counts_by_the_smallest_page(self, emulator: AudiencesEmulator, pai: PaiClient) -> None:
        assert pai.count_groups() == 7
        assert emulator.requests()[-1]["target"].endswith("?PageNumber=1&PageSize=1")

    def test_shows_what_there_is_on_a_reply_without_a_list(
        self, recorder: Any, make_pai: Callable[..., PaiClient]
    ) -> None:
        recorder.answer(200, {}, b'{"ErrorCode": 0, "Data": "x"}')
        with pytest.raises(UnexpectedReplyError, match="no list of groups"):
            make_pai(base_url=recorder.url).list_groups()


@pytest.mark.parametrize("rule", ["adopt it", "replace", "", None])
def test_unknown_if_exists_sends_nothing(pai: PaiClient, emulator: AudiencesEmulator, rule: Any) -> None:
    spec = GroupSpec(source=PaiSource.TEXT, name="n", text="13900000001")
    with pytest.raises(InvalidInputError, match="if_exists must be 'create' or 'adopt' or 'fail'"):
        pai.create_group(spec, marker=MARKER, if_exists=rule)
    assert emulator.requests() == []
