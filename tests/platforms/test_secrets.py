"""Neither the key nor a member comes out anywhere, whatever goes wrong."""

import base64
import http.client
import io
import json
import logging
import traceback
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from support.frames import kept

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import AudienceError
from airflow_provider_audiences.members.identifiers.patterns import ADVERTISING_ID_PATTERNS, PHONE_NUMBER_PATTERNS
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.platforms.applovin.suppression import AppLovinSuppressionClient
from airflow_provider_audiences.platforms.pai.auth import AccessKeyAuth, ChangingKeyAuth
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
from airflow_provider_audiences.platforms.pai.marker import GroupMarker
from airflow_provider_audiences.platforms.pai.signing import AccessKey
from airflow_provider_audiences.redaction import Redactor, Secret

KEY = "k+/=%&?#'\"~key 9"
MEMBER = "c77bbe4e-6a28-11e4-bcda-14109fdf9591"
PHONE = "13900001111"
ACCESS_KEY_SECRET = "s+/=%&?#'\"~secret 9"
TOKEN = "CAIS+/=t0ken"


def spellings(secret: str) -> set[str]:
    quoted = urllib.parse.quote(secret, safe="")
    return {secret, urllib.parse.quote(secret), quoted, quoted.lower(), urllib.parse.quote_plus(secret)}


KEYS = spellings(KEY) | spellings(ACCESS_KEY_SECRET) | spellings(TOKEN)
SECRETS = KEYS | {MEMBER, MEMBER.upper(), PHONE}
KEY_OF = {"bearer": KEY, "openapi": ACCESS_KEY_SECRET}
SPEC = GroupSpec(source=PaiSource.TEXT, name="n", text=f"{PHONE}\n13900002222", phone_number=True)
MARKER = GroupMarker(origin="a.b", run="r", owner="01234567", idempotency_key="0123456789ab")


def suppress(applovin: AppLovinClient, method: str) -> object:
    """Call the Suppression API at the address of the Audience API, with the same key and settings."""
    transport = applovin._transport
    with AppLovinSuppressionClient(
        api_key=Secret(KEY), base_url=transport.base_url, settings=transport.settings, sleep=lambda _seconds: None
    ) as client:
        return getattr(client, method)(package_name="p", advertising_ids=f"{MEMBER}\n".encode())


def calls(applovin: AppLovinClient, pai: PaiClient) -> dict[str, Callable[[], object]]:
    upload: dict[str, Any] = {"audience_id": "a", "advertising_ids": f"{MEMBER}\n".encode()}
    return {
        "applovin.suppression_add": lambda: suppress(applovin, "add_users"),
        "applovin.suppression_delete": lambda: suppress(applovin, "delete_users"),
        "applovin.create": lambda: applovin.create_audience(name="n", platform="ios", package_name="p"),
        "applovin.list": applovin.list_audiences,
        "applovin.update": lambda: applovin.update_audience(**upload),
        "applovin.append": lambda: applovin.append_users(**upload),
        "applovin.delete": lambda: applovin.delete_audience(audience_id="a"),
        "pai.create": lambda: pai.create_group(SPEC, marker=MARKER),
        "pai.get": lambda: pai.get_group("g"),
        "pai.list": pai.list_groups,
        "pai.delete": lambda: pai.delete_group("g"),
    }


def reprs(thing: object, seen: set[int]) -> Iterator[str]:
    """Yield the repr of a thing and of what hangs on it."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    yield repr(thing)
    if isinstance(thing, BaseException):
        yield str(thing)
        for part in (*thing.args, thing.__cause__, thing.__context__, *getattr(thing, "__notes__", ())):
            yield from reprs(part, seen)
    if isinstance(thing, dict):
        for part in thing.values():
            yield from reprs(part, seen)
    elif isinstance(thing, list | tuple | set):
        for part in thing:
            yield from reprs(part, seen)
    elif hasattr(thing, "__dict__"):
        yield from reprs(vars(thing), seen)


@contextmanager
def everything_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect all logs at DEBUG and all output, with the debug switch of http.client on."""
    said: list[str] = []
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    loggers = [
        logging.getLogger(name) for name in ("", "urllib3", "requests", "tenacity", "airflow_provider_audiences")
    ]
    levels = [logger.level for logger in loggers]
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(http.client.HTTPConnection, "debuglevel", 1)
        logging.getLogger().addHandler(handler)
        for logger in loggers:
            logger.setLevel(logging.DEBUG)
        try:
            yield said
        finally:
            logging.getLogger().removeHandler(handler)
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            captured = capsys.readouterr()
            said += [stream.getvalue(), captured.out, captured.err]


