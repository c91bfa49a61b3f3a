"""Each AppLovin operator against the emulator: what it returns, what arrives, and what is refused."""

import re
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException
from support.fixtures import Connect, MakeContext, MakeIds

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.applovin import (
    AppLovinAppendUsersOperator,
    AppLovinCreateAudienceOperator,
    AppLovinDeleteAudienceOperator,
    AppLovinListAudiencesOperator,
    AppLovinRemoveUsersOperator,
    AppLovinUpdateAudienceOperator,
)

REPORT_KEYS = [
    "audience_id",
    "dry_run",
    "sent",
    "in_ledger",
    "planned_requests",
    "planned_ids",
    "planned_bytes",
    "requests",
    "batches",
    "splits",
    "accepted",
    "rejected_by_api",
    "miscounted_batches",
    "bytes_sent",
    "malformed",
    "zeroed",
    "duplicates",
    "blank",
    "members_by_column",
    "seconds",
]
UPLOADS = [AppLovinUpdateAudienceOperator, AppLovinAppendUsersOperator, AppLovinRemoveUsersOperator]
ZEROS = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
def _connected(connect: Connect) -> None:
    """All of these tests talk to the emulator."""


@pytest.fixture
def create(task_context: MakeContext) -> Callable[..., Any]:
    def run(*, context: Any = None, **arguments: Any) -> Any:
        arguments = {"name": "My + audience", "platform": "iOS", "package_name": "com.example.app"} | arguments
        return AppLovinCreateAudienceOperator(task_id="create", **arguments).execute(context or task_context())

    return run


@pytest.fixture
def upload(task_context: MakeContext) -> Callable[..., Any]:
    def run(operator_class: type[Any], audience_id: Any, source: Any, **arguments: Any) -> Any:
        operator = operator_class(task_id="upload", audience_id=audience_id, source=source, **arguments)
        return operator.execute(task_context())

    return run


def test_create_returns_the_id_and_sends_what_was_given(
    create: Callable[..., Any], emulator: AudiencesEmulator
) -> None:
    audience_id = create(description="VIP & more", audience_type="ua")
    assert re.fullmatch(r"[0-9a-f]{32}", audience_id)
    audience = emulator.audience(audience_id)
    assert {name: audience[name] for name in ("name", "platform", "package_name", "audience_type", "description")} == {
        "name": "My + audience",
        "platform": "ios",
        "package_name": "com.example.app",
        "audience_type": "ua",
        "description": "VIP & more",
    }


