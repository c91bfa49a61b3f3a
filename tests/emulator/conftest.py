import pytest
from support.bare_clients import AppLovin, OpenApi, Pai

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.emulator.pytest_plugin import (  # noqa: F401 - fixtures
    audiences_emulator,
    audiences_emulator_server,
)


@pytest.fixture
def openapi(audiences_emulator: AudiencesEmulator) -> OpenApi:  # noqa: F811
    return OpenApi(audiences_emulator)


@pytest.fixture
def applovin(audiences_emulator: AudiencesEmulator) -> AppLovin:  # noqa: F811
    return AppLovin(audiences_emulator)


@pytest.fixture
def pai(audiences_emulator: AudiencesEmulator) -> Pai:  # noqa: F811
    return Pai(audiences_emulator)
