"""Whatever a request says, the emulator answers without an error of its own, and a refusal changes nothing."""

import http.client
import importlib.util
import json
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import hypothesis
import pytest
from hypothesis import strategies as st

from airflow_provider_audiences.emulator import AudiencesEmulator

CONTROL = (
    ("GET", "/health"), ("POST", "/reset"), ("GET", "/clock"), ("POST", "/clock"), ("GET", "/requests"),
    ("DELETE", "/requests"), ("POST", "/faults"), ("GET", "/faults"), ("DELETE", "/faults"), ("POST", "/latency"),
    ("GET", "/settings"), ("PATCH", "/settings"), ("GET", "/billing"), ("GET", "/pai/groups"),
    ("GET", "/applovin/audiences"), ("GET", "/applovin/audiences/{id}"), ("GET", "/applovin/audiences/{id}/members"),
)  # fmt: skip
PAI = "/api/PaiPlugin/2022-01-12"
SERVICES = (
    *(("GET", f"/audiences/{name}") for name in ("create", "list", "delete")),
    *(("POST", f"/audiences/{name}") for name in ("update", "append")),
    *(("POST", f"{PAI}/CreateGroup"), ("GET", f"{PAI}/GetGroup"), ("GET", f"{PAI}/GetGroup/{{id}}")),
    *(("DELETE", f"{PAI}/DeleteGroup"), ("DELETE", f"{PAI}/DeleteGroup/{{id}}"), ("GET", f"{PAI}/ListGroups")),
    *(("POST", "/api/v2/groups"), ("GET", "/api/v2/groups"), ("GET", "/api/v2/groups/{id}")),
    ("DELETE", "/api/v2/groups/{id}"),
)
HALF = "\\ud83d"
MANY_DIGITS = "9" * 5_000
DEEP = "[" * 200_000 + "]" * 200_000


@pytest.fixture(scope="module", params=[name for name in ("h11", "httptools") if importlib.util.find_spec(name)])
def emulator(request: pytest.FixtureRequest) -> Any:
    with AudiencesEmulator(http=request.param, processing_seconds=0, qps=None) as running:
        yield running


