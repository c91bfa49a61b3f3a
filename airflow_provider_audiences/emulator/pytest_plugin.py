"""
Fixtures for pytest. In a ``conftest.py``::

    pytest_plugins = ["airflow_provider_audiences.emulator.pytest_plugin"]
"""

from collections.abc import Iterator

import pytest

from .testing import AudiencesEmulator


@pytest.fixture(scope="session")
def audiences_emulator_server() -> Iterator[AudiencesEmulator]:
    """One emulator for the whole test run."""
    with AudiencesEmulator() as emulator:
        yield emulator


@pytest.fixture
def audiences_emulator(audiences_emulator_server: AudiencesEmulator) -> AudiencesEmulator:
    """The emulator of the test run, reset before each test."""
    audiences_emulator_server.reset()
    return audiences_emulator_server
