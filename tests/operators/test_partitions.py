"""Syncs of one partition each: together they equal one sync of the whole, and the two shut each other out."""

import json
import shutil
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from support.fixtures import Connect, MakeAudience, MakeContext

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.exceptions import AuthenticationError, ConflictError, GuardError, InvalidInputError
from airflow_provider_audiences.operators.applovin import AppLovinRemoveUsersOperator
from airflow_provider_audiences.operators.applovin_suppression import AppLovinSyncSuppressionOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinApplyPlanOperator, AppLovinSyncAudienceOperator
from airflow_provider_audiences.sources import FileSource, SqlSource

HEX = "01af"
"""A few partitions, as each of them is a sync by itself."""
IDS = [one for number in range(900) if (one := str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))))[0] in HEX][:200]
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")  # noqa: RUF001 - what people's keyboards write


@pytest.fixture(autouse=True)
def state_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def audience_id(make_audience: MakeAudience) -> str:
    return make_audience()


@pytest.fixture
def sync(audience_id: str, task_context: MakeContext) -> Callable[..., Any]:
    """Syncs a partition, as a task with templates, and returns its report."""

    def run(partition: Any, source: Any, **arguments: Any) -> Any:
        given: dict[str, Any] = {
            "audience_id": audience_id,
            "batch_size": 10,
            "allow_empty": True,
            "drift_patience_seconds": 0,
        }
        with DAG("partitions", schedule=None):
            operator = AppLovinSyncAudienceOperator(
                task_id="sync", source=source, partition=partition, **(given | arguments)
            )
        operator.render_template_fields({"params": {}, "macros": None})
        return operator.execute(task_context(task_id=f"sync_{partition}"))

    return run


def spelled(member: str, way: int) -> str:
    return [member, member.upper(), f' "{member.upper()}"\t', member.translate(WIDE)][way % 4]


