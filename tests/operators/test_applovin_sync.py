"""The operators that sync an audience, against the emulator: what arrives, what is refused, and what is shown."""

import datetime as dt
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException
from support.airflow_versions import Serialization, attach, rendered_fields
from support.fixtures import Connect, MakeContext, MakeIds

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.common.reports import ALWAYS_SHOWN
from airflow_provider_audiences.common.state import holder_of, state_store
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator, AppLovinCreateAudienceOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinApplyPlanOperator, AppLovinSyncAudienceOperator
from airflow_provider_audiences.sources import FileSource
from airflow_provider_audiences.sync.report import SyncReport
from airflow_provider_audiences.sync.state.lease import leased

NAMED: dict[str, Any] = {"name": "Loyal + players", "platform": "Android", "package_name": "com.example.game"}
REPORT_KEYS = [
    "audience_id",
    "mode",
    "plan_only",
    "plan_id",
    "generation",
    "replaces",
    "added",
    "refreshed",
    "removed",
    "unchanged",
    "suppressed",
    "held_back",
    "suppress_members",
    "suppress_malformed",
    "suppress_zeroed",
    "suppress_duplicates",
    "suppress_blank",
    "suppress_unknown",
    "contradicted",
    "live",
    "drift",
    "first_expiry",
    "last_expiry",
    "expected_seconds",
    "verdicts",
    "batches_skipped_by_resume",
    "members",
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
IDS = ["c77bbe4e-0ab1-4c9c-a5ea-6b8ef2d5a0c1"]
ZEROS = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
def _connected(connect: Connect) -> None:
    """All of these tests talk to the emulator."""


@pytest.fixture(autouse=True)
def state_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The folder that this test's syncs keep their state in."""
    path = tmp_path / "state"
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(path))
    return path


@pytest.fixture
def pushed() -> dict[str, Any]:
    """What tasks pushed as XComs beside what they return."""
    return {}


@pytest.fixture
def task_context(task_context: MakeContext, pushed: dict[str, Any]) -> MakeContext:
    def make(**changes: Any) -> Any:
        return task_context(xcom_push=lambda *, key, value: pushed.update({key: value}), **changes)

    return make


@pytest.fixture
def create(task_context: MakeContext) -> Callable[..., Any]:
    def run(**arguments: Any) -> Any:
        arguments = {"name": "A", "platform": "android", "package_name": "p"} | arguments
        return AppLovinCreateAudienceOperator(task_id="create", **arguments).execute(task_context())

    return run


@pytest.fixture
def audience_id(create: Callable[..., str], emulator: AudiencesEmulator) -> str:
    audience_id = create()
    emulator.clear_requests()
    return audience_id


@pytest.fixture
def sync(task_context: MakeContext, audience_id: str) -> Callable[..., Any]:
    """Syncs a source: ``sync(source, context=…, template_context=…, **arguments)``."""

    def run(source: Any, *, context: Any = None, template_context: Any = None, **arguments: Any) -> Any:
        target = {} if "name" in arguments else {"audience_id": audience_id}
        operator = AppLovinSyncAudienceOperator(task_id="sync", source=source, **(target | arguments))
        if template_context is not None:
            operator.render_template_fields(template_context)
        return operator.execute(context or task_context())

    return run


@pytest.fixture
def apply(task_context: MakeContext, audience_id: str) -> Callable[..., Any]:
    def run(plan_id: str, *, context: Any = None, **arguments: Any) -> Any:
        arguments = {"audience_id": audience_id, "plan_id": plan_id} | arguments
        return AppLovinApplyPlanOperator(task_id="apply", **arguments).execute(context or task_context(task_id="apply"))

    return run


@pytest.fixture
def posts(emulator: AudiencesEmulator) -> Callable[[], int]:
    """Counts the requests that change members."""

    def count() -> Any:
        return sum(request["method"] == "POST" for request in emulator.requests())

    return count


def changes_of(report: Any) -> Any:
    return tuple(report[name] for name in ("added", "removed", "unchanged", "suppressed", "live"))


