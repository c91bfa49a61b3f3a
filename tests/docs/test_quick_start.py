"""The quick start, done as it says: its DAG, run by Airflow's own command, with the emulator as the platform."""

import re
from pathlib import Path
from typing import Any

import pytest
from support.dag_scripts import AirflowProcesses
from support.fixtures import Connect, MakeIds

import airflow_provider_audiences
from airflow_provider_audiences.emulator.testing import AudiencesEmulator

DOCS = Path(airflow_provider_audiences.__file__).parents[1] / "docs"
LEDGER = "/opt/airflow/audiences/applovin/api.applovin.com/fce0b41a0849706bd0fbbe181e61f419"


def _block(page: str, part: str) -> str:
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    (block,) = [block for block in blocks if part in block]
    return str(block)


def _dag(source: str) -> str:
    """The quick start's DAG that has this source. A failure should show at once, and not after the pauses of tries."""
    return _block("quick-start.md", source).replace('"retries": 3', '"retries": 0')


def test_the_first_run_is_green_and_its_ledger_can_be_looked_into(
    airflow_database: None,
    connect: Connect,
    emulator: AudiencesEmulator,
    make_ids: MakeIds,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dags, data, state = tmp_path / "airflow/dags", tmp_path / "data", tmp_path / "state"
    dags.mkdir(parents=True)
    data.mkdir()
    # A failure should show at once, and not after the pauses between tries.
    (dags / "players.py").write_text(_dag("players.txt"))
    processes = AirflowProcesses(dags)
    try:
        ids = make_ids(290)
        (data / "players.txt").write_text("\n".join(ids))
        code, said, errors = processes.run(
            "airflow", "dags", "test", "players", AIRFLOW__AUDIENCES__STATE_PATH=str(state)
        )
    finally:
        processes.close()
    assert code == 0, said + errors
    [audience] = emulator.audiences()
    assert emulator.members(audience["audience_id"]) == sorted(ids)

    # docs/sync.md shows how to look into the ledger that is there now.
    [folder] = (state / "applovin").glob("*/*")
    block = (
        _block("sync.md", LEDGER).replace(LEDGER, str(folder)).replace("c77bbe4e-0ab1-4c9c-a5ea-6b8ef2d5a0c1", ids[0])
    )
    exec(compile(block, "docs/sync.md", "exec"), {})  # noqa: S102 - our own documentation
    shown = capsys.readouterr().out
    assert "290" in shown
    assert ids[0] in shown


def test_a_table_of_postgres_is_mirrored(
    airflow_database: None,
    connect: Connect,
    emulator: AudiencesEmulator,
    make_ids: MakeIds,
    postgres: Any,
    tmp_path: Path,
) -> None:
    database = postgres.cursor()
    database.execute("CREATE TABLE players (gaid uuid, active boolean)")
    rows = [(item, number >= 5) for number, item in enumerate(make_ids(45))]
    database.executemany("INSERT INTO players VALUES (%s, %s)", rows)
    (tmp_path / "players.py").write_text(_dag("SqlSource"))
    processes = AirflowProcesses(tmp_path)
    try:
        code, said, errors = processes.run(
            "airflow", "dags", "test", "players", AIRFLOW__AUDIENCES__STATE_PATH=str(tmp_path / "state")
        )
    finally:
        processes.close()
    assert code == 0, said + errors
    [audience] = emulator.audiences()
    assert audience["name"] == "Players of the shop"
    assert emulator.members(audience["audience_id"]) == make_ids(40, start=6)
