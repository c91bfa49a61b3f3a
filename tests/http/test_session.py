"""The literal requests: targets, headers, bodies; proxies, TLS, cookies, .netrc."""

import socket
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_audiences import __version__
from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import ConnectionFailedError, InvalidInputError, NotFoundError
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.marker import GroupMarker

MakeApplovin = Callable[..., AppLovinClient]
MakePai = Callable[..., PaiClient]
MARKER = GroupMarker(origin="a.b", run="r", owner="01234567", idempotency_key="0123456789ab")
PAI = "/api/PaiPlugin/2022-01-12"
KEY = "k+/=%&?#'\"~key 9"
ENCODED_KEY = "k%2B%2F%3D%25%26%3F%23%27%22~key%209"
PAI_GROUP = b'{"ErrorCode": 0, "Data": {"Id": "g"}}'
NO_GROUPS = b'{"ErrorCode": 0, "Data": {"Groups": [], "TotalCount": 0}}'
UPLOADED = b'{"num_valid_ids": 1, "num_invalid_ids": 0}'


def targets(emulator: AudiencesEmulator) -> list[str]:
    return [request["target"] for request in emulator.requests()]


def test_applovin_targets(emulator: AudiencesEmulator, applovin: AppLovinClient) -> None:
    audience_id = applovin.create_audience(
        name="a+b c-_", platform="iOS", package_name="a&b=c", description="100% \u00e9+"
    ).audience_id
    applovin.list_audiences()
    applovin.update_audience(audience_id=audience_id, advertising_ids=b"", ttl_seconds=2592000)
    applovin.append_users(audience_id=audience_id, advertising_ids=b"", ttl_seconds=0)
    applovin.delete_audience(audience_id=audience_id)

    created = (
        "name=a%2Bb%20c-_&platform=ios&audience_type=retargeting&package_name=a%26b%3Dc&description=100%25%20%C3%A9%2B"
    )
    assert targets(emulator) == [
        f"/audiences/create?{created}&api_key=***",
        "/audiences/list?api_key=***",
        f"/audiences/update?audience_id={audience_id}&ttl_seconds=2592000&api_key=***",
        f"/audiences/append?audience_id={audience_id}&ttl_seconds=0&api_key=***",
        f"/audiences/delete?audience_id={audience_id}&api_key=***",
    ]
    assert [request["method"] for request in emulator.requests()] == ["GET", "GET", "POST", "POST", "GET"]


def test_key_on_the_wire(recorder: Any, make_applovin: MakeApplovin, make_pai: MakePai) -> None:
    make_applovin(base_url=recorder.url).list_audiences()
    recorder.answer(200, {}, PAI_GROUP)
    make_pai(base_url=recorder.url).get_group("g")

    (_, applovin_target, applovin_headers, _), (_, pai_target, pai_headers, _) = recorder.requests
    assert applovin_target == f"/audiences/list?api_key={ENCODED_KEY}"
    assert urllib.parse.unquote(ENCODED_KEY) == KEY
    assert "Authorization" not in applovin_headers
    assert pai_target == "/GetGroup?Id=g"
    assert pai_headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("audience_id", "encoded"), [("a b", "a%20b"), ("a&api_key=x", "a%26api_key%3Dx"), ("..", ".."), ("a#b", "a%23b")]
)
def test_audience_ids_are_encoded(
    emulator: AudiencesEmulator, applovin: AppLovinClient, audience_id: str, encoded: str
) -> None:
    with pytest.raises(NotFoundError):
        applovin.delete_audience(audience_id=audience_id)
    assert targets(emulator) == [f"/audiences/delete?audience_id={encoded}&api_key=***"]


@pytest.mark.parametrize(
    ("group_id", "encoded"),
    [
        ("0bddaf8f-5628-427a-8652-5e24f6b4c35d", "0bddaf8f-5628-427a-8652-5e24f6b4c35d"),
        ("a/b", "a%2Fb"),
        ("../ListGroups", "..%2FListGroups"),
        ("a/../..", "a%2F..%2F.."),
        ("a b", "a%20b"),
        ("100%", "100%25"),
        ("%2e%2e", "%252e%252e"),
        ("a%2Fb", "a%252Fb"),
        ("a?b#c", "a%3Fb%23c"),
        ("a+b", "a%2Bb"),
        ("\u4e2d", "%E4%B8%AD"),
        ("~.x", "~.x"),
        ("...", "..."),
    ],
)
def test_group_ids_are_encoded(emulator: AudiencesEmulator, pai: PaiClient, group_id: str, encoded: str) -> None:
    with pytest.raises(NotFoundError):
        pai.delete_group(group_id)
    with pytest.raises(NotFoundError):
        pai.get_group(group_id)

    assert targets(emulator) == [f"{PAI}/DeleteGroup/{encoded}", f"{PAI}/GetGroup?Id={encoded}"]
    assert [request["operation"] for request in emulator.requests()] == ["pai.delete", "pai.get"]