class TestAudience:
    def test_is_given_by_its_id(
        self, sync: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds
    ) -> None:
        report = sync(make_ids(3))
        assert report["audience_id"] == audience_id
        assert emulator.members(audience_id) == make_ids(3)
        assert emulator.requests("applovin.create") == []

    def test_is_made_the_first_time_and_found_by_its_name_afterwards(
        self, sync: Callable[..., Any], emulator: AudiencesEmulator, create: Callable[..., Any], make_ids: MakeIds
    ) -> None:
        others = [create(name=NAMED["name"], platform="ios"), create(name="Loyal", platform="android")]
        first = sync(make_ids(3), **NAMED, description="synced", audience_type="ua")
        second = sync(make_ids(4), **NAMED)
        assert first["audience_id"] == second["audience_id"]
        made = emulator.audience(first["audience_id"])
        assert {name: made[name] for name in ("name", "platform", "package_name", "description", "audience_type")} == {
            "name": "Loyal + players",
            "platform": "android",
            "package_name": "com.example.game",
            "description": "synced",
            "audience_type": "ua",
        }
        assert emulator.members(first["audience_id"]) == make_ids(4)
        assert (changes_of(first), changes_of(second)) == ((3, 0, 0, 0, 3), (1, 0, 3, 0, 4))
        assert [emulator.member_count(other) for other in others] == [0, 0]

    def test_is_the_one_with_the_package_name(
        self, sync: Callable[..., Any], create: Callable[..., Any], make_ids: MakeIds
    ) -> None:
        created = [create(name=NAMED["name"], package_name=package) for package in ("other", NAMED["package_name"])]
        assert sync(make_ids(1), **NAMED)["audience_id"] == created[1]

    @pytest.mark.parametrize(
        "members",
        [{"source": ["idfa"]}, {"source": "/no/such/file.txt"}, {"source": IDS, "suppress": ["x"]}, {"source": None}],
        ids=str,
    )
    def test_is_not_made_for_members_that_are_refused(
        self, sync: Callable[..., Any], emulator: AudiencesEmulator, members: dict[str, Any]
    ) -> None:
        with pytest.raises(exceptions.InvalidInputError):
            sync(**members, **NAMED)
        assert emulator.requests() == []

    def test_is_not_guessed_when_several_fit(
        self, sync: Callable[..., Any], posts: Callable[[], int], create: Callable[..., Any], make_ids: MakeIds
    ) -> None:
        created = [create(name=NAMED["name"], platform="ios", package_name=package) for package in ("p1", "p2")]
        with pytest.raises(exceptions.ConflictError, match=f"{created[0]}, {created[1]}") as failure:
            sync(make_ids(1), **(NAMED | {"platform": "ios"}))
        assert isinstance(failure.value, AirflowFailException)
        assert posts() == 0

    def test_is_not_made_for_a_plan_only(
        self, sync: Callable[..., Any], emulator: AudiencesEmulator, make_ids: MakeIds, audience_id: str
    ) -> None:
        with pytest.raises(exceptions.NotFoundError, match="plan_only makes none") as failure:
            sync(make_ids(1), plan_only=True, **NAMED)
        assert isinstance(failure.value, AirflowFailException)
        assert [audience["audience_id"] for audience in emulator.audiences()] == [audience_id]

    def test_that_the_account_has_not_fails_for_good(
        self, sync: Callable[..., Any], posts: Callable[[], int], make_ids: MakeIds
    ) -> None:
        with pytest.raises(exceptions.NotFoundError, match="nobody") as failure:
            sync(make_ids(1), audience_id="nobody")
        assert isinstance(failure.value, AirflowFailException)
        assert posts() == 0

    def test_whose_creation_was_cut_off_is_found_by_the_next_try(
        self, sync: Callable[..., Any], emulator: AudiencesEmulator, task_context: MakeContext, make_ids: MakeIds
    ) -> None:
        emulator.fault("applovin.create", "drop_after", times=1)
        emulator.fault("applovin.create", "status", status=500, number=2, times=3)
        with pytest.raises(exceptions.TransientError) as failure:
            sync(make_ids(1), **NAMED)
        assert not isinstance(failure.value, AirflowFailException)
        report = sync(make_ids(1), context=task_context(try_number=2), **NAMED)
        assert emulator.members(report["audience_id"]) == make_ids(1)
        assert len(emulator.audiences()) == 2


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"audience_id": None}, "give audience_id, or name and platform"),
            ({"audience_id": None, "name": "A"}, "give audience_id, or name and platform"),
            ({"audience_id": None, "platform": "ios"}, "give audience_id, or name and platform"),
            ({"audience_id": "a", **NAMED}, "not both"),
            ({"audience_id": " "}, "audience_id"),
            ({**NAMED, "audience_id": None, "platform": "web"}, "platform"),
            ({**NAMED, "audience_id": None, "name": "a/b"}, "name"),
            ({**NAMED, "audience_id": None, "package_name": None}, "package_name"),
            ({**NAMED, "audience_id": None, "audience_type": "all"}, "audience_type"),
            ({"mode": "sync"}, "mode must be"),
            ({"initial": "keep"}, "initial must be"),
            ({"on_lost_ledger": "ignore"}, "on_lost_ledger must be"),
            ({"ttl_seconds": 0}, "ttl_seconds"),
            ({"ttl_seconds": "a day"}, "ttl_seconds"),
            ({"refresh_before_seconds": -1}, "refresh_before_seconds"),
            ({"max_removed_ratio": 1.1}, "max_removed_ratio"),
            ({"max_removed_ratio": "a third"}, "max_removed_ratio"),
            ({"max_added_ratio": -0.1}, "max_added_ratio"),
            ({"min_members": None}, "min_members"),
            ({"min_members": "many"}, "min_members"),
            ({"max_drift": -1}, "max_drift"),
            ({"drift_patience_seconds": -1}, "drift_patience_seconds"),
            ({"batch_size": 0}, "batch_size"),
            ({"max_parallel_requests": 17}, "max_parallel_requests"),
            ({"id_case": "title"}, "id_case"),
            ({"on_malformed": "ignore"}, "on_malformed"),
            ({"max_malformed_ratio": 2}, "max_malformed_ratio"),
            ({"allow_empty": "no"}, "allow_empty must be True or False"),
            ({"max_malformed_ratio": 2}, "max_malformed_ratio must be a number of at least 0, at most 1"),
            ({"min_suppressed": "x"}, "min_suppressed must be a whole number"),
            ({"plan_only": "no"}, "plan_only must be True or False"),
            ({"rejects_include_values": 1}, "rejects_include_values must be True or False"),
            ({"rejects_include_values": True}, "rejects_path is not"),
            ({"rejects_path": "rejects.txt"}, "must end with"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("by_name", [False, True])
    def test_that_are_wrong_are_told_before_the_first_request(
        self,
        task_context: MakeContext,
        emulator: AudiencesEmulator,
        make_ids: MakeIds,
        arguments: dict[str, Any],
        said: str,
        by_name: bool,
    ) -> None:
        target = {} if "audience_id" in arguments else NAMED if by_name else {"audience_id": "a"}
        operator = AppLovinSyncAudienceOperator(task_id="sync", source=make_ids(1), **(target | arguments))
        with pytest.raises(exceptions.InvalidInputError, match=said) as refusal:
            operator.execute(task_context())
        assert isinstance(refusal.value, AirflowFailException)
        assert emulator.requests() == []

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"audience_id": ""}, "audience_id"),
            ({"plan_id": None}, "plan_id"),
            ({"override_guards": "yes"}, "override_guards must be True or False"),
            ({"batch_size": "x"}, "batch_size"),
        ],
    )
    def test_of_a_plan_that_are_wrong_are_told_before_the_first_request(
        self, apply: Callable[..., Any], emulator: AudiencesEmulator, arguments: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(exceptions.InvalidInputError, match=said) as refusal:
            apply(**({"plan_id": "p"} | arguments))
        assert isinstance(refusal.value, AirflowFailException)
        assert emulator.requests() == []

    def test_come_from_templates(
        self,
        emulator: AudiencesEmulator,
        sync: Callable[..., Any],
        create: Callable[..., Any],
        tmp_path: Path,
        connect: Connect,
        monkeypatch: pytest.MonkeyPatch,
        make_ids: MakeIds,
    ) -> None:
        created = create(name=NAMED["name"], package_name=NAMED["package_name"])
        monkeypatch.delenv("AIRFLOW_CONN_APPLOVIN_DEFAULT")
        connect("applovin", conn_id="other")
        (tmp_path / "ids.txt").write_text("\n".join([*make_ids(5), "idfa"]))
        (tmp_path / "opt_outs.txt").write_text(make_ids(1)[0])
        values = {
            "name": NAMED["name"],
            "platform": "android",
            "package_name": NAMED["package_name"],
            "description": "d",
            "audience_type": "ua",
            "source": str(tmp_path / "ids.txt"),
            "suppress": str(tmp_path / "opt_outs.txt"),
            "ttl_seconds": 1000,
            "refresh_before_seconds": 10,
            "mode": "mirror",
            "partition": "whole",
            "initial": "append",
            "on_lost_ledger": "rebuild",
            "allow_empty": False,
            "max_malformed_ratio": 0.5,
            "min_suppressed": 1,
            "max_removed_ratio": 0.5,
            "max_added_ratio": "off",
            "max_removed": 7,
            "max_added": 7,
            "suppress_on_malformed": "drop",
            "allow_older_run": True,
            "release_held_back": False,
            "min_members": 4,
            "wait_for_audience_seconds": 5,
            "account": "eu",
            "rejects_path": str(tmp_path / "rejects.csv"),
            "applovin_conn_id": "other_default",
        }
        assert {*values, "audience_id"} == set(AppLovinSyncAudienceOperator.template_fields)
        emulator.set_clock(1_900_000_000, freeze=True)
        report = sync(
            **{name: f"{{{{ params.{name} }}}}" for name in values},
            template_context={"params": values},
        )
        assert changes_of(report) == (4, 1, 0, 1, 4)
        assert report["audience_id"] == created
        assert set(emulator.member_expiries(created).values()) == {1_900_001_000}
        assert "idfa" not in (tmp_path / "rejects.csv").read_text()
        assert len((tmp_path / "rejects.csv").read_text().splitlines()) == 2

    LIMITS = ("max_removed_ratio", "max_added_ratio", "max_removed", "max_added", "max_malformed_ratio")

    @pytest.mark.parametrize("template", ["{{ none }}", "{{ '' }}", "  "])
    @pytest.mark.parametrize(
        "field",
        [
            *(*LIMITS, "ttl_seconds", "refresh_before_seconds", "allow_empty", "allow_older_run", "min_members"),
            *("min_suppressed", "suppress_on_malformed", "mode", "initial", "on_lost_ledger"),
        ],
    )
    def test_are_never_given_by_a_template_that_renders_to_nothing(
        self, sync: Callable[..., Any], emulator: AudiencesEmulator, make_ids: MakeIds, field: Any, template: str
    ) -> None:
        emulator.clear_requests()
        with pytest.raises(exceptions.InvalidInputError, match=rf"^{field} "):
            sync(make_ids(10), template_context={}, **{field: template})
        assert emulator.requests() == []

    @pytest.mark.parametrize("field", LIMITS)
    def test_have_a_word_that_lifts_a_limit(self, sync: Callable[..., Any], make_ids: MakeIds, field: Any) -> None:
        sync(make_ids(10))
        assert sync(make_ids(9), template_context={}, **{field: "{{ 'off' }}"})["removed"] == 1

    def test_of_a_plan_come_from_templates(
        self,
        sync: Callable[..., Any],
        task_context: MakeContext,
        audience_id: str,
        emulator: AudiencesEmulator,
        make_ids: MakeIds,
        pushed: dict[str, Any],
    ) -> None:
        report = sync(make_ids(2), plan_only=True)
        assert pushed == {name: report[name] for name in ("audience_id", "plan_id")}
        operator = AppLovinApplyPlanOperator(
            task_id="apply", audience_id="{{ report.audience_id }}", plan_id="{{ report.plan_id }}"
        )
        operator.render_template_fields({"report": report})  # type: ignore[typeddict-unknown-key]  # as a test has it
        operator.execute(task_context())
        assert emulator.members(audience_id) == make_ids(2)


class TestMembers:
    def test_of_several_columns_are_counted_apart(
        self, sync: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds, tmp_path: Path
    ) -> None:
        ids = make_ids(4)
        rows = [
            {"device": {"idfa": ids[0], "gaid": ids[1]}},
            {"device": {"idfa": ids[2]}},
            {"device": {"gaid": ids[3]}},
        ]
        (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        report = sync(FileSource(tmp_path / "a.jsonl", column=["device.idfa", "device.gaid"]))
        assert report["members_by_column"] == {"device.idfa": 2, "device.gaid": 2}
        assert emulator.members(audience_id) == ids

    def test_equal_the_source_after_each_run(
        self,
        sync: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        posts: Callable[[], int],
    ) -> None:
        lines = [*make_ids(5), make_ids(1)[0].upper(), "", "idfa", ZEROS]
        report = sync(lines)
        assert list(report) == REPORT_KEYS
        assert json.loads(json.dumps(report)) == report
        assert set(re.findall(r"\w+", str(AppLovinSyncAudienceOperator.__doc__).rpartition(":return:")[2])) >= set(
            report
        )
        fields = ("members", "malformed", "zeroed", "duplicates", "blank", "requests", "batches", "bytes_sent", "drift")
        assert [report[name] for name in fields] == [5, 1, 1, 1, 1, 3, 1, 5 * 37, 0]
        assert (report["mode"], report["plan_only"], report["replaces"]) == ("mirror", False, False)
        assert (report["planned_requests"], report["planned_ids"], report["planned_bytes"]) == (1, 5, 5 * 37)

        report = sync(make_ids(5, start=2))
        assert changes_of(report) == (1, 1, 4, 0, 5)
        assert emulator.members(audience_id) == make_ids(5, start=2)
        assert [request["body_lines"] for request in emulator.requests("applovin.append")] == [5, 1, 1]

        sent = posts()
        report = sync(make_ids(5, start=2))
        assert changes_of(report) == (0, 0, 5, 0, 5)
        assert (posts() - sent, report["batches"], report["plan_id"]) == (0, 0, "")

    def test_that_opted_out_are_never_sent_and_are_removed(
        self, sync: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds
    ) -> None:
        ids = make_ids(10)
        sync(ids)
        report = sync([*ids, *make_ids(2, start=100)], suppress=[ids[0].upper(), make_ids(1, start=100)[0]])
        assert changes_of(report) == (1, 2, 9, 2, 10)
        assert set(emulator.members(audience_id)) == {*ids[1:], *make_ids(1, start=101)}

    @pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
    def test_are_all_sent_when_nobody_opted_out(
        self,
        sync: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        tmp_path: Path,
        content: str,
    ) -> None:
        (tmp_path / "opt_outs.txt").write_text(content, encoding="utf-8")
        assert sync(make_ids(3), suppress=str(tmp_path / "opt_outs.txt"))["suppressed"] == 0
        assert emulator.members(audience_id) == make_ids(3)

    @pytest.mark.parametrize(
        ("suppress", "said"),
        [
            (["idfa", "x"], "^none of the texts of suppress"),
            ("/no/such/file.txt", "^suppress /no/such/file.txt does not exist"),
            (7, "^suppress is an int"),
            (" ", "^suppress is empty"),
            ([("a", "b")], "^suppress, item 1: a tuple of 2 is not a member"),
            (
                pd.DataFrame({"idfa": ["c77bbe4e-6a28-11e4-bcda-14109fdf9591", "x"]}),
                "^1 text of suppress is not .*: suppress, row 2: ",
            ),
        ],
    )
    def test_are_not_sent_when_it_is_not_known_who_opted_out(
        self, sync: Callable[..., Any], posts: Callable[[], int], make_ids: MakeIds, suppress: Any, said: str
    ) -> None:
        with pytest.raises(exceptions.InvalidInputError, match=said) as refusal:
            sync(make_ids(3), suppress=suppress)
        assert isinstance(refusal.value, AirflowFailException)
        assert posts() == 0

    BRACED = "{{{}}}".format

    def test_are_not_sent_when_an_opt_out_can_not_be_read(
        self, sync: Callable[..., Any], emulator: AudiencesEmulator, make_ids: MakeIds
    ) -> None:
        ids = make_ids(20)
        suppress = [ids[0], *map(self.BRACED, ids[1:10])]
        with pytest.raises(
            exceptions.InvalidInputError, match=r"^9 texts of suppress are not advertising IDs"
        ) as failure:
            sync(ids, suppress=suppress)
        assert "suppress, item 2: " in str(failure.value)
        assert "suppress_on_malformed='drop'" in str(failure.value)
        assert ids[1] not in str(failure.value)
        assert not any(request["method"] == "POST" for request in emulator.requests())
        report = sync(ids, suppress=suppress, suppress_on_malformed="drop")
        counted = ("suppressed", "suppress_members", "suppress_malformed", "malformed", "live")
        assert [report[name] for name in counted] == [1, 1, 9, 0, 19]
        assert {verdict["guard"]: verdict["message"] for verdict in report["verdicts"]}["suppress_on_malformed"] == (
            "1 member of suppress was read, and 9 texts could not be"
        )

    def test_of_opt_outs_are_counted_on_their_own(self, sync: Callable[..., Any], make_ids: MakeIds) -> None:
        ids = make_ids(5)
        report = sync(ids, suppress=[ids[0], ids[0].upper(), ids[1], "", "", ZEROS], on_malformed="fail")
        counted = ("suppress_members", "suppress_duplicates", "suppress_blank", "suppress_zeroed")
        assert [report[name] for name in counted] == [2, 1, 2, 1]
        assert [report[name] for name in ("duplicates", "blank", "zeroed")] == [0, 0, 0]

    @pytest.mark.parametrize(
        "arguments", [{"initial": "append"}, {"mode": "append"}, {"initial": "replace"}, {"mode": "replace"}], ids=str
    )
    def test_who_opted_out_do_not_stay_though_nobody_knows_them(
        self,
        sync: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        upload_directly: Callable[..., None],
        posts: Callable[[], int],
        arguments: dict[str, Any],
    ) -> None:
        upload_directly(make_ids(20))
        suppress = make_ids(5, start=12)
        arguments = arguments | {"max_drift": None}
        replaced = "replace" in arguments.values()
        # A replacement is judged by AppLovin's count: of 20 there, at least 5 go. Unknown opt-outs are judged by none.
        limits = {"max_removed_ratio": 0.25 if replaced else 0, "max_removed": 5 if replaced else 0}
        report = sync(make_ids(20, start=10), suppress=suppress, **limits, **arguments)
        left = set(emulator.members(audience_id))
        assert not left & set(suppress)
        assert left == set(make_ids(20, start=10) if replaced else make_ids(29)) - set(suppress)
        assert report["suppress_unknown"] == (0 if replaced else 5)
        # The same again sends nothing, however often.
        before = posts()
        if "mode" not in arguments or arguments["mode"] != "replace":
            for _ in range(2):
                again = sync(make_ids(20, start=10), suppress=suppress, **arguments)
                assert (again["batches"], again["removed"], again["suppress_unknown"]) == (0, 0, 0)
            assert posts() == before

    def test_who_opt_out_later_do_not_stay_either(
        self,
        sync: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        upload_directly: Callable[..., None],
    ) -> None:
        """Whom nobody knows stays by initial='append', until they opt out."""
        upload_directly(make_ids(20))
        quickly = {"max_drift": None}  # whom nobody knows is a drift that stays
        sync(make_ids(5, start=30), initial="append", **quickly)
        for suppress in (make_ids(3), make_ids(4), make_ids(2, start=8)):
            report = sync(make_ids(5, start=30), suppress=suppress, max_removed=0, **quickly)
            assert report["live"] == 5
            assert not set(emulator.members(audience_id)) & set(suppress)
        assert emulator.member_count(audience_id) == 20 + 5 - 6
        emulator.clear_requests()
        assert sync(make_ids(5, start=30), suppress=make_ids(2, start=8), **quickly)["batches"] == 0

    def test_of_an_audience_that_the_sync_has_created_need_no_removals(
        self, sync: Callable[..., Any], make_ids: MakeIds
    ) -> None:
        named = {**NAMED, "audience_id": None, "name": "Brand new"}
        report = sync(make_ids(5), suppress=make_ids(9, start=3), **named)
        assert (report["removed"], report["suppress_unknown"], report["batches"]) == (0, 0, 1)
        assert sync(make_ids(5), suppress=make_ids(8, start=4), **named)["batches"] == 1, "one may stay now"

    def test_of_an_audience_that_counts_nobody_yet_are_removed_once(
        self,
        sync: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        upload_directly: Callable[..., None],
    ) -> None:
        """The platform's count lags: members that were added a moment ago are not in it."""
        emulator.settings(user_count_lag_seconds=3600)
        upload_directly(make_ids(3, start=50))
        arguments = {"source": make_ids(5), "suppress": make_ids(3, start=50), "drift_patience_seconds": 0}
        report = sync(**arguments)
        assert (report["removed"], report["suppress_unknown"], report["drift"]) == (3, 3, -5)
        assert emulator.members(audience_id) == make_ids(5)
        assert sync(**arguments)["batches"] == 0

    def test_stay_when_they_are_only_added(
        self, sync: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds
    ) -> None:
        sync(make_ids(5), mode="append")
        report = sync(make_ids(5, start=4), mode="append", suppress=make_ids(1))
        assert (report["added"], report["removed"], report["mode"]) == (3, 1, "append")
        assert emulator.members(audience_id) == make_ids(7, start=2)

    def test_are_all_sent_when_they_are_replaced(
        self,
        sync: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        upload_directly: Callable[..., None],
    ) -> None:
        upload_directly(make_ids(3, start=50))
        report = sync(make_ids(5), mode="replace", batch_size=2)
        assert report["replaces"] is True
        assert [r["operation"] for r in emulator.requests() if r["method"] == "POST"][1:] == [
            "applovin.update",
            "applovin.append",
            "applovin.append",
        ]
        assert emulator.members(audience_id) == make_ids(5)

    @pytest.mark.parametrize(("initial", "left"), [("append", 8), ("replace", 5)])
    def test_of_others_need_a_decision(
        self,
        sync: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        upload_directly: Callable[..., None],
        posts: Callable[[], int],
        initial: str,
        left: int,
    ) -> None:
        upload_directly(make_ids(3, start=50))
        before = posts()
        with pytest.raises(exceptions.GuardError, match="holds 3 members") as failure:
            sync(make_ids(5))
        assert isinstance(failure.value, AirflowFailException)
        assert posts() == before
        sync(make_ids(5), initial=initial, max_drift=None)
        assert emulator.member_count(audience_id) == left

    def test_are_sent_again_before_the_next_run_would_come_too_late(
        self, sync: Callable[..., Any], make_ids: MakeIds, task_context: MakeContext
    ) -> None:
        dag = DAG("dag", schedule=dt.timedelta(hours=3), start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
        short = {"ttl_seconds": 3600 * 4, "refresh_before_seconds": 1}
        assert sync(make_ids(3), **short)["added"] == 3
        assert sync(make_ids(3), **short)["refreshed"] == 0
        assert sync(make_ids(3), context={**task_context(), "dag": dag}, **short)["refreshed"] == 3


@pytest.fixture
def upload_directly(task_context: MakeContext, audience_id: str) -> Callable[..., None]:
    def run(ids: Any) -> None:
        AppLovinAppendUsersOperator(task_id="append", audience_id=audience_id, source=ids).execute(task_context())

    return run


def dated(day: int, *, hour: int = 0, length: int = 1) -> dict[str, Any]:
    """The dates of a run, as Airflow has them in its context."""
    start = dt.datetime(2026, 1, day, hour, tzinfo=dt.UTC)
    return {"logical_date": start, "data_interval_end": start.replace(hour=0) + dt.timedelta(days=length)}


class TestOlderRun:
    @pytest.fixture
    def run(self, sync: Callable[..., Any], task_context: MakeContext) -> Callable[..., Any]:
        def run(source: Any, dates: Any, **arguments: Any) -> Any:
            return sync(source, context=task_context() | dates, max_removed_ratio=1, **arguments)

        return run

    def verdict(self, report: Any) -> Any:
        return {verdict["guard"]: verdict for verdict in report["verdicts"]}["allow_older_run"]

    def test_is_stopped(
        self,
        run: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        posts: Callable[[], int],
    ) -> None:
        run(make_ids(10), dated(2))
        assert self.verdict(run(make_ids(10, start=2), dated(3)))["passed"]
        before = posts()
        said = r"^stopped by allow_older_run: this run is that of 2026-01-02 00:00:00\+00:00, and the newer one of "
        with pytest.raises(exceptions.GuardError, match=said):
            run(make_ids(10), dated(2))
        assert posts() == before
        assert emulator.members(audience_id) == make_ids(10, start=2)
        assert run(make_ids(10), dated(2), allow_older_run="true", template_context={})["added"] == 1

    @pytest.mark.parametrize("mode", ["mirror", "append", "replace"])
    def test_is_stopped_in_every_mode(self, run: Callable[..., Any], make_ids: MakeIds, mode: str) -> None:
        run(make_ids(3), dated(3))
        with pytest.raises(exceptions.GuardError, match="allow_older_run"):
            run(make_ids(4), dated(2), mode=mode)

    def test_is_none_of_these(self, run: Callable[..., Any], make_ids: MakeIds) -> None:
        sources = iter([make_ids(3), make_ids(4)] * 9)
        for dates in (
            dated(2),
            dated(3),
            dated(3),  # cleared
            {"logical_date": None},  # of an asset, or by hand
            {},
            dated(4),
            dated(5, hour=15, length=0),  # by hand in the middle of day 5, of which the scheduled run begins later
            dated(5),
            {"logical_date": dt.datetime(2026, 1, 6, tzinfo=dt.UTC)},
            dated(7),
        ):
            assert self.verdict(run(next(sources), dates))["passed"], dates

    def test_that_changes_nothing_has_nothing_to_undo(self, run: Callable[..., Any], make_ids: MakeIds) -> None:
        run(make_ids(3), dated(3))
        report = run(make_ids(3), dated(2))
        assert report["batches"] == 0
        assert "newer one" in self.verdict(report)["message"]

    def test_is_older_than_a_run_that_found_nothing_to_send(
        self, run: Callable[..., Any], apply: Callable[..., Any], make_ids: MakeIds
    ) -> None:
        run(make_ids(3), dated(2))
        assert run(make_ids(3), dated(3))["batches"] == 0
        with pytest.raises(exceptions.GuardError, match="newer one of 2026-01-03"):
            run(make_ids(4), dated(2))
        assert apply(run(make_ids(3), dated(4), plan_only=True)["plan_id"])["batches"] == 0
        assert run(make_ids(3), dated(2))["batches"] == 0  # which does not make the date an older one
        with pytest.raises(exceptions.GuardError, match="newer one of 2026-01-04"):
            run(make_ids(4), dated(3))

    def test_that_found_nothing_to_send_outdates_older_plans_only(
        self, run: Callable[..., Any], apply: Callable[..., Any], make_ids: MakeIds
    ) -> None:
        run(make_ids(3), dated(3))
        plan = run(make_ids(4), dated(3), plan_only=True)
        for dates in (dated(2), dated(3), {"logical_date": None}):
            assert run(make_ids(3), dates)["batches"] == 0
        assert apply(plan["plan_id"])["added"] == 1
        plan = run(make_ids(5), dated(4), plan_only=True)
        assert run(make_ids(4), dated(5))["batches"] == 0
        with pytest.raises(exceptions.PlanOutdatedError):
            apply(plan["plan_id"])

    def test_is_told_by_the_last_run_with_a_date(self, run: Callable[..., Any], make_ids: MakeIds) -> None:
        run(make_ids(3), dated(3))
        run(make_ids(4), {"logical_date": None})
        with pytest.raises(exceptions.GuardError, match="newer one of 2026-01-03"):
            run(make_ids(3), dated(2))

    def test_is_older_than_the_run_that_made_the_plan(
        self, run: Callable[..., Any], apply: Callable[..., Any], make_ids: MakeIds
    ) -> None:
        plan = run(make_ids(3), dated(3), plan_only=True)
        apply(plan["plan_id"])
        with pytest.raises(exceptions.GuardError, match="newer one of 2026-01-03"):
            run(make_ids(4), dated(2))
        late = run(make_ids(4), dated(2), plan_only=True)
        assert not self.verdict(late)["passed"]
        with pytest.raises(exceptions.GuardError, match="allow_older_run"):
            apply(late["plan_id"])


class TestGuards:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"source": []}, "no member of the source is wanted"),
            ({"source": 5}, r"remove 5 of 10 members \(50.0%\), and at most 30.0%"),
            ({"source": 9, "max_removed_ratio": "{{ '0.05' }}"}, "at most 5.0%"),
            ({"source": 14, "max_added_ratio": "{{ 0.3 }}"}, r"add 4 to 10 members \(40.0%\), and at most 30.0%"),
            ({"source": 10, "min_members": "{{ 11 }}"}, "at least 11"),
            ({"source": 10, "suppress": 4}, "remove 4 of 10"),
            ({"source": 9, "max_removed": "{{ 0 }}"}, r"remove 1 member, and at most 0 are allowed \(max_removed\)"),
            ({"source": 12, "max_added": 1, "max_added_ratio": 1}, r"add 2 members, and at most 1 is allowed"),
        ],
        ids=str,
    )
    def test_stop_before_anything_is_sent(
        self,
        sync: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        posts: Callable[[], int],
        arguments: dict[str, Any],
        said: str,
    ) -> None:
        sync(make_ids(10))
        before = posts()
        members = {"source", "suppress"}
        given = {n: make_ids(v) if n in members and isinstance(v, int) else v for n, v in arguments.items()}
        with pytest.raises(exceptions.GuardError, match=said) as failure:
            sync(template_context={}, **given)
        assert isinstance(failure.value, AirflowFailException)
        assert "nothing was sent" in str(failure.value)
        assert posts() == before
        assert emulator.members(audience_id) == make_ids(10)

    def test_may_be_overridden_for_a_run(
        self, sync: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds
    ) -> None:
        sync(make_ids(10))
        assert sync(make_ids(5), template_context={}, max_removed_ratio="{{ 'off' }}")["removed"] == 5
        assert sync([], allow_empty=True, max_removed_ratio=1)["live"] == 0
        assert emulator.members(audience_id) == []

    def test_of_the_texts_look_at_both_sources(
        self, sync: Callable[..., Any], make_ids: MakeIds, posts: Callable[[], int]
    ) -> None:
        for members in ({"source": [*make_ids(3), "x"]}, {"source": make_ids(3), "suppress": [*make_ids(3), "x"]}):
            of = next(reversed(members))
            with pytest.raises(exceptions.InvalidInputError, match=f"1 of 4 texts of {of} "):
                sync(max_malformed_ratio=0.2, suppress_on_malformed="drop", **members)
        with pytest.raises(exceptions.InvalidInputError, match="on_malformed='fail'"):
            sync([*make_ids(3), "x"], on_malformed="fail")
        with pytest.raises(exceptions.InvalidInputError, match="none of the source's texts"):
            sync(["idfa"], allow_empty=True)
        assert posts() == 0

    @pytest.mark.parametrize("field", ["source", "suppress"])
    def test_keep_the_report_of_rejects_off_its_sources(
        self, sync: Callable[..., Any], emulator: AudiencesEmulator, make_ids: MakeIds, tmp_path: Path, field: str
    ) -> None:
        path = tmp_path / "ids.csv"
        path.write_text("\n".join(["idfa", *make_ids(3), "x"]))
        with pytest.raises(exceptions.InvalidInputError, match="is a part of the source"):
            sync(**({"source": make_ids(3)} | {field: str(path), "rejects_path": str(path)}))
        assert "idfa" in path.read_text()
        assert emulator.requests() == []


