"""The fixtures, as a project of somebody else uses them: in a process of its own, with an Airflow home of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import urllib.request

addresses = set()


def test_uses_the_emulator(audiences_emulator):
    assert audiences_emulator.requests() == []
    audiences_emulator.settings(processing_seconds=0)
    try:
        urllib.request.urlopen(audiences_emulator.url + "/audiences/list")
    except urllib.error.HTTPError as error:
        assert error.code == 403
    assert len(audiences_emulator.requests()) == 1
    addresses.add(audiences_emulator.url)


def test_finds_nothing_of_the_test_before(audiences_emulator):
    assert audiences_emulator.requests() == []
    assert audiences_emulator.settings()["processing_seconds"] == 5
    addresses.add(audiences_emulator.url)
    assert len(addresses) == 1
"""

DAG = """
import datetime as dt

from airflow.sdk import DAG

from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator

with DAG("mine", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) as dag:
    AppLovinSyncAudienceOperator(task_id="sync", name="VIP", platform="android", package_name="com.example.game",
                                 source=["00000000-0000-4000-8000-000000000001"], drift_patience_seconds=0)
"""

DAG_TEST = """
import os
from pathlib import Path


def test_a_sync(audiences_emulator, audiences_airflow_database, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_APPLOVIN_DEFAULT", audiences_emulator.applovin_connection_uri())
    from mine import dag

    dag.test()
    (audience,) = audiences_emulator.audiences()
    assert audiences_emulator.member_count(audience["audience_id"]) == 1
    state = Path(os.environ["AIRFLOW__AUDIENCES__STATE_PATH"])
    assert list(state.rglob("ledger-*.parquet"))
    assert audiences_airflow_database.startswith("sqlite:///")
    assert Path(audiences_airflow_database.removeprefix("sqlite:///")).exists()
"""


def run(folder: Path, *, conftest: str, tests: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_it.py").write_text(tests)
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(folder), "-c", "/dev/null"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)],
        capture_output=True, text=True, check=False, timeout=300, env=inherited | environment,
    )  # fmt: skip


@pytest.mark.parametrize("module", ["testing", "pytest_plugin"])
def test_the_fixtures_work_in_a_project_of_somebody_else(tmp_path: Path, module: str) -> None:
    conftest = f"pytest_plugins = ['airflow_provider_audiences.emulator.{module}']\n"
    done = run(tmp_path, conftest=conftest, tests=TESTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


PLUGIN = "pytest_plugins = ['airflow_provider_audiences.emulator.pytest_plugin']\n"


def test_a_dag_leaves_no_trace_in_the_airflow_of_its_user(tmp_path: Path) -> None:
    """Its ledger and its run are those of the test: nothing is in the database and the state path of AIRFLOW_HOME."""
    home, project = tmp_path / "home", tmp_path / "project"
    (home / "dags").mkdir(parents=True)
    project.mkdir()
    (home / "dags" / "mine.py").write_text(DAG)
    environment = {"AIRFLOW_HOME": str(home), "PYTHONPATH": str(home / "dags"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = run(project, conftest=PLUGIN, tests=DAG_TEST, **environment)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "1 passed" in done.stdout
    assert not {"airflow.db", "audiences"} & {path.name for path in home.iterdir()}


def test_whoever_imports_airflow_too_early_is_told_and_nothing_runs(tmp_path: Path) -> None:
    early = "import sys, types\nsys.modules['airflow.settings'] = types.ModuleType('airflow.settings')\n"  # in no time
    done = run(tmp_path, conftest=early + PLUGIN, tests=TESTS)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "import Airflow in test modules" in done.stderr
