"""The SQL of the guide to changes, on DuckDB and PostgreSQL: kills at each boundary, any history, refreshes."""

import contextlib
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import hypothesis
import jinja2
import pytest
from hypothesis import strategies as st
from support.changes import SQL, Killed, Warehouse, hand_in, killed_in_request, statements
from support.memory_destination import MemoryDestination, MemoryPlatform
from support.synced import HookedFolder, SyncedAudience

from airflow_provider_audiences.sync.state.file_store import LocalFileStore

DAY = 86_400
TTL = 30 * DAY
STEPS = ("changes", "attempt", "commit")
IDS = [f"5eed5eed-{number:04x}-4000-8000-0000000000{number * 17 % 256:02x}" for number in range(32)]

Kill = tuple[str, int] | None
"""A step, and how many of its statements are done; or a request, before it is carried out or written down."""
BEFORE, ALL_SENT = ((4, 0), (10, 0), (10, 0)), ((0, 6), (0, 0), (10, 10))
TABLE: dict[Kill, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    ("changes", 0): BEFORE,
    ("changes", 1): BEFORE,
    ("attempt", 0): BEFORE,
    ("attempt", 1): BEFORE,
    ("attempt", 2): BEFORE,
    ("attempt", 3): BEFORE,
    ("unsent", 1): BEFORE,
    ("unsent", 2): ((4, 3), (7, 0), (10, 3)),
    ("unwritten", 1): ((4, 3), (10, 3), (10, 3)),
    ("unwritten", 3): ((1, 6), (4, 3), (10, 9)),
    ("commit", 0): ALL_SENT,
    ("commit", 1): ALL_SENT,
    ("commit", 2): ALL_SENT,
    ("commit", 3): ALL_SENT,
}
"""
The table of the guide, of ten changes in batches of three: how many of four old members are still there after the kill,
and how many of six new ones; how many members the same run's next try sends, and how many of them twice; and so does
the next run.
"""
KILLS: list[Kill] = list(TABLE)


class Loop:
    """The runs of the guide's DAG, for one audience in memory."""

    def __init__(self, cursor: Any, folder: Path, dialect: str = "postgres") -> None:
        destination = MemoryDestination(MemoryPlatform())
        path = folder / "state"
        self.synced = SyncedAudience(destination, destination, path, HookedFolder(LocalFileStore(path)))
        self.synced.ttl_seconds = TTL
        self.warehouse = Warehouse(cursor, TTL, dialect)
        self.on_ledger = "fail"

    def run(self, run_id: str, kill: Kill = None) -> dict[str, list[str]]:
        """Do the steps of a run, up to where it is killed; return what it had to send."""
        step, number = kill or ("", 0)
        killed = {step: number} if step in STEPS else {}
        now = self.synced.now()
        changes: dict[str, list[str]] = {}
        with contextlib.suppress(Killed):
            self.warehouse.run("changes", run_id=run_id, now=now, killed_after=killed.get("changes"))
            changes = self.warehouse.changes(run_id)
            self.warehouse.run("attempt", run_id=run_id, now=now, killed_after=killed.get("attempt"))
            dying: Any = contextlib.nullcontext()
            if step in {"unsent", "unwritten"}:
                dying = killed_in_request(self.synced, number, is_carried_out=step == "unwritten")
            with dying:
                count = sum(map(len, changes.values()))
                given: Any = changes | {"expected_changes": count, "on_ledger": self.on_ledger}
                hand_in(self.synced, **given, key=run_id, batch=3)
            self.warehouse.run("commit", run_id=run_id, now=now, killed_after=killed.get("commit"))
        self.check_nobody_is_forgotten()
        return changes

    def check_nobody_is_forgotten(self) -> None:
        known = {*self.warehouse.ids("vip_committed"), *self.warehouse.ids("vip_attempted")}
        assert set(self.synced.members) <= known

    def check_is_equal(self, wanted: list[str]) -> None:
        assert self.synced.members == sorted(wanted)
        assert self.warehouse.ids("vip_committed") == sorted(wanted)
        assert self.warehouse.ids("vip_attempted") == []


@pytest.fixture(params=["duckdb", "postgres"])
def loop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Loop]:
    if request.param == "postgres":
        yield Loop(request.getfixturevalue("postgres").cursor(), tmp_path)
    else:
        with duckdb.connect(config={"threads": 1}) as database:
            yield Loop(database, tmp_path)


