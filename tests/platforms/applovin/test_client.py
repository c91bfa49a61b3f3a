"""AppLovin's five calls: arguments, replies, and what a 406 on create means."""

from collections.abc import Callable
from typing import Any

import pytest
from support.fixtures import AsBody, MakeIds

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import (
    AudienceError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ConnectionFailedError,
    InvalidInputError,
    NotFoundError,
    ServerError,
    UnexpectedReplyError,
)
from airflow_provider_audiences.platforms.applovin.audiences import Audience
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient, CreatedAudience
from airflow_provider_audiences.platforms.applovin.defaults import DEFAULT_BASE_URL, DEFAULT_SETTINGS
from airflow_provider_audiences.sync.destination import BatchResult

MakeApplovin = Callable[..., AppLovinClient]


def create(client: AppLovinClient, **options: Any) -> CreatedAudience:
    return client.create_audience(**{"name": "n", "platform": "android", "package_name": "com.example", **options})


def create_by_hand(client: AppLovinClient, **options: Any) -> str:
    return create(client, **options).audience_id


def fill(client: AppLovinClient, audience_id: str) -> None:
    client.append_users(audience_id=audience_id, advertising_ids=b"c77bbe4e-6a28-11e4-bcda-14109fdf9591\n")


def test_defaults() -> None:
    assert DEFAULT_BASE_URL == "https://api.applovin.com"
    assert DEFAULT_SETTINGS.read_timeout_seconds > 100


def test_life_of_an_audience(
    emulator: AudiencesEmulator, applovin: AppLovinClient, make_ids: MakeIds, as_body: AsBody
) -> None:
    created = create(applovin, name="My_Audience-1 +", platform="iOS", description="for tests")
    first, second = make_ids(3), make_ids(2, start=3)

    assert not created.adopted
    assert len(created.audience_id) == 32
    upload: dict[str, Any] = {"audience_id": created.audience_id}
    assert applovin.update_audience(advertising_ids=as_body(first), **upload) == BatchResult(
        valid=3, invalid=0, body_bytes=3 * 37
    )
    assert applovin.append_users(advertising_ids=as_body(second), **upload) == BatchResult(
        valid=2, invalid=0, body_bytes=2 * 37
    )
    # update answers num_invalid_ids, append num_invalid_users.
    assert applovin.update_audience(advertising_ids=b"x\n", **upload) == BatchResult(valid=0, invalid=1, body_bytes=2)
    assert applovin.append_users(advertising_ids=as_body(first) + b"x\n", **upload) == BatchResult(
        valid=3, invalid=1, body_bytes=3 * 37 + 2
    )
    (audience,) = applovin.list_audiences()
    assert audience == Audience(
        audience_id=created.audience_id,
        name="My_Audience-1 +",
        package_name="com.example",
        platform="ios",
        description="for tests",
        user_count=3,
    )
    assert audience.as_dict()["user_count"] == 3
    assert applovin.append_users(advertising_ids=as_body(first[:1]), ttl_seconds=0, **upload).valid == 1
    assert emulator.members(created.audience_id) == first[1:]
    assert applovin.delete_audience(**upload) is True
    assert applovin.list_audiences() == []