class TestPlans:
    def test_are_stored_and_then_carried_out_exactly(
        self,
        sync: Callable[..., Any],
        apply: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        posts: Callable[[], int],
    ) -> None:
        sync(make_ids(10))
        before = posts()
        planned = sync(make_ids(10, start=3), plan_only=True)
        assert posts() == before
        assert (planned["plan_only"], planned["batches"], planned["planned_requests"]) == (True, 0, 2)
        assert {verdict["passed"] for verdict in planned["verdicts"]} == {True}
        done = apply(planned["plan_id"])
        assert list(done) == REPORT_KEYS
        assert changes_of(done) == changes_of(planned)
        assert emulator.members(audience_id) == make_ids(10, start=3)
        again = apply(planned["plan_id"])
        assert (posts() - before, again["batches"], again["batches_skipped_by_resume"]) == (2, 0, 2)

    def test_are_refused_when_the_ledger_has_moved_on(
        self, sync: Callable[..., Any], apply: Callable[..., Any], make_ids: MakeIds, posts: Callable[[], int]
    ) -> None:
        planned = sync(make_ids(5), plan_only=True)
        sync(make_ids(6))
        before = posts()
        for plan_id in (planned["plan_id"], "none"):
            with pytest.raises(exceptions.PlanOutdatedError) as failure:
                apply(plan_id)
            assert isinstance(failure.value, AirflowFailException)
        assert posts() == before

    def test_that_a_guard_stops_need_an_override(
        self,
        sync: Callable[..., Any],
        apply: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
    ) -> None:
        sync(make_ids(10))
        planned = sync(make_ids(5), plan_only=True)
        failed = [verdict["guard"] for verdict in planned["verdicts"] if not verdict["passed"]]
        assert failed == ["max_removed_ratio"]
        with pytest.raises(exceptions.GuardError, match="max_removed_ratio") as failure:
            apply(planned["plan_id"])
        assert isinstance(failure.value, AirflowFailException)
        assert emulator.member_count(audience_id) == 10
        assert apply(planned["plan_id"], override_guards=True)["removed"] == 5
        assert emulator.members(audience_id) == make_ids(5)

    def test_with_nothing_to_do_do_nothing(
        self, sync: Callable[..., Any], apply: Callable[..., Any], make_ids: MakeIds, posts: Callable[[], int]
    ) -> None:
        sync(make_ids(3))
        planned = sync(make_ids(3), plan_only=True)
        before = posts()
        assert (apply(planned["plan_id"])["batches"], posts()) == (0, before)