@pytest.mark.parametrize("group_id", ["", "  ", "\n", ".", "..", " .. ", None, "None", 5.0, b"x"])
def test_empty_and_relative_group_ids_never_reach_the_wire(
    emulator: AudiencesEmulator, pai: PaiClient, group_id: Any
) -> None:
    for call in (pai.get_group, pai.delete_group):
        with pytest.raises(InvalidInputError, match=r"group_id (is|was)"):
            call(group_id)
    assert emulator.requests() == []


def test_zero_and_false_reach_the_wire(emulator: AudiencesEmulator, pai: PaiClient) -> None:
    pai.list_groups(name="a b+c", remark="r&d", phone_number=False, source=0, status=0)
    pai.list_groups(phone_number=True, source=PaiSource.TEXT)
    pai.list_groups()

    page = "PageNumber=1&PageSize=100"
    assert targets(emulator) == [
        f"{PAI}/ListGroups?Name=a%20b%2Bc&Remark=r%26d&PhoneNumber=false&Source=0&Status=0&{page}",
        f"{PAI}/ListGroups?PhoneNumber=true&Source=0&{page}",
        f"{PAI}/ListGroups?{page}",
    ]


def test_zero_and_false_reach_the_body(recorder: Any, make_pai: MakePai) -> None:
    import json

    recorder.reply = lambda method, _target: (200, {}, PAI_GROUP if method == "POST" else NO_GROUPS)
    spec = GroupSpec(source=PaiSource.TEXT, text="13900001111", phone_number=False, name="VIP\u5ba2\u6237")
    make_pai(base_url=recorder.url).create_group(spec.checked(), marker=MARKER)

    method, target, headers, body = recorder.requests[-1]
    assert (method, target, headers["Content-Type"]) == ("POST", "/CreateGroup", "application/json")
    assert json.loads(body) == {
        "Name": "VIP\u5ba2\u6237",
        "Source": 0,
        "Text": "13900001111",
        "PhoneNumber": False,
        "Remark": MARKER.text,
    }


def test_every_parameter_has_its_name(recorder: Any, make_pai: MakePai) -> None:
    import json

    recorder.reply = lambda method, _target: (200, {}, PAI_GROUP if method == "POST" else NO_GROUPS)
    for spec in (
        GroupSpec(source=PaiSource.MAXCOMPUTE, project="p", table="t", column="c", filter="f", phone_number=True),
        GroupSpec(source=PaiSource.ALGORITHM, algorithm="a", inference_job_id="j"),
        GroupSpec(source=PaiSource.CSV, uri="https://bucket.oss-cn-hangzhou.aliyuncs.com/k"),
    ):
        make_pai(base_url=recorder.url).create_group(spec.checked(), marker=MARKER)

    assert [json.loads(body) for *_, body in recorder.requests if body] == [
        {
            "Source": 3,
            "Project": "p",
            "Table": "t",
            "Column": "c",
            "Filter": "f",
            "PhoneNumber": True,
            "Remark": MARKER.text,
        },
        {"Source": 4, "Algorithm": "a", "InferenceJobId": "j", "Remark": MARKER.text},
        {"Source": 2, "Uri": "https://bucket.oss-cn-hangzhou.aliyuncs.com/k", "Remark": MARKER.text},
    ]


def test_upload_is_sent_as_it_is(recorder: Any, make_applovin: MakeApplovin) -> None:
    recorder.answer(200, {}, UPLOADED)
    body = b"c77bbe4e-6a28-11e4-bcda-14109fdf9591\nf601faf5-4a83-44d6-98ef-b67c24919d39\n"
    make_applovin(base_url=recorder.url).append_users(audience_id="a", advertising_ids=body)
    make_applovin(base_url=recorder.url, content_type="text/plain").append_users(audience_id="a", advertising_ids=b"")

    (_, _, first, sent), (_, _, second, empty) = recorder.requests
    assert (sent, empty) == (body, b"")
    assert first["Content-Type"] == "application/x-www-form-urlencoded"
    assert second["Content-Type"] == "text/plain"
    assert (first["Content-Length"], second["Content-Length"]) == (str(len(body)), "0")
    assert first["User-Agent"].endswith(f"/{__version__}")


