"""The operator that makes PAI groups of phone numbers, against the emulator, which reads the files it is given."""

import asyncio
import datetime as dt
import gzip
import json
import logging
import re
import sqlite3
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, ObjectStoragePath, TaskDeferred
from support.airflow_versions import Serialization, attach, rendered_fields
from support.fixtures import Connect, MakeContext

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.operators.pai import PaiDeleteGroupOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.marker import GroupMarker
from airflow_provider_audiences.sources import FileSource, SqlSource

REPORT_KEYS = [
    "group_id",
    "name",
    "status",
    "amount",
    "unchanged",
    "adopted",
    "replaced_group_ids",
    "kept_group_ids",
    "leftover_group_ids",
    "members",
    "malformed",
    "duplicates",
    "blank",
    "members_by_column",
    "suppressed",
    "suppress_members",
    "suppress_malformed",
    "suppress_duplicates",
    "suppress_blank",
    "file_bytes",
    "verdicts",
    "billable_calls",
    "seconds",
]
ADDRESS = "https://people.oss-cn-hangzhou.aliyuncs.com/"
OTHER_ADDRESS = "https://people2.oss-cn-hangzhou.aliyuncs.com/"
NOTHING = {"create": 0, "get": 0, "delete": 0}


def phones(count: int, *, start: int = 0) -> list[str]:
    return [f"139{number:08d}" for number in range(start, start + count)]


FEW = phones(3, start=77_001_230)
MANY = phones(150, start=77_001_230)
SHOWN_ONLY = phones(3, start=77_101_230)
"""Never sent, so that Airflow has not been told to mask them."""

PATTERN = re.compile(r"13977\d{6}|77[01]0123\d")
"""Any of these numbers, whole or without its first digits."""


@pytest.fixture
def stage(tmp_path: Path, emulator: AudiencesEmulator, connect: Connect) -> Any:
    """The folder for files, which stands for a bucket in OSS; the emulator checks groups at once."""
    folder = tmp_path / "stage"
    emulator.settings(processing_seconds=0, file_roots={ADDRESS: str(folder)})
    return folder


class Syncs:
    """Runs the task, in the worker or by way of the triggerer, and compares its bill with the platform's."""

    def __init__(self, emulator: AudiencesEmulator, task_context: MakeContext, stage: Any) -> None:
        self.emulator = emulator
        self._task_context = task_context
        self.stage = stage
        self.pushed: dict[str, Any] = {}

    def context(self, run_id: str, **identity: Any) -> Any:
        self.pushed = {}
        identity = {"task_id": "sync", "run_id": run_id, "max_tries": 0} | identity
        return self._task_context(xcom_push=lambda *, key, value: self.pushed.update({key: value}), **identity)

    def operator(self, source: Any, **arguments: Any) -> PaiSyncGroupOperator:
        given = {"name": "VIP", "stage_path": str(self.stage), "uri_template": f"{ADDRESS}{{key}}"}
        waits = {"poke_interval": 0.02, "timeout": 30, "deferrable": False}
        return PaiSyncGroupOperator(task_id="sync", source=source, **(given | waits | arguments))

    def billed(self) -> dict[Any, Any]:
        bill = self.emulator.billing()
        return {call: bill[call]["billed"] for call in NOTHING}

    def run(
        self, source: Any, *, run_id: str = "r1", identity: Any = (), template_context: Any = None, **arguments: Any
    ) -> Any:
        """Run one try; what it pushed is in ``pushed``."""
        self.emulator.advance(60)
        before = self.billed()
        operator = self.operator(source, **arguments)
        if template_context is not None:
            operator.render_template_fields(template_context)
        context = self.context(run_id, **dict(identity))
        try:
            report = operator.execute(context)
        finally:
            after = self.billed()
            assert self.pushed["billable_calls"] == {call: after[call] - before[call] for call in after}
        assert self.pushed == {name: report[name] for name in ("group_id", "billable_calls")}
        assert json.loads(json.dumps(report)) == report
        return report

    def begin(self, source: Any, *, run_id: str, **arguments: Any) -> tuple[Any, Any]:
        """Run a try until it waits in the triggerer; return what it left, and its context."""
        self.emulator.advance(60)
        context = self.context(run_id)
        with pytest.raises(TaskDeferred) as deferral:
            self.operator(source, **(arguments | {"deferrable": True})).execute(context)
        return deferral.value, context

    def resume(self, deferred: Any, context: Any, **arguments: Any) -> Any:
        """Let the triggerer wait, and go on in another process, so to speak."""
        _, values = json.loads(json.dumps(deferred.trigger.serialize()))
        trigger = type(deferred.trigger)(**values)

        async def events() -> list[Any]:
            return [event.payload async for event in trigger.run()]

        [payload] = asyncio.run(events())
        stored = json.loads(json.dumps({"event": payload, **(deferred.kwargs or {})}))
        return getattr(self.operator(None, **arguments), deferred.method_name)(context, **stored)

    @property
    def files(self) -> list[Any]:
        return sorted(path.name for path in self.stage.glob("*"))

    @property
    def ids(self) -> list[Any]:
        return [group["Id"] for group in self.emulator.groups()]


@pytest.fixture
def syncs(emulator: AudiencesEmulator, task_context: MakeContext, stage: Any) -> Syncs:
    return Syncs(emulator, task_context, stage)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Returns what was logged since it was asked last; Airflow 3 writes the lines of tasks past Python's logging."""

    def read() -> Any:
        text = caplog.text + capsys.readouterr().out
        caplog.clear()
        return text

    with caplog.at_level(logging.DEBUG):
        yield read