class TestCreateArguments:
    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"name": ""}, "name"),
            ({"name": "   "}, "name"),
            ({"name": None}, "name"),
            ({"name": "None"}, "name was rendered to None"),
            ({"name": 20261111.0}, "render_template_as_native_obj"),
            ({"name": "a/b"}, "letters, digits"),
            ({"name": "a\n"}, "letters, digits"),
            ({"name": "\u00e9t\u00e9"}, "letters, digits"),
            ({"name": "\uff11"}, "letters, digits"),
            ({"platform": "windows"}, "platform must be 'android' or 'ios'"),
            ({"platform": None}, "platform must be"),
            ({"audience_type": "all"}, "audience_type must be 'ua' or 'retargeting'"),
            ({"package_name": None}, "package_name is missing"),
            ({"package_name": ""}, "package_name is empty"),
            ({"package_name": "", "audience_type": "ua"}, "package_name is empty"),
            ({"package_name": "None", "audience_type": "ua"}, "package_name was rendered to None"),
            ({"package_name": "  "}, "package_name is empty"),
            ({"package_name": [5]}, "package_name is a list"),
            ({"description": {}}, "description is a dict"),
            ({"description": True}, "description is a bool"),
        ],
    )
    def test_wrong_ones_send_nothing(
        self, emulator: AudiencesEmulator, applovin: AppLovinClient, changed: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InvalidInputError, match=message):
            create(applovin, **changed)
        assert emulator.requests() == []

    @pytest.mark.parametrize("platform", ["Android", "ANDROID", " android ", "iOS", "IOS"])
    def test_platform_in_any_case(self, emulator: AudiencesEmulator, applovin: AppLovinClient, platform: str) -> None:
        create(applovin, platform=platform)
        assert emulator.audiences()[0]["platform"] == platform.strip().lower()

    def test_type_is_always_sent(self, emulator: AudiencesEmulator, applovin: AppLovinClient) -> None:
        create(applovin)
        create(applovin, audience_type="UA", package_name=None)

        first, second = (request["target"] for request in emulator.requests())
        assert "audience_type=retargeting" in first
        assert "audience_type=ua" in second
        assert "package_name" not in second


@pytest.mark.parametrize("call", ["update_audience", "append_users", "delete_audience"])
@pytest.mark.parametrize("audience_id", ["", "  ", None, "None", 5.0, True, 0])
def test_empty_id_never_reaches_the_wire(
    emulator: AudiencesEmulator, applovin: AppLovinClient, call: str, audience_id: Any
) -> None:
    arguments = {} if call == "delete_audience" else {"advertising_ids": b""}
    with pytest.raises(InvalidInputError, match=r"audience_id (is|was rendered to None)"):
        getattr(applovin, call)(audience_id=audience_id, **arguments)
    assert emulator.requests() == []


class TestTtl:
    @pytest.mark.parametrize("ttl_seconds", [0, -1, True, 1.5, "x", "-1", "\uff11", "0"])
    def test_update_needs_at_least_one(
        self, emulator: AudiencesEmulator, applovin: AppLovinClient, ttl_seconds: Any
    ) -> None:
        with pytest.raises(InvalidInputError, match="ttl_seconds must be a whole number of at least 1"):
            applovin.update_audience(audience_id="a", advertising_ids=b"", ttl_seconds=ttl_seconds)
        assert emulator.requests() == []

    @pytest.mark.parametrize("ttl_seconds", [-1, False, 0.0, "x"])
    def test_append_needs_at_least_zero(
        self, emulator: AudiencesEmulator, applovin: AppLovinClient, ttl_seconds: Any
    ) -> None:
        with pytest.raises(InvalidInputError, match="of at least 0"):
            applovin.append_users(audience_id="a", advertising_ids=b"", ttl_seconds=ttl_seconds)
        assert emulator.requests() == []

    @pytest.mark.parametrize(("given", "sent"), [(0, "&ttl_seconds=0&"), ("60", "&ttl_seconds=60&"), (None, None)])
    def test_append_on_the_wire(
        self, emulator: AudiencesEmulator, applovin: AppLovinClient, given: Any, sent: str | None
    ) -> None:
        audience_id = create_by_hand(applovin)
        applovin.append_users(audience_id=audience_id, advertising_ids=b"", ttl_seconds=given)

        target = emulator.requests()[-1]["target"]
        assert sent in target if sent else "ttl_seconds" not in target


@pytest.mark.parametrize("status", [400, 403, 404, 406, 413])
def test_never_repeated(emulator: AudiencesEmulator, applovin: AppLovinClient, waits: list[float], status: int) -> None:
    emulator.fault("applovin.append", "status", status=status)
    with pytest.raises((BadRequestError, AuthenticationError, NotFoundError, ConflictError)) as caught:
        applovin.append_users(audience_id="a", advertising_ids=b"")

    assert (len(emulator.requests()), waits) == (1, [])
    assert caught.value.advice