class TestRetries:
    def test_go_on_where_the_last_try_ended(
        self,
        sync: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        task_context: MakeContext,
        posts: Callable[[], int],
    ) -> None:
        emulator.fault("applovin.append", "status", status=500, number=4, times=4)
        steps = {"batch_size": 10, "max_parallel_requests": 1}
        with pytest.raises(exceptions.ServerError, match="3 batches were accepted and are recorded") as failure:
            sync(make_ids(95), **steps)
        assert not isinstance(failure.value, AirflowFailException)
        before = posts()
        report = sync(make_ids(95), context=task_context(try_number=2), **steps)
        assert (posts() - before, report["batches"], report["batches_skipped_by_resume"]) == (7, 7, 3)
        assert sum(request["body_lines"] for request in emulator.requests("applovin.append")[before:]) == 65
        assert emulator.members(audience_id) == make_ids(95)
        assert report["drift"] == 0

    def test_of_a_plan_go_on_where_the_last_try_ended(
        self,
        sync: Callable[..., Any],
        apply: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        task_context: MakeContext,
    ) -> None:
        planned = sync(make_ids(40), plan_only=True)
        emulator.fault("applovin.append", "status", status=503, number=3, times=4)
        steps = {"batch_size": 10, "max_parallel_requests": 1}
        with pytest.raises(exceptions.ServerError, match="2 batches were accepted"):
            apply(planned["plan_id"], **steps)
        emulator.clear_requests()
        report = apply(planned["plan_id"], context=task_context(task_id="apply", try_number=2), **steps)
        assert (report["batches"], report["batches_skipped_by_resume"]) == (2, 2)
        assert [request["body_lines"] for request in emulator.requests("applovin.append")] == [10, 10]
        assert emulator.members(audience_id) == make_ids(40)

    @pytest.mark.parametrize("status", [400, 401, 403, 404])
    def test_are_not_for_what_stays_wrong(
        self, sync: Callable[..., Any], emulator: AudiencesEmulator, make_ids: MakeIds, status: int
    ) -> None:
        emulator.fault("applovin.append", "status", status=status, times=None)
        with pytest.raises(exceptions.PermanentError) as failure:
            sync(make_ids(1))
        assert isinstance(failure.value, AirflowFailException)
        assert len(emulator.requests("applovin.append")) == 1

    def test_are_for_an_audience_that_is_busy(
        self,
        sync: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        task_context: MakeContext,
        posts: Callable[[], int],
    ) -> None:
        folder = state_store("applovin", emulator.url.removeprefix("http://"), audience_id)
        with leased(folder, holder_of(task_context(task_id="other", map_index=0))):
            with pytest.raises(exceptions.AudienceBusyError, match=r"task other, map index 0, try 1") as failure:
                sync(make_ids(1), wait_for_audience_seconds=0)
            assert not isinstance(failure.value, AirflowFailException)
            assert posts() == 0
        sync(make_ids(1))
        assert emulator.members(audience_id) == make_ids(1)

    @pytest.mark.usefixtures("late_requests_end_soon")
    def test_take_over_from_a_try_that_hangs(
        self,
        sync: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        task_context: MakeContext,
    ) -> None:
        """While the first one waits for Airflow, the next one runs; when it goes on, it has no say any more."""

        class Store:
            def set(self, _key: str, _value: Any) -> None:
                sync(make_ids(60), max_removed_ratio=1, context=task_context(try_number=2))

        with pytest.raises(exceptions.AudienceBusyError, match="nothing more was sent") as failure:
            sync(make_ids(70), context={**task_context(), "task_state_store": Store()})
        assert not isinstance(failure.value, AirflowFailException)
        assert emulator.members(audience_id) == make_ids(60)
        assert sync(make_ids(60), context=task_context(try_number=3))["unchanged"] == 60

    def test_that_find_a_lost_ledger_send_nothing_until_they_are_told_to(
        self,
        sync: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        state_path: Any,
        posts: Callable[[], int],
    ) -> None:
        sync(make_ids(5))
        [ledger] = state_path.rglob("ledger-*.parquet")
        ledger.write_bytes(ledger.read_bytes()[:-10])
        before = posts()
        with pytest.raises(exceptions.LedgerLostError, match="damaged") as failure:
            sync(make_ids(5))
        assert isinstance(failure.value, AirflowFailException)
        assert posts() == before
        report = sync(make_ids(5), template_context={}, on_lost_ledger="{{ 'replace' }}")
        assert report["replaces"] is True
        assert emulator.members(audience_id) == make_ids(5)