def test_path_prefix_of_the_address(recorder: Any, make_applovin: MakeApplovin) -> None:
    make_applovin(base_url=f"{recorder.url}/gateway/v3").list_audiences()
    assert recorder.targets == [f"/gateway/v3/audiences/list?api_key={ENCODED_KEY}"]


def test_cookies_are_not_kept(recorder: Any, make_applovin: MakeApplovin, make_pai: MakePai) -> None:
    cookie = {"Set-Cookie": "session=1; Path=/"}
    recorder.answer(200, cookie, b'{"code": 200, "audiences": []}')
    client = make_applovin(base_url=recorder.url)
    client.list_audiences()
    client.list_audiences()
    recorder.answer(200, cookie, PAI_GROUP)
    other = make_pai(base_url=recorder.url)
    other.get_group("g")
    other.get_group("g")

    assert len(recorder.requests) == 4
    assert all("Cookie" not in headers for _, _, headers, _ in recorder.requests)


def test_netrc_is_not_sent(
    recorder: Any, make_applovin: MakeApplovin, make_pai: MakePai, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    make_applovin(base_url=recorder.url).list_audiences()
    recorder.answer(200, {}, PAI_GROUP)
    make_pai(base_url=recorder.url).get_group("g")

    assert "Authorization" not in recorder.requests[0][2]
    assert recorder.requests[1][2]["Authorization"] == f"Bearer {KEY}"


def test_connection_is_kept(recorder: Any, make_applovin: MakeApplovin) -> None:
    client = make_applovin(base_url=recorder.url)
    client.list_audiences()
    client.list_audiences()

    assert [headers.get("Connection") for _, _, headers, _ in recorder.requests] == ["keep-alive"] * 2


def test_http_proxy_gets_the_key_once(
    recorder: Any, make_applovin: MakeApplovin, make_pai: MakePai, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", recorder.url)
    monkeypatch.setenv("no_proxy", "")
    make_applovin(base_url="http://ads.example").list_audiences()
    recorder.answer(200, {}, PAI_GROUP)
    make_pai(base_url="http://pai.example/p").get_group("g")

    assert recorder.targets == [
        f"http://ads.example/audiences/list?api_key={ENCODED_KEY}",
        "http://pai.example/p/GetGroup?Id=g",
    ]


def test_dead_proxy(
    make_applovin: MakeApplovin, make_pai: MakePai, monkeypatch: pytest.MonkeyPatch, dead_port: int
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://user:secretproxy@127.0.0.1:{dead_port}")
    monkeypatch.setenv("no_proxy", "")
    for call in (
        make_applovin(base_url="http://ads.example").list_audiences,
        make_applovin(base_url="https://ads.example").list_audiences,
        make_pai(base_url="https://pai.example").list_groups,
    ):
        with pytest.raises(ConnectionFailedError, match="could not connect") as caught:
            call()
        assert not caught.value.maybe_applied
        assert "secretproxy" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["http://[bad", "http://:99999999", "gopher://x"])
def test_malformed_proxy(make_applovin: MakeApplovin, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises((InvalidInputError, ConnectionFailedError)):
        make_applovin(base_url="http://ads.example").list_audiences()


@pytest.mark.parametrize("key", ["line\nbreak", "line\r\nX-Other: 1"])
def test_key_that_would_split_the_header(emulator: AudiencesEmulator, make_pai: MakePai, key: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        make_pai(key=key).list_groups()

    assert "line" not in str(caught.value)
    assert caught.value.__context__ is None
    assert emulator.requests() == []


class TestTls:
    @pytest.fixture
    def trusted(self, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate[0])

    @pytest.mark.usefixtures("trusted")
    def test_both_apis(self, tls_recorder: Any, make_applovin: MakeApplovin, make_pai: MakePai) -> None:
        make_applovin(base_url=tls_recorder.url).list_audiences()
        tls_recorder.answer(200, {}, PAI_GROUP)
        make_pai(base_url=tls_recorder.url).get_group("g")

        assert tls_recorder.targets == [f"/audiences/list?api_key={ENCODED_KEY}", "/GetGroup?Id=g"]

    def test_unknown_certificate(self, tls_recorder: Any, make_applovin: MakeApplovin, make_pai: MakePai) -> None:
        spec = GroupSpec(source=PaiSource.ALGORITHM, algorithm="a", inference_job_id="j")
        for call in (
            make_applovin(base_url=tls_recorder.url).list_audiences,
            lambda: make_pai(base_url=tls_recorder.url).create_group(spec, marker=MARKER),
        ):
            with pytest.raises(
                ConnectionFailedError, match="this machine does not trust the server's certificate"
            ) as caught:
                call()
            assert not caught.value.maybe_applied
            assert caught.value.attempts == 4
        assert tls_recorder.requests == []

    @pytest.mark.usefixtures("trusted")
    def test_certificate_of_another_host(self, tls_recorder: Any, make_applovin: MakeApplovin) -> None:
        with pytest.raises(ConnectionFailedError, match="the server's certificate is for another host"):
            make_applovin(base_url=tls_recorder.url.replace("127.0.0.1", "localhost")).list_audiences()

    def test_a_server_without_tls(self, recorder: Any, make_applovin: MakeApplovin) -> None:
        with pytest.raises(ConnectionFailedError, match="the server answers without TLS"):
            make_applovin(base_url=recorder.url.replace("http:", "https:")).list_audiences()

    @pytest.mark.usefixtures("trusted")
    def test_record_that_breaks_after_a_create(self, tls_recorder: Any, make_pai: MakePai) -> None:
        """The request was read in full, so the group may be there."""
        entry = '{"Id": "g", "Remark": "' + MARKER.text + '"}'
        groups = ('{"ErrorCode": 0, "Data": {"Groups": [' + entry + '], "TotalCount": 1}}').encode()
        tls_recorder.reply = lambda method, _target: (
            b"no TLS record" if method == "POST" else (200, {}, groups if len(tls_recorder.requests) > 1 else NO_GROUPS)
        )
        spec = GroupSpec(source=PaiSource.ALGORITHM, algorithm="a", inference_job_id="j")
        created = make_pai(base_url=tls_recorder.url).create_group(spec, marker=MARKER)

        assert created.group.id == "g"
        assert [method for method, *_ in tls_recorder.requests] == ["GET", "POST", "GET"]

    @pytest.mark.usefixtures("trusted")
    def test_hang_up_after_a_create(self, tls_recorder: Any, make_pai: MakePai) -> None:
        entry = '{"Id": "g", "Remark": "' + MARKER.text + '"}'
        groups = ('{"ErrorCode": 0, "Data": {"Groups": [' + entry + '], "TotalCount": 1}}').encode()
        tls_recorder.reply = lambda method, _target: (
            None if method == "POST" else (200, {}, groups if len(tls_recorder.requests) > 1 else NO_GROUPS)
        )
        spec = GroupSpec(source=PaiSource.ALGORITHM, algorithm="a", inference_job_id="j")

        assert make_pai(base_url=tls_recorder.url).create_group(spec, marker=MARKER).group.id == "g"
        assert [method for method, *_ in tls_recorder.requests] == ["GET", "POST", "GET"]


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "a.localhost", "[::ffff:127.0.0.1]"])
def test_loopback_never_goes_through_a_proxy(
    recorder: Any,
    make_applovin: MakeApplovin,
    make_pai: MakePai,
    monkeypatch: pytest.MonkeyPatch,
    dead_port: int,
    variable: str,
    host: str,
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{dead_port}")
    monkeypatch.setenv("no_proxy", "")
    # Whatever this machine's resolver makes of names below localhost.
    port = recorder.url.rpartition(":")[2]
    if host == "a.localhost":
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", int(port)))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kw: [address])
    base_url = f"http://{host}:{port}"
    make_applovin(base_url=base_url).list_audiences()
    recorder.answer(200, {}, NO_GROUPS)
    make_pai(base_url=base_url).list_groups()
    assert [target.partition("?")[0] for target in recorder.targets] == ["/audiences/list", "/ListGroups"]


def test_loopback_over_tls_goes_through_no_proxy(
    tls_recorder: Any, certificate: tuple[str, str], make_applovin: MakeApplovin, monkeypatch: pytest.MonkeyPatch,
    dead_port: int,
) -> None:  # fmt: skip
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate[0])
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{dead_port}")
    monkeypatch.setenv("no_proxy", "")
    assert make_applovin(base_url=tls_recorder.url).list_audiences() == []


@pytest.mark.parametrize("host", ["localhost", "db.localhost"])
def test_name_of_this_machine_that_leads_to_another_is_not_connected_to(
    make_applovin: MakeApplovin, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    other = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kw: other)
    with pytest.raises(ConnectionFailedError, match="could not connect") as caught:
        make_applovin(base_url=f"http://{host}", max_retries=0).list_audiences()
    assert not caught.value.maybe_applied
