"""Changes that are handed in: how tests send them, and a warehouse with the SQL of the guide."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2

from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.sync.changes import ChangesDelivery, ChangesSettings, StagedChanges
from airflow_provider_audiences.sync.guards import Guards
from airflow_provider_audiences.sync.report import ChangesReport
from airflow_provider_audiences.sync.settings import DeliverySettings
from support.synced import SyncedAudience

DOCS = Path(__file__).parents[2] / "docs"
SQL = DOCS / "sql"
NOW = "CAST(extract(epoch FROM now()) AS bigint)"
"""How the SQL of the guide asks for the time."""
OPEN = {"allow_empty": True, "max_removed_ratio": None, "max_added_ratio": None, "min_members": 0}


def hand_in(
    synced: SyncedAudience,
    added: Iterable[str] = (),
    *,
    refreshed: Iterable[str] = (),
    removed: Iterable[str] = (),
    key: str = "dag/run 1/send",
    batch: int = 2,
    guards: dict[str, Any] | None = None,
    **settings: Any,
) -> ChangesReport:
    """Send changes to an audience."""
    given = {"ttl_seconds": synced.ttl_seconds, "on_ledger": "fail", "expected_changes": None}
    checked = ChangesSettings.checked(
        limits=synced.destination.limits,
        guards=Guards(**(OPEN | (guards or {}))),
        **(given | {"run_date": None, "allow_older_run": False} | settings),
    )
    delivery_settings = DeliverySettings(
        batch_size=batch, max_parallel_requests=1, max_drift=None, drift_patience_seconds=0
    )
    with contextlib.ExitStack() as stack:
        audience = stack.enter_context(synced.open_audience(key=key))
        staged = {
            name: stack.enter_context(
                stage(
                    ValuesInput(chunks=[list(ids)]),
                    rules=StagingRules(argument=name),
                    identifier_kind=synced.identifier_kind,
                )
            )
            for name, ids in (("added", list(added)), ("refreshed", list(refreshed)), ("removed", list(removed)))
            if ids
        }
        return ChangesDelivery(audience, delivery_settings=delivery_settings, run_key=key).run(
            StagedChanges(**staged), checked
        )


def guides_dag() -> str:
    """Return the code of the guide's DAG."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / "changes.md").read_text(), re.DOTALL | re.MULTILINE)
    (block,) = [block for block in blocks if "def vip_changes():" in block]
    return str(block)


class Killed(Exception):  # noqa: N818 - what happened
    """The process ended here."""


@dataclass
class Warehouse:
    """
    A database with the tables of the guide, and its SQL.

    Each statement commits by itself: what also holds in a warehouse without transactions.
    """

    cursor: Any
    ttl_seconds: int
    dialect: str = "postgres"
    """Another one than ``postgres`` is put into DuckDB's words."""

    def __post_init__(self) -> None:
        self.run("tables")
        self.cursor.execute("CREATE TABLE vip_wanted (advertising_id text)")

    def want(self, ids: Iterable[str]) -> None:
        """Say who has to be in the audience."""
        self.cursor.execute("DELETE FROM vip_wanted")
        for item in ids:
            text = item.replace("'", "''")
            self.cursor.execute(f"INSERT INTO vip_wanted VALUES ('{text}')")

    def run(self, step: str, *, run_id: str = "", now: float | None = None, killed_after: int | None = None) -> None:
        """Run a step, or its first statements only."""
        found = statements(step, run_id=run_id, ttl_seconds=self.ttl_seconds, dialect=self.dialect)
        for done, statement in enumerate(found):
            if done == killed_after:
                raise Killed
            text = in_words_of_duckdb(statement, self.dialect)
            self.cursor.execute(text if now is None else text.replace(NOW, str(int(now))))

    def changes(self, run_id: str) -> dict[str, list[str]]:
        """What a run sends, by kind."""
        found: dict[str, list[str]] = {"added": [], "refreshed": [], "removed": []}
        self.cursor.execute(f"SELECT change, advertising_id FROM vip_changes WHERE run_id = '{run_id}'")
        for change, item in self.cursor.fetchall():
            found[change].append(item)
        return found

    def left_out(self) -> int:
        """How many texts of ``vip_wanted`` are no IDs."""
        self.run("left_out")
        return int(self.cursor.fetchone()[0])

    def ids(self, table: str) -> list[str]:
        """Who is in a table."""
        self.cursor.execute(f"SELECT DISTINCT advertising_id FROM {table} ORDER BY 1")
        return [item for (item,) in self.cursor.fetchall()]


SENT: Any = {"plan_id": "0123456789abcdef"}


def statements(step: str, *, run_id: str, ttl_seconds: int, dialect: str = "postgres", report: Any = SENT) -> list[str]:
    """Return the statements of a file, rendered as Airflow does it; the task ``send`` has returned the report."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - it is SQL
    ti = SimpleNamespace(xcom_pull=lambda task_ids: report if task_ids == "send" else None)
    text = environment.from_string((SQL / dialect / f"{step}.sql").read_text()).render(
        run_id=run_id, params={"ttl_seconds": ttl_seconds}, ti=ti
    )
    return [statement for part in text.split(";\n") if (statement := part.strip())]


def in_words_of_duckdb(statement: str, dialect: str) -> str:
    """Return a statement with what DuckDB has other words for; all else is as it stands."""
    if dialect == "postgres":
        return statement
    for words in (
        "unix_seconds(current_timestamp())",
        "date_part(epoch_second, current_timestamp())",
        "unix_timestamp(getdate())",
    ):
        statement = statement.replace(words, NOW)
    statement = re.sub(r"\nCLUSTER BY [\w, ]+", "", statement.replace("int64", "bigint"))
    statement = re.sub(r"^--.*\n", "", statement, flags=re.MULTILINE).replace("`", '"')
    for words, in_duckdb in (
        ("LEFT ANTI JOIN", "ANTI JOIN"),
        ("regexp_contains(", "regexp_matches("),
        ("regexp_like(", "regexp_full_match("),
        (" RLIKE ", " SIMILAR TO "),
        (" r'", " '"),
    ):
        statement = statement.replace(words, in_duckdb)
    return re.sub(
        r"\A(.*)INSERT OVERWRITE TABLE (\w+)\n", r"CREATE OR REPLACE TABLE \2 AS \1", statement, flags=re.DOTALL
    )


@contextlib.contextmanager
def killed_in_request(synced: SyncedAudience, number: int, *, is_carried_out: bool) -> Iterator[None]:
    """End the process in a request: before it is carried out, or before it is written down."""
    seen = 0

    def hook(_post: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            raise Killed

    setattr(synced.wire, "after" if is_carried_out else "before", hook)
    try:
        yield
    finally:
        synced.wire.before = synced.wire.after = lambda _post: None
