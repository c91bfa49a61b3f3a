"""A partitioned sync in a real DAG run, with a partition that is tried again; and guards on the whole."""

import datetime as dt
import json
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from support.dag_scripts import AirflowProcesses, DagScript
from support.fixtures import Connect, MakeContext

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.exceptions import (
    BadRequestError,
    ConflictError,
    GuardError,
    InvalidInputError,
    PlanOutdatedError,
)
from airflow_provider_audiences.members.partition import partitions
from airflow_provider_audiences.operators.applovin_sync import AppLovinApplyPlanOperator, AppLovinSyncAudienceOperator
from airflow_provider_audiences.sync.state.file_store import LocalFileStore
from airflow_provider_audiences.sync.state.run_opt_outs import delete_opt_outs
from airflow_provider_audiences.task_groups.applovin import (
    applovin_partitioned_suppression_sync,
    applovin_partitioned_sync,
)
from airflow_provider_audiences.task_groups.applovin_partitions import (
    SUPPRESSION_TASKS,
    PartitionPlanOperator,
    PartitionReportOperator,
    PartitionVerdictOperator,
    PreparePartitionsOperator,
)

DAY = "2026-03-02"
PACKAGE_NAME = "com.example.game"
IDS = [str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))) for number in range(240)]
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")  # noqa: RUF001 - what people's keyboards write


def states(tasks: Any, name: str) -> list[tuple[str, int]]:
    return [(task["state"], task["try_number"]) for key, task in tasks.items() if key.partition("[")[0] == name]


