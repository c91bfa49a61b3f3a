from collections.abc import Iterator

import pytest
from support.sdk import Sdk

from airflow_provider_audiences.emulator import AudiencesEmulator

# The SDK takes a proxy of the environment for loopback addresses too.
PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "async")


@pytest.fixture
def sdk(audiences_emulator: AudiencesEmulator, asynchronous: bool) -> Sdk:
    """The SDK in either form, at an emulator that checks groups at once."""
    audiences_emulator.settings(processing_seconds=0)
    return Sdk(audiences_emulator, asynchronous=asynchronous)


@pytest.fixture(scope="session")
def sts_server() -> Iterator[AudiencesEmulator]:
    """An emulator whose AccessKey pair is a temporary one."""
    with AudiencesEmulator(security_token="the/token+of=the day", processing_seconds=0) as emulator:
        yield emulator


@pytest.fixture
def sts_emulator(sts_server: AudiencesEmulator) -> AudiencesEmulator:
    sts_server.reset()
    return sts_server