def assert_clean(texts: list[str]) -> None:
    for text in texts:
        for secret in SECRETS:
            assert secret not in text


def run_all(applovin: AppLovinClient, pai: PaiClient, said: list[str]) -> int:
    """Make all calls; return how many failed."""
    failed = 0
    for call in calls(applovin, pai).values():
        try:
            said.append(repr(call()))
        except AudienceError as error:
            failed += 1
            said += ["".join(traceback.format_exception(error)), *reprs(error, set()), *kept(error)]
            logging.getLogger("test").exception("a task's log")
    return failed


FAULTS: dict[str, dict[str, Any]] = {
    "500": {"kind": "status", "status": 500},
    "429": {"kind": "status", "status": 429},
    "400": {"kind": "status", "status": 400},
    "403": {"kind": "status", "status": 403},
    "404": {"kind": "status", "status": 404},
    "406": {"kind": "status", "status": 406},
    "drop_before": {"kind": "drop_before"},
    "drop_after": {"kind": "drop_after"},
    "slow": {"kind": "slow", "seconds": 0.3},
    "half a body": {"kind": "truncated_json"},
    "half a body, dropped": {"kind": "truncated_json", "cut": "connection"},
    "html": {"kind": "html"},
    "redirect": {"kind": "redirect"},
    "error_code": {"kind": "error_code", "error_code": 400},
    "wrong_counts": {"kind": "wrong_counts"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_under_every_fault(
    emulator: AudiencesEmulator,
    make_applovin: Callable[..., AppLovinClient],
    make_pai: Callable[..., PaiClient],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    dialect: str,
) -> None:
    emulator.fault("*", times=None, **FAULTS[fault])
    timeout = 0.1 if fault == "slow" else 20.0
    settings = {"read_timeout_seconds": timeout, "max_retries": 1}
    with everything_said(capsys, monkeypatch) as said:
        failed = run_all(make_applovin(**settings), make_pai(dialect, **settings), said)

    assert failed >= 5
    assert "Starting new HTTP connection" in "".join(said)
    assert_clean(said)


def test_with_a_dead_port(
    make_applovin: Callable[..., AppLovinClient],
    make_pai: Callable[..., PaiClient],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    dead_port: int,
    dialect: str,
) -> None:
    address = f"http://127.0.0.1:{dead_port}"
    with everything_said(capsys, monkeypatch) as said:
        failed = run_all(make_applovin(base_url=address), make_pai(dialect, base_url=address), said)

    assert failed == 11
    assert_clean(said)


def test_through_a_proxy_and_over_tls(
    recorder: Any,
    tls_recorder: Any,
    make_applovin: Callable[..., AppLovinClient],
    make_pai: Callable[..., PaiClient],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    dialect: str,
) -> None:
    recorder.answer(502, {}, b"Bad Gateway")
    with everything_said(capsys, monkeypatch) as said:
        assert (
            run_all(make_applovin(base_url=tls_recorder.url), make_pai(dialect, base_url=tls_recorder.url), said) == 11
        )
        monkeypatch.setenv("http_proxy", recorder.url)
        monkeypatch.setenv("https_proxy", recorder.url)
        monkeypatch.setenv("no_proxy", "")
        for address in ("http://ads.example", "https://ads.example"):
            assert run_all(make_applovin(base_url=address), make_pai(dialect, base_url=address), said) == 11

    assert any("api_key=" in target for target in recorder.targets)
    assert_clean(said)


ECHOES = [
    "wrong key {plain}",
    "wrong key {quoted}",
    "wrong key {all_quoted}",
    "wrong key {lower}",
    "wrong key {plus}",
    "GET /audiences/list?api_key={quoted}&x=1",
    "Authorization: Bearer {plain}",
    f"bad id {MEMBER}, {MEMBER.upper()}x",
    f"bad number {PHONE}",
    f"bad text '{PHONE}\\n{PHONE}'",
    f"tel:{PHONE}is bad; no{PHONE}",
    "x" * 290 + f" {PHONE} {MEMBER} {{plain}}",
]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_when_the_server_says_it_back(
    emulator: AudiencesEmulator,
    make_applovin: Callable[..., AppLovinClient],
    make_pai: Callable[..., PaiClient],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    echo: str,
    status: int,
    dialect: str,
) -> None:
    # Each client's own key; it knows no other.
    for platform, key in (("applovin", KEY), ("pai", KEY_OF[dialect])):
        quoted = urllib.parse.quote(key, safe="")
        message = echo.format(
            plain=key,
            quoted=urllib.parse.quote(key),
            all_quoted=quoted,
            lower=quoted.lower(),
            plus=urllib.parse.quote_plus(key),
        )
        kind: dict[str, Any] = (
            {"kind": "error_code", "error_code": 400} if status == 200 else {"kind": "status", "status": status}
        )
        emulator.fault(f"{platform}.*", message=message, times=None, **kind)
    with everything_said(capsys, monkeypatch) as said:
        failed = run_all(make_applovin(max_retries=1), make_pai(dialect, max_retries=1), said)

    assert failed == 11
    foreign = MEMBER if "number" in echo or "text" in echo or "tel:" in echo or "x" * 290 in echo else PHONE
    # A platform's reply is cleaned of what it was sent: numbers by PAI's client, IDs by AppLovin's.
    for text in said:
        for secret in SECRETS - {foreign, MEMBER.upper(), MEMBER, PHONE}:
            assert secret not in text
    applovin_said = [text for text in said if "applovin." in text and "pai." not in text]
    pai_said = [text for text in said if "pai." in text and "applovin." not in text]
    assert applovin_said
    assert pai_said
    assert not any(MEMBER in text.lower() for text in applovin_said)
    assert not any(PHONE in text for text in pai_said)


@pytest.mark.parametrize(
    "body",
    [
        f'{{"ErrorCode": "bad {PHONE}", "ErrorMessage": "m"}}',
        f'{{"Code": ["{PHONE}"], "Message": {{"lines": ["{PHONE}", "a\\n{PHONE}"]}}}}',
        f"{PHONE}\n{PHONE}",
        f'["{PHONE}"]',
        f"<html>{PHONE}</html>",
        f'{{"ErrorCode": {PHONE}, "ErrorMessage": "m"}}',
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_in_odd_places_of_pai_replies(
    recorder: Any, make_pai: Callable[..., PaiClient], status: int, body: str
) -> None:
    recorder.answer(status, {}, body.encode())
    with pytest.raises(AudienceError) as caught:
        make_pai(base_url=recorder.url).get_group("g")

    if f'"ErrorCode": {PHONE}' in body:
        return  # a number where a code belongs is a code
    assert PHONE not in "".join(reprs(caught.value, set()))


@pytest.mark.parametrize(
    "body",
    [
        f'{{"code": 400, "message": "bad {MEMBER}"}}',
        f'{{"code": "{MEMBER}", "error": {{"ids": ["{MEMBER}"]}}}}',
        MEMBER.upper(),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_in_odd_places_of_applovin_replies(
    recorder: Any, make_applovin: Callable[..., AppLovinClient], status: int, body: str
) -> None:
    recorder.answer(status, {}, body.encode())
    with pytest.raises(AudienceError) as caught:
        make_applovin(base_url=recorder.url).list_audiences()

    assert MEMBER not in "".join(reprs(caught.value, set())).lower()


def test_history_of_a_group_is_redacted(recorder: Any, make_pai: Callable[..., PaiClient]) -> None:
    reply = f'{{"ErrorCode": 0, "Data": {{"Id": "g", "Text": "{PHONE}", "History": "{PHONE} is no number"}}}}'
    recorder.answer(200, {}, reply.encode())
    group = make_pai(base_url=recorder.url).get_group("g")

    assert group.history == "*** is no number"
    assert PHONE not in repr(group)
    assert PHONE not in repr(group.public())
    assert "text" not in group.public()


def test_public_group_has_no_signed_address() -> None:
    uri = "https://b.oss-cn-hangzhou.aliyuncs.com/k?Signature=s3cret&Expires=1"
    group = AudienceGroup.from_api({"Id": "g", "Uri": uri})

    assert group.uri == uri
    assert "s3cret" not in repr(group)
    assert group.public()["uri"] == "https://b.oss-cn-hangzhou.aliyuncs.com/k"


def test_spec_does_not_show_personal_data() -> None:
    uri = "https://b.oss-cn-hangzhou.aliyuncs.com/k?Signature=s3cret"
    assert PHONE not in repr(SPEC)
    assert "s3cret" not in repr(GroupSpec(source=PaiSource.CSV, uri=uri))


@pytest.mark.parametrize("status", [200, 400, 403, 500])
def test_a_gateway_that_says_the_signature_back(
    recorder: Any,
    make_pai: Callable[..., PaiClient],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    applovin: AppLovinClient,
    status: int,
) -> None:
    """As it does when a signature does not match: the whole request, with its headers."""

    def reply(_method: str, _target: str) -> tuple[int, dict[str, str], bytes]:
        headers = {name.lower(): value for name, value in recorder.requests[-1][2].items()}
        lines = "\n".join(f"{name}:{value}" for name, value in headers.items() if name != "x-acs-content-sha256")
        body = {"Code": f"Other {headers['authorization']} {TOKEN}", "Message": f"{lines}", "RequestId": "r"}
        return status, {}, json.dumps(body).encode()

    recorder.reply = reply
    key = AccessKey(key_id="LTAI5t", secret=Secret(ACCESS_KEY_SECRET), security_token=Secret(TOKEN))
    client = make_pai(auth=AccessKeyAuth(key), base_url=recorder.url, max_retries=1)
    with everything_said(capsys, monkeypatch) as said:
        assert run_all(applovin, client, said) >= 4

    assert_clean(said)
    signatures = [request[2]["Authorization"].rpartition("=")[2] for request in recorder.requests]
    assert len(signatures) >= 4
    assert not any(signature in text for signature in signatures for text in said)


class TestSecret:
    def test_shows_itself_to_the_one_who_asks(self) -> None:
        secret = Secret(KEY)

        assert secret.reveal() == KEY
        for text in (str(secret), repr(secret), f"{secret}", f"{secret!r}", f"{[secret]}", f"{secret!s}"):
            assert KEY not in text
        assert not hasattr(secret, "__dict__")

    @pytest.mark.parametrize("copier", ["pickle", "copy", "deepcopy"])
    def test_is_never_pickled(self, copier: str) -> None:
        import copy
        import pickle

        copiers: dict[str, Callable[[Any], Any]] = {
            "pickle": pickle.dumps,
            "copy": copy.copy,
            "deepcopy": copy.deepcopy,
        }
        with pytest.raises(TypeError, match="never pickled"):
            copiers[copier](Secret(KEY))

    def test_clients_do_not_show_it(self, applovin: AppLovinClient, make_pai: Callable[..., PaiClient]) -> None:
        temporary = AccessKey(key_id="i", secret=Secret(ACCESS_KEY_SECRET), security_token=Secret(TOKEN))
        source = ChangingKeyAuth(lambda: temporary, account="a")
        clients = [make_pai(), make_pai("openapi"), make_pai(auth=AccessKeyAuth(temporary)), make_pai(auth=source)]
        assert_clean([text for client in clients for text in reprs(vars(client), set())])
        for client in (applovin, *clients):
            assert_clean(list(reprs(vars(client)["_transport"].settings, set())))
            assert_clean([repr(client), repr(vars(client)), repr(vars(vars(client)["_transport"]))])


class TestRedactor:
    @pytest.mark.parametrize("form", sorted(spellings(KEY)))
    def test_every_form_of_the_key(self, form: str) -> None:
        assert Redactor(Secret(KEY), [])(f"a {form} b") == "a *** b"

    @pytest.mark.parametrize("key", ["\u00e9\u4e2d", "a", "%41", "***", ".*", "\\"])
    def test_keys_of_any_kind(self, key: str) -> None:
        redact = Redactor(Secret(key), [])
        for form in (key, urllib.parse.quote(key, safe=""), urllib.parse.quote(key, safe="").lower()):
            assert redact(f"<{form}>") == "<***>"
        assert redact("<zz>") == "<zz>"

    def test_learnt_keys(self) -> None:
        redact = Redactor(None, [])
        assert redact("one two") == "one two"
        for number in range(20):
            redact.learn(Secret(f"secret/{number};"))
        assert redact("secret/19; secret%2f10; secret/0;") == "*** *** secret/0;"

    def test_empty_key_changes_nothing(self) -> None:
        assert Redactor(Secret(""), [])("some text") == "some text"

    @pytest.mark.parametrize(
        ("text", "clean"),
        [
            ("api_key=abc&x=1", "api_key=***&x=1"),
            ("API_KEY=abc", "API_KEY=***"),
            ("Authorization: bearer  other", "Authorization: bearer ***"),
            ("x Credential=LTAI,SignedHeaders=a;b,Signature=0f", "x Credential=***,SignedHeaders=a;b,Signature=***"),
            ("x-acs-security-token: abc/+=\nhost:h", "x-acs-security-token: *** host:h"),
        ],
    )
    def test_other_credentials(self, text: str, clean: str) -> None:
        assert Redactor(Secret("k9"), [])(text) == clean

    @pytest.mark.parametrize(
        "number",
        [PHONE, f"+86{PHONE}", f"0086 {PHONE}", "139-0000-1111", "139 0000 1111", "(139) 0000-1111", "+1 415 555 2671"],
    )
    def test_numbers(self, number: str) -> None:
        redact = Redactor(Secret("k9"), [PHONE_NUMBER_PATTERNS.in_text])
        for text in (f"x {number} y", f"x{number}y", f"\\n{number}\\n", f"'{number}'"):
            assert not any(part in redact(text) for part in ("0000", "1111", "555"))

    @pytest.mark.parametrize("text", ["ds=20220101", "line 100", "HTTP 500", "1390000****", "12345678"])
    def test_other_digits_stay(self, text: str) -> None:
        assert Redactor(Secret("k9"), [PHONE_NUMBER_PATTERNS.in_text])(text) == text

    def test_one_line_of_bounded_length(self) -> None:
        redact = Redactor(Secret("k9"), [ADVERTISING_ID_PATTERNS.in_text])
        text = redact("a\r\nb\x1b[31m\u2028c " + "y" * 1000)

        assert len(text) == 300
        assert text.startswith("a b [31m c yyy")
        assert text.endswith("y\u2026")


class TestWhatElseAServerWrites:
    """Ids of requests, addresses, types, codes, ids of things: anything may be in them, of any length."""

    ODD = (
        *(KEY, ACCESS_KEY_SECRET, TOKEN, *sorted(spellings(KEY))[:2], base64.b64encode(KEY.encode()).decode()),
        *(PHONE, "139.0000.1111", "x" * 5_000, "<b>id</b>", "two words", f"id {PHONE}"),
    )

    @pytest.mark.parametrize("place", ["x-request-id", "x-acs-request-id", "RequestId"])
    def test_ids_of_pai_requests(self, recorder: Any, make_pai: Callable[..., PaiClient], place: str) -> None:
        temporary = AccessKey(key_id="i", secret=Secret(ACCESS_KEY_SECRET), security_token=Secret(TOKEN))
        signing = make_pai(auth=AccessKeyAuth(temporary), base_url=recorder.url, max_retries=0)
        bearing = make_pai(base_url=recorder.url, max_retries=0)
        for client, known in ((signing, {ACCESS_KEY_SECRET, TOKEN}), (bearing, {KEY})):
            for odd in self.ODD:
                if odd in {KEY, ACCESS_KEY_SECRET, TOKEN} - known:
                    continue  # a client knows its own secrets
                said = {"ErrorCode": 400, "RequestId": odd if place == "RequestId" else None}
                for status in (200, 302, 400, 503):
                    recorder.answer(status, {} if place == "RequestId" else {place: odd}, json.dumps(said).encode())
                    with pytest.raises(AudienceError) as caught:
                        client.delete_group("g")
                    assert caught.value.request_id is None
                    assert odd not in "".join(reprs(caught.value, set()))

    def test_ids_of_applovin_requests(self, recorder: Any, make_applovin: Callable[..., AppLovinClient]) -> None:
        client = make_applovin(base_url=recorder.url, max_retries=0)
        upload = f"{MEMBER.upper()}\n{MEMBER[::-1]}\n".encode()
        members = (MEMBER, MEMBER.upper(), MEMBER.replace("-", ""))
        for odd in (KEY, *sorted(spellings(KEY)), "x" * 65, "two words", *members):
            for status in (200, 302, 400, 503):
                recorder.answer(status, {"x-request-id": odd}, b'{"code": 400}')
                with pytest.raises(AudienceError) as caught:
                    client.append_users(audience_id="a", advertising_ids=upload)
                assert caught.value.request_id is None
                assert odd not in "".join(reprs(caught.value, set()))

    @pytest.mark.parametrize("real", ["7b973e70-5f3d-4936-b7a3-a24340fb78f6", "B5A1C3F6-7A0E-5F3D-9C21-1D2E3F405162"])
    def test_real_ids_stay(
        self,
        recorder: Any,
        make_applovin: Callable[..., AppLovinClient],
        make_pai: Callable[..., PaiClient],
        dialect: str,
        real: str,
    ) -> None:
        recorder.answer(500, {"x-request-id": real}, b"")
        with pytest.raises(AudienceError, match=f"request id {real}"):
            make_applovin(base_url=recorder.url, max_retries=0).append_users(audience_id="a", advertising_ids=b"x\n")
        recorder.answer(400, {"x-acs-request-id": "other"}, json.dumps({"ErrorCode": 7, "RequestId": real}).encode())
        with pytest.raises(AudienceError, match=f"request id {real}"):
            make_pai(dialect, base_url=recorder.url).get_group("g")

    @pytest.mark.parametrize(
        ("status", "headers", "body"),
        [
            (302, {"Location": f"https://{PHONE}.example/"}, b""),
            (301, {"Location": f"https://{'x' * 5_000}.example/"}, b""),
            (200, {"Content-Type": f"text/{PHONE}; a=b"}, b"hello"),
            (200, {"Content-Type": "x" * 5_000}, b"hello"),
            (400, {}, json.dumps({"ErrorCode": int(PHONE), "ErrorMessage": "m"}).encode()),
            (400, {}, json.dumps({"ErrorCode": "9" * 5_000, "ErrorMessage": "m"}).encode()),
            (400, {}, json.dumps({"Code": "A" * 5_000, "Message": "m" * 5_000}).encode()),
            (200, {}, json.dumps({"ErrorCode": 0, "Data": {"Id": "i" * 5_000}}).encode()),
            (200, {}, json.dumps({"ErrorCode": 0, "Data": {"Id": f"a {KEY}"}}).encode()),
        ],
        ids=str,
    )
    def test_other_places(
        self, recorder: Any, make_pai: Callable[..., PaiClient], status: int, headers: dict[str, str], body: bytes
    ) -> None:
        recorder.answer(status, headers, body)
        with pytest.raises(AudienceError) as caught:
            make_pai(base_url=recorder.url, max_retries=0).get_group("g")

        assert len(str(caught.value)) < 1_000
        assert_clean(list(reprs(caught.value, set())))

    def test_ids_that_applovin_lists(self, recorder: Any, make_applovin: Callable[..., AppLovinClient]) -> None:
        client = make_applovin(base_url=recorder.url, max_retries=0)
        for odd in (f"a-{KEY}", "x" * 5_000, "a\nb", urllib.parse.quote(KEY)):
            listed = [{"audience_id": odd, "name": "n", "platform": "ios", "package_name": "p"}]
            reply = {"code": 200, "audiences": listed, "count": 1, "audience_id": odd}
            recorder.answer(200, {}, json.dumps(reply).encode())
            creating = partial(client.create_audience, name="n", platform="ios", package_name="p")
            for call in (client.list_audiences, creating):
                with pytest.raises(AudienceError, match="valid audience_id") as caught:
                    call()
                assert odd not in str(caught.value)
