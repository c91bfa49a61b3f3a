import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from support.bare_clients import OpenApi

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.emulator.access_keys import make_access_key
from airflow_provider_audiences.emulator.acs3 import Nonces, SignedRequest, canonical_request, string_to_sign

NOW = 1_700_000_000.0


def iso(epoch_seconds: Any) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_seconds))


def refusal(reply: Any) -> tuple[Any, Any]:
    """Status and code of a refusal in the gateway's form."""
    body = reply.json()
    assert set(body) == {"Code", "HostId", "Message", "RequestId"}
    assert body["HostId"] == reply.request.headers.get("host", reply.request.url.split("/")[2])
    assert len(body["RequestId"]) == 36
    return reply.status_code, body["Code"]


def test_the_published_example() -> None:
    # The vendor's own example of the signature, from its page on the method.
    values = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    request = SignedRequest(
        method="POST",
        path="/",
        query="RegionId=cn-shanghai&ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
        headers={name: (value,) for name, value in values.items()},
        body=b"",
    )
    text = string_to_sign(canonical_request(request, signed_headers=values))
    signature = hmac.new(b"YourAccessKeySecret", text.encode(), hashlib.sha256).hexdigest()
    assert signature == "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"


@pytest.mark.parametrize(
    ("path", "query", "expected_path", "expected_query"),
    [
        ("/a%2fb/~%7E!", "", "/a%2Fb/~~%21", ""),
        ("/%E4%BA%BA", "b=2&a=1", "/%E4%BA%BA", "a=1&b=2"),
        ("/", "n=a+b&m=a%20b&k=a%2Bb", "/", "k=a%2Bb&m=a%20b&n=a%20b"),
        ("/", "n=&m&a=2&a=1", "/", "a=1&a=2&m=&n="),
        ("/", "n=*'()%ff", "/", "n=%2A%27%28%29%FF"),
    ],
)
def test_paths_and_queries_have_one_spelling(path: str, query: str, expected_path: str, expected_query: str) -> None:
    request = SignedRequest(method="GET", path=path, query=query, headers={}, body=b"")
    assert canonical_request(request, signed_headers=()).split("\n")[1:3] == [expected_path, expected_query]


def test_header_values_are_trimmed_and_joined() -> None:
    request = SignedRequest(method="GET", path="/", query="", headers={"x-b": (" 2 ", "1"), "x-a": ("é",)}, body=b"")
    assert canonical_request(request, signed_headers=("x-b", "x-a")).split("\n")[3:7] == [
        "x-a:é",
        "x-b:1,2",
        "",
        "x-a;x-b",
    ]