def ask(
    emulator: AudiencesEmulator, method: str, target: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    """Send a request as it is, without a library that mends it."""
    connection = http.client.HTTPConnection(urlsplit(emulator.url).netloc, timeout=30)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, target, body=body, headers=given)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def control(emulator: AudiencesEmulator, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    raw = None if body is None else body.encode()
    return ask(emulator, method, f"/_emulator{path}", raw, content_type="application/json")


def state(emulator: AudiencesEmulator) -> Any:
    clock = json.loads(control(emulator, "GET", "/clock")[1])
    calm = [
        json.loads(control(emulator, "GET", path)[1]) for path in ("/settings", "/faults", "/pai/groups", "/billing")
    ]
    return [*calm, clock["frozen"], round(clock["offset_seconds"])]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"/requests?limit={MANY_DIGITS}", None),
        ("GET", "/requests?limit=-1", None),
        ("GET", "/requests?limit=%D9%A3", None),
        *(
            (method, path, body)
            for method, path in (("POST", "/clock"), ("POST", "/faults"), ("POST", "/latency"), ("PATCH", "/settings"))
            for body in (DEEP, f'{{"set": {DEEP}}}', f'{{"a{HALF}": 1}}', f'{{"set": {MANY_DIGITS}}}', "nul", '"x"')
        ),
        ("POST", "/clock", '{"set": 1e300}'),
        ("POST", "/clock", f'{{"set": 1{"0" * 400}}}'),
        ("POST", "/clock", '{"set": 253402300800}'),
        ("POST", "/clock", '{"advance_seconds": 253402300800}'),
        ("POST", "/clock", '{"set": 250000000000, "advance_seconds": 1}'),
        ("POST", "/clock", '{"set": -1}'),
        ("POST", "/clock", '{"set": NaN}'),
        ("POST", "/clock", '{"advance_seconds": Infinity}'),
        ("POST", "/clock", '{"freeze": ["x"]}'),
        ("POST", "/faults", '{"operation": ["*"]}'),
        ("POST", "/faults", '{"operation": ["*"], "kind": "status"}'),
        ("POST", "/faults", '{"operation": "*", "kind": ["status"]}'),
        ("POST", "/faults", '{"operation": "*", "kind": {"a": 1}}'),
        ("POST", "/faults", '{"operation": {}, "kind": null}'),
        ("POST", "/faults", '{"operation": "*", "kind": "status", "form": ["gateway"]}'),
        ("POST", "/faults", '{"operation": "*", "kind": "truncated_json", "cut": {}}'),
        ("POST", "/faults", '{"operation": "*", "kind": "status", "status": 1e400}'),
        ("POST", "/faults", f'{{"operation": "*", "kind": "wrong_counts", "by": {"9" * 4_000}}}'),
        ("POST", "/faults", f'{{"operation": "*", "kind": "slow", "number": {"9" * 4_000}}}'),
        ("POST", "/faults", f'{{"operation": "*", "kind": "slow", "seconds": {"9" * 400}}}'),
        ("POST", "/faults", f'{{"operation": "*", "kind": "status", "message": "{HALF}"}}'),
        ("POST", "/latency", '{"operation": ["*"], "seconds": 1}'),
        ("POST", "/latency", '{"operation": "*", "seconds": 1e300}'),
        ("POST", "/latency", '{"operation": "*", "seconds": [1]}'),
        ("PATCH", "/settings", f'{{"reject_names": ["{HALF}"]}}'),
        ("PATCH", "/settings", f'{{"files": {{"{HALF}": 1}}}}'),
        ("PATCH", "/settings", f'{{"maxcompute": {{"p": {{"t{HALF}": 1}}}}}}'),
        ("PATCH", "/settings", f'{{"default_file_amount": {"9" * 4_000}}}'),
        ("PATCH", "/settings", '{"processing_seconds": 1e300}'),
        ("PATCH", "/settings", '{"file_roots": {"https://b.oss-x.aliyuncs.com": "/a\\u0000b"}}'),
        ("PATCH", "/settings", '{"file_roots": {"https://b.oss-x.aliyuncs.com": "http://host:99999/"}}'),
        ("PATCH", "/settings", '{"qps": 1.5, "max_page_size": 7}'),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, str) else "",
)
def test_refused_and_nothing_changes(emulator: AudiencesEmulator, method: str, path: str, body: str | None) -> None:
    before = state(emulator)
    status, said = control(emulator, method, path, body)

    assert status == 400
    assert json.loads(said)["error"]
    assert len(said) < 1_000
    assert state(emulator) == before


@pytest.mark.parametrize(
    "text",
    [HALF, f"{HALF}a", "\\ud83d\\ud83d", DEEP.replace("[", '{"a":').replace("]", "}")[:-200_000]],
    ids=lambda value: value[:20],
)
def test_groups_of_odd_texts(emulator: AudiencesEmulator, text: str) -> None:
    before = state(emulator)[:3]
    for body in (
        f'{{"Name": "{text}", "Source": 0, "Text": "13900001111"}}',
        f'{{"Name": "n", "Source": 0, "Text": "{text}"}}',
        f'{{"Name": {DEEP}, "Source": 0}}',
        f'{{"Source": {MANY_DIGITS}}}',
    ):
        key = {"Authorization": f"Bearer {emulator.api_key}"}
        status, said = ask(emulator, "POST", f"{PAI}/CreateGroup", body.encode(), **key)
        assert status == 400
        assert json.loads(said)["ErrorCode"] == 400
    assert state(emulator)[:3] == before