def test_too_large_a_body_says_what_to_do(emulator: AudiencesEmulator, applovin: AppLovinClient) -> None:
    emulator.settings(max_body_ids=1)
    with pytest.raises(BadRequestError, match="batch_size"):
        applovin.append_users(audience_id=create_by_hand(applovin), advertising_ids=b"a\nb\n")


class TestList:
    @pytest.mark.parametrize(
        "body",
        [
            b'{"code": 200}',
            b'{"audiences": [], "count": 0}',
            b'{"code": 200, "audiences": {}}',
            b'{"code": 201, "audiences": []}',
            b'{"code": "x", "audiences": []}',
            b'{"code": true, "audiences": []}',
        ],
    )
    def test_needs_status_and_code_and_list(self, recorder: Any, make_applovin: MakeApplovin, body: bytes) -> None:
        recorder.answer(200, {}, body)
        with pytest.raises(UnexpectedReplyError):
            make_applovin(base_url=recorder.url).list_audiences()
        assert len(recorder.requests) == 1

    @pytest.mark.parametrize(
        ("code", "error_type"),
        [(400, BadRequestError), (403, AuthenticationError), (404, NotFoundError), (500, ServerError)],
    )
    def test_code_in_the_body_classifies(
        self, emulator: AudiencesEmulator, make_applovin: MakeApplovin, code: int, error_type: type[AudienceError]
    ) -> None:
        emulator.fault("applovin.list", "error_code", error_code=code)
        with pytest.raises(error_type) as caught:
            make_applovin(max_retries=0).list_audiences()
        assert (caught.value.http_status, caught.value.api_code) == (200, code)

    @pytest.mark.parametrize(
        ("count", "expected"), [('"10"', 10), ("10", 10), ("null", None), ('"many"', None), ("true", None)]
    )
    def test_counts_in_any_form(
        self, recorder: Any, make_applovin: MakeApplovin, count: str, expected: int | None
    ) -> None:
        entry = f'{{"audience_id": 7, "platform": "iOS", "user_count": {count}}}'
        body = f'{{"code": "200", "audiences": [{entry}, "junk"], "count": "1"}}'
        recorder.answer(200, {}, body.encode())

        (audience,) = make_applovin(base_url=recorder.url).list_audiences()
        assert (audience.audience_id, audience.platform, audience.user_count) == ("7", "ios", expected)
        assert (audience.name, audience.package_name, audience.description) == ("", "", "")


class TestUploadReply:
    @pytest.mark.parametrize("name", ["num_invalid_ids", "num_invalid_users"])
    def test_either_name(self, recorder: Any, make_applovin: MakeApplovin, name: str) -> None:
        recorder.answer(200, {}, f'{{"num_valid_ids": "2", "{name}": 1}}'.encode())
        client = make_applovin(base_url=recorder.url)

        for call in (client.update_audience, client.append_users):
            assert call(audience_id="a", advertising_ids=b"x") == BatchResult(valid=2, invalid=1, body_bytes=1)

    @pytest.mark.parametrize("body", [b"{}", b'{"num_valid_ids": 1}', b'{"num_valid_ids": -1, "num_invalid_ids": ""}'])
    def test_without_counts(self, recorder: Any, make_applovin: MakeApplovin, body: bytes) -> None:
        recorder.answer(200, {}, body)
        with pytest.raises(UnexpectedReplyError, match="does not count") as caught:
            make_applovin(base_url=recorder.url).append_users(audience_id="a", advertising_ids=b"x")
        assert caught.value.maybe_applied