def test_create_fails_or_adopts_when_the_audience_exists(
    create: Callable[..., Any], emulator: AudiencesEmulator
) -> None:
    first = create()
    with pytest.raises(exceptions.ConflictError, match=first) as failure:
        create()
    assert isinstance(failure.value, AirflowFailException)
    assert create(if_exists="adopt") == first
    assert len(emulator.audiences()) == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"platform": "windows"}, "platform"),
        ({"package_name": None}, "package_name"),
        ({"audience_type": "all"}, "audience_type"),
    ],
)
def test_create_refuses_wrong_arguments_before_the_first_request(
    create: Callable[..., Any], emulator: AudiencesEmulator, arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(exceptions.InvalidInputError, match=named) as refusal:
        create(**arguments)
    assert isinstance(refusal.value, AirflowFailException)
    assert emulator.requests() == []


def test_the_next_try_takes_the_audience_of_a_create_that_was_cut_off(
    create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    emulator.fault("applovin.create", "drop_after", times=1)
    emulator.fault("applovin.create", "status", status=500, number=2, times=3)
    with pytest.raises(exceptions.TransientError) as failure:
        create()
    assert not isinstance(failure.value, AirflowFailException)
    made = emulator.audiences()
    assert len(made) == 1
    assert create(context=task_context(try_number=2)) == made[0]["audience_id"]
    assert len(emulator.audiences()) == 1


def test_the_next_try_does_not_take_an_audience_that_has_users(
    create: Callable[..., Any],
    upload: Callable[..., Any],
    emulator: AudiencesEmulator,
    task_context: MakeContext,
    make_ids: MakeIds,
) -> None:
    upload(AppLovinAppendUsersOperator, create(), make_ids(3))
    with pytest.raises(exceptions.ConflictError):
        create(context=task_context(try_number=2))


def test_list_returns_all_audiences_or_those_that_fit(create: Callable[..., Any], task_context: MakeContext) -> None:
    ids = [
        create(name="A", platform="ios", package_name="p1"),
        create(name="A", platform="android", package_name="p1"),
        create(name="B", platform="android", package_name="p2", description="text"),
    ]

    def listed(**filters: Any) -> list[Any]:
        entries = AppLovinListAudiencesOperator(task_id="list", **filters).execute(task_context())
        return [entry["audience_id"] for entry in entries]

    assert listed() == ids
    assert listed(name="A") == ids[:2]
    assert listed(name="a") == []
    assert listed(platform="Android") == ids[1:]
    assert listed(package_name="p1", platform="android") == [ids[1]]
    entries = AppLovinListAudiencesOperator(task_id="list", name="B").execute(task_context())
    assert entries == [
        {
            "audience_id": ids[2],
            "name": "B",
            "package_name": "p2",
            "platform": "android",
            "description": "text",
            "user_count": 0,
        }
    ]


def test_update_replaces_append_adds_remove_takes_out_and_each_reports(
    create: Callable[..., Any], upload: Callable[..., Any], emulator: AudiencesEmulator, make_ids: MakeIds
) -> None:
    audience_id = create()
    ids = make_ids(7)
    lines = [*ids[:5], ids[0].upper(), f" {ids[1]}\r\n", "", "idfa", ZEROS]
    report = upload(AppLovinUpdateAudienceOperator, audience_id, lines, batch_size=2)
    assert list(report) == REPORT_KEYS
    assert {name: value for name, value in report.items() if name != "seconds"} == {
        "audience_id": audience_id,
        "dry_run": False,
        "planned_requests": 3,
        "planned_ids": 5,
        "planned_bytes": 5 * 37,
        "requests": 3,
        "batches": 3,
        "splits": 0,
        "sent": 5,
        "accepted": 5,
        "rejected_by_api": 0,
        "miscounted_batches": 0,
        "malformed": 1,
        "zeroed": 1,
        "duplicates": 2,
        "blank": 1,
        "members_by_column": {},
        "bytes_sent": 5 * 37,
        "in_ledger": False,
    }
    assert report["seconds"] >= 0
    assert emulator.members(audience_id) == ids[:5]
    assert [request["operation"] for request in emulator.requests()[1:]] == [
        "applovin.update",
        "applovin.append",
        "applovin.append",
    ]

    report = upload(AppLovinAppendUsersOperator, audience_id, ids[5:])
    assert list(report) == REPORT_KEYS
    assert (report["requests"], report["sent"]) == (1, 2)
    assert emulator.members(audience_id) == ids

    report = upload(AppLovinRemoveUsersOperator, audience_id, [*ids[:2], *make_ids(1, start=900)])
    assert list(report) == REPORT_KEYS
    assert report["sent"] == 3
    assert emulator.members(audience_id) == ids[2:]

    upload(AppLovinUpdateAudienceOperator, audience_id, ids[:1])
    assert emulator.members(audience_id) == ids[:1]


@pytest.mark.parametrize("operator_class", [AppLovinUpdateAudienceOperator, AppLovinAppendUsersOperator])
@pytest.mark.parametrize("ttl_seconds", [100, "100"])
def test_members_stay_as_long_as_they_were_sent_for(
    create: Callable[..., Any],
    upload: Callable[..., Any],
    emulator: AudiencesEmulator,
    make_ids: MakeIds,
    operator_class: type[Any],
    ttl_seconds: int | str,
) -> None:
    emulator.set_clock(1_700_000_000, freeze=True)
    audience_id = create()
    upload(operator_class, audience_id, make_ids(2), ttl_seconds=ttl_seconds)
    assert set(emulator.member_expiries(audience_id).values()) == {1_700_000_100.0}


@pytest.mark.parametrize("id_case", ["lower", "upper"])
def test_ids_go_out_in_the_case_that_was_asked_for(
    create: Callable[..., Any], upload: Callable[..., Any], emulator: AudiencesEmulator, id_case: str
) -> None:
    audience_id = create()
    report = upload(AppLovinAppendUsersOperator, audience_id, ["ABCDEFab-0000-4000-8000-000000000001"], id_case=id_case)
    assert report["accepted"] == 1
    with pytest.raises(exceptions.InvalidInputError, match="id_case"):
        upload(AppLovinAppendUsersOperator, audience_id, ["x"], id_case="title")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"ttl_seconds": 0}, "ttl_seconds=0"),
        ({"ttl_seconds": "0"}, "ttl_seconds=0"),
        ({"ttl_seconds": -1}, "ttl_seconds"),
        ({"ttl_seconds": "a day"}, "ttl_seconds"),
        ({"batch_size": 0}, "batch_size"),
        ({"on_malformed": "ignore"}, "on_malformed"),
        ({"max_malformed_ratio": 2}, "max_malformed_ratio"),
        ({"audience_id": " "}, "audience_id"),
        ({"audience_id": None}, "audience_id"),
    ],
)
@pytest.mark.parametrize("operator_class", [AppLovinUpdateAudienceOperator, AppLovinAppendUsersOperator])
def test_uploads_refuse_wrong_arguments_before_the_first_request(
    task_context: MakeContext,
    emulator: AudiencesEmulator,
    make_ids: MakeIds,
    operator_class: type[Any],
    arguments: dict[str, Any],
    named: str,
) -> None:
    arguments = {"audience_id": "a", "source": make_ids(1)} | arguments
    with pytest.raises(exceptions.InvalidInputError, match=named) as refusal:
        operator_class(task_id="upload", **arguments).execute(task_context())
    assert isinstance(refusal.value, AirflowFailException)
    assert emulator.requests() == []