@pytest.fixture(params=["sql", "plain"])
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes a source of the same members in each form; their spellings change with ``day``."""
    monkeypatch.setenv("AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "m.sqlite")}))

    def make(ids: list[str], day: int = 0) -> Any:
        texts = [*(spelled(member, number + day) for number, member in enumerate(ids)), "unknown", ""]
        if request.param == "plain" and day:
            return texts
        if request.param == "plain":
            for digit in HEX:
                folder = tmp_path / f"day{day}" / f"prefix={digit}"
                folder.mkdir(parents=True, exist_ok=True)
                home = [text for text, member in zip(texts, ids, strict=False) if member.startswith(digit)]
                (folder / "ids.txt").write_text("\n".join([*home, "unknown"] if digit == "0" else home))
            return FileSource(f"{tmp_path}/day{day}/prefix={{{{ partition.hex }}}}/")
        with sqlite3.connect(tmp_path / "m.sqlite") as database:
            database.execute("DROP TABLE IF EXISTS t")
            database.execute("CREATE TABLE t (idfa text, n integer)")
            database.executemany("INSERT INTO t VALUES (?, ?)", [(text, 1) for text in [*texts, None]])
        if day:
            return SqlSource("lite", "SELECT n, idfa FROM t", column="IDFA")
        return SqlSource("lite", """SELECT idfa FROM t WHERE n = 1 AND {{ partition.where("idfa") }}""")

    return make


def test_all_partitions_together_equal_the_source(
    sync: Callable[..., Any], source: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str
) -> None:
    first = [sync(digit, source(IDS[:150]), suppress=IDS[:10], suppress_on_malformed="drop") for digit in HEX]
    assert emulator.members(audience_id) == sorted(IDS[10:150])
    sums = [sum(report[name] for report in first) for name in ("added", "members", "suppress_members")]
    assert sums == [140, 150, 10]
    assert [report["malformed"] for report in first] == [1, 0, 0, 0]
    assert {report["drift"] for report in first} == {None}
    assert [report["partition"] for report in first] == list(HEX)

    # Another day: other spellings, and the tasks in another order; nobody is lost, and nothing is sent twice.
    emulator.clear_requests()
    second = [sync(digit, source(IDS[20:160], day=1), max_removed_ratio=1) for digit in reversed(HEX)]
    assert emulator.members(audience_id) == sorted(IDS[20:160])
    assert [sum(report[name] for report in second) for name in ("added", "removed", "unchanged")] == [10, 10, 130]
    assert sum(request["body_lines"] for request in emulator.requests("applovin.append")) == 20


@pytest.mark.parametrize("digit", ["0", "a", "f"])
def test_each_partition_reads_all_opt_outs(
    sync: Callable[..., Any],
    emulator: AudiencesEmulator,
    audience_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    digit: str,
) -> None:
    """A text that no condition can place may be a person of any of them."""
    ours = [member for member in IDS if member.startswith(digit)]
    with pytest.raises(InvalidInputError, match="1 text of suppress is not an advertising ID"):
        sync(digit, IDS, suppress=[ours[0].replace("-", "\u2013")])
    with pytest.raises(InvalidInputError, match="suppress must not depend on the partition"):
        sync(digit, IDS, suppress=FileSource(f"{tmp_path}/{{{{ partition.hex }}}}/"))
    assert emulator.members(audience_id) == []
    monkeypatch.setenv("AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "m.sqlite")}))
    with sqlite3.connect(tmp_path / "m.sqlite") as database:
        database.execute("CREATE TABLE t (idfa text)")
        database.execute("INSERT INTO t VALUES (?)", [f"\u200b{ours[0]}"])
    report = sync(digit, IDS, suppress=SqlSource("lite", "SELECT idfa FROM t", column="idfa"))
    assert (report["suppressed"], report["suppress_members"]) == (1, 1)
    assert emulator.members(audience_id) == sorted(ours[1:])


def test_a_partition_that_fails_undoes_no_other(
    sync: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str
) -> None:
    homes = {digit: [member for member in IDS if member.startswith(digit)] for digit in HEX}
    sync("0", IDS)
    emulator.fault("applovin.append", "status", status=403, number=3, times=1)
    with pytest.raises(AuthenticationError, match="2 batches were accepted and are recorded"):
        sync("1", IDS, max_parallel_requests=1)
    sync("a", IDS)
    assert len(emulator.members(audience_id)) == len(homes["0"]) + 20 + len(homes["a"])
    # The next run of the partition, in another run of the DAG, sends what is missing, and keeps who is wanted.
    emulator.clear_requests()
    report = sync("1", IDS)
    assert (report["added"], report["batches_skipped_by_resume"]) == (len(homes["1"]) - 20, 2)
    assert sum(request["body_lines"] for request in emulator.requests("applovin.append")) == len(homes["1"]) - 20
    assert emulator.members(audience_id) == sorted(homes["0"] + homes["1"] + homes["a"])


def test_a_stored_plan_of_a_partition(
    sync: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str, task_context: MakeContext
) -> None:
    plan = sync("a", IDS, plan_only=True)
    wanted = sorted(member for member in IDS if member.startswith("a"))
    assert (plan["added"], emulator.members(audience_id)) == (len(wanted), [])

    def apply(partition: str | None) -> Any:
        operator = AppLovinApplyPlanOperator(
            task_id="apply", audience_id=audience_id, plan_id=plan["plan_id"], partition=partition
        )
        return operator.execute(task_context())

    with pytest.raises(ConflictError, match="has 16 partitions, and this task asks for the whole of it"):
        apply(None)
    assert apply("A")["partition"] == "a"
    assert emulator.members(audience_id) == wanted


def test_whole_and_partitioned_syncs_shut_each_other_out(
    sync: Callable[..., Any],
    emulator: AudiencesEmulator,
    audience_id: str,
    make_audience: MakeAudience,
    task_context: MakeContext,
) -> None:
    sync("a", IDS)
    before = emulator.members(audience_id)
    for partition, said in [
        (None, "has 16 partitions, and this task asks for the whole of it"),
        ("whole", "asks for the whole of it"),
        ("0a", "has 16 partitions, and this task asks for 256 partitions"),
    ]:
        with pytest.raises(ConflictError, match=said):
            sync(partition, IDS)
    remove = AppLovinRemoveUsersOperator(task_id="remove", audience_id=audience_id, source=IDS[:3])
    with pytest.raises(ConflictError, match="has 16 partitions"):
        remove.execute(task_context())
    assert emulator.members(audience_id) == before

    other = make_audience("B")
    sync("whole", IDS[:5], audience_id=other)
    with pytest.raises(ConflictError, match="has no partitions, and this task asks for 16 partitions"):
        sync("a", IDS, audience_id=other)
    assert emulator.members(other) == sorted(IDS[:5])


def test_members_of_before_are_decided_about_once(
    sync: Callable[..., Any],
    emulator: AudiencesEmulator,
    audience_id: str,
    make_audience: MakeAudience,
    state_path: Path,
) -> None:
    # The members of one partition are no strangers to the next one.
    sync("a", IDS)
    sync("1", IDS)
    other = make_audience("B")
    sync("whole", IDS[:5], audience_id=other)
    (state,) = state_path.glob(f"applovin/*/{other}")
    shutil.rmtree(state)
    with pytest.raises(GuardError, match=r"holds 5 members, and .* has no ledger") as stopped:
        sync("a", IDS, audience_id=other)
    assert stopped.value.guard == "initial"
    sync("a", IDS, audience_id=other, initial="append")
    sync("1", IDS, audience_id=other)
    assert set(emulator.members(other)) == {*IDS[:5], *(member for member in IDS if member[0] in "a1")}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mode": "replace"}, "mode='replace' is not for partitions"),
        ({"initial": "replace"}, "initial='replace' is not for partitions"),
        ({"on_lost_ledger": "replace"}, "on_lost_ledger='replace' is not for partitions"),
        ({"rejects_path": "/tmp/rejects.csv"}, r"rejects_path must have {{ partition.hex }} in it"),
        ({"source": SqlSource("lite", "SELECT idfa FROM t")}, "must say which column its predicate is about"),
    ],
)
def test_what_a_partition_can_t_do(
    sync: Callable[..., Any], emulator: AudiencesEmulator, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        sync("a", arguments.pop("source", IDS), **arguments)
    assert not emulator.requests("applovin.append")


def test_a_member_that_the_database_can_t_place_fails_the_first_partition(
    sync: Callable[..., Any], emulator: AudiencesEmulator, audience_id: str, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "m.sqlite")}))
    member = next(member for member in IDS if member.startswith("a"))
    with sqlite3.connect(tmp_path / "m.sqlite") as database:
        database.execute("CREATE TABLE t (idfa text)")
        database.execute("INSERT INTO t VALUES (?)", (f"\u200b{member}",))
    source = SqlSource("lite", "SELECT idfa FROM t", column="idfa")
    assert sync("a", source)["members"] == 0
    with pytest.raises(InvalidInputError, match="partition 0 of 16 has read 1 advertising ID of other partitions") as e:
        sync("0", source)
    assert "invisible character" in str(e.value)
    assert emulator.members(audience_id) == []


def test_suppression_lists_too(connect: Connect, emulator: AudiencesEmulator, task_context: MakeContext) -> None:
    for digit in HEX:
        AppLovinSyncSuppressionOperator(
            task_id="s", package_name="com.example.game", source=IDS, partition=digit, allow_empty=True
        ).execute(task_context())
    assert emulator.suppressed("com.example.game") == sorted(IDS)