@pytest.mark.parametrize("kill", KILLS, ids=str)
@pytest.mark.parametrize("then", ["the same run", "the next run"])
def test_a_kill_at_each_boundary(loop: Loop, kill: Kill, then: str) -> None:
    loop.warehouse.want(IDS[:10])
    loop.run("run 1")
    loop.check_is_equal(IDS[:10])
    loop.warehouse.want(IDS[4:16])
    loop.synced.wire.posts.clear()
    loop.run("run 2", kill)
    left, same_run, next_run = TABLE[kill]
    members, sent_before = set(loop.synced.members), loop.synced.ids_sent()
    assert (len(members & set(IDS[:4])), len(members & set(IDS[10:16]))) == left
    loop.synced.wire.posts.clear()
    loop.synced.advance(DAY)
    loop.run("run 2" if then == "the same run" else "run 3")
    loop.check_is_equal(IDS[4:16])
    sent = loop.synced.ids_sent()
    twice = set(sent_before) & set(sent)
    assert (len(sent), len(twice)) == (same_run if then == "the same run" else next_run)
    loop.synced.wire.posts.clear()
    loop.run("run 4")
    assert loop.synced.sent == []


@pytest.mark.parametrize("kill", [("unsent", 2), ("unwritten", 3), ("commit", 1)], ids=str)
def test_the_next_run_may_want_others(loop: Loop, kill: Kill) -> None:
    loop.warehouse.want(IDS[:10])
    loop.run("run 1")
    loop.warehouse.want(IDS[4:16])
    loop.run("run 2", kill)
    attempted = set(loop.warehouse.ids("vip_attempted"))
    wanted = [*IDS[2:8], *IDS[12:18]]
    loop.warehouse.want(wanted)
    changes = loop.run("run 3")
    loop.check_is_equal(wanted)
    assert attempted <= {item for ids in changes.values() for item in ids}


def test_a_ledger_becomes_the_table_of_committed_members(loop: Loop, tmp_path: Path) -> None:
    """So the first changes are those since the last sync; who is in doubt there is in doubt here."""
    synced = loop.synced
    synced.run(IDS[:10], ttl=TTL)
    with pytest.raises(Killed), killed_in_request(synced, 1, is_carried_out=True):
        synced.run(IDS[:12], ttl=TTL)
    synced.run(IDS[1:11], ttl=TTL, refresh_before_seconds=0)
    (ledger,) = (tmp_path / "state").glob("ledger-*.parquet")
    text = (SQL / "duckdb" / "from_ledger.sql").read_text()
    text = jinja2.Template(text).render(params={"ttl_seconds": TTL, "ledger": ledger})
    with duckdb.connect() as database:
        Warehouse(database, TTL)
        for statement in text.split(";\n")[:-1]:
            database.execute(statement)
        for table, columns in (("committed", 2), ("attempted", 3)):
            for row in database.execute(f"SELECT * FROM vip_{table}").fetchall():
                values = ", ".join(repr(value) for value in row)
                assert len(row) == columns
                loop.warehouse.cursor.execute(f"INSERT INTO vip_{table} VALUES ({values})")
    assert loop.warehouse.ids("vip_committed") == sorted(IDS[1:11])
    loop.warehouse.want(IDS[2:13])
    loop.on_ledger = "forget"
    changes = loop.run("run 1")
    assert {name: len(ids) for name, ids in changes.items()} == {"added": 2, "refreshed": 0, "removed": 1}
    loop.check_is_equal(IDS[2:13])
    assert not list((tmp_path / "state").glob("ledger-*"))


def test_a_commit_that_is_late_or_done_again_changes_nothing(loop: Loop) -> None:
    loop.warehouse.want(IDS[:8])
    loop.run("run 1")
    loop.warehouse.run("commit", run_id="run 1")
    loop.check_is_equal(IDS[:8])
    loop.warehouse.want(IDS[4:12])
    loop.run("run 2", ("commit", 0))
    loop.warehouse.want(IDS[8:16])
    loop.run("run 3", ("unsent", 2))
    for run_id in ("run 1", "run 2"):
        loop.warehouse.run("commit", run_id=run_id)
        loop.check_nobody_is_forgotten()
    loop.run("run 4")
    loop.check_is_equal(IDS[8:16])


def test_nothing_is_committed_that_was_not_sent() -> None:
    """The statement names the plan, which only a task that has succeeded has returned."""
    with pytest.raises(jinja2.UndefinedError):
        statements("commit", run_id="run 1", ttl_seconds=TTL, report=None)
    assert "plan 0123456789abcdef" in statements("commit", run_id="run 1", ttl_seconds=TTL)[0]


def test_spellings_of_one_id_are_one_member(loop: Loop) -> None:
    loop.warehouse.want([IDS[0], IDS[0].upper(), f" {IDS[1]} ", "00000000-0000-0000-0000-000000000000"])
    loop.run("run 1")
    loop.check_is_equal(IDS[:2])


@pytest.mark.parametrize("loop", ["postgres"], indirect=True)
def test_refreshes_are_spread_and_nobody_expires(loop: Loop) -> None:
    ids = [f"5eed5eed-0000-4000-8000-0000000000{number:02x}" for number in range(0, 256, 16)]
    loop.warehouse.want(ids)
    loop.run("run 0")
    a_day = []
    for day in range(1, 30):
        loop.synced.advance(DAY)
        assert loop.synced.members == sorted(ids)
        changes = loop.run(f"run {day}")
        assert changes["added"] == changes["removed"] == []
        a_day.append(len(changes["refreshed"]))
    assert a_day[:14] == [0] * 14
    assert sum(a_day[:27]) == len(ids)  # each once, between day 15 and day 27
    assert max(a_day) <= len(ids) / 4
    loop.check_is_equal(ids)


