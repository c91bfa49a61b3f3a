"""
Fixtures for pytest. In a ``conftest.py``::

    pytest_plugins = ["airflow_provider_audiences.emulator.pytest_plugin"]

With this plugin, Airflow works on a database of the test run, and not on the one that it is configured for.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .testing import AudiencesEmulator

_DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
_OWN_DATABASE = "audiences_own_database"
_MIGRATION_SECONDS = 300


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting that leaves Airflow's database as it is configured."""
    parser.addini(_OWN_DATABASE, "Airflow works on a SQLite database of the test run", type="bool", default=True)


def pytest_configure(config: pytest.Config) -> None:
    """Name a database of the test run to Airflow, before Airflow is imported."""
    if not config.getini(_OWN_DATABASE):
        return
    if "airflow.settings" in sys.modules:
        raise pytest.UsageError(
            "Airflow was imported before the plugin of audiences_emulator, so tests would write into its real "
            f"database: import Airflow in test modules, and not in conftest.py; or set {_OWN_DATABASE} = false in "
            "pytest's settings if that database is made for tests."
        )
    folder = tempfile.TemporaryDirectory(prefix="audiences-tests-")
    config.add_cleanup(folder.cleanup)
    environment = pytest.MonkeyPatch()
    config.add_cleanup(environment.undo)
    environment.setenv(_DATABASE, f"sqlite:///{Path(folder.name, 'airflow.db')}")


@pytest.fixture(scope="session")
def audiences_emulator_server() -> Iterator[AudiencesEmulator]:
    """One emulator for the whole test run."""
    with AudiencesEmulator() as emulator:
        yield emulator


@pytest.fixture
def audiences_emulator(
    audiences_emulator_server: AudiencesEmulator,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> AudiencesEmulator:
    """The emulator of the test run, reset before each test; ledgers lie in a folder of the test."""
    audiences_emulator_server.reset()
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path_factory.mktemp("audiences_state")))
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH_IS_SHARED", "True")
    return audiences_emulator_server


@pytest.fixture(scope="session")
def audiences_airflow_database() -> str:
    """Airflow's database, migrated: what ``dag.test()`` needs. Its address, empty if it is not of the test run."""
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    done = subprocess.run(  # noqa: S603 - our own Python
        command, capture_output=True, text=True, timeout=_MIGRATION_SECONDS, check=False
    )
    if done.returncode:
        pytest.fail(f"airflow db migrate failed: {done.stderr[-2000:]}")
    return os.environ.get(_DATABASE, "")
