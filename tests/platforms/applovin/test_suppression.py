"""The client of suppression lists, over HTTP: what it sends, and what it makes of the replies."""

from collections.abc import Iterator

import pytest
from support.kinds import batch_of

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import (
    AuthenticationError,
    InvalidInputError,
    ServerError,
    UnexpectedReplyError,
)
from airflow_provider_audiences.http.calls import TransportSettings
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.platforms.applovin.audiences import package_name_of
from airflow_provider_audiences.platforms.applovin.suppression import (
    AppLovinSuppressionClient,
    SuppressionDestination,
)
from airflow_provider_audiences.redaction import Secret
from airflow_provider_audiences.sync.destination import BatchResult

IDS = [f"5eafbabe-6a28-11e4-bcda-{number:012x}" for number in range(4)]
BODY = "\n".join(IDS).encode()
APP = "com.example+x &/ü"


@pytest.fixture
def client(emulator: AudiencesEmulator) -> Iterator[AppLovinSuppressionClient]:
    settings = TransportSettings(max_retries=2, backoff_seconds=0)
    with AppLovinSuppressionClient(
        api_key=Secret(emulator.api_key), base_url=emulator.url, settings=settings, sleep=lambda _seconds: None
    ) as client:
        yield client


def test_add_and_delete(emulator: AudiencesEmulator, client: AppLovinSuppressionClient) -> None:
    counts = client.add_users(package_name=APP, advertising_ids=BODY + b"\nnobody")
    assert counts == BatchResult(valid=4, invalid=1, body_bytes=len(BODY) + 7)
    assert emulator.suppressed(APP) == IDS
    deleted = client.delete_users(package_name=APP, advertising_ids=IDS[1].encode())
    assert deleted == BatchResult(valid=1, invalid=0, body_bytes=36)
    assert emulator.suppressed(APP) == [IDS[0], *IDS[2:]]
    assert client.requests_sent == 2


def test_the_wire_format(emulator: AudiencesEmulator, client: AppLovinSuppressionClient) -> None:
    client.add_users(package_name=APP, advertising_ids=BODY)
    client.delete_users(package_name=APP, advertising_ids=BODY)
    added, deleted = emulator.requests()
    for request, path in ((added, "/suppressionApps"), (deleted, "/deleteSuppressionApps")):
        assert request["method"] == "POST"
        assert request["target"].partition("?")[0] == path
        assert "package_name=com.example%2Bx%20%26%2F%C3%BC" in request["target"]
        assert request["body_bytes"] == len(BODY)
        assert request["headers"]["content-type"] == "application/x-www-form-urlencoded"


def test_the_destination_has_no_count_and_no_ttl(
    emulator: AudiencesEmulator, client: AppLovinSuppressionClient
) -> None:
    destination = SuppressionDestination(client, APP, identifier_kind=AdvertisingIds(id_case="lower"))
    assert destination.address.folders[0] == "applovin-suppression"
    assert destination.member_count() is None
    assert (destination.limits.default_ttl_seconds, destination.limits.can_replace) == (None, False)
    everyone = batch_of(IDS)
    destination.add(everyone, ttl_seconds=None, give_up=lambda _error: False)
    destination.remove(batch_of(IDS[:1]), give_up=lambda _error: False)
    assert emulator.suppressed(APP) == IDS[1:]
    assert destination.requests_sent == 2
    with pytest.raises(NotImplementedError):
        destination.replace(everyone, ttl_seconds=None, give_up=lambda _error: False)


@pytest.mark.parametrize("key_name", ["Management Key", "Suppression API Key"])
def test_a_wrong_key_is_named(emulator: AudiencesEmulator, key_name: str) -> None:
    with (
        AppLovinSuppressionClient(api_key=Secret("n0t-it"), key_name=key_name, base_url=emulator.url) as client,
        pytest.raises(AuthenticationError) as caught,
    ):
        client.add_users(package_name=APP, advertising_ids=BODY)
    assert f"The {key_name} was used" in str(caught.value)
    assert "suppression_api_key" in str(caught.value)
    assert "n0t-it" not in str(caught.value)


@pytest.mark.parametrize("lost", ["drop_before", "drop_after", "truncated_json"])
def test_a_lost_reply_is_no_reason_to_send_less(
    emulator: AudiencesEmulator, client: AppLovinSuppressionClient, lost: str
) -> None:
    emulator.fault("applovin.suppression_add", lost, times=1)
    counts = client.add_users(package_name=APP, advertising_ids=BODY)
    assert counts == BatchResult(valid=4, invalid=0, body_bytes=len(BODY), after_lost_try=True)
    assert emulator.suppressed(APP) == IDS


def test_a_failing_server_is_asked_as_often_as_set(
    emulator: AudiencesEmulator, client: AppLovinSuppressionClient
) -> None:
    emulator.fault("applovin.suppression_delete", "status", status=503, times=None)
    with pytest.raises(ServerError) as caught:
        client.delete_users(package_name=APP, advertising_ids=BODY)
    assert len(emulator.requests("applovin.suppression_delete")) == 3
    assert caught.value.operation == "applovin.suppression_delete"


def test_a_page_is_no_success(emulator: AudiencesEmulator, client: AppLovinSuppressionClient) -> None:
    emulator.fault("applovin.suppression_add", "html", times=None)
    with pytest.raises(UnexpectedReplyError):
        client.add_users(package_name=APP, advertising_ids=BODY)


@pytest.mark.parametrize("given", ["", "  ", None, "None", 4.5, True, ["com.example"], "x" * 1_001, "a\ud83d"])
def test_what_is_no_package_name_sends_nothing(
    emulator: AudiencesEmulator, client: AppLovinSuppressionClient, given: object
) -> None:
    with pytest.raises(InvalidInputError, match="package_name"):
        package_name_of(given)
    with pytest.raises(InvalidInputError, match="package_name"):
        client.add_users(package_name=given, advertising_ids=BODY)  # type: ignore[arg-type] # on purpose
    assert emulator.requests() == []