class TestGroup:
    def test_of_few_numbers_is_made_of_text(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        report = syncs.run([*FEW, "", "no number", f"+86 {FEW[0]}"], remark="for Q3")
        assert list(report) == [name for name in REPORT_KEYS if name != "file_bytes"]
        assert [report[name] for name in ("members", "malformed", "duplicates", "blank")] == [3, 1, 1, 1]
        assert (report["amount"], report["status"], report["unchanged"]) == (3, 1, False)
        [group] = emulator.groups()
        assert (group["Id"], group["Source"], group["PhoneNumber"], group["People"]) == (report["group_id"], 0, True, 3)
        remark, marker = GroupMarker.read(group["Remark"])
        assert remark == "for Q3"
        assert marker
        assert marker.content
        assert syncs.files == []

    def test_of_more_numbers_is_made_of_a_file(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        report = syncs.run([*MANY, "no number", MANY[0]])
        assert list(report) == REPORT_KEYS
        documented = set(re.findall(r"\w+", str(PaiSyncGroupOperator.__doc__).rpartition(":return:")[2]))
        assert documented >= {"members", "malformed", "duplicates", "blank", "file_bytes"}
        assert (report["members"], report["amount"], report["file_bytes"]) == (150, 150, 150 * 12)
        [group] = emulator.groups()
        assert (group["Source"], group["PhoneNumber"], group["Text"]) == (1, True, "")
        assert group["Uri"].startswith(f"{ADDRESS}VIP-")
        assert syncs.files == []

    @pytest.mark.parametrize(("count", "source"), [(1, 0), (100, 0), (101, 1)])
    def test_is_made_of_text_up_to_a_hundred(
        self, syncs: Syncs, emulator: AudiencesEmulator, count: int, source: int
    ) -> None:
        assert syncs.run(phones(count))["amount"] == count
        [group] = emulator.groups()
        assert group["Source"] == source

    def test_takes_the_place_of_the_one_before_it(self, syncs: Syncs) -> None:
        first = syncs.run(FEW, run_id="r1")
        second = syncs.run(MANY, run_id="r2")
        assert second["replaced_group_ids"] == [first["group_id"]]
        assert second["billable_calls"] == {"create": 1, "get": 1, "delete": 1}
        third = syncs.run(FEW[:2], run_id="r3", keep_previous=1, max_removed_ratio=None)
        assert (third["kept_group_ids"], third["replaced_group_ids"]) == ([second["group_id"]], [])
        assert syncs.ids == [second["group_id"], third["group_id"]]

    def test_waits_in_the_triggerer_with_its_file(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        old = syncs.run(MANY)["group_id"]
        emulator.settings(processing_seconds=1000)
        emulator.freeze()
        deferred, context = syncs.begin(phones(200), run_id="r2")
        new = syncs.pushed["group_id"]
        assert syncs.ids == [old, new]
        assert [sorted((syncs.stage / name).read_text().split()) for name in syncs.files] == [phones(200)]
        emulator.advance(1001)
        report = syncs.resume(deferred, context)
        assert (report["amount"], report["members"], report["replaced_group_ids"]) == (200, 200, [old])
        assert (syncs.ids, syncs.files) == ([new], [])

    def test_of_other_numbers_than_they_should_be_is_no_number_of_people(
        self, syncs: Syncs, emulator: AudiencesEmulator, stage: Any
    ) -> None:
        """The emulator really reads the file: a group whose file is not there has nobody in it."""
        emulator.settings(file_roots={ADDRESS: str(stage / "elsewhere")})
        with pytest.raises(exceptions.GroupRejectedError, match="History: The file"):
            syncs.run(MANY)

    @pytest.mark.parametrize("count", [3, 150])
    def test_needs_as_many_people_as_it_is_told(self, syncs: Syncs, count: int) -> None:
        old = syncs.run(phones(500))["group_id"]
        with pytest.raises(exceptions.GroupRejectedError, match=f"passed with {count} people"):
            syncs.run(phones(count), run_id="r2", min_amount=151, max_removed_ratio=None)
        assert (syncs.ids, syncs.files) == ([old], [])

    def test_of_openapi_is_the_same(
        self, syncs: Syncs, emulator: AudiencesEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", emulator.pai_connection_uri(dialect="openapi"))
        syncs.run(FEW)
        assert syncs.run(FEW, run_id="r2")["unchanged"] is True
        report = syncs.run(MANY, run_id="r3")
        assert (syncs.ids, report["amount"]) == ([report["group_id"]], 150)
        assert all(request["target"].startswith("/api/v2/groups") for request in emulator.requests())


class TestFiles:
    def test_of_a_chinese_excel(self, syncs: Syncs, tmp_path: Path) -> None:
        lines = [
            "姓名,手机号,备用手机号(20260101-20260131)",
            *(f"张三,{number}," for number in FEW),
            f"李四,\\N,{FEW[0]}",
        ]
        (tmp_path / "a.csv").write_bytes("\r\n".join(lines).encode("gbk"))
        source = FileSource(str(tmp_path / "a.csv"), column="手机号", encoding="gbk", null_values=["\\N"])
        report = syncs.run(source)
        assert (report["members"], report["malformed"], report["blank"]) == (len(FEW), 0, 1)
        assert report["members_by_column"] == {}
        source = FileSource(
            source.path, column=["手机号", "备用手机号(20260101-20260131)"], encoding="gbk", null_values="\\N"
        )
        report = syncs.run(source, run_id="r2")
        assert (report["unchanged"], report["members"]) == (True, len(FEW))
        assert report["members_by_column"] == {"手机号": len(FEW), "备用手机号(20260101-20260131)": 1}


class TestSameNumbers:
    @pytest.mark.parametrize("numbers", [FEW, MANY], ids=["text", "file"])
    def test_are_not_sent_again(self, syncs: Syncs, emulator: AudiencesEmulator, numbers: list[str]) -> None:
        first = syncs.run(numbers)
        emulator.clear_requests()
        again = [f"0086 {numbers[0]}", *reversed(numbers), *numbers[:2], "", "no number"]
        report = syncs.run(again, run_id="r2")
        assert (report["unchanged"], report["group_id"]) == (True, first["group_id"])
        assert (report["amount"], report["status"]) == (len(numbers), 1)
        assert [report[name] for name in ("members", "malformed", "duplicates", "blank")] == [len(numbers), 1, 3, 1]
        assert report["billable_calls"] == NOTHING
        assert {request["operation"] for request in emulator.requests()} == {"pai.list"}
        assert list(report) == [name for name in REPORT_KEYS if name != "file_bytes"]

    @pytest.mark.parametrize("force", [True, "True", "{{ params.force }}"])
    def test_are_sent_again_when_forced(self, syncs: Syncs, force: bool | str) -> None:
        old = syncs.run(FEW)["group_id"]
        report = syncs.run(FEW, run_id="r2", force=force, template_context={"params": {"force": True}})
        assert (report["unchanged"], report["replaced_group_ids"]) == (False, [old])
        assert syncs.run(FEW, run_id="r3", force="False")["unchanged"] is True

    @pytest.mark.parametrize("others", [FEW[:2], [*FEW, "13800000000"], [*FEW[:2], "13800000000"], MANY])
    def test_are_not_the_same_when_one_is_other(self, syncs: Syncs, others: list[Any]) -> None:
        old = syncs.run(FEW)["group_id"]
        report = syncs.run(others, run_id="r2", max_removed_ratio=0.5)
        assert (report["unchanged"], report["replaced_group_ids"], report["amount"]) == (False, [old], len(others))

    def test_of_another_name_or_task_are_sent(self, syncs: Syncs) -> None:
        made = [
            syncs.run(FEW)["group_id"],
            syncs.run(FEW, name="VIP 2")["group_id"],
            syncs.run(FEW, identity={"task_id": "other"})["group_id"],
        ]
        assert syncs.ids == made

    def test_stay_the_same_under_an_old_provenance(self, syncs: Syncs) -> None:
        syncs.run(FEW, identity={"task_id": "old"})
        assert syncs.run(FEW, run_id="r2", provenance="dag:old")["unchanged"] is True

    @pytest.mark.parametrize(("numbers", "is_known"), [(FEW, True), (MANY, False)], ids=["text", "file"])
    def test_are_sent_again_when_pai_reads_them_elsewhere(
        self, syncs: Syncs, emulator: AudiencesEmulator, said: Callable[[], str], numbers: list[str], is_known: bool
    ) -> None:
        emulator.settings(file_roots={address: str(syncs.stage) for address in (ADDRESS, OTHER_ADDRESS)})
        first = syncs.run(numbers)["group_id"]
        elsewhere = {"uri_template": f"{OTHER_ADDRESS}{{key}}"}
        report = syncs.run(numbers, run_id="r2", **elsewhere)
        assert (report["unchanged"], report["replaced_group_ids"]) == (is_known, [] if is_known else [first])
        told = f"The group {first} has these numbers: a new one is made all the same."
        assert (told in said()) is not is_known
        assert syncs.run(numbers, run_id="r3", **elsewhere)["unchanged"] is True

    def test_are_sent_again_when_pai_found_more_people_than_there_are(
        self, syncs: Syncs, emulator: AudiencesEmulator, said: Callable[[], str]
    ) -> None:
        """It has read another file."""
        emulator.settings(file_roots={}, default_file_amount=1000)
        assert syncs.run(MANY)["amount"] == 1000
        counts = "PAI counts 1,000 people in the group, and 150 were sent: did it read another file? Check uri_template"
        assert counts in said()
        emulator.settings(file_roots={ADDRESS: str(syncs.stage)})
        report = syncs.run(MANY, run_id="r2")
        assert (report["unchanged"], report["amount"], len(syncs.ids)) == (False, 150, 1)
        assert "PAI counts" not in said()

    def test_are_the_same_when_pai_knows_fewer_of_them(
        self, syncs: Syncs, emulator: AudiencesEmulator, said: Callable[[], str]
    ) -> None:
        emulator.settings(file_roots={}, default_file_amount=90)
        assert syncs.run(MANY)["amount"] == 90
        assert "PAI counts 90 people in the group, and 150 were sent: it may know fewer." in said()
        assert syncs.run(MANY, run_id="r2")["unchanged"] is True

    def test_are_sent_when_their_group_is_gone(self, syncs: Syncs, pai: PaiClient) -> None:
        pai.delete_group(syncs.run(FEW)["group_id"])
        assert syncs.run(FEW, run_id="r2")["unchanged"] is False

    def test_are_sent_when_their_group_failed(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        emulator.settings(reject_names=["VIP"])
        with pytest.raises(exceptions.GroupRejectedError):
            syncs.run(FEW, delete_failed=False)
        emulator.settings(reject_names=[])
        report = syncs.run(FEW, run_id="r2")
        assert (report["unchanged"], syncs.ids) == (False, [report["group_id"]])

    def test_tidy_up_what_a_run_left_behind(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        first = syncs.run(FEW, keep_previous=2)["group_id"]
        old = syncs.run(MANY, run_id="r2", keep_previous=2)["group_id"]
        emulator.settings(reject_names=["VIP"])
        with pytest.raises(exceptions.GroupRejectedError):
            syncs.run(phones(120), run_id="r3", keep_previous=2, delete_failed=False, delete_file=False)
        assert (len(syncs.ids), len(syncs.files)) == (3, 1)
        report = syncs.run(MANY, run_id="r4")
        assert (report["unchanged"], report["group_id"]) == (True, old)
        assert (syncs.ids, syncs.files) == ([old], [])
        assert report["billable_calls"] == {"create": 0, "get": 0, "delete": 2}
        assert first in report["leftover_group_ids"]
        assert (len(report["leftover_group_ids"]), report["replaced_group_ids"]) == (2, [])

    def test_of_two_runs_at_once_are_a_success_of_both(self, syncs: Syncs) -> None:
        begun = syncs.begin(MANY, run_id="r1")
        lost = syncs.pushed["group_id"]
        newer = syncs.run(MANY[::-1], run_id="r2", force=True)
        assert newer["replaced_group_ids"] == [lost]
        report = syncs.resume(*begun)
        assert (report["group_id"], report["adopted"], report["members"]) == (newer["group_id"], True, 150)
        assert syncs.pushed["group_id"] == newer["group_id"]
        assert (syncs.ids, syncs.files) == ([newer["group_id"]], [])

    def test_of_a_group_that_is_being_checked_do_not_stand_for_one_that_is_gone(
        self, syncs: Syncs, emulator: AudiencesEmulator
    ) -> None:
        begun = syncs.begin(MANY, run_id="r1")
        emulator.settings(processing_seconds=1000)
        other = syncs.begin(MANY, run_id="r2", force=True)
        lost, newer = syncs.ids
        PaiDeleteGroupOperator(task_id="delete", group_id=lost).execute(syncs.context("by hand"))
        with pytest.raises(exceptions.TransientError, match=f"replaced it by the newer group {newer}"):
            syncs.resume(*begun)
        emulator.advance(1000)
        assert syncs.resume(*other)["group_id"] == newer

    def test_are_sent_again_while_a_group_is_checked_that_would_replace_theirs(
        self, syncs: Syncs, emulator: AudiencesEmulator
    ) -> None:
        """Its run may be alive: it must not be deleted, and would not stay without effect."""
        old = syncs.run(MANY)["group_id"]
        emulator.settings(processing_seconds=1e6)
        syncs.begin(phones(120), run_id="r2")
        other = syncs.pushed["group_id"]
        assert (syncs.ids, len(syncs.files)) == ([old, other], 1)
        emulator.settings(processing_seconds=0)
        report = syncs.run(MANY, run_id="r3")
        assert (report["unchanged"], report["replaced_group_ids"]) == (False, [other, old])
        assert (syncs.ids, syncs.files) == ([report["group_id"]], [])
        assert syncs.run(MANY, run_id="r4")["unchanged"] is True

    def test_are_not_known_to_be_few_by_a_key_that_does_not_last(
        self, task_context: MakeContext, stage: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A digest of a few numbers can be undone by trying, so without a lasting key there is none in the mark."""
        settings: dict[str, Any] = {"processing_seconds": 0, "file_roots": {ADDRESS: str(stage)}}
        with AudiencesEmulator(security_token="sesame-token", **settings) as emulator:
            monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", emulator.pai_connection_uri(dialect="openapi"))
            syncs = Syncs(emulator, task_context, stage)
            first = syncs.run(FEW)["group_id"]
            [group] = emulator.groups()
            marker = GroupMarker.read(group["Remark"])[1]
            assert marker
            assert marker.content == ""
            report = syncs.run(FEW, run_id="r2")
            assert (report["unchanged"], report["replaced_group_ids"]) == (False, [first])
            syncs.run(MANY, run_id="r3")
            assert syncs.run(MANY, run_id="r4")["unchanged"] is True

    def test_of_an_older_kept_group_are_sent_again(self, syncs: Syncs) -> None:
        first = syncs.run(FEW, keep_previous=1)["group_id"]
        second = syncs.run(MANY, run_id="r2", keep_previous=1)["group_id"]
        report = syncs.run(FEW, run_id="r3", keep_previous=1, max_removed_ratio=None)
        assert (report["unchanged"], report["replaced_group_ids"]) == (False, [first])
        assert report["kept_group_ids"] == [second]


class TestGuard:
    def test_stops_a_source_that_is_much_smaller_than_the_group(
        self, syncs: Syncs, emulator: AudiencesEmulator
    ) -> None:
        old = syncs.run(phones(500))["group_id"]
        emulator.clear_requests()
        said = (
            r"^stopped by max_removed_ratio: the plan would remove 350 of 500 members \(70.0%\), and at most 30.0% is "
            r"allowed \(max_removed_ratio\); no group was made\."
        )
        with pytest.raises(exceptions.GuardError, match=said) as failure:
            syncs.run(MANY, run_id="r2")
        assert isinstance(failure.value, AirflowFailException)
        assert (syncs.ids, syncs.files, syncs.pushed) == ([old], [], {"billable_calls": NOTHING})
        assert {request["operation"] for request in emulator.requests()} == {"pai.list"}

    @pytest.mark.parametrize("most", [None, 0.7, "0.99", "off", "{{ params.most }}"])
    def test_lets_it_pass_when_told(self, syncs: Syncs, most: float | str | None) -> None:
        old = syncs.run(phones(500))["group_id"]
        context = {"params": {"most": "off"}}
        report = syncs.run(MANY, run_id="r2", max_removed_ratio=most, template_context=context)
        assert (report["replaced_group_ids"], report["amount"]) == ([old], 150)

    @pytest.mark.parametrize("most", [0.699, "{{ params.most }}", 0])
    def test_is_as_narrow_as_it_is_told(self, syncs: Syncs, most: float | str) -> None:
        old = syncs.run(phones(500))["group_id"]
        with pytest.raises(exceptions.GuardError):
            syncs.run(MANY, run_id="r2", max_removed_ratio=most, template_context={"params": {"most": 0.5}})
        assert syncs.ids == [old]
        assert syncs.run(phones(501), run_id="r3", max_removed_ratio=0)["replaced_group_ids"] == [old]

    @pytest.mark.parametrize(
        ("source", "limits", "guard"),
        [
            (phones(9), {"max_removed": 0}, "max_removed"),
            (phones(9), {"max_removed": "0", "max_removed_ratio": 0}, "max_removed_ratio"),
            (phones(12), {"max_added": 1}, "max_added"),
            (phones(12), {"max_added_ratio": "0.1", "max_added": "off"}, "max_added_ratio"),
        ],
    )
    def test_may_be_a_number_or_a_ratio_of_either_kind(
        self, syncs: Syncs, source: list[str], limits: dict[str, Any], guard: str
    ) -> None:
        old = syncs.run(phones(10))["group_id"]
        with pytest.raises(exceptions.GuardError, match=rf"^stopped by {guard}: "):
            syncs.run(source, run_id="r2", **limits)
        assert (syncs.ids, syncs.pushed["billable_calls"]) == ([old], NOTHING)
        report = syncs.run(source, run_id="r3", **dict.fromkeys(limits, "off"))
        assert {verdict["guard"]: verdict["passed"] for verdict in report["verdicts"]}[guard]

    def test_counts_the_first_numbers_as_added(self, syncs: Syncs) -> None:
        with pytest.raises(exceptions.GuardError, match=r"add 10 members, and at most 9 are allowed \(max_added\)"):
            syncs.run(phones(10), max_added=9)
        assert syncs.ids == []

    @pytest.mark.parametrize(
        "limit", ["max_removed_ratio", "max_added_ratio", "max_removed", "max_added", "max_malformed_ratio"]
    )
    @pytest.mark.parametrize("text", ["", "  ", "None"])
    def test_is_never_lifted_by_a_template_that_renders_to_nothing(
        self, syncs: Syncs, emulator: AudiencesEmulator, limit: str, text: str
    ) -> None:
        emulator.clear_requests()
        with pytest.raises(exceptions.InvalidInputError, match=rf"^{limit} is "):
            syncs.run(FEW, **{limit: "{{ params.limit }}"}, template_context={"params": {"limit": text}})
        assert emulator.requests() == []

    def test_compares_with_the_people_whom_pai_knows(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        emulator.settings(file_roots={}, default_file_amount=160)
        syncs.run(phones(500))
        assert syncs.run(MANY, run_id="r2")["unchanged"] is False


class TestOptOuts:
    """Numbers that must not be in the group."""

    def test_are_left_out(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        suppress = [f"+86 {FEW[1]}", FEW[1], "", *phones(5, start=5)]
        report = syncs.run(FEW, suppress=suppress)
        assert [report[name] for name in ("members", "suppressed", "amount")] == [2, 1, 2]
        counted = ("suppress_members", "suppress_malformed", "suppress_duplicates", "suppress_blank")
        assert [report[name] for name in counted] == [6, 0, 1, 1]
        [group] = emulator.groups()
        assert group["People"] == 2

    def test_are_left_out_of_a_file(self, syncs: Syncs) -> None:
        report = syncs.run(MANY, suppress=MANY[:20], delete_file=False)
        [file] = syncs.files
        assert sorted((syncs.stage / file).read_text().split()) == sorted(MANY[20:])
        assert report["amount"] == 130

    def test_decide_whether_anything_has_changed(self, syncs: Syncs) -> None:
        first = syncs.run(FEW, suppress=FEW[:1])
        assert syncs.run(FEW, suppress=[*FEW[:1], *phones(9)], run_id="r2")["unchanged"], "nobody of them was in it"
        assert syncs.run(FEW[1:], run_id="r3")["unchanged"]
        more = syncs.run(FEW, suppress=FEW[:2], run_id="r4", max_removed_ratio=1)
        assert (more["unchanged"], more["replaced_group_ids"]) == (False, [first["group_id"]])

    @pytest.mark.parametrize("bad", ["x", "1390000****", f"{{{FEW[0]}}}"])
    def test_that_can_not_be_read_fail_it(
        self, syncs: Syncs, emulator: AudiencesEmulator, bad: str, said: Callable[[], str]
    ) -> None:
        emulator.clear_requests()
        with pytest.raises(exceptions.InvalidInputError, match="2 texts of suppress are not phone numbers") as failure:
            syncs.run(FEW, suppress=[*FEW[:1], bad, bad])
        assert not PATTERN.search(str(failure.value) + said())
        assert emulator.requests() == []
        report = syncs.run(FEW, suppress=[*FEW[:1], bad, bad], suppress_on_malformed="drop")
        assert [report[name] for name in ("suppress_malformed", "malformed", "amount")] == [2, 0, 2]

    def test_that_are_too_few_stop_it(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        emulator.clear_requests()
        with pytest.raises(exceptions.GuardError, match=r"^stopped by min_suppressed: suppress has 1 phone number"):
            syncs.run(FEW, suppress=FEW[:1], min_suppressed=2)
        with pytest.raises(exceptions.GuardError, match=r"^stopped by min_members: "):
            syncs.run(FEW, suppress=FEW)
        assert emulator.requests() == []

    def test_may_be_none_in_the_dag_and_not_at_run_time(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        assert syncs.run(FEW, suppress=None)["amount"] == 3
        emulator.clear_requests()
        operator = syncs.operator(FEW, suppress="{{ params.list }}")
        operator.suppress = None
        with pytest.raises(exceptions.InvalidInputError, match=r"^suppress is None: the DAG asks for it"):
            operator.execute(syncs.context("r2"))
        assert emulator.requests() == []


class TestMapped:
    """Tasks of one mapped operator, whose groups have one name."""

    def test_have_a_group_each(self, syncs: Syncs) -> None:
        made = [syncs.run(phones(2, start=index), identity={"map_index": index}) for index in (0, 1, 2)]
        assert syncs.ids == [report["group_id"] for report in made]
        again = [syncs.run(phones(3, start=index), identity={"map_index": index}, run_id="r2") for index in (2, 1, 0)]
        assert [report["replaced_group_ids"] for report in again] == [[report["group_id"]] for report in made[::-1]]
        assert sorted(syncs.ids) == sorted(report["group_id"] for report in again)

    def test_leave_each_other_their_files(self, syncs: Syncs) -> None:
        syncs.run(phones(150), identity={"map_index": 0}, delete_file=False)
        syncs.run(phones(150), identity={"map_index": 1})
        assert len(syncs.files) == 1
        syncs.run(phones(150, start=1), identity={"map_index": 0}, run_id="r2")
        assert syncs.files == []

    def test_are_not_the_task_that_is_not_mapped(self, syncs: Syncs) -> None:
        plain = syncs.run(FEW)["group_id"]
        mapped = syncs.run(FEW[:2], identity={"map_index": 0}, run_id="r2")["group_id"]
        assert syncs.ids == [plain, mapped]


def dated(day: int, *, hour: int = 0, length: int = 1) -> dict[str, Any]:
    """The dates of a run, as Airflow has them in its context."""
    start = dt.datetime(2026, 1, day, hour, tzinfo=dt.UTC)
    return {"logical_date": start, "data_interval_end": start.replace(hour=0) + dt.timedelta(days=length)}


def test_the_runs_configuration_lifts_a_limit_for_this_run(syncs: Syncs) -> None:
    syncs.operator(FEW).execute(syncs.context("r1"))
    stopped = syncs.context("r2")
    with pytest.raises(exceptions.GuardError, match=r"^stopped by max_removed_ratio"):
        syncs.operator(FEW[:1]).execute(stopped)
    syncs.emulator.advance(60)
    widened = syncs.context("r3") | {"dag_run": types.SimpleNamespace(conf={"audiences": {"max_removed_ratio": 1}})}
    assert syncs.operator(FEW[:1]).execute(widened)["members"] == 1


class TestOlderRun:
    def run(self, syncs: Syncs, source: Any, run_id: str, dates: Any, **arguments: Any) -> Any:
        syncs.emulator.advance(60)
        context = syncs.context(run_id) | dates
        return syncs.operator(source, **({"max_removed_ratio": 1} | arguments)).execute(context)

    def test_is_stopped(self, syncs: Syncs) -> None:
        self.run(syncs, FEW, "r2", dated(2))
        newer = self.run(syncs, FEW[1:], "r3", dated(3))
        with pytest.raises(
            exceptions.GuardError, match=r"^stopped by allow_older_run: this run is that of 2026-01-02 "
        ):
            self.run(syncs, FEW, "r2", dated(2))
        assert (syncs.ids, syncs.pushed["billable_calls"]) == ([newer["group_id"]], NOTHING)
        allowed = self.run(syncs, FEW, "r2", dated(2), allow_older_run="True")
        assert allowed["replaced_group_ids"] == [newer["group_id"]]

    def test_is_none_of_these(self, syncs: Syncs) -> None:
        self.run(syncs, FEW, "r2", dated(2))
        self.run(syncs, FEW[1:], "r3", dated(3))
        self.run(syncs, FEW, "r3", dated(3))  # cleared
        self.run(syncs, FEW[:2], "by hand", {"logical_date": None})
        self.run(syncs, FEW, "no dates", {})
        self.run(syncs, FEW[:2], "r4", dated(4))
        # By hand in the middle of day 5, of which the scheduled run begins later.
        self.run(syncs, FEW, "by hand 2", dated(5, hour=15, length=0))
        self.run(syncs, FEW[:2], "r5", dated(5))

    def test_of_the_same_numbers_has_nothing_to_undo(self, syncs: Syncs) -> None:
        self.run(syncs, FEW, "r3", dated(3))
        assert self.run(syncs, FEW, "r2", dated(2))["unchanged"]


class TestSources:
    @pytest.mark.parametrize(
        "of",
        [
            list,
            tuple,
            set,
            iter,
            lambda numbers: (number for number in numbers),
            lambda numbers: [int(number) for number in numbers],
            lambda numbers: {int(number) for number in numbers},
            lambda numbers: [number.encode() for number in numbers],
            lambda numbers: pd.DataFrame({"phone": numbers}),
            lambda numbers: pd.DataFrame({"phone": [int(number) for number in numbers]}),
            pd.Series,
            lambda numbers: pl.DataFrame({"phone": numbers}),
            lambda numbers: pa.table({"phone": pa.array(map(int, numbers), pa.int64())}),
        ],
        ids=[
            *("list", "tuple", "set", "iterator", "generator", "ints", "set of ints", "bytes"),
            *("pandas", "pandas of ints", "series", "polars", "arrow of ints"),
        ],
    )
    @pytest.mark.parametrize("numbers", [FEW, MANY], ids=["text", "file"])
    def test_may_be_numbers(self, syncs: Syncs, of: Any, numbers: list[str]) -> None:
        report = syncs.run(of(numbers))
        assert (report["members"], report["malformed"], report["amount"]) == (len(numbers), 0, len(numbers))

    @pytest.mark.parametrize(
        "name", ["phones.txt", "phones.txt.gz", "phones.csv", "phones.jsonl", "phones.parquet", "ints.parquet"]
    )
    def test_may_be_files(self, syncs: Syncs, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        if name.endswith(".parquet"):
            numbers = list(map(int, MANY)) if name.startswith("ints") else MANY
            pq.write_table(pa.table({"phone": numbers}), path)
        else:
            lines = [f'{{"phone": "{number}"}}' for number in MANY] if "jsonl" in name else MANY
            text = "\n".join(["phone", *lines] if "csv" in name else lines).encode()
            path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
        for run_id, source in enumerate(
            [str(path), path, [path], ObjectStoragePath(f"file://{path}"), FileSource(path)]
        ):
            report = syncs.run(source, run_id=f"r{run_id}")
            assert (report["amount"], report["unchanged"]) == (150, run_id > 0)

    @pytest.mark.parametrize("kind", ["TEXT", "INTEGER"])
    def test_may_be_a_query(self, syncs: Syncs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        path = tmp_path / "people.sqlite"
        with sqlite3.connect(path) as database:
            database.execute(f"CREATE TABLE people (phone {kind}, country TEXT)")
            rows = [*((number, "cn") for number in MANY), ("13800000000", "de")]
            database.executemany("INSERT INTO people VALUES (?, ?)", rows)
        database.close()
        monkeypatch.setenv("AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(path)}))
        source = SqlSource("lite", "SELECT phone FROM people WHERE country = '{{ country }}'")
        report = syncs.run(source, template_context={"country": "cn"})
        assert (report["members"], report["amount"]) == (150, 150)

    @pytest.mark.parametrize("count", [3, 150])
    def test_may_hold_other_identifiers(self, syncs: Syncs, count: int) -> None:
        numbers = [f"+4917{number:07d}" for number in range(count)]
        assert syncs.run(numbers, phone_format="any")["amount"] == count
        with pytest.raises(exceptions.InvalidInputError, match="none of the source's texts is a phone number"):
            syncs.run(numbers, run_id="r2")

    @pytest.mark.parametrize(
        ("arguments", "error", "said"),
        [
            ({"source": []}, exceptions.GuardError, "stopped by min_members: the source has 0 phone numbers"),
            ({"source": FEW, "min_members": 4}, exceptions.GuardError, "has 3 phone numbers, and at least 4"),
            ({"source": FEW, "min_members": "{{ 4 }}"}, exceptions.GuardError, "at least 4 are expected"),
            ({"source": ["x", "y"]}, exceptions.InvalidInputError, r"none of the source's texts .*2 are malformed"),
            ({"source": [*FEW, "x"], "on_malformed": "fail"}, exceptions.InvalidInputError, "on_malformed='fail'"),
            ({"source": [*FEW, "x"], "max_malformed_ratio": 0.2}, exceptions.InvalidInputError, "1 of 4"),
            ({"source": [*FEW, "x"], "max_malformed_ratio": "{{ 0 }}"}, exceptions.InvalidInputError, "1 of 4"),
            ({"source": "/no/such/file.txt"}, exceptions.InvalidInputError, "does not exist"),
            ({"source": None}, exceptions.InvalidInputError, "source is None"),
            ({"source": int(FEW[0])}, exceptions.InvalidInputError, "is an int"),
            ({"source": [True]}, exceptions.InvalidInputError, "a bool"),
            ({"source": FEW, "min_members": 0}, exceptions.InvalidInputError, "min_members"),
            ({"source": FEW, "on_malformed": "ignore"}, exceptions.InvalidInputError, "on_malformed"),
            ({"source": FEW, "max_malformed_ratio": 2}, exceptions.InvalidInputError, "max_malformed_ratio"),
            ({"source": FEW, "max_removed_ratio": 1.1}, exceptions.InvalidInputError, "max_removed_ratio"),
            ({"source": FEW, "max_removed_ratio": "{{ 'few' }}"}, exceptions.InvalidInputError, "max_removed_ratio"),
            (
                {"source": FEW, "provenance": "{{ none }}"},
                exceptions.InvalidInputError,
                "provenance was rendered to None",
            ),
            ({"source": FEW, "min_amount": 0}, exceptions.InvalidInputError, "with min_amount=0"),
            ({"source": FEW, "phone_format": "us"}, exceptions.InvalidInputError, "phone_format"),
            ({"source": FEW, "force": "perhaps"}, exceptions.InvalidInputError, "force must be True or False"),
            ({"source": FEW, "delete_file": "no"}, exceptions.InvalidInputError, "delete_file must be True or False"),
            ({"source": FEW, "rejects_include_values": True}, exceptions.InvalidInputError, "rejects_path is not"),
            ({"source": FEW, "name": ""}, exceptions.InvalidInputError, "name"),
            ({"source": FEW, "name": "", "stage_path": None}, exceptions.InvalidInputError, "name"),
            ({"source": FEW, "name": None}, exceptions.InvalidInputError, "name"),
            ({"source": FEW, "timeout": -1}, exceptions.InvalidInputError, "timeout"),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_that_are_wrong_are_told_before_the_first_request(
        self, syncs: Syncs, emulator: AudiencesEmulator, arguments: dict[str, Any], error: type[Any], said: str
    ) -> None:
        operator = syncs.operator(**arguments)
        operator.render_template_fields({})
        with pytest.raises(error, match=said) as refusal:
            operator.execute(syncs.context("r1"))
        assert isinstance(refusal.value, AirflowFailException)
        assert not PATTERN.search(str(refusal.value))
        assert emulator.requests() == []
        assert syncs.files == []

    @pytest.mark.parametrize(
        "text",
        [
            FEW[0],
            f" {FEW[0]}\n",
            "\n".join(FEW),
            ",".join(FEW),
            ";".join(FEW),
            "/".join(FEW),
            f"+86 {FEW[0][:3]} {FEW[0][3:7]} {FEW[0][7:]}",
            f"{FEW[0]}.0",
            str(FEW),
            str([float(number) for number in FEW]),
            json.dumps({"phone": FEW[0]}),
            f"Ms Li: {FEW[0]}",
        ],
    )
    @pytest.mark.parametrize("by_template", [False, True])
    def test_that_are_text_with_numbers_are_refused_and_not_quoted(
        self, syncs: Syncs, emulator: AudiencesEmulator, said: Callable[[], str], text: str, by_template: bool
    ) -> None:
        operator = syncs.operator("{{ text }}" if by_template else text)
        operator.render_template_fields({"text": text})  # type: ignore[typeddict-unknown-key]  # as a test has it
        with pytest.raises(exceptions.InvalidInputError, match="not a path") as refusal:
            operator.execute(syncs.context("r1"))
        shown = (str(refusal.value), repr(refusal.value), said(), json.dumps(rendered_fields(operator)), repr(operator))
        assert not [part for part in shown if re.search(r"1397700|7700 ?123", part)]
        assert emulator.requests() == []

    def test_leave_a_report_of_what_is_malformed(self, syncs: Syncs, tmp_path: Path) -> None:
        path = tmp_path / "rejects.csv"
        syncs.run([*FEW, "x", f"{FEW[0]}0"], rejects_path=str(path))
        assert len(path.read_text().splitlines()) == 3
        assert not PATTERN.search(path.read_text())
        syncs.run([*FEW, "xyz"], run_id="r2", force=True, rejects_path=str(path), rejects_include_values=True)
        assert "xyz" in path.read_text()

    def test_are_not_written_over_by_that_report(
        self, syncs: Syncs, emulator: AudiencesEmulator, tmp_path: Path
    ) -> None:
        path = tmp_path / "phones.csv"
        path.write_text("\n".join(["phone", *FEW, "x"]))
        with pytest.raises(exceptions.InvalidInputError, match="is a part of the source"):
            syncs.run(str(path), rejects_path=str(path))
        assert FEW[0] in path.read_text()
        assert emulator.requests() == []


class TestFile:
    def test_is_needed_for_more_than_a_hundred(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        with pytest.raises(exceptions.InvalidInputError, match=r"101 phone numbers.*give stage_path") as refusal:
            syncs.run(phones(101), stage_path=None)
        assert isinstance(refusal.value, AirflowFailException)
        assert emulator.requests() == []
        assert syncs.run(phones(100), stage_path="", uri_template="")["amount"] == 100

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"uri_template": None}, "not in OSS: say in uri_template"),
            ({"uri_template": ""}, "not in OSS: say in uri_template"),
            ({"uri_template": "https://bbb.oss-cn-hangzhou.aliyuncs.com/x"}, r"must be text with \{key\}"),
            ({"uri_template": "https://{bucket}.oss-cn-hangzhou.aliyuncs.com/x"}, r"must be text with \{key\}"),
            ({"uri_template": "https://{region}.aliyuncs.com/{key}"}, r"no other placeholder"),
            ({"uri_template": "https://bbb.aliyuncs.com/{key}{}"}, r"no other placeholder"),
            ({"uri_template": "https://bbb.aliyuncs.com/{key.x}"}, r"must be text with \{key\}"),
            ({"uri_template": "https://bbb.aliyuncs.com/{key"}, r"must be text with \{key\}"),
            ({"uri_template": 7}, r"must be text with \{key\}"),
            ({"uri_template": "https://{bucket}.oss-cn-hangzhou.aliyuncs.com/{key}"}, "on this machine has no bucket"),
            ({"uri_template": "http://bbb.oss-cn-hangzhou.aliyuncs.com/{key}"}, "no OSS address"),
            (
                {"uri_template": "https://example.com/{key}"},
                r"makes https://example.com/VIP-\S+\.txt, and .*no OSS address",
            ),
            ({"uri_template": "oss://bbb/{key}"}, "oss://"),
            ({"uri_template": "https://me:pw@bbb.oss-cn-hangzhou.aliyuncs.com/{key}"}, "user name or password"),
            ({"uri_template": "https://bbb.oss-cn-hangzhou.aliyuncs.com/a b/{key}"}, "white space"),
            ({"stage_path": "stage"}, "stage_path stage must be absolute"),
            ({"stage_path": "nosuch://key:sesame@bucket/x"}, "no file system takes it"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("numbers", [FEW, MANY], ids=["text", "file"])
    def test_has_a_place_that_is_checked_before_the_first_request(
        self, syncs: Syncs, emulator: AudiencesEmulator, numbers: list[str], arguments: dict[str, Any], said: str
    ) -> None:
        operator = syncs.operator(numbers, **arguments)
        with pytest.raises(exceptions.InvalidInputError, match=said) as refusal:
            operator.execute(syncs.context("r1"))
        assert isinstance(refusal.value, AirflowFailException)
        assert "sesame" not in str(refusal.value)
        assert emulator.requests() == []

    def test_holds_one_number_a_line_and_is_for_this_user_only(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        syncs.run([f"+86 {number}" for number in reversed(MANY)], delete_file=False)
        [name] = syncs.files
        assert re.fullmatch(r"VIP-[0-9a-f]{10}-[0-9a-f]{16}\.txt", name)
        lines = (syncs.stage / name).read_bytes().splitlines(keepends=True)
        assert sorted(lines) == [f"{number}\n".encode() for number in MANY]
        assert (syncs.stage / name).stat().st_mode & 0o077 == 0
        [group] = emulator.groups()
        assert group["Uri"] == ADDRESS + name

    @pytest.mark.parametrize("name", ["VIP客户 ../../x", "a" * 300, "客户", "..", "/etc/x"])
    def test_has_a_name_that_any_store_takes(self, syncs: Syncs, emulator: AudiencesEmulator, name: str) -> None:
        assert syncs.run(MANY, name=name, delete_file=False)["amount"] == 150
        [file] = syncs.files
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*\.txt", file)
        [group] = emulator.groups()
        assert group["Name"] == name
        syncs.run(phones(200), name=name, run_id="r2")
        assert syncs.files == []

    @pytest.mark.parametrize("provenance", [" mine\n", "mine"])
    def test_is_removed_whatever_white_space_the_provenance_has(self, syncs: Syncs, provenance: str) -> None:
        syncs.run(MANY, provenance=provenance)
        assert syncs.files == []
        assert syncs.run(MANY, run_id="r2", provenance="mine")["unchanged"] is True

    def test_stays_when_it_is_told_to(self, syncs: Syncs) -> None:
        syncs.run(MANY, delete_file=False)
        syncs.run(phones(200), run_id="r2", delete_file=False)
        assert len(syncs.files) == 2
        assert syncs.run(phones(200), run_id="r3", delete_file=False)["unchanged"] is True
        assert len(syncs.files) == 2
        # Changed for good: all of them go.
        syncs.run(phones(200), run_id="r4")
        assert syncs.files == []

    @pytest.mark.parametrize("deferred", [False, True], ids=["worker", "triggerer"])
    @pytest.mark.parametrize("delete_failed", [True, False])
    def test_is_removed_when_the_group_is_rejected(
        self, syncs: Syncs, emulator: AudiencesEmulator, deferred: bool, delete_failed: bool
    ) -> None:
        emulator.settings(reject_names=["VIP"])
        if deferred:
            begun = syncs.begin(MANY, run_id="r1")
            work = partial(syncs.resume, *begun, delete_failed=delete_failed)
        else:
            work = partial(syncs.run, MANY, delete_failed=delete_failed)
        with pytest.raises(exceptions.GroupRejectedError, match="did not pass the review"):
            work()
        assert (len(syncs.ids), syncs.files) == (not delete_failed, [])

    @pytest.mark.parametrize("deferred", [False, True], ids=["worker", "triggerer"])
    @pytest.mark.parametrize("status", [400, 401])
    def test_is_removed_when_waiting_is_refused(
        self, syncs: Syncs, emulator: AudiencesEmulator, deferred: bool, status: int
    ) -> None:
        old = syncs.run(FEW)["group_id"]
        if deferred:
            work = partial(syncs.resume, *syncs.begin(MANY, run_id="r2"))
        else:
            work = partial(syncs.run, MANY, run_id="r2")
        emulator.fault("pai.get", "status", status=status, times=None)
        with pytest.raises(
            exceptions.PermanentError, match="stays until the next run; nothing was replaced"
        ) as failure:
            work()
        assert isinstance(failure.value, AirflowFailException)
        new = syncs.pushed["group_id"]
        assert f"The new group 'VIP' ({new}) stays" in str(failure.value)
        assert (syncs.ids, syncs.files) == ([old, new], [])
        emulator.clear_faults()
        assert syncs.run(MANY, run_id="r3")["group_id"] == new
        assert syncs.ids == [new]

    def test_is_removed_when_the_group_is_late(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        emulator.settings(processing_seconds=1e6)
        with pytest.raises(exceptions.GroupNotReadyError):
            syncs.run(MANY, timeout=0.05)
        assert (syncs.ids, syncs.files) == ([], [])

    def test_stays_for_a_group_that_is_late_and_stays(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        """PAI may read it yet."""
        emulator.settings(processing_seconds=100)
        with pytest.raises(exceptions.GroupNotReadyError):
            syncs.run(MANY, timeout=0.05, delete_failed=False)
        assert (len(syncs.ids), len(syncs.files)) == (1, 1)
        emulator.advance(100)
        report = syncs.run(MANY, run_id="r2")
        assert (report["unchanged"], syncs.files) == (True, [])

    @pytest.mark.parametrize("status", [400, 403])
    def test_is_removed_when_the_create_is_refused(
        self, syncs: Syncs, emulator: AudiencesEmulator, status: int
    ) -> None:
        emulator.fault("pai.create", "status", status=status, times=None)
        with pytest.raises(exceptions.PermanentError):
            syncs.run(MANY)
        assert len(emulator.requests("pai.create")) == 1
        assert syncs.files == []

    def test_waits_for_the_next_try_when_the_create_failed(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        emulator.fault("pai.create", "status", status=500, times=None)
        with pytest.raises(exceptions.ServerError) as failure:
            syncs.run(MANY)
        assert not isinstance(failure.value, AirflowFailException)
        assert len(syncs.files) == 1
        emulator.clear_faults()
        report = syncs.run(MANY, identity={"try_number": 2})
        assert (report["amount"], syncs.files) == (150, [])

    def test_of_a_run_that_was_cut_off_is_removed_by_the_next(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        emulator.fault("pai.create", "status", status=500, times=4)
        with pytest.raises(exceptions.ServerError):
            syncs.run(MANY)
        (syncs.stage / f"{syncs.files[0]}-0123.part").touch()
        assert len(syncs.files) == 2
        syncs.run(FEW, run_id="r2")
        assert syncs.files == []

    def test_of_others_is_never_touched(self, syncs: Syncs) -> None:
        syncs.run(MANY, name="VIP 2", delete_file=False)
        syncs.run(MANY, identity={"task_id": "other"}, delete_file=False)
        (syncs.stage / "VIP-notes.txt").touch()
        others = syncs.files
        assert len(others) == 3
        syncs.run(phones(200), run_id="r2")
        assert syncs.files == others

    @pytest.mark.parametrize("status", [403, 500])
    def test_is_removed_though_an_old_group_can_not_be_deleted(
        self, syncs: Syncs, emulator: AudiencesEmulator, status: int
    ) -> None:
        syncs.run(FEW)
        emulator.fault("pai.delete", "status", status=status, times=None)
        with pytest.raises(exceptions.AudienceError, match="is ready"):
            syncs.run(MANY, run_id="r2")
        assert (len(syncs.ids), syncs.files) == (2, [])

    def test_is_not_written_for_an_account_that_may_not_delete(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        emulator.fault("pai.delete", "status", status=403, times=None)
        syncs.run(FEW)
        for run_id, numbers in (("r2", MANY), ("r3", phones(200)), ("r4", MANY)):
            with pytest.raises(exceptions.AuthenticationError):
                syncs.run(numbers, run_id=run_id)
            assert (len(syncs.ids), syncs.files) == (2, [])

    def test_is_removed_when_the_group_is_gone(self, syncs: Syncs, pai: PaiClient) -> None:
        deferred, context = syncs.begin(MANY, run_id="r1")
        pai.delete_group(syncs.pushed["group_id"])
        with pytest.raises(exceptions.TransientError, match="is gone"):
            syncs.resume(deferred, context)
        assert syncs.files == []

    def test_stays_while_another_run_may_need_one(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        emulator.settings(processing_seconds=1000)
        begun = [syncs.begin(phones(count), run_id=f"r{count}") for count in (120, 150)]
        group_ids = syncs.ids
        emulator.advance(941)  # a minute more than the other has had
        assert syncs.resume(*begun[0])["group_id"] == group_ids[0]
        assert (syncs.ids, len(syncs.files)) == (group_ids, 2)
        emulator.advance(60)
        assert syncs.resume(*begun[1])["replaced_group_ids"] == [group_ids[0]]
        assert (syncs.ids, syncs.files) == ([group_ids[1]], [])

    @pytest.mark.parametrize("delete_failed", [True, False])
    def test_that_another_run_removed_before_pai_read_it_is_no_fault_of_the_group(
        self, syncs: Syncs, emulator: AudiencesEmulator, delete_failed: bool
    ) -> None:
        old = syncs.run(FEW)["group_id"]
        emulator.settings(reject_names=["VIP"])
        deferred, context = syncs.begin(MANY, run_id="r2")
        [name] = syncs.files
        (syncs.stage / name).unlink()
        with pytest.raises(exceptions.TransientError, match="was removed by another run at the same time") as failure:
            syncs.resume(deferred, context, delete_failed=delete_failed)
        assert not isinstance(failure.value, AirflowFailException)
        assert syncs.ids == [old]
        emulator.settings(reject_names=[])
        report = syncs.run(MANY, run_id="r2", identity={"try_number": 2})
        assert (report["adopted"], report["amount"], syncs.files) == (False, 150, [])

    def test_that_can_not_be_written_may_be_at_the_next_try(
        self, syncs: Syncs, emulator: AudiencesEmulator, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        operator = syncs.operator(MANY, stage_path=str(tmp_path / "file/stage"))
        with pytest.raises(exceptions.StateUnavailableError, match="Check stage_path") as failure:
            operator.execute(syncs.context("r1"))
        assert not isinstance(failure.value, AirflowFailException)
        assert syncs.pushed == {"billable_calls": NOTHING}
        assert emulator.requests("pai.create") == []

    def test_that_can_not_be_removed_does_not_hide_why_the_group_failed(
        self, syncs: Syncs, emulator: AudiencesEmulator, said: Callable[[], str]
    ) -> None:
        """Else the next try would make another group, and that is billed."""
        emulator.settings(reject_names=["VIP"])
        deferred, context = syncs.begin(MANY, run_id="r1")
        [name] = syncs.files
        (syncs.stage / name).unlink()
        (syncs.stage / name).mkdir()
        with pytest.raises(exceptions.GroupRejectedError, match="did not pass the review"):
            syncs.resume(deferred, context)
        assert "could not be removed; the next run does it" in said()

    def test_that_can_not_be_removed_does_not_hide_why_the_create_failed(
        self, syncs: Syncs, emulator: AudiencesEmulator, said: Callable[[], str]
    ) -> None:
        syncs.run(MANY, delete_file=False)
        [name] = syncs.files
        (syncs.stage / f"{name}.x").mkdir()
        emulator.fault("pai.create", "status", status=400)
        with pytest.raises(exceptions.BadRequestError):
            syncs.run(phones(200), run_id="r2")
        assert "could not be removed; the next run does it" in said()

    def test_that_can_not_be_removed_is_no_reason_to_do_it_again(self, syncs: Syncs, said: Callable[[], str]) -> None:
        deferred, context = syncs.begin(MANY, run_id="r1")
        [name] = syncs.files
        (syncs.stage / name).unlink()
        (syncs.stage / name).mkdir()
        for is_unchanged in (False, True):
            report = syncs.run(MANY, run_id="r2") if is_unchanged else syncs.resume(deferred, context)
            assert (report["amount"], report["unchanged"], syncs.files) == (150, is_unchanged, [name])
            assert "could not be removed; the next run does it" in said()
        (syncs.stage / name).rmdir()
        syncs.run(MANY, run_id="r3")
        assert "could not be removed" not in said()

    def test_may_lie_in_a_store(self, syncs: Syncs, emulator: AudiencesEmulator, tmp_path: Path) -> None:
        """A store that is no folder of this machine, which the emulator can't read."""
        attach("memory", fs=fsspec.filesystem("memory"))
        emulator.settings(file_roots={}, default_file_amount=150)
        report = syncs.run(
            MANY,
            stage_path=f"memory://bucket/{tmp_path.name}/a b",
            uri_template="https://{bucket}.oss-cn-hangzhou.aliyuncs.com/{key}",
            delete_file=False,
        )
        [group] = emulator.groups()
        assert group["Uri"].startswith(f"https://bucket.oss-cn-hangzhou.aliyuncs.com/{tmp_path.name}/a%20b/VIP-")
        key = group["Uri"].rpartition("/")[2]
        written = ObjectStoragePath(f"memory://bucket/{tmp_path.name}/a b/{key}").read_text()
        assert (sorted(written.split()), report["file_bytes"]) == (MANY, 150 * 12)


class TestTries:
    def test_go_on_with_the_group_that_the_last_one_made(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        old = syncs.run(FEW)["group_id"]
        emulator.fault("pai.get", "status", status=500, times=None)
        with pytest.raises(exceptions.ServerError):
            syncs.run(MANY, run_id="r2", max_poll_failures=0)
        made = syncs.pushed["group_id"]
        emulator.clear_faults()
        report = syncs.run(reversed(MANY), run_id="r2", identity={"try_number": 2})
        assert (report["group_id"], report["adopted"], report["replaced_group_ids"]) == (made, True, [old])
        assert (syncs.ids, syncs.files) == ([made], [])

    def test_of_other_numbers_make_another_group(self, syncs: Syncs, emulator: AudiencesEmulator) -> None:
        """What the source says now is what counts; the group of the try before is replaced."""
        syncs.run(FEW)
        emulator.fault("pai.get", "status", status=500, times=None)
        with pytest.raises(exceptions.ServerError):
            syncs.run(MANY, run_id="r2", max_poll_failures=0)
        emulator.clear_faults()
        report = syncs.run(phones(200), run_id="r2", identity={"try_number": 2})
        assert (report["adopted"], report["amount"]) == (False, 200)
        assert (syncs.ids, syncs.files) == ([report["group_id"]], [])

    def test_of_a_cleared_task_do_nothing_for_the_same_numbers(self, syncs: Syncs) -> None:
        syncs.run(FEW)
        assert syncs.run(FEW, identity={"try_number": 2, "max_tries": 1})["unchanged"] is True


class TestWhatIsShown:
    def hidden(self, *shown: Any) -> None:
        numbers = {part for number in (*MANY, *SHOWN_ONLY) for part in (number, number[3:])}
        for part in shown:
            assert not PATTERN.search(part), PATTERN.search(part)
            assert not [number for number in numbers if number in part]

    @pytest.mark.parametrize("numbers", [FEW, MANY], ids=["text", "file"])
    def test_has_no_phone_number_in_it(
        self, syncs: Syncs, emulator: AudiencesEmulator, said: Callable[[], str], numbers: list[str]
    ) -> None:
        first = syncs.run([*numbers, f"{numbers[0]}0"])
        pushed = [syncs.pushed]
        assert syncs.run(numbers, run_id="r2")["unchanged"]
        emulator.settings(reject_names=["VIP"])
        with pytest.raises(exceptions.GroupRejectedError) as failure:
            syncs.run(numbers, run_id="r3", force=True)
        pushed.append(syncs.pushed)
        emulator.settings(reject_names=[])
        emulator.fault("pai.create", "status", status=400, message=f"bad {numbers[0]} and {numbers[1]}")
        with pytest.raises(exceptions.BadRequestError) as refusal:
            syncs.run(numbers, run_id="r4", force=True)
        with pytest.raises(exceptions.InvalidInputError) as malformed:
            syncs.run([*numbers, f"{numbers[0]}0"], run_id="r5", on_malformed="fail")
        waiting, _ = syncs.begin(numbers, run_id="r6", force=True)
        stored = json.dumps([waiting.trigger.serialize(), waiting.kwargs])
        groups = json.dumps([{**group, "Text": ""} for group in emulator.groups(deleted=True)])
        self.hidden(said(), json.dumps(first), json.dumps(pushed), stored, groups)
        errors = (failure.value, refusal.value, malformed.value)
        self.hidden(*map(str, errors), *map(repr, errors))

    @pytest.mark.parametrize(
        "of",
        [
            list,
            set,
            tuple,
            iter,
            "\n".join,
            ",".join,
            lambda numbers: [int(number) for number in numbers],
            lambda numbers: numbers[0],
            lambda numbers: f"{numbers[0]}.0",
            lambda numbers: pd.DataFrame({"phone": numbers}),
            lambda numbers: numbers[0] + "\n{{ ds }}",
            lambda numbers: int(numbers[0]),
            lambda numbers: "\n".join(numbers).encode(),
        ],
        ids=[
            *("list", "set", "tuple", "iterator", "lines", "commas", "ints", "one", "float", "frame", "mixed"),
            *("int", "bytes"),
        ],
    )
    def test_of_the_task_hides_numbers(self, of: Any) -> None:
        with DAG("dag", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) as dag:
            operator = PaiSyncGroupOperator(task_id="sync", name="VIP", source=of(SHOWN_ONLY))
            PaiSyncGroupOperator.partial(task_id="shared", source=of(SHOWN_ONLY)).expand(name=["a", "b"])
        stored = json.dumps(Serialization.to_dict(dag))
        self.hidden(stored, json.dumps(rendered_fields(operator)), repr(operator), repr(operator.source))
        assert "not shown" in stored

    @pytest.mark.parametrize(
        "of",
        [
            lambda numbers: [numbers, numbers[:1]],
            lambda numbers: [[int(number) for number in numbers]],
            lambda numbers: ["\n".join(numbers), numbers[0]],
            lambda numbers: [int(numbers[0]), numbers[1].encode()],
        ],
        ids=["lists", "ints", "texts", "int and bytes"],
    )
    def test_of_mapped_tasks_hides_numbers(self, of: Callable[..., Any]) -> None:
        with DAG("dag", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) as dag:
            PaiSyncGroupOperator.partial(task_id="mapped", name="VIP").expand(source=of(SHOWN_ONLY))
            PaiSyncGroupOperator.partial(task_id="kwargs").expand_kwargs(
                [{"name": "a", "source": source} for source in of(SHOWN_ONLY)]
            )
        stored = json.dumps(Serialization.to_dict(dag))
        self.hidden(stored)
        assert "not shown" in stored

    def test_of_the_task_hides_what_opens_an_address(self) -> None:
        secret = "s3://key:sesame@bucket/x.txt?token=sesame"
        with DAG("dag", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) as dag:
            operator = PaiSyncGroupOperator(
                task_id="sync",
                name="VIP",
                source=secret,
                stage_path=secret,
                rejects_path=secret,
            )
        assert "sesame" not in json.dumps(Serialization.to_dict(dag))
        assert "sesame" not in json.dumps(rendered_fields(operator))

    def test_of_paths_is_worth_showing(self) -> None:
        operator = PaiSyncGroupOperator(task_id="sync", name="VIP", source="/data/2026-11-20/13977101239.csv")
        assert rendered_fields(operator)["source"] == "/data/2026-11-20/13977101239.csv"

    def test_leaves_nothing_in_temporary_folders(self, syncs: Syncs, scratch: Path) -> None:
        syncs.run(MANY)
        assert list(scratch.iterdir()) == []

    def test_is_the_report_in_the_log(self, syncs: Syncs, said: Callable[[], str]) -> None:
        report = syncs.run(MANY)
        log = said()
        assert f"Group {report['name']!r} ({report['group_id']}):" in log
        for name in ("status", "amount", "members", "billable_calls", "seconds"):
            assert re.search(rf"  {name} +\S", log), name
        assert "  malformed " not in log
        assert "passed: max_removed_ratio" in log


class TestArguments:
    def test_come_from_templates(
        self, syncs: Syncs, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("AIRFLOW_CONN_PAI_DEFAULT")
        connect("pai", conn_id="other")
        (tmp_path / "phones.txt").write_text("\n".join([*MANY, "x"]))
        (tmp_path / "opt_outs.txt").touch()
        values = {
            "name": "T",
            "source": str(tmp_path / "phones.txt"),
            "stage_path": str(syncs.stage),
            "uri_template": f"{ADDRESS}{{key}}",
            "remark": "note",
            "force": False,
            "min_members": 150,
            "max_removed_ratio": 0.5,
            "max_added_ratio": 9,
            "max_removed": 10,
            "max_added": 1000,
            "suppress": str(tmp_path / "opt_outs.txt"),
            "min_suppressed": 0,
            "suppress_on_malformed": "drop",
            "allow_older_run": True,
            "max_malformed_ratio": 0.5,
            "rejects_path": str(tmp_path / "rejects.csv"),
            "provenance": "mine",
            "min_amount": 150,
            "account": "eu",
            "pai_conn_id": "other_default",
        }
        assert {*values, "stage_conn_id"} == set(PaiSyncGroupOperator.template_fields)
        given = {name: f"{{{{ params.{name} }}}}" for name in values}
        for run_id in ("r1", "r2"):
            report = syncs.run(run_id=run_id, template_context={"params": values}, **given)
        assert (report["unchanged"], report["amount"], report["name"]) == (True, 150, "T")
        assert len((tmp_path / "rejects.csv").read_text().splitlines()) == 2

    @pytest.mark.parametrize("field", ["max_malformed_ratio", "stage_conn_id", "remark", "provenance", "rejects_path"])
    def test_may_be_none(self, syncs: Syncs, field: str) -> None:
        nothing: dict[str, Any] = {field: None}
        assert syncs.run(FEW, **nothing)["amount"] == 3
