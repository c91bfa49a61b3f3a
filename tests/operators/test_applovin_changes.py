"""The operators that send changes which are handed in, against the emulator: what arrives, what is refused."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from support.changes import Warehouse
from support.fixtures import Connect, MakeAudience, MakeContext, MakeIds

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.exceptions import ConflictError, GuardError, InvalidInputError, LedgerLostError
from airflow_provider_audiences.operators.applovin import AppLovinRemoveUsersOperator
from airflow_provider_audiences.operators.applovin_changes import (
    AppLovinSendChangesOperator,
    AppLovinSendSuppressionChangesOperator,
)
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator

APP = "com.example.game"
ZEROS = "00000000-0000-0000-0000-000000000000"

Send = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def state_path(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of what is stored; all of these tests talk to the emulator."""
    connect("applovin", extra={"backoff_seconds": 0, "max_retries": 0})
    path = tmp_path / "state"
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(path))
    return path


@pytest.fixture
def audience_id(make_audience: MakeAudience) -> str:
    return make_audience("A")


@pytest.fixture
def send(task_context: MakeContext, audience_id: str) -> Send:
    """Sends changes: ``send(added=…, run_id=…, context=…)``."""

    def run(*, run_id: str = "run 1", template_context: Any = None, try_number: int = 1, **arguments: Any) -> Any:
        operator = AppLovinSendChangesOperator(task_id="send", **{"audience_id": audience_id} | arguments)
        if template_context is not None:
            operator.render_template_fields(template_context)
        return operator.execute(task_context(task_id="send", run_id=run_id, try_number=try_number))

    return run


def test_what_changes_arrives(send: Send, emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds) -> None:
    ids = make_ids(30)
    first = send(added=ids[:20], batch_size=10, expected_changes="20", ttl_seconds=90_000)
    assert (first["added"], first["batches"], first["members_before"], first["live"]) == (20, 2, 0, 20)
    second = send(
        added=ids[20:], refreshed=[item.upper() for item in ids[5:8]], removed=ids[:5], run_id="run 2", batch_size=10
    )
    assert emulator.members(audience_id) == ids[5:]
    assert [second[name] for name in ("added", "refreshed", "removed", "members_before", "live")] == [10, 3, 5, 20, 25]
    assert second["planned_ids"] == 18
    assert {verdict["guard"] for verdict in second["verdicts"]} == {
        "min_members", "max_removed_ratio", "max_added_ratio", "max_removed", "max_added", "allow_older_run",
    }  # fmt: skip


def test_templates_are_rendered(send: Send, emulator: AudiencesEmulator, audience_id: str, tmp_path: Path) -> None:
    (tmp_path / "added.txt").write_text("5eed5eed-0000-4000-8000-000000000001")
    arguments = {"audience_id": "{{ a }}", "added": "{{ folder }}/added.txt", "expected_changes": "{{ n }}"}
    send(
        **arguments, ttl_seconds="{{ ttl }}", template_context={"a": audience_id, "folder": tmp_path, "n": 1, "ttl": 9}
    )
    assert len(emulator.requests("applovin.append")) == 1


def test_a_guard_stops_by_the_platforms_count(send: Send, emulator: AudiencesEmulator, make_ids: MakeIds) -> None:
    ids = make_ids(10)
    send(added=ids)
    emulator.clear_requests()
    with pytest.raises(GuardError, match=r"would remove 4 of 10 members \(40.0%\)"):
        send(removed=ids[:4], run_id="run 2")
    assert emulator.requests("applovin.append") == []
    assert send(removed=ids[:4], run_id="run 2", max_removed_ratio="off")["live"] == 6


def test_a_failed_request_is_gone_on_with(
    send: Send, emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds
) -> None:
    ids = make_ids(50)
    emulator.fault("applovin.append", "status", status=500, number=3, times=1)
    with pytest.raises(Exception, match="2 batches were accepted and are recorded: the task's next try goes on"):
        send(added=ids, batch_size=10, max_parallel_requests=1)
    again = send(added=ids, batch_size=10, max_parallel_requests=1, try_number=2)
    assert (again["batches_skipped_by_resume"], again["batches"], again["verdicts"]) == (2, 3, [])
    assert emulator.members(audience_id) == ids


@pytest.mark.parametrize("name", ["added", "refreshed", "removed"])
class TestSources:
    def test_a_text_that_is_no_id_stops_all(self, send: Send, emulator: AudiencesEmulator, name: str) -> None:
        with pytest.raises(
            InvalidInputError, match=f"^{name}, .*not an advertising ID.*on_malformed='fail'"
        ) as refusal:
            send(**{name: ["5eed5eed-0000-4000-8000-000000000001", "junk-text"]})
        assert isinstance(refusal.value, AirflowFailException)
        assert "junk-text" not in str(refusal.value)
        with pytest.raises(InvalidInputError, match=f"none of the texts of {name} is an advertising ID"):
            send(**{name: ["junk"]}, on_malformed="drop")
        assert emulator.requests("applovin.append") == []

    def test_none_at_run_time_is_refused(self, emulator: AudiencesEmulator, name: str) -> None:
        given: dict[str, Any] = {name: "{{ x }}"}
        operator = AppLovinSendChangesOperator(task_id="send", audience_id="a", **given)
        setattr(operator, name, None)
        with pytest.raises(InvalidInputError, match=f"{name} is None: the DAG asks for it"):
            operator.execute({})
        assert emulator.requests() == []