class TestDeleteReply:
    @pytest.mark.parametrize("body", [b"", b" ", b"OK", b"{}", b'{"code": 200}'])
    @pytest.mark.parametrize("status", [200, 204])
    def test_status_is_enough(self, recorder: Any, make_applovin: MakeApplovin, status: int, body: bytes) -> None:
        recorder.answer(status, {}, b"" if status == 204 else body)
        assert make_applovin(base_url=recorder.url).delete_audience(audience_id="a")

    def test_web_page_is_no_deletion(self, emulator: AudiencesEmulator, applovin: AppLovinClient) -> None:
        emulator.fault("applovin.delete", "html")
        with pytest.raises(UnexpectedReplyError, match="not the API"):
            applovin.delete_audience(audience_id=create_by_hand(applovin))
        assert len(emulator.audiences()) == 1

    def test_error_in_the_body_is_no_deletion(self, emulator: AudiencesEmulator, applovin: AppLovinClient) -> None:
        emulator.fault("applovin.delete", "error_code", error_code=403)
        with pytest.raises(AuthenticationError):
            applovin.delete_audience(audience_id=create_by_hand(applovin))


def test_create_reply_without_id(recorder: Any, make_applovin: MakeApplovin) -> None:
    recorder.answer(200, {}, b"{}")
    with pytest.raises(UnexpectedReplyError, match="no valid audience_id") as caught:
        create(make_applovin(base_url=recorder.url))
    assert caught.value.maybe_applied
    assert len(recorder.requests) == 1