class TestStatePath:
    @pytest.fixture
    def configured(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        return lambda value: monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", value)

    @pytest.mark.parametrize("address", ["{folder}/my state", "file://{folder}/my%20state", "{folder}/my state/ "])
    def test_may_be_a_folder(
        self,
        sync: Callable[..., Any],
        configured: Callable[[str], None],
        emulator: AudiencesEmulator,
        audience_id: str,
        tmp_path: Path,
        make_ids: MakeIds,
        address: str,
        posts: Callable[[], int],
    ) -> None:
        configured(address.format(folder=tmp_path))
        sync(make_ids(3))
        host = emulator.url.removeprefix("http://").replace(":", "%3A")
        folder = tmp_path / "my state/applovin" / host / audience_id
        assert {path.name.partition("-")[0] for path in folder.iterdir()} == {"head", "head.json", "ledger"}
        assert folder.stat().st_mode & 0o077 == 0
        before = posts()
        assert sync(make_ids(3))["unchanged"] == 3
        assert posts() == before

    def test_may_be_a_store(
        self,
        sync: Callable[..., Any],
        configured: Callable[[str], None],
        audience_id: str,
        make_ids: MakeIds,
        posts: Callable[[], int],
        tmp_path: Path,
    ) -> None:
        attach("memory", fs=fsspec.filesystem("memory"))
        configured(f"memory://{tmp_path.name}/audiences/")
        sync(make_ids(3))
        files = fsspec.filesystem("memory").find(f"/{tmp_path.name}/audiences/applovin")
        assert {Path(file).name.partition("-")[0] for file in files} == {"head", "head.json", "ledger"}
        assert Path(files[0]).parent.name == audience_id
        before = posts()
        assert sync(make_ids(3))["unchanged"] == 3
        assert posts() == before

    @pytest.mark.parametrize(
        ("address", "said"),
        [
            ("state", "must be absolute"),
            ("./state", "must be absolute"),
            ("file://state", "give the whole path"),
            ("nosuch://sesame:sesame@bucket/state?key=sesame", "no file system takes it"),
        ],
    )
    def test_that_is_wrong_is_told_before_the_first_request(
        self,
        task_context: MakeContext,
        configured: Callable[[str], None],
        emulator: AudiencesEmulator,
        make_ids: MakeIds,
        address: str,
        said: str,
    ) -> None:
        configured(address)
        for operator in (
            AppLovinSyncAudienceOperator(task_id="sync", source=make_ids(1), **NAMED),
            AppLovinApplyPlanOperator(task_id="apply", audience_id="a", plan_id="p"),
        ):
            with pytest.raises(exceptions.InvalidInputError, match=said) as refusal:
                operator.execute(task_context())
            assert isinstance(refusal.value, AirflowFailException)
            assert "sesame@" not in str(refusal.value)
            assert "key=sesame" not in str(refusal.value)
        assert emulator.requests() == []

    def test_that_fails_may_work_at_the_next_try(
        self,
        sync: Callable[..., Any],
        configured: Callable[[str], None],
        make_ids: MakeIds,
        tmp_path: Path,
        posts: Callable[[], int],
    ) -> None:
        (tmp_path / "file").touch()
        configured(str(tmp_path / "file/state"))
        with pytest.raises(exceptions.StateUnavailableError) as failure:
            sync(make_ids(1))
        assert not isinstance(failure.value, AirflowFailException)
        assert posts() == 0


class TestWhatIsShown:
    ID = "1e1e1e1e-ABCD-4000-8000-00000000feed"

    def shown(self, **arguments: Any) -> tuple[str, str, str]:
        with DAG("dag", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) as dag:
            operator = AppLovinSyncAudienceOperator(task_id="sync", **arguments)
        return json.dumps(Serialization.to_dict(dag)), json.dumps(rendered_fields(operator)), repr(operator)

    @pytest.mark.parametrize("field", ["source", "suppress"])
    @pytest.mark.parametrize("of", [list, set, str, iter], ids=lambda of: of.__name__)
    def test_hides_members(self, field: str, of: Any) -> None:
        members = of([self.ID, self.ID.lower()])
        texts = self.shown(**({"audience_id": "a", "source": "/data/ids.txt"} | {field: members}))
        assert "members, not shown" in texts[0]
        assert "members, not shown" in texts[1]
        assert not [text for text in texts if self.ID.lower() in text.lower()]

    @pytest.mark.parametrize("field", ["source", "suppress"])
    def test_hides_members_of_mapped_tasks(self, field: str) -> None:
        shared = {"audience_id": "a"} | ({"source": [self.ID]} if field == "suppress" else {})
        with DAG("dag", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) as dag:
            AppLovinSyncAudienceOperator.partial(task_id="sync", **shared).expand(**{field: [[self.ID], self.ID]})
        stored = json.dumps(Serialization.to_dict(dag))
        assert self.ID.lower() not in stored.lower()
        assert "members, not shown" in stored

    def test_hides_what_opens_an_address(self) -> None:
        secret = "s3://key:sesame@bucket/ids.csv?token=sesame"
        texts = self.shown(audience_id="a", source=secret, suppress=secret, rejects_path=secret)
        assert not [text for text in texts if "sesame" in text]

    def test_is_a_table_in_the_log_without_members_and_key(
        self,
        sync: Callable[..., Any],
        emulator: AudiencesEmulator,
        make_ids: MakeIds,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        ids = make_ids(5, start=0xFEED_0000_0000)
        with caplog.at_level(logging.DEBUG):
            emulator.fault("applovin.append", "status", status=400, times=1)
            with pytest.raises(exceptions.BadRequestError) as failure:
                sync(ids, suppress=ids[:1], **NAMED)
            emulator.fault("applovin.append", "status", status=500, times=1)
            report = sync([*ids, "idfa"], suppress=ids[-1:])
        # Airflow 3 writes the lines of tasks past Python's logging.
        log = caplog.text + capsys.readouterr().out
        assert f"Audience {report['audience_id']}:" in log
        for name in REPORT_KEYS:
            is_shown = bool(re.search(rf"  {name} +\S", log))
            assert is_shown is bool(report[name] or name in ALWAYS_SHOWN) or name in {"audience_id", "verdicts"}, name
        assert re.search(r"  added +4\b", log)
        assert not re.search(r"\b1 (requests|batches|members|texts|bytes|duplicates)\b", log)
        assert "The plan changes only what differs: 2 requests, 185 bytes" in log
        assert "passed: max_removed_ratio" in log
        texts = (log, str(report), str(failure.value))
        assert not [text for text in texts if "feed" in text.lower()]
        assert not [text for text in texts if emulator.api_key in text or emulator.api_key[-6:] in text]

    def test_is_what_the_report_documents(self) -> None:
        assert list(SyncReport(audience_id="a").as_dict()) == REPORT_KEYS