SPELLINGS = ("{}", "{}", " {} ", "{{{}}}", '"{}"', "'{}'\t")
NO_IDS = (
    "n/a",
    "",
    "-",
    "5eed5eed",
    "zz" * 16,
    "g" + IDS[0][1:],
    IDS[0] + "0",
    IDS[0].replace("-", "_"),
    IDS[0].replace("-", ""),
)


def spelled(item: str, form: str, *, is_upper: bool) -> str:
    """One of the spellings of an ID."""
    text = form.format(item)
    return text.upper() if is_upper else text


members = st.dictionaries(st.integers(0, 15), st.tuples(st.sampled_from(SPELLINGS), st.booleans()))
days = st.lists(
    st.tuples(
        members,
        st.sets(st.sampled_from(NO_IDS), max_size=2),
        st.sampled_from([None, *KILLS]),
        st.booleans(),  # whether the same run is done again
        st.sampled_from([60, DAY, 40 * DAY]),
    ),
    min_size=1,
    max_size=6,
)


@hypothesis.settings(max_examples=16)
@hypothesis.given(history=days)
def test_any_history(history: list[tuple[dict[int, tuple[str, bool]], set[str], Kill, bool, int]]) -> None:
    """Whatever is wanted, in whatever spelling, and whatever else is among it: no text stops a later run."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config={"threads": 1}) as database:
        loop = Loop(database, Path(folder))
        numbers = itertools.count(1)
        run_id = "run 0"
        for wanted, no_ids, kill, is_same, seconds in history:
            if not is_same:
                run_id = f"run {next(numbers)}"
            texts = [spelled(IDS[number], form, is_upper=is_upper) for number, (form, is_upper) in wanted.items()]
            loop.warehouse.want([*texts, *no_ids])
            loop.synced.advance(seconds)
            loop.run(run_id, kill)
        loop.run("the last run")
        loop.check_is_equal([IDS[number] for number in history[-1][0]])


@pytest.mark.parametrize("dialect", ["postgres", "bigquery", "maxcompute", "snowflake"])
def test_what_an_earlier_version_has_stored_gets_out_by_itself(dialect: str, tmp_path: Path) -> None:
    """Texts that are no IDs, and IDs in other spellings: of those nobody is forgotten."""
    upper, quoted = IDS[0].upper(), f'"{IDS[1]}"'
    with duckdb.connect(config={"threads": 1}) as database:
        loop = Loop(database, tmp_path, dialect)
        hand_in(loop.synced, IDS[:3], key="earlier")
        for text in (upper, IDS[2]):
            database.execute(f"INSERT INTO vip_committed VALUES ('{text}', 0)")
        for text in ("n/a", quoted, IDS[3].upper()):
            database.execute(f"INSERT INTO vip_attempted VALUES ('run 0', '{text}', 0)")
        loop.warehouse.want([IDS[2], IDS[3], "n/a", "", quoted.replace('"', "'")])
        assert loop.warehouse.left_out() == 2
        # No run decides by an old run's step.
        loop.warehouse.run("attempt", run_id="run 0", now=0)
        loop.warehouse.run("commit", run_id="run 0", now=0)
        assert len(loop.warehouse.ids("vip_committed")) == 2
        changes = loop.run("run 1")
        assert changes["removed"] == IDS[:1]
        loop.check_is_equal(IDS[1:4])
        assert {name: len(ids) for name, ids in loop.run("run 2").items()} == dict.fromkeys(changes, 0)


@pytest.mark.parametrize("dialect", ["bigquery", "maxcompute", "snowflake"])
def test_other_warehouses_do_the_same(dialect: str, tmp_path: Path) -> None:
    """Their SQL, put into DuckDB's words; they themselves were not reached. Run after run is killed."""
    kills: list[Kill] = [("changes", 1), ("attempt", 1), ("unsent", 2), ("commit", 1), ("unwritten", 3), ("commit", 0)]
    with duckdb.connect(config={"threads": 1}) as database:
        loop = Loop(database, tmp_path, dialect)
        for number, kill in enumerate([None, *kills, None]):
            wanted = [*IDS[number : number + 10], *IDS[20 - number : 20]]
            loop.warehouse.want(item.upper() for item in wanted)
            loop.synced.advance(DAY if number % 2 else 28 * DAY)
            loop.run(f"run {number}", kill)
            if kill is None or kill[0] == "commit":
                assert loop.synced.members == sorted(set(wanted))
        loop.check_is_equal(sorted(set(wanted)))
        loop.synced.advance(16 * DAY)
        refreshed = loop.run("the last run")["refreshed"]
        assert 0 < len(refreshed) < len(set(wanted))
