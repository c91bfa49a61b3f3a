"""All workers are lost while runs that send changes are at each boundary of their tasks: ``make test-cluster``."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest
from support.changes import statements
from support.cluster.cluster import WORKERS, Cluster
from support.cluster.rest import Run
from support.fixtures import MakeIds

from airflow_provider_audiences.emulator.testing import EmulatorRequest

BATCH, IN_FLIGHT = 50, 4  # of the DAG
SECONDS = 300
HELD_UP_SECONDS = 45
STAY, COME, GO = 800, 1000, 200
# Which task of each run is cut off, and begins anew.
CUT_OFF = {"in_attempt": "attempt", "before_sending": "send", "in_sending": "send", "in_commit": "commit"}


@dataclass
class Audience:
    """An audience with a warehouse of its own, which has the guide's tables."""

    cluster: Cluster
    audience_id: str
    database: str

    def __post_init__(self) -> None:
        self.cursor = self.cluster.make_database(self.database).cursor()
        self.holder = self.cluster.connect(self.database).cursor()
        for statement in statements("tables", run_id="", ttl_seconds=1):
            self.cursor.execute(statement)
        self.cursor.execute("CREATE TABLE vip_wanted (advertising_id text)")

    def want(self, ids: Iterable[str]) -> None:
        self.cursor.execute("TRUNCATE vip_wanted")
        self.cursor.execute("INSERT INTO vip_wanted SELECT unnest(%s)", (list(ids),))

    def run(self) -> Run:
        return self.cluster.api.run("cluster_changes", audience_id=self.audience_id, database=self.database)

    def ids(self, table: str) -> list[str]:
        self.cursor.execute(f"SELECT advertising_id FROM vip_{table}")
        return sorted(item for (item,) in self.cursor.fetchall())

    def hold_up(self, table: str) -> None:
        """Let writers of a table wait."""
        self.holder.execute(f"BEGIN; LOCK TABLE vip_{table} IN EXCLUSIVE MODE")

    def let_go(self) -> None:
        """Let nobody wait any more."""
        self.holder.execute("ROLLBACK")

    def is_held_up(self) -> bool:
        """Whether a statement waits for a lock of this database."""
        self.cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(self.cursor.fetchone()[0])

    def appends(self) -> list[EmulatorRequest]:
        """The requests that add or remove members, oldest first."""
        return [one for one in self.cluster.emulator.requests("applovin.append") if self.audience_id in one["target"]]

    def sent(self) -> int:
        """How many members came to the platform, those of a request that failed included."""
        return sum(request["body_lines"] for request in self.appends())

    def check_is_equal(self, wanted: list[str]) -> None:
        assert self.cluster.emulator.members(self.audience_id) == wanted
        assert self.ids("committed") == wanted
        assert self.ids("attempted") == []


@pytest.fixture
def audiences(cluster: Cluster, make_audiences: Callable[[int], list[str]]) -> dict[str, Audience]:
    """An audience for each boundary."""
    ids = make_audiences(len(CUT_OFF))
    return {name: Audience(cluster, audience_id, name) for name, audience_id in zip(CUT_OFF, ids, strict=True)}


@pytest.fixture
def held_up(cluster: Cluster, audiences: dict[str, Audience], make_ids: MakeIds) -> dict[str, Run]:
    """The second day's runs, each held up at its boundary."""
    emulator = cluster.emulator
    for audience in audiences.values():
        audience.want(make_ids(GO + STAY))
    for run in [audience.run() for audience in audiences.values()]:
        cluster.ended(run, seconds=SECONDS)
    for audience in audiences.values():
        audience.check_is_equal(make_ids(GO + STAY))
        audience.want(make_ids(STAY + COME, start=1 + GO))
    emulator.clear_requests()

    runs = {}
    for name, table in (("in_attempt", "attempted"), ("in_commit", "committed")):
        audiences[name].hold_up(table)
        runs[name] = audiences[name].run()
        cluster.wait_until("a statement that waits", audiences[name].is_held_up, seconds=SECONDS)
    emulator.latency("applovin.append", 10)
    runs["in_sending"] = audiences["in_sending"].run()
    cluster.wait_until("the first batches", lambda: len(audiences["in_sending"].appends()) > IN_FLIGHT, seconds=SECONDS)
    for operation in ("append", "list"):
        emulator.latency(f"applovin.{operation}", HELD_UP_SECONDS)
    counted = len(emulator.requests("applovin.list"))
    runs["before_sending"] = audiences["before_sending"].run()
    cluster.wait_until(
        "a sender that asks for the count", lambda: len(emulator.requests("applovin.list")) > counted, seconds=SECONDS
    )
    return runs


def test_all_workers_are_lost(
    cluster: Cluster, audiences: dict[str, Audience], held_up: dict[str, Run], make_ids: MakeIds
) -> None:
    """New workers end each run from where it was cut off, and nobody is sent again who was sent."""
    for name in WORKERS:
        cluster.kill(name)
    for operation in ("append", "list"):
        cluster.emulator.latency(f"applovin.{operation}", 0)
    changes = COME + GO
    assert {name: len(audience.ids("attempted")) for name, audience in audiences.items()} == {
        "in_attempt": 0,
        "before_sending": changes,
        "in_sending": changes,
        "in_commit": changes,
    }
    in_sending = audiences["in_sending"].sent()
    assert any(request["status"] for request in audiences["in_sending"].appends())
    assert in_sending < changes
    assert {name: audience.sent() for name, audience in audiences.items()} == {
        "in_attempt": 0,
        "before_sending": 0,
        "in_sending": in_sending,
        "in_commit": changes,
    }
    for audience in audiences.values():
        assert audience.ids("committed") == make_ids(GO + STAY)
        audience.let_go()

    cluster.bring_back_workers()
    for name, run in held_up.items():
        tasks = cluster.ended(run, seconds=SECONDS)
        assert {task.name: task.try_number for task in tasks.values()} == {
            task: 2 if task == CUT_OFF[name] else 1 for task in ("changes", "attempt", "send", "commit")
        }
        audiences[name].check_is_equal(make_ids(STAY + COME, start=1 + GO))
        twice = IN_FLIGHT * BATCH if name == "in_sending" else 0
        assert changes <= audiences[name].sent() <= changes + twice