def test_the_clock_runs_on_from_the_latest_time(emulator: AudiencesEmulator) -> None:
    assert control(emulator, "POST", "/clock", '{"set": 250000000000}')[0] == 200
    key = {"Authorization": f"Bearer {emulator.api_key}"}
    body = b'{"Name": "n", "Source": 0, "Text": "13900001111"}'
    assert ask(emulator, "POST", f"{PAI}/CreateGroup", body, **key)[0] == 200
    assert control(emulator, "GET", "/pai/groups")[0] == 200
    assert control(emulator, "POST", "/reset")[0] == 200


numbers = st.one_of(
    st.integers(), st.integers(10**15, 10**400), st.floats(), st.sampled_from([0, 1, -1, 2**53, 2**63, 1e300])
)
texts = st.one_of(
    st.text(max_size=8),
    st.text(st.characters(categories=["Cs", "Lu"]), max_size=3),
    st.sampled_from(
        [
            "*",
            "pai.*",
            "applovin.append",
            "status",
            "slow",
            "13900001111",
            "ios",
            "a",
            "..",
            "/",
            "\0",
            "%",
            "None",
            "9" * 5_000,
        ]
    ),
)
names = st.sampled_from(
    [
        *("set", "advance_seconds", "freeze", "operation", "kind", "number", "times", "status", "seconds", "by", "cut"),
        *("processing_seconds", "reject_names", "maxcompute", "files", "file_roots", "qps", "max_page_size", "limit"),
        *("default_file_amount", "user_count_lag_seconds", "final_status", "include_ttl", "audience_id", "name"),
        *("platform", "package_name", "audience_type", "description", "ttl_seconds", "Id", "Name", "Source", "Text"),
        *("Uri", "Project", "Table", "Column", "PhoneNumber", "Remark", "PageNumber", "PageSize", "Status", "Filter"),
    ]
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
bodies = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.dictionaries(names | texts, values, max_size=4).map(lambda value: json.dumps(value).encode()),
    st.dictionaries(names | texts, values, max_size=4).map(
        lambda value: json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
    ),
    st.sampled_from([b"", DEEP.encode(), b"{" * 5_000, MANY_DIGITS.encode(), b"\xff\xfe{\x00}\x00", b"\xed\xa0\xbd"]),
)
queries = st.dictionaries(names, texts | numbers.map(str), max_size=3)
paths = texts.map(lambda text: quote(text.encode(errors="surrogatepass"), safe="")) | st.sampled_from(
    ["%00", "%ff", "%"]
)


@hypothesis.given(
    route=st.sampled_from([*((method, f"/_emulator{path}") for method, path in CONTROL), *SERVICES]),
    method=st.sampled_from([None, None, None, None, "GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE"]),
    body=bodies,
    query=queries,
    path=paths,
)
@hypothesis.settings(max_examples=100, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_no_error_of_its_own(
    emulator: AudiencesEmulator,
    route: tuple[str, str],
    method: str | None,
    body: bytes | None,
    query: dict[str, str],
    path: str,
) -> None:
    given = {**query, "api_key": emulator.api_key} if route[1].startswith("/audiences") else query
    text = urlencode([(name, value.encode(errors="surrogatepass")) for name, value in given.items()])
    target = route[1].replace("{id}", path) + (f"?{text}" if text else "")
    key = {"Authorization": f"Bearer {emulator.api_key}", "content_type": "application/json"}
    before = state(emulator)
    status, _ = ask(emulator, method or route[0], target, body, **key)
    # What was planned may happen to the next one; not here.
    if control(emulator, "GET", "/faults")[1] != b'{"faults":[]}':
        control(emulator, "DELETE", "/faults")
        control(emulator, "POST", "/reset")
        before = None
    assert status < 500
    if status >= 400 and before and "/_emulator" in target:
        assert state(emulator) == before
    if json.loads(control(emulator, "GET", "/settings")[1]) != (before or [None])[0]:
        control(emulator, "POST", "/reset")
    # It goes on, whatever the clock and the settings are now.
    for looked in ("/clock", "/pai/groups", "/applovin/audiences", "/requests?limit=5", "/settings"):
        assert control(emulator, "GET", looked)[0] == 200