def test_a_signed_request_is_let_through(openapi: OpenApi) -> None:
    reply = openapi.call("GET", params={"Name": "a b+c/~*é", "PageSize": 5})
    assert (reply.status_code, reply.json()["ErrorCode"]) == (200, 0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"x_acs_action": None}, (400, "MissingAction")),
        ({"x_acs_version": None}, (400, "MissingVersion")),
        ({"x_acs_date": None}, (400, "MissingTimestamp")),
        ({"x_acs_signature_nonce": None}, (400, "MissingSignatureNonce")),
        ({"x_acs_content_sha256": None}, (400, "MissingContentSha256")),
        ({"x_acs_signature_nonce": ""}, (400, "MissingSignatureNonce")),
        ({"host": None}, (400, "IncompleteSignature")),
        ({"x_acs_action": "GetGroup"}, (404, "InvalidAction.NotFound")),
        ({"x_acs_action": "listgroups"}, (404, "InvalidAction.NotFound")),
        ({"x_acs_version": "2021-01-01"}, (400, "InvalidVersion")),
        ({"x_acs_date": "Thu, 06 Feb 2020 07:32:54 GMT"}, (400, "InvalidTimeStamp.Format")),
        ({"x_acs_date": "2023-02-31T10:00:00Z"}, (400, "InvalidTimeStamp.Format")),
        ({"x_acs_date": "2023-01-01T10:00:00"}, (400, "InvalidTimeStamp.Format")),
        ({"x_acs_content_sha256": "0" * 64}, (400, "SignatureDoesNotMatch")),
        ({"x_acs_content_sha256": hashlib.sha256(b"x").hexdigest()}, (400, "SignatureDoesNotMatch")),
        ({"x_acs_security_token": "token"}, (400, "InvalidSecurityToken.Malformed")),
        ({"x_acs_accesskey_id": "another"}, (404, "InvalidAccessKeyId.NotFound")),
    ],
)
def test_headers_that_are_signed_but_wrong(
    openapi: OpenApi, changes: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert refusal(openapi.call("GET", **changes)) == expected
    assert openapi.emulator.billing()["total"] == {"succeeded": 0, "failed": 0, "billed": 0}


@pytest.mark.parametrize(("minutes", "expected"), [(-14, 200), (14, 200), (-16, 400), (16, 400)])
def test_a_date_is_near_the_real_time(openapi: OpenApi, minutes: int, expected: int) -> None:
    # The emulated clock has no part in it.
    openapi.emulator.set_clock(NOW, freeze=True)
    reply = openapi.call("GET", x_acs_date=iso(time.time() + 60 * minutes))
    assert reply.status_code == expected
    if expected == 400:
        assert refusal(reply) == (400, "InvalidTimeStamp.Expired")


def change(name: str, edit: Any) -> Callable[..., None]:
    def after(headers: Any) -> None:
        headers[name] = edit(headers[name])

    return after


def wrong_key(headers: Any) -> None:
    headers["Authorization"] = headers["Authorization"].replace("Credential=LTAI", "Credential=LTAX")


def set_header(name: str, value: Any) -> Callable[..., Any]:
    return lambda headers: headers.update({name: value})


def reorder(headers: Any) -> None:
    headers["Authorization"] = headers["Authorization"].replace("=host;x-acs-action;", "=x-acs-action;host;")


def unsign(name: str) -> Callable[..., None]:
    return change("Authorization", lambda text: text.replace(f"{name};", "").replace(f";{name}", ""))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (lambda headers: headers.pop("Authorization"), (400, "MissingAccessKeyId")),
        (set_header("Authorization", ""), (400, "MissingAccessKeyId")),
        (set_header("Authorization", "Bearer key"), (400, "InvalidSignatureMethod")),
        (change("Authorization", lambda text: text.replace("SHA256", "SM3", 1)), (400, "InvalidSignatureMethod")),
        (change("Authorization", lambda text: text.partition(",Signature")[0]), (400, "IncompleteSignature")),
        (change("Authorization", lambda text: text + "0"), (400, "IncompleteSignature")),
        (change("Authorization", str.lower), (400, "InvalidSignatureMethod")),
        (reorder, (400, "IncompleteSignature")),
        (wrong_key, (404, "InvalidAccessKeyId.NotFound")),
        (change("Authorization", lambda text: text[:-64] + "0" * 64), (400, "SignatureDoesNotMatch")),
        (change("x-acs-signature-nonce", lambda nonce: nonce[::-1] + "0"), (400, "SignatureDoesNotMatch")),
        (set_header("x-acs-credentials-provider", "static"), (400, "IncompleteSignature")),
        (set_header("x-acs-security-token", "token"), (400, "IncompleteSignature")),
        (set_header("x-acs-accesskey-id", "id"), (400, "IncompleteSignature")),
        *(
            (unsign(f"x-acs-{name}"), (400, "IncompleteSignature"))
            for name in ("action", "version", "date", "signature-nonce", "content-sha256")
        ),
        (unsign("host"), (400, "IncompleteSignature")),
    ],
)
def test_what_is_changed_after_signing(openapi: OpenApi, after: Any, expected: Any) -> None:
    reply = openapi.call("GET", after=after)
    assert refusal(reply) == expected
    assert openapi.emulator.access_key_secret not in reply.text
    assert openapi.emulator.billing()["total"] == {"succeeded": 0, "failed": 0, "billed": 0}


def test_a_body_is_signed_with_its_type(openapi: OpenApi) -> None:
    body = b'{"Source": 0, "Text": "1"}'
    assert openapi.call("POST", body=body).status_code == 200
    assert refusal(openapi.call("POST", body=body, content_type=None)) == (400, "IncompleteSignature")
    assert refusal(openapi.call("POST", body=body, after=unsign("content-type"))) == (400, "IncompleteSignature")
    # Without a body the type may be there or not.
    assert openapi.call("GET", content_type="application/json").status_code == 200
    assert openapi.call("GET", after=set_header("content-type", "text/plain")).status_code == 200


