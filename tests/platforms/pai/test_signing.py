"""Signatures: what is signed is what is sent, and Alibaba's own code comes to the same."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qsl, quote

import pytest
import requests
from alibabacloud_tea_openapi.utils import Utils
from darabonba.request import DaraRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.platforms.pai.auth import AccessKeyAuth
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.signing import AccessKey, Acs3Auth, sign
from airflow_provider_audiences.redaction import Secret

MOMENT = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
GROUPS = b'{"ErrorCode": 0, "Data": {"Groups": [], "TotalCount": 0}}'
# No half characters: those can't be sent at all.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text(
    "aZ9 ~+%&=?#/.-_*'é客\n\x00", max_size=12
)
FILTER = TEXT.filter(lambda text: text.strip() not in {"", "None"})
NAMES = st.text("abcXYZ019-_.~", min_size=1, max_size=8)
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


def key_of(secret: str, token: str | None = None) -> AccessKey:
    return AccessKey(key_id="LTAI5t", secret=Secret(secret), security_token=Secret(token) if token else None)


def signed(key: AccessKey, method: str, url: str, **request: Any) -> requests.PreparedRequest:
    auth = Acs3Auth(lambda: key, clock=lambda: MOMENT, nonce=lambda: "nonce-1")
    return requests.Request(method, url, auth=auth, **request).prepare()


def by_the_sdk(prepared: requests.PreparedRequest, *, secret: str, path: str, query: dict[str, str]) -> str:
    """The Authorization header that Alibaba's code gives a request with the same signed headers."""
    names = prepared.headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request = DaraRequest()
    request.method = prepared.method
    request.pathname = path
    request.query = query
    request.headers = {name: prepared.headers[name] for name in names}
    body = hashlib.sha256(cast("bytes", prepared.body or b"")).hexdigest()
    return str(Utils.get_authorization(request, "ACS3-HMAC-SHA256", body, "LTAI5t", secret))


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    segments=st.lists(TEXT, max_size=3),
    query=st.dictionaries(NAMES, TEXT, max_size=6),
    body=st.none() | st.binary(max_size=50) | TEXT.map(lambda text: json.dumps({"Name": text}).encode()),
    secret=SECRETS,
    token=st.none() | SECRETS,
    as_form=st.booleans(),
)
def test_alibabas_sdk_signs_the_same(
    method: str,
    segments: list[str],
    query: dict[str, str],
    body: bytes | None,
    secret: str,
    token: str | None,
    as_form: bool,
) -> None:
    """With spaces as the SDK itself sends them, ``+``, and as we send them, ``%20``."""
    path = "/api/v2/groups" + "".join(f"/{Utils.get_encode_param(segment)}" for segment in segments)
    # What a URL can't say: a path of dots is resolved by every client.
    if any(segment in {".", ".."} for segment in segments):
        path = "/api/v2/groups"
    encoded = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in query.items())
    if as_form:
        encoded = encoded.replace("%20", "+")
    prepared = signed(
        key_of(secret, token),
        method,
        f"https://paiplugin.cn-hangzhou.aliyuncs.com{path}?{encoded}",
        data=body,
        headers={"x-acs-action": "ListGroups", "x-acs-version": "2022-01-12", "Content-Type": "application/json"},
    )

    assert prepared.headers["Authorization"] == by_the_sdk(prepared, secret=secret, path=path, query=query)


def test_signature_that_was_worked_out_by_hand() -> None:
    """The description followed step by step with fixed values."""
    body = b'{"Name":"VIP"}'
    digest = hashlib.sha256(body).hexdigest()
    canonical = (
        "POST\n/api/v2/groups\na=&b=x%20y~%2B\n"
        f"content-type:application/json\nhost:h.example\nx-acs-content-sha256:{digest}\nx-acs-date:2026-11-20T12:00:00Z\n\n"
        f"content-type;host;x-acs-content-sha256;x-acs-date\n{digest}"
    )
    import hmac

    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    assert sign(
        method="POST",
        target="/api/v2/groups?b=x+y%7E%2B&a",
        headers={
            "host": "h.example",
            "content-type": "application/json",
            "x-acs-date": "2026-11-20T12:00:00Z",
            "x-acs-content-sha256": digest,
        },
        body_digest=digest,
        secret=Secret("s"),
    ) == (hmac.new(b"s", text.encode(), hashlib.sha256).hexdigest())


def test_headers_of_a_request() -> None:
    prepared = signed(key_of("s"), "GET", "https://h.example/p", headers={"x-acs-action": "A", "User-Agent": "u"})

    assert prepared.headers["Host"] == "h.example"
    assert prepared.headers["x-acs-date"] == "2026-11-20T12:00:00Z"
    assert prepared.headers["x-acs-signature-nonce"] == "nonce-1"
    assert prepared.headers["x-acs-content-sha256"] == hashlib.sha256(b"").hexdigest()
    assert "x-acs-security-token" not in prepared.headers
    names = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce"
    assert prepared.headers["Authorization"].startswith(
        f"ACS3-HMAC-SHA256 Credential=LTAI5t,SignedHeaders={names},Signature="
    )