@pytest.mark.parametrize("operator_class", UPLOADS)
def test_malformed_lines_may_stop_the_upload(
    upload: Callable[..., Any], emulator: AudiencesEmulator, make_ids: MakeIds, operator_class: type[Any]
) -> None:
    lines = [*make_ids(3), "idfa"]
    with pytest.raises(exceptions.InvalidInputError, match="on_malformed='fail'"):
        upload(operator_class, "a", lines, on_malformed="fail")
    with pytest.raises(exceptions.InvalidInputError, match="1 of 4"):
        upload(operator_class, "a", lines, max_malformed_ratio=0.2, on_malformed="drop")
    with pytest.raises(exceptions.InvalidInputError, match="none of the source's texts"):
        upload(operator_class, "a", ["idfa"], on_malformed="drop")
    assert emulator.requests() == []


def test_an_empty_source_empties_an_audience_only_when_that_is_meant(
    create: Callable[..., Any], upload: Callable[..., Any], emulator: AudiencesEmulator, make_ids: MakeIds
) -> None:
    audience_id = create()
    upload(AppLovinUpdateAudienceOperator, audience_id, make_ids(3))
    sent = len(emulator.requests())
    with pytest.raises(exceptions.InvalidInputError, match="allow_empty"):
        upload(AppLovinUpdateAudienceOperator, audience_id, [])
    assert upload(AppLovinAppendUsersOperator, audience_id, [])["requests"] == 0
    assert upload(AppLovinRemoveUsersOperator, audience_id, [])["requests"] == 0
    assert len(emulator.requests()) == sent
    assert emulator.member_count(audience_id) == 3
    report = upload(AppLovinUpdateAudienceOperator, audience_id, [], allow_empty="True")  # as a template renders it
    assert (report["requests"], report["sent"]) == (1, 0)
    assert emulator.member_count(audience_id) == 0