class TestExistingAudience:
    """406 on create."""

    def test_fail_shows_it(self, applovin: AppLovinClient) -> None:
        audience_id = create_by_hand(applovin)
        with pytest.raises(ConflictError) as caught:
            create(applovin)

        assert audience_id in str(caught.value)
        assert "com.example" in str(caught.value)
        assert "if_exists='adopt'" in str(caught.value.advice)
        assert (caught.value.operation, caught.value.http_status, caught.value.attempts) == ("applovin.create", 406, 1)

    @pytest.mark.parametrize("filled", [True, False])
    def test_adopt_takes_the_one(self, emulator: AudiencesEmulator, applovin: AppLovinClient, filled: bool) -> None:
        audience_id = create_by_hand(applovin)
        create(applovin, name="n2")
        create(applovin, platform="ios")
        create(applovin, package_name="com.other")
        if filled:
            fill(applovin, audience_id)

        assert create(applovin, if_exists="adopt") == CreatedAudience(audience_id=audience_id, adopted=True)
        assert len(emulator.audiences()) == 4

    def test_adopt_creates_what_is_missing(self, emulator: AudiencesEmulator, applovin: AppLovinClient) -> None:
        create(applovin, name="n2")

        assert not create(applovin, if_exists="adopt").adopted
        assert emulator.requests("applovin.list") == []

    def test_adopt_with_several_refuses_to_choose(self, applovin: AppLovinClient) -> None:
        ids = [create_by_hand(applovin, platform="ios", package_name=name) for name in ("com.a", "com.b")]
        with pytest.raises(ConflictError) as caught:
            create(applovin, platform="ios", package_name="com.a", if_exists="adopt")

        assert all(f"{audience_id} (com." in str(caught.value) for audience_id in ids)
        assert "can't be told" in str(caught.value.advice)

    def test_adopt_with_none_in_the_list(self, emulator: AudiencesEmulator, applovin: AppLovinClient) -> None:
        emulator.fault("applovin.create", "status", status=406)
        with pytest.raises(ConflictError, match="with this name and platform: none"):
            create(applovin, if_exists="adopt")

    def test_code_in_a_200_counts_as_406(self, emulator: AudiencesEmulator, applovin: AppLovinClient) -> None:
        audience_id = create_by_hand(applovin)
        emulator.fault("applovin.create", "error_code", error_code=406)

        assert create(applovin, if_exists="adopt").audience_id == audience_id

    def test_package_is_compared_on_android(self, emulator: AudiencesEmulator, applovin: AppLovinClient) -> None:
        create(applovin, package_name="com.other")
        emulator.fault("applovin.create", "status", status=406)
        with pytest.raises(ConflictError, match="none"):
            create(applovin, if_exists="adopt")

    @pytest.mark.parametrize("shows_itunes_id", [True, False])
    def test_package_is_not_compared_on_ios(
        self, emulator: AudiencesEmulator, applovin: AppLovinClient, shows_itunes_id: bool
    ) -> None:
        emulator.settings(ios_list_shows_itunes_id=shows_itunes_id)
        audience_id = create_by_hand(applovin, platform="ios")

        assert create(applovin, platform="ios", if_exists="adopt").audience_id == audience_id

    def test_android_audience_without_a_package(self, applovin: AppLovinClient) -> None:
        audience_id = create_by_hand(applovin, audience_type="ua", package_name=None)
        adopted = create(applovin, audience_type="ua", package_name=None, if_exists="adopt")

        assert adopted == CreatedAudience(audience_id=audience_id, adopted=True)

    @pytest.mark.parametrize("kind", ["drop_after", "truncated_json"])
    def test_lost_reply_finds_its_own(self, emulator: AudiencesEmulator, applovin: AppLovinClient, kind: str) -> None:
        emulator.fault("applovin.create", kind)
        created = create(applovin)

        assert created == CreatedAudience(audience_id=emulator.audiences()[0]["audience_id"], adopted=False)
        assert len(emulator.audiences()) == 1

    def test_lost_reply_does_not_take_a_filled_one(self, emulator: AudiencesEmulator, applovin: AppLovinClient) -> None:
        audience_id = create_by_hand(applovin)
        fill(applovin, audience_id)
        emulator.fault("applovin.create", "drop_before")
        with pytest.raises(ConflictError, match=audience_id) as caught:
            create(applovin)
        assert "if_exists='adopt'" in str(caught.value.advice)
        assert emulator.member_count(audience_id) == 1

    @pytest.mark.parametrize("status", [429, 503])
    def test_repetition_after_what_was_not_applied_for_sure(
        self, emulator: AudiencesEmulator, applovin: AppLovinClient, status: int
    ) -> None:
        """429 applied nothing, so an empty audience is somebody else's; a 503 leaves that open."""
        audience_id = create_by_hand(applovin)
        emulator.fault("applovin.create", "status", status=status)
        if status == 429:
            with pytest.raises(ConflictError, match=audience_id):
                create(applovin)
        else:
            assert create(applovin) == CreatedAudience(audience_id=audience_id, adopted=False)

    @pytest.mark.parametrize("kind", ["status", "drop_before"])
    def test_list_that_fails_does_not_make_it_ours(
        self, emulator: AudiencesEmulator, applovin: AppLovinClient, waits: list[float], kind: str
    ) -> None:
        create_by_hand(applovin)
        emulator.clear_requests()
        emulator.fault("applovin.list", kind, times=4)
        with pytest.raises((ServerError, ConnectionFailedError)) as caught:
            create(applovin)

        # The list has used its retries up; the create itself was answered.
        assert caught.value.operation == "applovin.list"
        assert not caught.value.maybe_applied
        assert len(emulator.requests("applovin.create")) == 1
        assert waits == [1.0, 2.0, 4.0]

    def test_earlier_try_takes_an_empty_one(self, applovin: AppLovinClient) -> None:
        audience_id = create_by_hand(applovin)

        assert create(applovin, earlier_try=True) == CreatedAudience(audience_id=audience_id, adopted=False)
        fill(applovin, audience_id)
        with pytest.raises(ConflictError):
            create(applovin, earlier_try=True)
        adopted = create(applovin, earlier_try=True, if_exists="adopt")
        assert adopted == CreatedAudience(audience_id=audience_id, adopted=True), "one with users is not new"


@pytest.mark.parametrize("rule", ["Adopt!", "create", "", None])
def test_unknown_if_exists_sends_nothing(applovin: AppLovinClient, emulator: AudiencesEmulator, rule: Any) -> None:
    with pytest.raises(InvalidInputError, match="if_exists must be 'fail' or 'adopt'"):
        applovin.create_audience(name="a", platform="ios", package_name="p", if_exists=rule)
    assert emulator.requests() == []