def test_method_path_query_and_body_are_signed(openapi: OpenApi) -> None:
    url, group_id = f"{openapi.emulator.url}/api/v2/groups", openapi.create()["Id"]
    headers = openapi.headers("GET", "/api/v2/groups", "PageSize=5", b"")
    assert refusal(requests.get(f"{url}?PageSize=6", headers=headers, timeout=10)) == (400, "SignatureDoesNotMatch")
    headers = openapi.headers("GET", f"/api/v2/groups/{group_id}", "", b"")
    assert refusal(requests.get(f"{url}/x", headers=headers, timeout=10)) == (400, "SignatureDoesNotMatch")
    deleted = requests.delete(f"{url}/{group_id}", headers=headers, timeout=10)
    assert refusal(deleted) == (404, "InvalidAction.NotFound")
    headers["x-acs-action"] = "DeleteGroup"
    deleted = requests.delete(f"{url}/{group_id}", headers=headers, timeout=10)
    assert refusal(deleted) == (400, "SignatureDoesNotMatch")
    headers = openapi.headers("POST", "/api/v2/groups", "", b"{}")
    created = requests.post(url, headers=headers, data=b"[]", timeout=10)
    assert refusal(created) == (400, "SignatureDoesNotMatch")
    assert [group["Id"] for group in openapi.emulator.groups()] == [group_id]


def test_a_refusal_tells_what_the_server_would_have_signed(openapi: OpenApi) -> None:
    # So do the real ones. It is a hash, from which nothing comes back.
    message = openapi.call("GET", after=change("Authorization", lambda text: text[:-64] + "0" * 64)).json()["Message"]
    assert "server StringToSign is [ACS3-HMAC-SHA256\n" in message


def test_a_request_is_not_taken_twice(openapi: OpenApi) -> None:
    headers = openapi.headers("GET", "/api/v2/groups", "", b"")
    url = f"{openapi.emulator.url}/api/v2/groups"
    assert requests.get(url, headers=headers, timeout=10).status_code == 200
    assert refusal(requests.get(url, headers=headers, timeout=10)) == (400, "SignatureNonceUsed")
    # A nonce whose signature was wrong is not used up.
    nonce = "n" * 32
    assert not openapi.call("GET", x_acs_signature_nonce=nonce, after=wrong_key).ok
    assert openapi.call("GET", x_acs_signature_nonce=nonce).ok
    assert not openapi.call("GET", x_acs_signature_nonce=nonce).ok


def test_nonces_are_forgotten_when_they_are_old_or_too_many() -> None:
    nonces = Nonces(limit=3)
    assert [nonces.take("a", now=NOW), nonces.take("a", now=NOW + 1800)] == [True, False]
    assert nonces.take("a", now=NOW + 1801)
    assert [nonces.take(name, now=NOW + 1802) for name in ("b", "c", "b", "d")] == [True, True, False, True]
    assert nonces.take("a", now=NOW + 1802)


def test_a_temporary_pair_needs_its_token() -> None:
    with AudiencesEmulator(security_token="the-token-of-the-day") as emulator:
        openapi = OpenApi(emulator)
        assert openapi.call("GET").status_code == 200
        assert openapi.call("GET", x_acs_accesskey_id=None).status_code == 200
        assert refusal(openapi.call("GET", x_acs_security_token=None)) == (400, "MissingSecurityToken")
        assert refusal(openapi.call("GET", x_acs_security_token="x")) == (400, "InvalidSecurityToken.Malformed")
        unsigned = openapi.call("GET", after=unsign("x-acs-security-token"))
        assert refusal(unsigned) == (400, "IncompleteSignature")


def test_a_pair_shows_no_secret() -> None:
    pair = make_access_key(access_key_id="id", access_key_secret="secret-word", security_token="token-word")
    assert repr(pair) == "AccessKey(access_key_id='id')"
    assert make_access_key() != make_access_key()
    assert make_access_key(security_token="").security_token is None
