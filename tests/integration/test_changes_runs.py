"""The guide's DAG of changes in real runs, on PostgreSQL and DuckDB: a process that is killed at each boundary."""

import json
import shutil
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import support
from support.changes import SQL, guides_dag, statements
from support.dag_scripts import AirflowProcesses
from support.fixtures import MakeAudience

from airflow_provider_audiences.emulator.testing import AudiencesEmulator

IDS = [f"5eed5eed-{number:04x}-4000-8000-0000000000{number * 17 % 256:02x}" for number in range(40)]
SUCCESS = dict.fromkeys(("changes", "attempt", "send", "commit"), "success")
BOUNDARIES = {
    "postgres": ["before attempt", "after attempt", "send 2", "before commit", "commit 2"],
    "duckdb": ["send 1", "commit 2"],
}


@dataclass
class Runs:
    """Runs of one engine's DAG; each in a process of its own."""

    engine: str
    processes: AirflowProcesses
    audience_id: str
    folder: Path
    cursor: Any

    def want(self, ids: Iterable[str]) -> None:
        self.execute("DELETE FROM vip_wanted")
        self.execute("INSERT INTO vip_wanted VALUES " + ", ".join(f"('{item}')" for item in ids))

    def execute(self, statement: str) -> list[Any]:
        if self.engine == "postgres":
            self.cursor.execute(statement)
            return list(self.cursor.fetchall()) if statement.startswith("SELECT") else []
        with duckdb.connect(str(self.folder / "warehouse.duckdb")) as database:
            return database.execute(statement).fetchall()

    def run(self, day: int, where: str = "") -> tuple[int, Any]:
        script = str(self.processes.folder / "changes_runs.py")
        code, said, errors = self.processes.run(
            script,
            *(self.engine, f"2026-03-{day:02}", where),
            DAG_RUNS_INPUT=json.dumps({"folder": str(self.folder), "audience_id": self.audience_id}),
            AIRFLOW_VAR_AUDIENCES_APPLOVIN_ID=self.audience_id,
            AIRFLOW__AUDIENCES__STATE_PATH=str(self.folder / "state"),
        )
        assert not [item for item in IDS if item in said + errors]
        ended = said.rpartition("\nENDED ")[2].splitlines()
        if where:
            assert code == -signal.SIGKILL, said + errors
            # As five minutes later: a killed process keeps its lease for so long.
            for path in (self.folder / "state").rglob("lease-*.json"):
                path.unlink()
            return code, None
        assert "\nENDED " in said, said + errors
        states = json.loads(ended[0])
        assert states == SUCCESS, (said + errors)[-6000:]
        return code, states


@pytest.fixture(params=["postgres", "duckdb"])
def runs(
    request: pytest.FixtureRequest,
    postgres: Any,
    make_audience: MakeAudience,
    airflow_processes: AirflowProcesses,
    tmp_path: Path,
) -> Runs:
    shutil.copy(Path(support.__file__).parent / "dags" / "changes_runs.py", airflow_processes.folder)
    (airflow_processes.folder / "vip_changes.py").write_text(guides_dag())
    shutil.copytree(SQL / "postgres", airflow_processes.folder / "changes_sql", dirs_exist_ok=True)
    runs = Runs(request.param, airflow_processes, make_audience("A"), tmp_path, postgres.cursor())
    for statement in statements("tables", run_id="", ttl_seconds=1):
        runs.execute(statement)
    runs.execute("CREATE TABLE vip_wanted (advertising_id text)")
    return runs


def test_a_chain_of_runs_that_are_killed(runs: Runs, emulator: AudiencesEmulator) -> None:
    """Each run finds what the killed ones before it have left; one member comes and one goes each day."""
    runs.want(IDS[:20])
    runs.run(1)
    members = emulator.members(runs.audience_id)
    assert members == sorted(IDS[:20])
    for day, where in enumerate([*BOUNDARIES[runs.engine], ""], 2):
        wanted = IDS[day - 1 : day + 19]
        runs.want(wanted)
        emulator.clear_requests()
        runs.run(day, where)
        sent = sum(request["body_lines"] for request in emulator.requests("applovin.append"))
        if "attempt" in where:
            assert (emulator.members(runs.audience_id), sent) == (members, 0)
        elif "send" in where:
            # One is added by a request, and nobody was removed yet.
            assert len(set(emulator.members(runs.audience_id)) - set(members)) == int(where.split()[1])
            assert set(members) <= set(emulator.members(runs.audience_id))
        else:
            assert emulator.members(runs.audience_id) == sorted(wanted), where
    counts = [runs.execute(f"SELECT count(*) FROM vip_{name}")[0][0] for name in ("attempted", "committed")]
    assert counts == [0, 20]