@pytest.mark.parametrize("operator_class", UPLOADS)
def test_an_audience_that_does_not_exist_fails_for_good(
    upload: Callable[..., Any], make_ids: MakeIds, operator_class: type[Any], emulator: AudiencesEmulator
) -> None:
    with pytest.raises(exceptions.NotFoundError) as failure:
        upload(operator_class, "nobody", make_ids(1))
    assert isinstance(failure.value, AirflowFailException)
    assert len(emulator.requests()) == 1


@pytest.mark.parametrize("operator_class", UPLOADS)
def test_a_failure_in_between_says_what_landed_and_may_be_tried_again(
    create: Callable[..., Any],
    upload: Callable[..., Any],
    emulator: AudiencesEmulator,
    make_ids: MakeIds,
    operator_class: type[Any],
) -> None:
    audience_id = create()
    emulator.fault("applovin.append", "status", status=503, number=2, times=None)
    with pytest.raises(exceptions.ServerError, match="accepted") as failure:
        upload(operator_class, audience_id, make_ids(10), batch_size=3)
    assert not isinstance(failure.value, AirflowFailException)


def test_delete_says_whether_the_audience_existed(
    create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    audience_id = create()

    def delete(*, context: Any = None, **arguments: Any) -> Any:
        operator = AppLovinDeleteAudienceOperator(task_id="delete", audience_id=audience_id, **arguments)
        return operator.execute(context or task_context())

    assert delete() == {"audience_id": audience_id, "deleted": True}
    assert emulator.audiences() == []
    with pytest.raises(exceptions.NotFoundError) as failure:
        delete()
    assert isinstance(failure.value, AirflowFailException)
    assert delete(ignore_missing=True) == {"audience_id": audience_id, "deleted": False}
    # The try before this one may have been cut off after its delete had worked.
    assert delete(context=task_context(try_number=2)) == {"audience_id": audience_id, "deleted": False}


@pytest.mark.parametrize("audience_id", ["", "  ", None])
def test_delete_never_sends_an_empty_id(
    emulator: AudiencesEmulator, task_context: MakeContext, audience_id: Any
) -> None:
    with pytest.raises(exceptions.InvalidInputError, match="audience_id"):
        AppLovinDeleteAudienceOperator(task_id="delete", audience_id=audience_id).execute(task_context())
    assert emulator.requests() == []


def test_a_connection_of_another_name_is_used(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, task_context: MakeContext, emulator: AudiencesEmulator
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_APPLOVIN_DEFAULT")
    connect("applovin", conn_id="other")
    operator = AppLovinListAudiencesOperator(task_id="list", applovin_conn_id="other_default")
    assert operator.execute(task_context()) == []


@pytest.mark.parametrize(
    ("status", "error_type", "fails_for_good"),
    [
        (400, exceptions.BadRequestError, True),
        (401, exceptions.AuthenticationError, True),
        (403, exceptions.AuthenticationError, True),
        (404, exceptions.NotFoundError, True),
        (408, exceptions.ServerError, False),
        (429, exceptions.RateLimitedError, False),
        (500, exceptions.ServerError, False),
    ],
)
def test_only_what_stays_wrong_burns_no_retry(
    task_context: MakeContext, emulator: AudiencesEmulator, status: int, error_type: type[Any], fails_for_good: bool
) -> None:
    emulator.fault("applovin.list", "status", status=status, times=None)
    with pytest.raises(error_type) as failure:
        AppLovinListAudiencesOperator(task_id="list").execute(task_context())
    assert isinstance(failure.value, AirflowFailException) is fails_for_good
    assert isinstance(failure.value, exceptions.AudienceError)
    # A 429 that does not say when to come back is repeated once.
    assert len(emulator.requests()) == (1 if fails_for_good else 2 if status == 429 else 4)


@pytest.mark.parametrize("operator_class", [AppLovinUpdateAudienceOperator, AppLovinAppendUsersOperator])
@pytest.mark.parametrize("native", [False, True])
def test_a_ttl_may_be_a_timedelta(
    create: Callable[..., Any],
    emulator: AudiencesEmulator,
    task_context: MakeContext,
    make_ids: MakeIds,
    operator_class: type[Any],
    native: bool,
) -> None:
    emulator.set_clock(1_700_000_000, freeze=True)
    audience_id = create()
    with DAG("dag", schedule=None, render_template_as_native_obj=native):
        operator = operator_class(
            task_id="upload",
            audience_id=audience_id,
            source=make_ids(2),
            ttl_seconds="{{ macros.timedelta(days=45) }}" if native else timedelta(days=45),
        )
    operator.render_template_fields(task_context() | {"macros": SimpleNamespace(timedelta=timedelta)})
    operator.execute(task_context())
    assert "ttl_seconds=3888000" in emulator.requests()[-1]["target"]
    assert set(emulator.member_expiries(audience_id).values()) == {1_700_000_000.0 + 45 * 86_400}


@pytest.mark.parametrize(
    ("ttl_seconds", "named"),
    [
        (timedelta(0), "ttl_seconds=0 would remove members"),
        (timedelta(seconds=-5), "at least 1"),
        (timedelta(seconds=1.5), "whole number"),
        ("45 days, 0:00:00", "ttl_seconds"),
        ("P45D", "ttl_seconds"),
    ],
)
@pytest.mark.parametrize("operator_class", [AppLovinUpdateAudienceOperator, AppLovinAppendUsersOperator])
def test_what_is_no_ttl(
    upload: Callable[..., Any],
    emulator: AudiencesEmulator,
    make_ids: MakeIds,
    operator_class: type[Any],
    ttl_seconds: Any,
    named: str,
) -> None:
    with pytest.raises(exceptions.InvalidInputError, match=named):
        upload(operator_class, "a", make_ids(1), ttl_seconds=ttl_seconds)
    assert emulator.requests() == []


@pytest.mark.parametrize("filter_name", ["name", "platform", "package_name"])
@pytest.mark.parametrize("value", ["", " \t", "None", "{{ params.nothing }}", "{{ params.none }}", True, 2.5, []])
def test_a_filter_that_says_nothing_is_refused(
    emulator: AudiencesEmulator, task_context: MakeContext, filter_name: str, value: Any
) -> None:
    operator = AppLovinListAudiencesOperator(task_id="list", **{filter_name: value})
    operator.render_template_fields({"params": {"nothing": " ", "none": None}})
    with pytest.raises(exceptions.InvalidInputError, match=f"^{filter_name} "):
        operator.execute(task_context())
    assert emulator.requests() == []


@pytest.mark.parametrize("filter_name", ["name", "platform", "package_name"])
def test_a_filter_of_which_an_upstream_task_made_none_is_refused(
    emulator: AudiencesEmulator, task_context: MakeContext, filter_name: str
) -> None:
    filters: dict[str, Any] = {filter_name: "{{ params.none }}"}
    operator = AppLovinListAudiencesOperator(task_id="list", **filters)
    setattr(operator, filter_name, None)  # as an XComArg, or a native template, does
    with pytest.raises(exceptions.InvalidInputError, match=f"^{filter_name} is None: the DAG asks for it"):
        operator.execute(task_context())
    assert emulator.requests() == []


def test_a_package_name_of_which_an_upstream_task_made_none_is_refused(
    emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    arguments: dict[str, Any] = {"name": "A", "platform": "android", "audience_type": "ua"}
    operator = AppLovinCreateAudienceOperator(task_id="create", package_name="{{ params.none }}", **arguments)
    operator.package_name = None
    with pytest.raises(exceptions.InvalidInputError, match=r"^package_name is None: the DAG asks"):
        operator.execute(task_context())
    assert emulator.requests() == []


@pytest.mark.parametrize("description", ["", "  \n", "None", None])
def test_an_empty_description_is_left_out(
    create: Callable[..., Any], emulator: AudiencesEmulator, description: str | None
) -> None:
    create(description=description)
    assert "description" not in emulator.requests()[-1]["target"]


@pytest.mark.parametrize("whole", [20270101, np.int64(20270101)])
def test_whole_numbers_are_taken_as_their_text(
    create: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext, whole: Any
) -> None:
    audience_id = create(name=whole, package_name=whole, description=whole)
    audience = emulator.audience(audience_id)
    assert [audience[name] for name in ("name", "package_name", "description")] == ["20270101"] * 3
    listed = AppLovinListAudiencesOperator(task_id="list", name=whole, package_name=whole).execute(task_context())
    assert [entry["audience_id"] for entry in listed] == [audience_id]
    delete = AppLovinDeleteAudienceOperator(task_id="delete", audience_id=whole, ignore_missing=True)
    assert delete.execute(task_context()) == {"audience_id": "20270101", "deleted": False}
    assert "audience_id=20270101" in emulator.requests()[-1]["target"]


@pytest.mark.parametrize("argument", ["name", "package_name", "description"])
@pytest.mark.parametrize("value", [2027.0, float("inf"), True, 0])
def test_what_was_written_can_not_be_told_any_more(
    create: Callable[..., Any], emulator: AudiencesEmulator, argument: str, value: float | bool
) -> None:
    with pytest.raises(exceptions.InvalidInputError, match=f"^{argument} is .*render_template_as_native_obj"):
        create(**{argument: value})
    assert emulator.requests() == []


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("call", ["list", "create", "delete", "append"])
def test_a_refused_key_comes_with_whom_to_ask(
    create: Callable[..., Any],
    upload: Callable[..., Any],
    emulator: AudiencesEmulator,
    task_context: MakeContext,
    make_ids: MakeIds,
    status: int,
    call: str,
) -> None:
    calls: dict[str, Callable[[], Any]] = {
        "list": lambda: AppLovinListAudiencesOperator(task_id="list").execute(task_context()),
        "create": create,
        "delete": lambda: AppLovinDeleteAudienceOperator(task_id="delete", audience_id="a").execute(task_context()),
        "append": lambda: upload(AppLovinAppendUsersOperator, "a", make_ids(1)),
    }
    emulator.fault(f"applovin.{call}", "status", status=status)
    with pytest.raises(exceptions.AuthenticationError, match=r"Keys.*of other products.*adsupport@applovin\.com\."):
        calls[call]()


@pytest.mark.parametrize(
    ("call", "status", "said"),
    [
        ("list", 400, "no parameter but the key"),
        ("list", 404, "host"),
        ("create", 404, "host"),
        ("delete", 400, "audience_id"),
    ],
)
def test_advice_fits_the_call(
    create: Callable[..., Any],
    emulator: AudiencesEmulator,
    task_context: MakeContext,
    call: str,
    status: int,
    said: str,
) -> None:
    calls: dict[str, Any] = {
        "list": AppLovinListAudiencesOperator(task_id="list"),
        "create": AppLovinCreateAudienceOperator(task_id="create", name="n", platform="ios", audience_type="ua"),
        "delete": AppLovinDeleteAudienceOperator(task_id="delete", audience_id="a"),
    }
    emulator.fault(f"applovin.{call}", "status", status=status)
    with pytest.raises(exceptions.PermanentError, match=said) as failure:
        calls[call].execute(task_context())
    assert ("audience_id" in str(failure.value)) is (call == "delete")


@pytest.mark.parametrize("operator_class", UPLOADS)
@pytest.mark.parametrize("audience_id", [4711, np.int64(4711), " 4711\n"])
def test_uploads_take_a_whole_number_as_the_text_of_an_id(
    upload: Callable[..., Any],
    emulator: AudiencesEmulator,
    make_ids: MakeIds,
    operator_class: type[Any],
    audience_id: Any,
) -> None:
    with pytest.raises(exceptions.NotFoundError):
        upload(operator_class, audience_id, make_ids(1))
    assert "audience_id=4711" in emulator.requests()[-1]["target"]
