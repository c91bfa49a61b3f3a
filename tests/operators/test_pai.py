"""Each PAI operator against the emulator: what it returns, what arrives, and what is refused."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from support.fixtures import Connect, MakeContext
from support.recorder import Recorder

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.pai import (
    PaiCreateGroupOperator,
    PaiDeleteGroupOperator,
    PaiGetGroupOperator,
    PaiListGroupsOperator,
    PaiSource,
)

URI = "https://bucket.oss-cn-hangzhou.aliyuncs.com/people.csv"
SIGNED_URI = f"{URI}?OSSAccessKeyId=LTAI1234&Signature=sesame"
TEXT: dict[str, Any] = {
    "source": PaiSource.TEXT,
    "name": "VIP",
    "text": "13900001111\n+86 139-0000-2222",
    "phone_number": True,
}
PUBLIC_KEYS = {
    "id",
    "name",
    "status",
    "amount",
    "source",
    "phone_number",
    "project",
    "table",
    "column",
    "filter",
    "algorithm",
    "inference_job_id",
    "remark",
    "uri",
    "campaign_id",
    "history",
    "created_time",
    "updated_time",
}


@pytest.fixture(autouse=True)
def _connected(connect: Connect) -> None:
    """All of these tests talk to the emulator."""


@pytest.fixture
def create(task_context: MakeContext) -> Callable[..., Any]:
    def run(*, context: Any = None, **arguments: Any) -> Any:
        return PaiCreateGroupOperator(task_id="create", **arguments).execute(context or task_context())

    return run


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (TEXT, {"Source": 0, "Name": "VIP", "PhoneNumber": True, "Text": "1390000****\n1390000****"}),
        ({**TEXT, "source": "0", "text": [13900001111, "13900001111", "", "13900002222"]}, {"People": 2}),
        ({**TEXT, "text": 13900001111}, {"People": 1}),
        ({**TEXT, "text": ("13900001111",)}, {"People": 1}),
        ({"source": 1, "uri": URI, "phone_number": False}, {"Source": 1, "Uri": URI, "PhoneNumber": False}),
        ({"source": 2, "uri": SIGNED_URI, "column": "c", "phone_number": True}, {"Source": 2, "Uri": SIGNED_URI}),
        (
            {"source": "3", "project": "demo_project", "table": "vip_customers", "filter": "ds=1"},
            {"Source": 3, "Project": "demo_project", "Table": "vip_customers", "Filter": "ds=1", "People": 1200},
        ),
        (
            {"source": PaiSource.ALGORITHM, "algorithm": "a", "inference_job_id": "j", "remark": "note"},
            {"Source": 4, "Algorithm": "a", "InferenceJobId": "j"},
        ),
    ],
)
def test_create_returns_the_id_and_sends_what_was_given(
    create: Callable[..., Any], emulator: AudiencesEmulator, arguments: dict[str, Any], expected: dict[str, Any]
) -> None:
    group_id = create(**arguments)
    (group,) = emulator.groups()
    assert group["Id"] == group_id
    assert {name: group[name] for name in expected} == expected
    assert [request["operation"] for request in emulator.requests()] == ["pai.list", "pai.create"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"source": 5}, "source"),
        ({"source": None}, "source"),
        ({"source": True}, "source"),
        ({"source": 0}, "text is missing"),
        ({"source": 0, "text": ""}, "text is missing"),
        ({"source": 0, "text": []}, "text"),
        ({"source": 0, "text": "139"}, "line 1"),
        ({"source": 0, "text": "1390000****"}, "masked"),
        ({"source": 0, "text": {"139": 1}}, "text is a dict"),
        ({"source": 0, "text": b"13900001111"}, "text is a bytes"),
        ({"source": 0, "text": 1.39e10 + 0.5}, "a spreadsheet"),
        ({"source": 0, "text": [f"139{n:08d}" for n in range(101)]}, "101"),
        ({"source": 0, "text": "13900001111", "uri": URI}, "uri is not for"),
        ({"source": 1}, "uri is missing"),
        ({"source": 1, "uri": "oss://bucket/key"}, "oss://"),
        ({"source": 1, "uri": "https://me:pw@bucket.oss-cn-hangzhou.aliyuncs.com/k"}, "user name or password"),
        ({"source": 2, "uri": URI, "phone_number": True}, "column is missing"),
        ({"source": 3, "project": "p"}, "table is missing"),
        ({"source": 4, "algorithm": "a"}, "inference_job_id is missing"),
        ({"source": 1, "uri": URI, "phone_number": "yes"}, "phone_number"),
        ({"source": 0, "text": "1", "phone_format": "us"}, "phone_format"),
        ({**TEXT, "provenance": " "}, "provenance is empty"),
        ({**TEXT, "provenance": "None"}, "provenance was rendered to None"),
        ({**TEXT, "provenance": "None", "idempotency": "none"}, "provenance was rendered to None"),
    ],
)
def test_create_refuses_wrong_arguments_before_the_first_request(
    create: Callable[..., Any], emulator: AudiencesEmulator, arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(exceptions.InvalidInputError, match=named) as refusal:
        create(**arguments)
    assert isinstance(refusal.value, AirflowFailException)
    assert "1390000" not in str(refusal.value)
    assert emulator.requests() == []
    assert emulator.billing()["total"]["billed"] == 0


def test_numbers_of_other_countries_are_taken_when_asked(
    create: Callable[..., Any], emulator: AudiencesEmulator
) -> None:
    create(source=0, text="+1 201 555 0123\n (201) 555-0124 ", phone_format="any")
    (group,) = emulator.groups()
    assert group["People"] == 2


def test_if_exists(create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext) -> None:
    first = create(**TEXT)
    with pytest.raises(exceptions.ConflictError, match=first) as failure:
        create(**TEXT, if_exists="fail", context=task_context(run_id="second"))
    assert isinstance(failure.value, AirflowFailException)
    assert create(**TEXT, if_exists="adopt", context=task_context(run_id="second")) == first
    second = create(**TEXT, context=task_context(run_id="second"))
    assert second != first
    with pytest.raises(exceptions.ConflictError, match=second):
        create(**TEXT, if_exists="adopt", context=task_context(run_id="third"))
    assert len(emulator.groups()) == 2


@pytest.mark.parametrize("kind", ["drop_after", "truncated_json"])
def test_the_next_try_takes_the_group_of_a_create_whose_replies_were_all_lost(
    create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext, kind: str
) -> None:
    # Nor can the group be looked up in the first try: it ends without knowing.
    emulator.fault("pai.create", kind, times=None)
    emulator.fault("pai.list", "drop_before", number=2, times=None)
    with pytest.raises(exceptions.TransientError) as failure:
        create(**TEXT)
    assert not isinstance(failure.value, AirflowFailException)
    (made,) = emulator.groups()
    emulator.clear_faults()
    assert create(**TEXT, context=task_context(try_number=2)) == made["Id"]
    assert [group["Id"] for group in emulator.groups()] == [made["Id"]]


def test_without_a_marker_a_create_whose_reply_was_lost_fails_for_good(
    create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    emulator.fault("pai.create", "drop_after")
    context = task_context()
    with pytest.raises(AirflowFailException, match="may exist"):
        create(**TEXT, remark="mine", idempotency="none", context=context)
    (made,) = emulator.groups()
    assert made["Remark"] == "mine"
    assert [request["operation"] for request in emulator.requests()] == ["pai.create"]
    assert context["ti"].pushed == {"billable_calls": {"create": 1, "get": 0, "delete": 0}}


def test_what_may_be_billed_is_told(
    create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    contexts = [task_context() for _ in range(4)]
    group_id = create(**TEXT, context=contexts[0])
    PaiGetGroupOperator(task_id="get", group_id=group_id).execute(contexts[1])
    PaiDeleteGroupOperator(task_id="delete", group_id=group_id).execute(contexts[2])
    with pytest.raises(exceptions.NotFoundError):
        PaiDeleteGroupOperator(task_id="delete", group_id=group_id).execute(contexts[3])
    told = [context["ti"].pushed["billable_calls"] for context in contexts]
    assert told == [
        {"create": 1, "get": 0, "delete": 0},
        {"create": 0, "get": 1, "delete": 0},
        {"create": 0, "get": 0, "delete": 1},
        {"create": 0, "get": 0, "delete": 1},
    ]
    bill = emulator.billing()
    assert {call: sum(calls[call] for calls in told) for call in told[0]} == {
        call: bill[call]["billed"] for call in told[0]
    }


@pytest.mark.parametrize(
    ("changed_context", "changed_arguments"),
    [
        ({"run_id": "other"}, {}),
        ({"map_index": 0}, {}),
        ({"task_id": "other"}, {}),
        ({"dag_id": "other"}, {}),
        ({}, {"text": "13900003333"}),
        ({}, {"remark": "changed"}),
        ({}, {"phone_number": False}),
    ],
)
def test_the_group_of_another_task_run_or_request_is_not_taken(
    create: Callable[..., Any],
    emulator: AudiencesEmulator,
    task_context: MakeContext,
    changed_context: dict[str, Any],
    changed_arguments: dict[str, Any],
) -> None:
    first = create(**TEXT)
    context = task_context(**({"try_number": 2} | changed_context))
    second = create(**(TEXT | changed_arguments), context=context)
    assert second != first
    assert len(emulator.groups()) == 2


def test_a_group_is_known_by_its_provenance(
    create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    first = create(**TEXT, provenance="shop a")
    renamed = task_context(try_number=2, dag_id="other", task_id="other")
    assert create(**TEXT, provenance=" shop a\n", context=renamed) == first
    assert create(**TEXT, provenance="shop b", context=renamed) != first
    operator = PaiCreateGroupOperator(task_id="create", **TEXT, provenance="shop {{ params.shop }}")
    operator.render_template_fields({"params": {"shop": "a"}})
    assert operator.execute(renamed) == first
    assert len(emulator.groups()) == 2


def test_without_it_by_dag_and_task_which_are_not_mixed_up(
    create: Callable[..., Any], task_context: MakeContext
) -> None:
    made = [
        create(**TEXT, context=task_context(dag_id="etl.pai", task_id="create")),
        create(**TEXT, context=task_context(dag_id="etl", task_id="pai.create")),
    ]
    assert made[0] != made[1]
    assert create(**TEXT, provenance="etl:pai.create") == made[1]


def test_a_group_that_was_deleted_meanwhile_is_made_again(
    create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    first = create(**TEXT)
    PaiDeleteGroupOperator(task_id="delete", group_id=first).execute(task_context())
    assert create(**TEXT, context=task_context(try_number=2)) != first


def test_get_shows_the_group_without_personal_data(
    create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    emulator.settings(processing_seconds=0)
    group_id = create(source=2, uri=SIGNED_URI, column="phone", phone_number=True, name="VIP", remark="for Q3")
    shown = PaiGetGroupOperator(task_id="get", group_id=group_id).execute(task_context())
    assert set(shown) == PUBLIC_KEYS
    assert {name: shown[name] for name in ("id", "name", "status", "amount", "source", "remark", "uri")} == {
        "id": group_id,
        "name": "VIP",
        "status": 1,
        "amount": 1000,
        "source": 2,
        "remark": "for Q3",
        "uri": URI,
    }
    group_id = create(**TEXT)
    shown = PaiGetGroupOperator(task_id="get", group_id=group_id).execute(task_context())
    assert set(shown) == PUBLIC_KEYS
    assert "139" not in json.dumps({name: value for name, value in shown.items() if name != "id"})


def test_list_shows_the_groups_that_fit_without_personal_data(
    create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    emulator.settings(processing_seconds=0)
    texts = create(**TEXT, remark="first")
    table = create(source=3, project="demo_project", table="vip_customers", name="VIP 2")

    def listed(**filters: Any) -> set[Any]:
        groups = PaiListGroupsOperator(task_id="list", **filters).execute(task_context())
        assert all(set(group) == PUBLIC_KEYS for group in groups)
        assert "1390000" not in json.dumps(groups)
        return {group["id"] for group in groups}

    assert listed() == {texts, table}
    assert listed(name="VIP 2") == {table}
    assert listed(remark="first") == {texts}
    assert listed(phone_number=True) == {texts}
    assert listed(phone_number=False) == {table}
    assert listed(source=0) == {texts}
    assert listed(source="3") == {table}
    assert listed(source=PaiSource.ALGORITHM) == set()
    assert listed(status="1") == {texts, table}
    assert listed(status=0) == set()
    emulator.clear_requests()
    for wrong in ({"source": 9}, {"status": -1}, {"status": "new"}):
        with pytest.raises(exceptions.InvalidInputError):
            listed(**wrong)
    assert emulator.requests() == []


FILTERS = ["name", "remark", "phone_number", "source", "status", "limit"]


@pytest.mark.parametrize("filter_name", FILTERS)
@pytest.mark.parametrize("value", ["", "\t ", "None", "{{ params.nothing }}", "{{ params.none }}", 1.5, [], {}])
def test_a_filter_that_says_nothing_is_refused(
    emulator: AudiencesEmulator, task_context: MakeContext, filter_name: str, value: Any
) -> None:
    operator = PaiListGroupsOperator(task_id="list", **{filter_name: value})
    operator.render_template_fields({"params": {"nothing": " ", "none": None}})
    with pytest.raises(exceptions.InvalidInputError, match=f"^{filter_name} "):
        operator.execute(task_context())
    assert emulator.requests() == []


@pytest.mark.parametrize("filter_name", FILTERS)
def test_a_filter_of_which_an_upstream_task_made_none_is_refused(
    emulator: AudiencesEmulator, task_context: MakeContext, filter_name: str
) -> None:
    filters: dict[str, Any] = {filter_name: "{{ params.none }}"}
    operator = PaiListGroupsOperator(task_id="list", **filters)
    setattr(operator, filter_name, None)  # as an XComArg, or a native template, does
    with pytest.raises(exceptions.InvalidInputError, match=f"^{filter_name} is None: the DAG asks for it"):
        operator.execute(task_context())
    assert emulator.requests() == []


@pytest.mark.parametrize(
    ("value", "sent"),
    [(True, "true"), ("True", "true"), (" FALSE ", "false"), (False, "false"), ("{{ params.p }}", "true")],
)
def test_the_filter_by_phone_numbers_on_the_wire(
    emulator: AudiencesEmulator, task_context: MakeContext, value: bool | str, sent: str
) -> None:
    operator = PaiListGroupsOperator(task_id="list", phone_number=value)
    operator.render_template_fields({"params": {"p": True}})
    operator.execute(task_context())
    assert f"PhoneNumber={sent}" in emulator.requests()[-1]["target"]


@pytest.mark.parametrize("value", [1, 0, "1", "yes", "wahr", "", None])
def test_what_is_no_filter_by_phone_numbers(
    emulator: AudiencesEmulator, task_context: MakeContext, value: int | str | None
) -> None:
    operator = PaiListGroupsOperator(task_id="list", phone_number="{{ params.p }}")
    operator.phone_number = value  # type: ignore[assignment]  # as templates render
    with pytest.raises(exceptions.InvalidInputError, match=r"^phone_number "):
        operator.execute(task_context())
    assert emulator.requests() == []


@pytest.mark.parametrize("whole", [20270101, np.int64(20270101)])
def test_whole_numbers_are_taken_as_their_text(
    create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext, whole: Any
) -> None:
    made = create(source=3, name=whole, project="demo_project", table="vip_customers", column=whole, remark=whole)
    [group] = emulator.groups()
    assert [group[name] for name in ("Name", "Column")] == ["20270101"] * 2
    assert group["Remark"].startswith("20270101 [airflow ")
    [listed] = PaiListGroupsOperator(task_id="list", name=whole, remark=whole).execute(task_context())
    assert listed["id"] == made
    delete = PaiDeleteGroupOperator(task_id="delete", group_id=whole, ignore_missing=True)
    assert delete.execute(task_context()) == {"group_id": "20270101", "deleted": False}
    assert emulator.requests()[-1]["target"].endswith("/20270101")


@pytest.mark.parametrize("empty", ["", " \n", "None", "{{ params.none }}"])
def test_empty_optional_text_is_left_out(
    recorder: Recorder, connect: Connect, task_context: MakeContext, empty: str
) -> None:
    connect("pai", host=recorder.url)
    recorder.answer(200, {}, b'{"ErrorCode": 0, "Data": {"Id": "g"}}')
    operator = PaiCreateGroupOperator(
        task_id="create",
        source=3,
        project="demo_project",
        table="vip_customers",
        name=empty,
        column=empty,
        remark=empty,
        phone_number="{{ params.phones }}",
        idempotency="none",
    )
    operator.render_template_fields({"params": {"none": None, "phones": "fAlse"}})
    operator.execute(task_context())
    [(_, _, _, body)] = recorder.requests
    assert json.loads(body) == {"Source": 3, "Project": "demo_project", "Table": "vip_customers", "PhoneNumber": False}


@pytest.mark.parametrize("empty", ["", " \n", "None", "{{ params.none }}"])
@pytest.mark.parametrize("argument", ["filter", "phone_number"])
def test_what_narrows_a_group_is_not_left_out(
    create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext, empty: str, argument: str
) -> None:
    arguments: dict[str, Any] = {"source": 3, "project": "demo_project", "table": "vip_customers", argument: empty}
    operator = PaiCreateGroupOperator(task_id="create", **arguments)
    operator.render_template_fields({"params": {"none": None}})
    with pytest.raises(exceptions.InvalidInputError, match=f"^{argument} "):
        operator.execute(task_context())
    setattr(operator, argument, None)
    with pytest.raises(exceptions.InvalidInputError, match=f"^{argument} is None: the DAG asks"):
        operator.execute(task_context())
    assert emulator.requests() == []


def test_the_newest_groups(create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext) -> None:
    emulator.settings(max_page_size=2)
    emulator.set_clock(1_700_000_000, freeze=True)
    made = [create(**(TEXT | {"name": f"n{number}"})) for number in range(3)]
    emulator.set_clock(1_700_000_100, freeze=True)
    newest = create(**(TEXT | {"name": "n3"}))
    expected = [newest, *sorted(made, reverse=True)]

    def listed(limit: Any) -> list[Any]:
        operator = PaiListGroupsOperator(task_id="list", limit=limit)
        return [group["id"] for group in operator.execute(task_context())]

    assert listed(1) == expected[:1]
    assert listed("2") == expected[:2]
    assert listed(10) == expected
    for wrong in (0, -1, "many", True):
        with pytest.raises(exceptions.InvalidInputError, match="limit must be a whole number of at least 1"):
            listed(wrong)


def test_a_price_makes_an_estimate(
    connect: Connect, create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    connect("pai", extra={"backoff_seconds": 0, "price_per_call": "0.001"})
    contexts = [task_context() for _ in range(3)]
    group_id = create(**TEXT, context=contexts[0])
    PaiGetGroupOperator(task_id="get", group_id=group_id).execute(contexts[1])
    with pytest.raises(exceptions.NotFoundError):
        PaiGetGroupOperator(task_id="get", group_id="nobody").execute(contexts[2])
    assert [context["ti"].pushed["estimated_cost"] for context in contexts] == [0.001, 0.001, 0.0]


def test_list_goes_through_all_pages(
    create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    emulator.settings(max_page_size=2)
    made = [create(**(TEXT | {"name": f"n{number}"})) for number in range(5)]
    listed = PaiListGroupsOperator(task_id="list").execute(task_context())
    assert sorted(group["id"] for group in listed) == sorted(made)


def test_delete_says_whether_the_group_existed(
    create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    group_id = create(**TEXT)

    def delete(*, context: Any = None, **arguments: Any) -> Any:
        operator = PaiDeleteGroupOperator(task_id="delete", group_id=group_id, **arguments)
        return operator.execute(context or task_context())

    assert delete() == {"group_id": group_id, "deleted": True}
    assert emulator.groups() == []
    with pytest.raises(exceptions.NotFoundError) as failure:
        delete()
    assert isinstance(failure.value, AirflowFailException)
    assert delete(ignore_missing=True) == {"group_id": group_id, "deleted": False}
    # The try before this one may have been cut off after its delete had worked.
    assert delete(context=task_context(try_number=2)) == {"group_id": group_id, "deleted": False}


@pytest.mark.parametrize("operator_class", [PaiGetGroupOperator, PaiDeleteGroupOperator])
@pytest.mark.parametrize("group_id", ["", " ", None, "None", 7.0, True, ".", "..", "g" * 1001])
def test_what_is_no_id_never_reaches_the_wire(
    emulator: AudiencesEmulator, task_context: MakeContext, operator_class: type[Any], group_id: Any
) -> None:
    with pytest.raises(exceptions.InvalidInputError, match="group_id"):
        operator_class(task_id="task", group_id=group_id).execute(task_context())
    assert emulator.requests() == []


@pytest.mark.parametrize(
    ("status", "error_type", "fails_for_good"),
    [
        (400, exceptions.BadRequestError, True),
        (401, exceptions.AuthenticationError, True),
        (403, exceptions.AuthenticationError, True),
        (404, exceptions.NotFoundError, True),
        (429, exceptions.RateLimitedError, False),
        (500, exceptions.ServerError, False),
    ],
)
def test_only_what_stays_wrong_burns_no_retry(
    task_context: MakeContext, emulator: AudiencesEmulator, status: int, error_type: type[Any], fails_for_good: bool
) -> None:
    emulator.fault("pai.get", "status", status=status, times=None)
    with pytest.raises(error_type) as failure:
        PaiGetGroupOperator(task_id="get", group_id="g").execute(task_context())
    assert isinstance(failure.value, AirflowFailException) is fails_for_good
    assert isinstance(failure.value, exceptions.AudienceError)
    assert len(emulator.requests()) == (1 if fails_for_good else 2 if status == 429 else 4)