@pytest.fixture
def lite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Writes a day's texts to a database, whose connection is ``lite``."""
    monkeypatch.setenv("AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "m.sqlite")}))

    def write(day: str, texts: Iterable[str | None]) -> None:
        with sqlite3.connect(tmp_path / "m.sqlite") as database:
            database.execute("CREATE TABLE IF NOT EXISTS t (day text, idfa text)")
            database.executemany("INSERT INTO t VALUES (?, ?)", [(day, text) for text in texts])

    return write


Prepared = Callable[[int], dict[str, Any]]


@pytest.fixture
def prepared(connect: Connect, tmp_path: Path, task_context: MakeContext, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """Makes an audience whose state is in so many partitions, and returns the argument that names it."""

    def make(count: int) -> dict[str, Any]:
        monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
        target: dict[str, Any] = {"name": "A", "platform": "ios", "package_name": "p"}
        found = PreparePartitionsOperator(task_id="p", partitions=count, **target).execute(task_context())
        return {"audience_id": found["audience_id"]}

    return make


def test_a_partitioned_sync(
    connect: Connect,
    emulator: AudiencesEmulator,
    tmp_path: Path,
    airflow_processes: AirflowProcesses,
    lite: Callable[..., None],
) -> None:
    texts = [f' "{one.upper()}"' if number % 2 else one.translate(WIDE) for number, one in enumerate(IDS)]
    lite(DAY, [*texts, "unknown", None])
    opt_outs = tmp_path / "opt_outs.txt"
    opt_outs.write_text("\n".join(["a header", *IDS[190:195]]))
    state = str(tmp_path / "state")
    given = {"target": "audience", "partitions": 16, "opt_outs": str(opt_outs)}
    run = DagScript("partitioned_syncs", airflow_processes, given, AIRFLOW__AUDIENCES__STATE_PATH=state)
    # A request of one partition fails once too often for its first try.
    emulator.fault("applovin.append", "status", status=500, number=25, times=4)
    (tasks,), output = run(DAY)
    for name in ("prepare", "plan", "verdict", "report"):
        assert set(states(tasks, name)) == {("success", 1)}, output[-6000:]
    assert sorted(states(tasks, "apply")) == [*[("success", 1)] * 15, ("success", 2)], output[-6000:]
    assert len(states(tasks, "plan")) == 16

    wanted = sorted(set(IDS) - set(IDS[190:195]))
    [audience] = emulator.audiences()
    assert emulator.members(audience["audience_id"]) == wanted
    # The retry has sent its own rest only, and the first batch was alone.
    accepted = [one for one in emulator.requests("applovin.append") if one["status"] == 200]
    assert sum(one["body_lines"] for one in accepted) == len(wanted)
    report = tasks["report"]["returned"]
    names = ("added", "live", "drift", "suppressed", "suppress_members", "suppress_malformed", "members", "malformed")
    assert [report[name] for name in names] == [235, 235, 0, 5, 5, 1, 240, 1]
    assert report["batches"] + report["batches_skipped_by_resume"] == len(accepted)
    assert (report["partitions"], report["plan_only"]) == (16, False)
    assert _asset_events() == 1
    assert not list(tmp_path.glob("state/**/opt-outs-*"))
    assert not [one for one in IDS if one in json.dumps(tasks)]


def test_a_partitioned_sync_of_a_suppression_list(
    connect: Connect,
    emulator: AudiencesEmulator,
    tmp_path: Path,
    airflow_processes: AirflowProcesses,
    lite: Callable[..., None],
) -> None:
    lite(DAY, IDS)
    opt_outs = tmp_path / "opt_outs.txt"
    opt_outs.write_text("\n".join(IDS[190:195]))
    given = {"target": "suppression list", "partitions": 1, "opt_outs": str(opt_outs)}
    state = str(tmp_path / "state")
    run = DagScript("partitioned_syncs", airflow_processes, given, AIRFLOW__AUDIENCES__STATE_PATH=state)
    (tasks,), output = run(DAY)
    assert {(task["state"], task["try_number"]) for task in tasks.values()} == {("success", 1)}, output[-6000:]
    names = ("added", "removed", "live", "drift", "suppressed", "partitions")
    report = tasks["report"]["returned"]
    # Opt-outs are removed, as nobody can tell who was on the list before.
    assert [report[name] for name in names] == [235, 5, 235, None, 5, 1]
    assert emulator.suppressed(PACKAGE_NAME) == sorted(set(IDS) - set(IDS[190:195]))
    assert not [one for one in IDS if one in json.dumps(tasks)]


@pytest.mark.usefixtures("late_requests_end_soon")
def test_partitions_of_a_suppression_list(
    connect: Connect,
    emulator: AudiencesEmulator,
    tmp_path: Path,
    task_context: MakeContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
    on: dict[str, Any] = {"package_name": PACKAGE_NAME}
    tasks: Any = SUPPRESSION_TASKS

    def day(ids: list[str], **guards: Any) -> dict[str, Any]:
        prepare = tasks.prepare(task_id="p", partitions=16, suppress=IDS[-5:], **on)
        opt_outs = prepare.execute(task_context())["opt_outs"]
        given = {"source": ids, "opt_outs": opt_outs} | on
        plans = [
            tasks.plan(task_id="plan", partition=one.hex, **given).execute(task_context()) for one in partitions(16)
        ]
        context = task_context()
        if guards:
            with pytest.raises(GuardError, match=r"would remove 100 of 235 members .*at most 30\.0% is allowed"):
                tasks.verdict(task_id="v", plans=plans, count=16, **on).execute(context)
        sends = tasks.verdict(task_id="v", plans=plans, count=16, **guards, **on).execute(context)
        applied = [tasks.apply(task_id="a", **one, **on).execute(task_context()) for one in sends]
        report = {"planned": context["ti"].pushed["report"], "applied": applied, "opt_outs": opt_outs}
        return dict(tasks.report(task_id="r", count=16, **report, **on).execute(task_context()))

    report = day(IDS)
    assert (report["added"], report["live"], report["drift"], report["audience_id"]) == (235, 235, None, PACKAGE_NAME)
    assert emulator.suppressed(PACKAGE_NAME) == sorted(IDS[:-5])
    report = day(IDS[100:], max_removed_ratio=0.5)
    assert (report["added"], report["removed"], report["live"], report["batches"]) == (0, 100, 135, 16)
    assert emulator.suppressed(PACKAGE_NAME) == sorted(IDS[100:-5])


def _asset_events() -> int:
    """How many events of whole syncs by this DAG Airflow has stored, where the DAGs of other tests store theirs too."""
    with sqlite3.connect(f"{(Path(os.environ['AIRFLOW_HOME']) / 'airflow.db').as_uri()}?mode=ro", uri=True) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = "asset_event" if "asset_event" in tables else "dataset_event"
        (count,) = database.execute(
            f"SELECT count(*) FROM {table} WHERE extra LIKE '%partitions%' AND source_dag_id = 'partitioned'"
        ).fetchone()
    return int(count)


def test_guards_judge_all_plans_as_one(
    connect: Connect,
    emulator: AudiencesEmulator,
    tmp_path: Path,
    task_context: MakeContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
    target: dict[str, Any] = {"name": "A", "platform": "ios", "package_name": "p"}
    found = PreparePartitionsOperator(task_id="p", partitions=16, **target).execute(task_context())
    audience_id = found["audience_id"]
    # Plans as the tasks leave them, of two partitions; the others have nobody.
    plans = []
    for partition in partitions(16):
        ids = [one for one in IDS[:40] if one.startswith(partition.hex)] if partition.number < 2 else []
        plan = AppLovinSyncAudienceOperator(
            task_id="plan",
            audience_id=audience_id,
            partition=partition.hex,
            plan_only=True,
            allow_empty=True,
            source=ids,
        )
        plans.append(plan.execute(task_context()))

    def verdict(given: Any = plans, **guards: Any) -> Any:
        operator = PartitionVerdictOperator(task_id="v", audience_id=audience_id, plans=given, count=16, **guards)
        context = task_context()
        return operator.execute(context), context["ti"].pushed["report"]

    wanted = sum(plan["added"] for plan in plans)
    for guards, said in [
        ({"min_members": wanted + 1}, f"{wanted} members are wanted, and at least {wanted + 1} are expected"),
        ({"max_added": wanted - 1}, f"the plan would add {wanted} members, and at most {wanted - 1} are allowed"),
    ]:
        with pytest.raises(GuardError, match=said):
            verdict(**guards)
    with pytest.raises(InvalidInputError, match=r"the 16 tasks 'plan' have left 15 reports, .*; nothing was sent"):
        verdict(plans[1:])
    with pytest.raises(PlanOutdatedError, match="has no plan 0123456789abcdef"):
        verdict([{**plans[0], "plan_id": "0123456789abcdef"}, *plans[1:]])
    none = {"members": 0, "malformed": 3}
    with pytest.raises(InvalidInputError, match="none of the texts of source is an advertising ID"):
        verdict([{**plan, **none} for plan in plans])
    with pytest.raises(InvalidInputError, match=r"3 of 43 texts of source \(6.98%\) are not advertising IDs"):
        verdict([{**plans[0], "malformed": 3, "members": 40}, *[{**plan, "members": 0} for plan in plans[1:]]],
                max_malformed_ratio=0.05)  # fmt: skip
    assert emulator.member_count(audience_id) == 0

    sends, report = verdict()
    assert [one["partition"] for one in sends] == list("0123456789abcdef")
    assert (report["added"], report["live"], len(emulator.requests("applovin.append"))) == (wanted, wanted, 1)
    verdict()  # tried again: the first batch is not sent twice
    assert len(emulator.requests("applovin.append")) == 1


def test_a_first_batch_that_failed_is_sent_by_the_next_try(
    prepared: Prepared,
    emulator: AudiencesEmulator,
    task_context: MakeContext,
) -> None:
    """Before it is accepted, no task begins to send the rest."""
    on = prepared(1)
    plan = PartitionPlanOperator(task_id="plan", opt_outs="", partition="whole", source=IDS, **on)
    plans = [plan.execute(task_context())]

    def verdict() -> Any:
        operator = PartitionVerdictOperator(task_id="v", plans=plans, count=1, batch_size=50, **on)
        return operator.execute(task_context())

    emulator.fault("applovin.append", "status", status=400, times=2)
    for _ in range(2):
        with pytest.raises(BadRequestError):
            verdict()
    assert emulator.members(on["audience_id"]) == []
    for _ in range(2):
        assert verdict() == [{"partition": "whole", "plan_id": plans[0]["plan_id"]}]
        assert emulator.member_count(on["audience_id"]) == 50


def test_only_the_last_task_tells_the_outcome() -> None:
    for count in (1, 16):
        with DAG(f"d{count}", schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) as dag:
            applovin_partitioned_sync(partitions=count, audience_id="x", source=["a"])
        tasks: dict[str, Any] = {**dag.task_dict}
        mapped = {name: tasks[f"partitioned_sync.{name}"].operator_class for name in ("plan", "apply")}
        single = {name: tasks[f"partitioned_sync.{name}"] for name in ("prepare", "verdict", "report")}
        told = {name: task.publishes_outcome for name, task in {**mapped, **single}.items()}
        assert told == {"prepare": False, "plan": False, "verdict": False, "apply": False, "report": True}


def test_limits_are_those_of_all_plans_wherever_they_stand() -> None:
    limits = {"max_removed_ratio": 0.05, "min_members": 1000, "max_malformed_ratio": 0.2, "min_suppressed": 3}
    defaults = {**limits, "initial": "append", "applovin_conn_id": "other"}
    given_as: dict[str, dict[str, Any]] = {"defaults": {"default_args": defaults}, "arguments": defaults}
    for name, given in given_as.items():
        with DAG(name, schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) as dag:
            applovin_partitioned_sync(partitions=16, audience_id="x", source=["a"], **given)
        tasks: dict[str, Any] = {**dag.task_dict}
        verdict, report = tasks["partitioned_sync.verdict"], tasks["partitioned_sync.report"]
        assert {limit: getattr(verdict, limit) for limit in limits} == limits
        assert (verdict.max_added, verdict.allow_empty, verdict.applovin_conn_id) == (None, False, "other")
        assert (report.initial, tasks["partitioned_sync.prepare"].initial) == ("append", "append")
    # Each partition's plan has none: a junk text among few members is little among all.
    plan = PartitionPlanOperator(task_id="plan", audience_id="x", source=["a"], opt_outs="", default_args=defaults)
    assert (plan.max_removed_ratio, plan.min_members, plan.max_malformed_ratio) == ("off", 0, "off")
    assert (plan.allow_empty, plan.initial) == (True, "append")


def test_limits_of_a_run_are_those_of_all_plans(prepared: Prepared, task_context: MakeContext) -> None:
    on = prepared(16)
    context: Any = {**task_context(), "dag_run": SimpleNamespace(conf={})}
    context["dag_run"].conf = {"audiences": {"max_malformed_ratio": 0.2, "min_members": 100}}
    plans = []
    for partition in partitions(16):
        source = [one for one in IDS if one.startswith(partition.hex)] + ["junk"] * 20 * (partition.number == 0)
        given: dict[str, Any] = {"source": source, "opt_outs": "", "partition": partition.hex}
        plans.append(PartitionPlanOperator(task_id="plan", **given, **on).execute(context))
    assert plans[0]["malformed"] > plans[0]["members"]
    verdict = PartitionVerdictOperator(task_id="v", plans=plans, count=16, max_malformed_ratio=0.01, **on)
    verdict.execute(context)
    context["dag_run"].conf = {"audiences": {"min_members": 1000}}
    with pytest.raises(GuardError, match=r"240 members are wanted, and at least 1,?000 are expected"):
        verdict.execute(context)


def test_a_report_without_all_partitions_says_what_is_there(connect: Connect, task_context: MakeContext) -> None:
    applied = [{"partition": partition.name} for partition in partitions(16)[1:]]
    given: dict[str, Any] = {"audience_id": "a", "planned": {}, "applied": applied, "opt_outs": ""}
    with pytest.raises(InvalidInputError, match=r"16 tasks 'apply' have left 15 reports, .*sent stays") as error:
        PartitionReportOperator(task_id="r", count=16, **given).execute(task_context())
    assert "nothing was sent" not in str(error.value)
    assert "Clear those tasks 'apply'" in str(error.value)


@pytest.mark.usefixtures("late_requests_end_soon")
def test_a_lost_ledger_of_the_partition_that_is_sent_first_is_rebuilt(
    prepared: Prepared,
    emulator: AudiencesEmulator,
    tmp_path: Path,
    task_context: MakeContext,
) -> None:
    on = prepared(16)

    def day(ids: list[str]) -> None:
        plans = []
        for partition in partitions(16):
            source = [one for one in ids if one.startswith(partition.hex)]
            given: dict[str, Any] = {"opt_outs": "", "partition": partition.hex, "allow_empty": True, "source": source}
            given |= {"on_lost_ledger": "rebuild"}
            plans.append(PartitionPlanOperator(task_id="plan", **given, **on).execute(task_context()))
        limits: dict[str, Any] = {"max_removed_ratio": "off", "batch_size": 1}
        verdict = PartitionVerdictOperator(task_id="v", plans=plans, count=16, **limits, **on)
        for one in verdict.execute(task_context()):
            apply: dict[str, Any] = {**one, **on}
            AppLovinApplyPlanOperator(task_id="a", **apply).execute(task_context())
        assert emulator.members(on["audience_id"]) == sorted(ids)

    ids = [one for one in IDS if one[0] in "0f"]
    day(ids)
    (ledger,) = tmp_path.glob("state/**/partition-0/ledger-*.parquet")
    ledger.write_bytes(b"damaged")
    day([*ids, str(uuid.UUID(int=1))])  # it begins with 0


def test_opt_outs_are_read_once_for_all_partitions(
    connect: Connect, tmp_path: Path, task_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
    target: dict[str, Any] = {"name": "A", "platform": "ios", "package_name": "p"}
    opt_outs = tmp_path / "opt_outs.txt"
    opt_outs.write_text("\n".join([*IDS[:20], "a header"]))

    def prepare(**more: Any) -> Any:
        operator = PreparePartitionsOperator(task_id="p", partitions=16, suppress=str(opt_outs), **target, **more)
        return operator.execute(task_context())

    with pytest.raises(InvalidInputError, match="1 text of suppress is not an advertising ID"):
        prepare()
    found = prepare(suppress_on_malformed="drop")
    opt_outs.unlink()  # read once

    def plan(digit: str) -> Any:
        given: dict[str, Any] = {"audience_id": found["audience_id"], "partition": digit, "source": IDS}
        operator = PartitionPlanOperator(task_id="plan", allow_empty=True, opt_outs=found["opt_outs"], **given)
        return operator.execute(task_context())

    plans = [plan(partition.hex) for partition in partitions(16)[:3]]
    assert [one["suppressed"] for one in plans] == [sum(one[0] == digit for one in IDS[:20]) for digit in "012"]
    assert [one["suppress_malformed"] for one in plans] == [1, 0, 0]
    (folder,) = tmp_path.glob(f"state/applovin/*/{found['audience_id']}")
    opt_outs.write_text("\n".join(IDS[:5]))
    other = prepare()  # another run begins, and ends
    delete_opt_outs(LocalFileStore(folder), other["opt_outs"])
    assert plan("0")["suppressed"] == plans[0]["suppressed"]
    prepared = PreparePartitionsOperator(task_id="p", partitions=16, **target)
    prepared.execute(task_context())  # a run that has none
    assert list(folder.glob("opt-outs-*"))
    four_days = 4 * 24 * 3600
    monkeypatch.setattr("time.time", lambda now=time.time: now() + four_days)
    prepared.execute(task_context())
    assert not list(folder.glob("opt-outs-*"))
    with pytest.raises(InvalidInputError, match="clear its task prepare as well"):
        plan("0")


def test_one_partition_is_the_whole(
    connect: Connect,
    emulator: AudiencesEmulator,
    tmp_path: Path,
    task_context: MakeContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
    target: dict[str, Any] = {"name": "A", "platform": "ios", "package_name": "p"}
    prepare = PreparePartitionsOperator(task_id="p", partitions=1, suppress=IDS[:3], **target)
    found = prepare.execute(task_context())
    on: dict[str, Any] = {"audience_id": found["audience_id"]}
    plan = PartitionPlanOperator(
        task_id="plan", opt_outs=found["opt_outs"], partition="whole", source=IDS, allow_empty=True, **on
    ).execute(task_context())
    verdict = PartitionVerdictOperator(task_id="v", plans=[plan], count=1, batch_size=50, **on)
    context = task_context()
    emulator.fault("applovin.append", "wrong_counts")
    sends = verdict.execute(context)
    assert sends == [{"partition": "whole", "plan_id": plan["plan_id"]}]
    assert emulator.member_count(found["audience_id"]) == 50
    given: dict[str, Any] = {**sends[0], **on, "drift_patience_seconds": 0}
    applied = AppLovinApplyPlanOperator(task_id="a", **given).execute(task_context())
    operator = PartitionReportOperator(
        task_id="r",
        planned=context["ti"].pushed["report"],
        applied=[applied],
        count=1,
        opt_outs=found["opt_outs"],
        drift_patience_seconds=0,
        **on,
    )
    report = operator.execute(task_context())
    # The first batch, the other additions, and the opt-outs, who may be there although no ledger knows them.
    assert (report["batches"], report["miscounted_batches"], report["batches_skipped_by_resume"]) == (3, 1, 0)
    assert operator.try_result is not None
    assert (operator.try_result.counts.sent, operator.try_result.counts.removed) == (237, 3)
    assert emulator.members(found["audience_id"]) == sorted(IDS[3:])
    assert (report["live"], report["added"], report["suppressed"], report["drift"]) == (237, 237, 3, 0)


def test_an_audience_goes_into_partitions_and_back(
    connect: Connect,
    emulator: AudiencesEmulator,
    tmp_path: Path,
    task_context: MakeContext,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The ledger goes with it, so nobody is sent again, and who is not wanted any more is removed."""
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
    named: dict[str, Any] = {"name": "A", "platform": "ios", "package_name": "p"}
    on = {"audience_id": AppLovinSyncAudienceOperator(task_id="t", source=IDS, **named).execute(task_context())[
        "audience_id"
    ]}  # fmt: skip
    emulator.clear_requests()

    def sync(ids: list[str], partition: str | None = None, **more: Any) -> dict[str, Any]:
        operator = AppLovinSyncAudienceOperator(
            task_id="s", source=ids, partition=partition, drift_patience_seconds=0, allow_empty=True,
            max_removed_ratio=None, **on, **more,
        )  # fmt: skip
        return dict(operator.execute(task_context()))

    with pytest.raises(ConflictError, match="has no partitions, and this task asks for 16"):
        sync(IDS, partition="a")
    with caplog.at_level("INFO"):
        PreparePartitionsOperator(task_id="p", partitions=16, **on).execute(task_context())
    assert "240 members were moved; nothing was sent." in caplog.text
    with pytest.raises(ConflictError, match="has 16 partitions, and this task asks for the whole of it"):
        sync(IDS)
    reports = [
        sync([one for one in IDS[20:] if one.startswith(partition.hex)], partition.hex) for partition in partitions(16)
    ]
    assert sum(report["added"] + report["refreshed"] for report in reports) == 0
    assert sum(report["removed"] for report in reports) == 20
    assert emulator.members(on["audience_id"]) == sorted(IDS[20:])
    PreparePartitionsOperator(task_id="p", partitions=1, **on).execute(task_context())
    report = sync(IDS[10:])
    assert (report["added"], report["refreshed"], report["removed"], report["live"]) == (10, 0, 0, 230)
    assert emulator.members(on["audience_id"]) == sorted(IDS[10:])
    sent = sum(one["body_lines"] for one in emulator.requests("applovin.append") if one["status"] == 200)
    assert sent == 30  # twenty out, ten in


def made(**arguments: Any) -> Any:
    with DAG("d", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) as dag:
        given: dict[str, Any] = {"source": ["x"], "partitions": 16} | arguments
        group = applovin_partitioned_sync(**given)
    names = ("prepare", "plan", "verdict", "apply", "report")
    return {name: dag.get_task(f"{group.group_id}.{name}") for name in names}


def test_a_suppression_list_is_one_asset_of_the_last_task() -> None:
    with DAG("d", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) as dag:
        applovin_partitioned_suppression_sync(partitions=16, package_name=PACKAGE_NAME, source=["x"], account="main")
        with pytest.raises(InvalidInputError, match="applovin_partitioned_suppression_sync takes no partition: "):
            applovin_partitioned_suppression_sync(
                partitions=16, group_id="other", package_name=PACKAGE_NAME, source=["x"], partition="a"
            )
    found: dict[str, Any] = {name.partition(".")[2]: task for name, task in dag.task_dict.items()}
    assert [asset.uri for asset in found["report"].outlets] == [f"applovin://main/suppression/{PACKAGE_NAME}"]
    assert [found[name].outlets for name in ("prepare", "verdict")] == [[], []]


def test_arguments_go_where_they_belong() -> None:
    given: dict[str, Any] = {"audience_id": "a", "account": "main", "batch_size": 10, "pool": "p", "min_members": 7}
    tasks = made(group_id="g", max_removed_ratio=0.5, initial="append", max_active_tis_per_dagrun=4, **given)
    verdict, report = tasks["verdict"], tasks["report"]
    assert (verdict.max_removed_ratio, verdict.min_members, verdict.allow_empty) == (0.5, 7, False)
    assert [asset.uri for asset in report.outlets] == ["applovin://main/audiences/a"]
    assert [tasks[name].outlets for name in ("prepare", "verdict")] == [[], []]
    assert (report.initial, report.mode) == ("append", "mirror")
    assert made(mode="append", **given)["report"].mode == "append"
    for name in ("plan", "apply"):
        assert (tasks[name].partial_kwargs["max_active_tis_per_dagrun"], tasks[name].partial_kwargs["pool"]) == (4, "p")
        assert tasks[name].partial_kwargs["batch_size"] == 10
    assert not {"min_members", "max_removed_ratio"} & tasks["plan"].partial_kwargs.keys()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"partitions": 4}, "partitions must be one of 1, 16, 256, not 4"),
        ({"partition": "a"}, "applovin_partitioned_sync takes no partition"),
        ({"plan_only": True, "task_id": "x"}, "applovin_partitioned_sync takes no plan_only, task_id"),
    ],
)
def test_what_the_group_says_itself(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        made(audience_id="a", **arguments)