def test_temporary_credentials_are_signed_too() -> None:
    prepared = signed(key_of("s", "t0ken"), "POST", "https://h.example/p", data=b"{}", headers={"Content-Type": "a/b"})

    assert (prepared.headers["x-acs-accesskey-id"], prepared.headers["x-acs-security-token"]) == ("LTAI5t", "t0ken")
    names = prepared.headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert names == (
        "content-type;host;x-acs-accesskey-id;x-acs-content-sha256;x-acs-date;x-acs-security-token;x-acs-signature-nonce"
    )


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://h.example", "h.example"),
        ("https://h.example:443/x", "h.example"),
        ("http://h.example:80/x", "h.example"),
        ("http://h.example:443/x", "h.example:443"),
        ("https://H.Example:8443/x", "h.example:8443"),
        ("http://127.0.0.1:8765", "127.0.0.1:8765"),
        ("http://[::1]:8765/x", "[::1]:8765"),
        ("https://[::1]/x", "[::1]"),
    ],
)
def test_host_is_signed_as_it_is_sent(url: str, host: str) -> None:
    assert signed(key_of("s"), "GET", url).headers["Host"] == host


class TestOnTheWire:
    """What a bare server receives, checked against the signature in it."""

    def check(self, request: tuple[str, str, dict[str, str], bytes]) -> None:
        method, target, headers, body = request
        named = {name.lower(): value for name, value in headers.items()}
        names = named["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        path, _, query = target.partition("?")
        received = DaraRequest()
        received.method, received.pathname = method, path
        received.query = dict(parse_qsl(query, keep_blank_values=True))
        received.headers = {name: named[name] for name in names}
        digest = hashlib.sha256(body).hexdigest()
        assert named["x-acs-content-sha256"] == digest
        expected = Utils.get_authorization(received, "ACS3-HMAC-SHA256", digest, "LTAI5t", "s")
        assert named["authorization"] == expected
        assert {name for name in named if name.startswith("x-acs-")} | {"host"} <= set(names)

    @pytest.fixture
    def client(self, make_pai: Callable[..., PaiClient]) -> Callable[[str], PaiClient]:
        return lambda url: make_pai(auth=AccessKeyAuth(key_of("s", "t0ken")), base_url=url)

    @pytest.mark.parametrize("prefix", ["", "/gateway/v1", "//two", "///a//b", "/a b~c%2f"])
    def test_addresses(self, recorder: Any, client: Callable[[str], PaiClient], prefix: str) -> None:
        recorder.answer(200, {}, GROUPS)
        client(recorder.url + prefix).list_groups(name="a b+c~d%é/客", remark="=", status=0)

        (request,) = recorder.requests
        assert request[2]["Host"] == recorder.url.partition("//")[2]
        self.check(request)

    @pytest.mark.parametrize("group_id", ["g", "a/b", "../x", "100%", "%2e", "客 +~", "a?b#c"])
    def test_group_ids(self, recorder: Any, client: Callable[[str], PaiClient], group_id: str) -> None:
        recorder.answer(200, {}, b'{"ErrorCode": 0, "Data": {"Id": "g"}}')
        client(recorder.url).get_group(group_id)
        client(recorder.url).delete_group(group_id)

        encoded = quote(group_id, safe="")
        assert recorder.targets == [f"/api/v2/groups/{encoded}"] * 2
        for request in recorder.requests:
            self.check(request)

    def test_through_a_proxy(
        self, recorder: Any, client: Callable[[str], PaiClient], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", recorder.url)
        monkeypatch.setenv("no_proxy", "")
        recorder.answer(200, {}, GROUPS)
        for address in ("http://pai.example", "http://pai.example:80", "http://pai.example:8080"):
            client(address).list_groups(name="x")

        assert [request[2]["Host"] for request in recorder.requests] == [
            "pai.example",
            "pai.example",
            "pai.example:8080",
        ]
        for method, target, headers, body in recorder.requests:
            # A proxy passes the path on, without the address.
            path = target.partition("pai.example")[2]
            self.check((method, path[path.index("/") :], headers, body))

    def test_each_repetition_is_signed_anew(self, recorder: Any, client: Callable[[str], PaiClient]) -> None:
        recorder.answer(503, {}, b"")
        with pytest.raises(Exception, match="503"):
            client(recorder.url).list_groups()

        assert len(recorder.requests) == 4
        assert len({request[2]["x-acs-signature-nonce"] for request in recorder.requests}) == 4
        assert len({request[2]["Authorization"] for request in recorder.requests}) == 4
        for request in recorder.requests:
            self.check(request)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=FILTER, remark=FILTER)
def test_the_emulator_takes_what_we_sign(
    emulator_server: AudiencesEmulator, make_pai: Callable[..., PaiClient], name: str, remark: str
) -> None:
    assert make_pai("openapi").list_groups(name=name, remark=remark) == []


def test_access_key_shows_no_secret() -> None:
    assert repr(key_of("s3cret", "t0ken")) == "AccessKey(key_id='LTAI5t')"