def test_zeros_count_as_nobody(send: Send, make_ids: MakeIds) -> None:
    report = send(added=[*make_ids(2), ZEROS, make_ids(1)[0].upper()])
    assert (report["added"], report["zeroed"], report["duplicates"]) == (2, 1, 1)
    with pytest.raises(InvalidInputError, match="have 2 members together, and expected_changes is 3"):
        send(added=[*make_ids(2), ZEROS], expected_changes=3, run_id="run 2")


class TestTextsOfTheWarehouse:
    """The guide's loop: a text that the operator would refuse stops no run, neither on its day nor later."""

    @pytest.fixture
    def day(self, send: Send) -> Iterator[Callable[..., dict[str, Any]]]:
        """Runs the loop for one day: ``day(wanted)``."""
        days = itertools.count(1)
        with duckdb.connect() as database:
            warehouse = Warehouse(database, 90_000)

            def run(wanted: list[str]) -> dict[str, Any]:
                run_id = f"run {next(days)}"
                warehouse.want(wanted)
                for step in ("changes", "attempt"):
                    warehouse.run(step, run_id=run_id)
                (count,) = database.fetchone() or (0,)
                changes: Any = warehouse.changes(run_id)
                report = send(**changes, expected_changes=count, run_id=run_id, ttl_seconds=90_000)
                warehouse.run("commit", run_id=run_id)
                return report | {"left_out": warehouse.left_out(), "in_doubt": len(warehouse.ids("vip_attempted"))}

            yield run

    def test_one_that_is_no_id(
        self, day: Any, emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds
    ) -> None:
        ids = make_ids(3)
        first = day([*ids[:2], "n/a"])
        assert [first[name] for name in ("added", "left_out", "in_doubt")] == [2, 1, 0]
        second = day(ids)
        assert [second[name] for name in ("added", "removed", "left_out", "in_doubt")] == [1, 0, 0, 0]
        assert emulator.members(audience_id) == ids

    def test_an_id_whose_spelling_is_corrected(
        self, day: Any, emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds
    ) -> None:
        ids = make_ids(3)
        first = day([ids[0].upper(), f"{{{ids[1].upper()}}}", f'"{ids[2]}"', ids[2]])
        assert [first[name] for name in ("added", "left_out", "in_doubt")] == [3, 0, 0]
        second = day(ids)
        assert [second[name] for name in ("planned_ids", "removed", "left_out", "in_doubt")] == [0, 0, 0, 0]
        assert emulator.members(audience_id) == ids


def test_no_source_at_all(send: Send) -> None:
    with pytest.raises(InvalidInputError, match="give at least one of added, refreshed, removed"):
        send()


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_ledger": "drop"},
        {"expected_changes": -1},
        {"ttl_seconds": 0},
        {"max_removed_ratio": 2},
        {"on_malformed": "x"},
    ],
)
def test_wrong_arguments(send: Send, emulator: AudiencesEmulator, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        send(added=[], **wrong)
    assert emulator.requests() == []


def test_syncs_and_changes_shut_each_other_out(
    send: Send, task_context: MakeContext, emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds
) -> None:
    ids = make_ids(10)

    def sync(**arguments: Any) -> Any:
        operator = AppLovinSyncAudienceOperator(task_id="sync", audience_id=audience_id, source=ids[:8], **arguments)
        return operator.execute(task_context())

    sync()
    with pytest.raises(ConflictError, match="has a ledger of 8 members; nothing was sent"):
        send(added=ids[8:])
    assert send(added=ids[8:], on_ledger="forget")["live"] == 10
    with pytest.raises(LedgerLostError, match="kept by changes that are handed in"):
        sync()
    # By hand it is sent, and nobody notes it.
    removal = AppLovinRemoveUsersOperator(task_id="remove", audience_id=audience_id, source=ids[:1])
    assert removal.execute(task_context())["in_ledger"] is False
    assert emulator.members(audience_id) == ids[1:]
    assert sync(on_lost_ledger="replace")["live"] == 8
    assert emulator.members(audience_id) == ids[:8]


def test_a_suppression_list(task_context: MakeContext, emulator: AudiencesEmulator, make_ids: MakeIds) -> None:
    ids = make_ids(12)

    def run(**arguments: Any) -> Any:
        operator = AppLovinSendSuppressionChangesOperator(task_id="send", package_name=APP, **arguments)
        return operator.execute(task_context(run_id=str(arguments)))

    first = run(added=ids[:10], expected_changes=10)
    assert (first["added"], first["live"], first["audience_id"]) == (10, None, APP)
    assert run(added=ids[10:], removed=ids[:3])["removed"] == 3
    assert emulator.suppressed(APP) == ids[3:]
    with pytest.raises(GuardError, match="remove 5 members, and at most 4 are allowed"):
        run(removed=ids[3:8], max_removed=4)
    for argument in ("refreshed", "ttl_seconds", "max_removed_ratio"):
        given: dict[str, Any] = {argument: 1}
        with pytest.raises(Exception, match=argument):  # Airflow has an error of its own
            AppLovinSendSuppressionChangesOperator(task_id="t", package_name=APP, **given)
