"""From a connection to settings: addresses, keys and extras, right and wrong."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import parse_url

from airflow_provider_audiences.common.connection_fields import PAI_FIELDS
from airflow_provider_audiences.common.connections import ConnectionReader
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.http.addresses import is_loopback
from airflow_provider_audiences.http.calls import TransportSettings

DEFAULT = "https://default.example"
READER = "connection 'my_conn': "


@dataclass
class Connection:
    conn_id: str = "my_conn"
    host: str | None = None
    port: int | None = None
    schema: str | None = None
    password: str | None = "key"
    extra_dejson: Any = field(default_factory=dict)


def reader(**values: Any) -> ConnectionReader:
    return ConnectionReader(connection=cast("Any", Connection(**values)))


class TestBaseUrl:
    @pytest.mark.parametrize("host", [None, "", "  "])
    def test_default(self, host: str | None) -> None:
        assert reader(host=host, port=8080, schema="http").base_url(DEFAULT) == DEFAULT

    @pytest.mark.parametrize(
        ("values", "url"),
        [
            ({"host": "api.example.com"}, "https://api.example.com"),
            ({"host": " api.example.com/ "}, "https://api.example.com"),
            ({"host": "api.example.com/a/b//"}, "https://api.example.com/a/b"),
            ({"host": "api.example.com:8443/a"}, "https://api.example.com:8443/a"),
            ({"host": "https://api.example.com"}, "https://api.example.com"),
            ({"host": "HTTPS://API.Example.com/A"}, "https://api.example.com/A"),
            ({"host": "api.example.com", "port": 8443}, "https://api.example.com:8443"),
            ({"host": "https://api.example.com/a", "port": 8443}, "https://api.example.com:8443/a"),
            ({"host": "https://api.example.com:1/a", "port": 8443}, "https://api.example.com:1/a"),
            ({"host": "api.example.com", "schema": "https"}, "https://api.example.com"),
            ({"host": "api.example.com", "schema": "public"}, "https://api.example.com"),
            ({"host": "https://api.example.com", "schema": "http"}, "https://api.example.com"),
            ({"host": "localhost"}, "http://localhost"),
            ({"host": "localhost:8765"}, "http://localhost:8765"),
            ({"host": "http://localhost:8765/a"}, "http://localhost:8765/a"),
            ({"host": "https://localhost:8765"}, "https://localhost:8765"),
            ({"host": "localhost", "schema": "HTTPS", "port": 1}, "https://localhost:1"),
            ({"host": "127.0.0.1", "port": 8765}, "http://127.0.0.1:8765"),
            ({"host": "127.9.9.9"}, "http://127.9.9.9"),
            ({"host": "a.localhost"}, "http://a.localhost"),
            ({"host": "[::1]"}, "http://[::1]"),
            ({"host": "[::1]:8765/a"}, "http://[::1]:8765/a"),
            ({"host": "http://[::1]", "port": 8765}, "http://[::1]:8765"),
            ({"host": "[2001:db8::1]:443"}, "https://[2001:db8::1]:443"),
            ({"host": "10.0.0.1"}, "https://10.0.0.1"),
        ],
    )
    def test_forms(self, values: dict[str, Any], url: str) -> None:
        assert reader(**values).base_url(DEFAULT) == url

    @pytest.mark.parametrize(
        "host",
        [
            "http://api.example.com",
            "http://10.0.0.1:8765",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://notlocalhost",
            "http://[2001:db8::1]",
            "http://0.0.0.0",
        ],
    )
    def test_http_is_for_this_machine_only(self, host: str) -> None:
        with pytest.raises(InvalidInputError, match="plain http, and the key would be readable"):
            reader(host=host).base_url(DEFAULT)
        for value in (True, "true", "1", "Yes", "on"):
            assert reader(host=host, extra_dejson={"allow_insecure_http": value}).base_url(DEFAULT) == host
        for refused in (False, "false", "0", "", None, "maybe"):
            with pytest.raises(InvalidInputError):
                reader(host=host, extra_dejson={"allow_insecure_http": refused}).base_url(DEFAULT)

    def test_schema_http_is_plain_http_too(self) -> None:
        with pytest.raises(InvalidInputError, match="plain http"):
            reader(host="api.example.com", schema="http").base_url(DEFAULT)

    @pytest.mark.parametrize(
        ("host", "message"),
        [
            ("https://user:s3cret@api.example.com", "scheme, name, port and path only"),
            ("https://s3cret@api.example.com", "scheme, name, port and path only"),
            ("https://:s3cret@api.example.com", "scheme, name, port and path only"),
            ("user:s3cret@localhost", "scheme, name, port and path only"),
            ("http://127.0.0.1\\@evil.example", "scheme, name, port and path only"),
            ("https://api.example.com?api_key=s3cret", "scheme, name, port and path only"),
            ("api.example.com/a?api_key=s3cret", "scheme, name, port and path only"),
            ("https://api.example.com#s3cret", "scheme, name, port and path only"),
            ("ftp://api.example.com", "https address"),
            ("file:///etc/passwd", "https address"),
            ("https://", "https address"),
            ("https:///path", "https address"),
            ("https://:443", "https address"),
            ("https://api.example.com:port", "not an address"),
            ("https://api.example.com:99999", "not an address"),
            ("https://[::1", "not an address"),
            ("[::1", "not an address"),
            ("a[b", "not an address"),
            ("::1", "not an address"),
        ],
    )
    def test_wrong(self, host: str, message: str) -> None:
        with pytest.raises(InvalidInputError, match=message) as caught:
            reader(host=host).base_url(DEFAULT)
        assert str(caught.value).startswith(READER)
        assert "s3cret" not in str(caught.value)

    @pytest.mark.parametrize(
        "host",
        [
            "192.0.2.7\\a.localhost",
            "localhost\\.example.com",
            "api.example.com\\",
            "api.exa mple.com",
            "api.exa\tmple.com",
            "api.example\n.com",
            "api.example.com\x00",
            "api%2eexample.com",
            "127.0.0.1%00.example.com",
            "[fe80::1%25eth0]",
            "[::1%lo]",
            "api\u3002example.com",
            "api\uff0eexample\uff61com",
            "loc\u00adalhost",
            "\uff11\uff12\uff17.0.0.1",
            "b\u00fccher.example",
            "api..example.com",
            ".example.com",
            "-api.example.com",
            "api-.example.com",
            "a" * 64 + ".com",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "127.1",
            "0177.0.0.1",
            "api.example.1",
            "1.2.3.4.5",
            "api.example.com:",
            "api.example.com:+80",
            "api.example.com:8 0",
            "api.example.com/a\\b",
            "api.example.com/a b",
            "api.example.com/%zz",
            "api.example.com/\u00e9",
            "api,example.com",
            "api*.example.com",
            "api;example.com",
        ],
    )
    def test_characters_that_libraries_read_differently(self, host: str) -> None:
        for text in (host, f"https://{host}", f"http://{host}"):
            for flag in ({}, {"allow_insecure_http": True}):
                with pytest.raises(InvalidInputError, match=READER):
                    reader(host=text, extra_dejson=flag).base_url(DEFAULT)

    @pytest.mark.parametrize(
        "host",
        ["https:/api.example.com", "http:/localhost", "https//api.example.com", "https:api.example.com", "HTTPS:/a/b",
         "https:\\\\api.example.com", "https", "http:", "https:///api.example.com", "://api.example.com",
         "https://https://api.example.com", "https://http:/api.example.com"],
    )  # fmt: skip
    def test_scheme_that_is_none(self, host: str) -> None:
        with pytest.raises(InvalidInputError, match=READER):
            reader(host=host).base_url(DEFAULT)

    @pytest.mark.parametrize("host", ["[::ffff:127.0.0.1]", "LOCALHOST", "a.LocalHost", "127.255.0.9", "localhost."])
    def test_other_spellings_of_this_machine(self, host: str) -> None:
        assert reader(host=host).base_url(DEFAULT) == f"http://{host.lower()}"

    @given(st.text(max_size=20), st.sampled_from(["", "https://", "http://"]), st.text(max_size=20))
    def test_name_that_is_judged_is_the_one_that_is_connected_to(self, one: str, scheme: str, other: str) -> None:
        for middle in ("localhost", "api.example.com", "127.0.0.1", "[::1]"):
            host = f"{scheme}{one}{middle}{other}"
            try:
                url = reader(host=host).base_url(DEFAULT)
            except InvalidInputError:
                continue
            prepared = requests.Request("GET", f"{url}/audiences/list").prepare()
            connected_to = (parse_url(str(prepared.url)).host or "").strip("[]")
            assert connected_to == urlsplit(url).hostname
            assert url.startswith("https://") or is_loopback(connected_to)

    @given(st.text(alphabet="ahl:/?#@[]\\.%0123456789 \x00\u4e2d", max_size=30))
    def test_any_text_is_an_address_or_a_named_mistake(self, host: str) -> None:
        try:
            url = reader(host=host).base_url(DEFAULT)
        except InvalidInputError:
            return
        assert url.startswith(("https://", "http://"))
        assert not url.endswith("/")


class TestSecret:
    @pytest.mark.parametrize("password", ["key", " key\n", "k+/=%&?#'\"~", "two words"])
    def test_good(self, password: str) -> None:
        assert reader(password=password).secret(what="key").reveal() == password.strip()

    def test_fallback(self) -> None:
        assert reader(password=None).secret(what="key", fallback="other").reveal() == "other"
        assert reader(password="").secret(what="key", fallback=" other ").reveal() == "other"
        assert reader(password="mine").secret(what="key", fallback="other").reveal() == "mine"

    @pytest.mark.parametrize("password", [None, "", "  "])
    def test_missing(self, password: str | None) -> None:
        with pytest.raises(
            InvalidInputError, match="the Management Key is missing: put it in the connection's password"
        ):
            reader(password=password).secret(what="Management Key")

    @pytest.mark.parametrize("password", ["$DASHSCOPE_API_KEY", "${KEY}", " $KEY"])
    @pytest.mark.parametrize("as_fallback", [True, False])
    def test_variable_that_was_not_expanded(self, password: str, as_fallback: bool) -> None:
        values = (None, password) if as_fallback else (password, None)
        with pytest.raises(InvalidInputError, match=r"begins with '\$'") as caught:
            reader(password=values[0]).secret(what="API key", fallback=values[1])
        assert "KEY" not in str(caught.value)

    @pytest.mark.parametrize("password", ["s3cret\u00e9", "s3cret\nmore", "s3\u200bcret", "s3cret\x00", "\uff4bey"])
    def test_characters_that_no_key_has(self, password: str) -> None:
        with pytest.raises(InvalidInputError, match="characters that no key has") as caught:
            reader(password=password).secret(what="key")
        assert "s3" not in str(caught.value)


class TestExtras:
    DEFAULTS = TransportSettings(read_timeout_seconds=60.0)

    def settings(self, extra: Any, **options: Any) -> TransportSettings:
        return reader(extra_dejson=extra).settings(self.DEFAULTS, **options)

    @pytest.mark.parametrize("extra", [{}, {"read_timeout_seconds": None, "max_retries": ""}, {"unknown": [1]}])
    def test_defaults(self, extra: dict[str, Any]) -> None:
        assert self.settings(extra) == self.DEFAULTS

    @pytest.mark.parametrize("as_text", [True, False])
    def test_given(self, as_text: bool) -> None:
        extra: dict[str, Any] = {
            "connect_timeout_seconds": 0.5,
            "read_timeout_seconds": 7,
            "request_deadline_seconds": 11.5,
            "max_retries": 0,
            "backoff_seconds": 0,
        }
        settings = self.settings({name: str(value) if as_text else value for name, value in extra.items()})

        assert {name: getattr(settings, name) for name in extra} == extra
        assert isinstance(settings.max_retries, int)

    def test_part_of_a_retry_is_refused(self) -> None:
        with pytest.raises(InvalidInputError, match="max_retries in the extra must be a whole number"):
            self.settings({"max_retries": 2.7})

    def test_retries_of_the_caller_come_first(self) -> None:
        assert self.settings({"max_retries": 5}, max_retries=0).max_retries == 0

    @pytest.mark.parametrize(
        "name",
        [
            "connect_timeout_seconds",
            "read_timeout_seconds",
            "request_deadline_seconds",
            "max_retries",
            "backoff_seconds",
        ],
    )
    @pytest.mark.parametrize(
        "value", ["soon", -1, "-0.1", True, False, [1], [], {}, {"a": 1}, float("nan"), float("inf"), "inf", "nan"]
    )
    def test_wrong(self, name: str, value: Any) -> None:
        with pytest.raises(InvalidInputError, match=f"^{READER}{name} in the extra must be a number "):
            self.settings({name: value})

    @pytest.mark.parametrize(
        ("extra", "expected"),
        [
            ({}, 50),
            ({"max_errors": None}, 50),
            ({"max_errors": 7}, 7),
            ({"max_errors": "7"}, 7),
            ({"max_errors": 0}, None),
            ({"max_errors": "0"}, None),
            ({"max_errors": "off"}, None),
            ({"max_errors": " OFF "}, None),
        ],
    )
    def test_most_errors(self, extra: dict[str, Any], expected: int | None) -> None:
        assert reader(extra_dejson=extra).max_errors() == expected

    @pytest.mark.parametrize("value", ["many", -1, 2.5, True, [1], "none"])
    def test_wrong_number_of_errors(self, value: Any) -> None:
        with pytest.raises(InvalidInputError, match=f"^{READER}max_errors in the extra must be a "):
            reader(extra_dejson={"max_errors": value}).max_errors()

    @pytest.mark.parametrize("name", ["connect_timeout_seconds", "read_timeout_seconds", "request_deadline_seconds"])
    def test_timeouts_are_above_zero(self, name: str) -> None:
        with pytest.raises(InvalidInputError, match="must be a number above 0"):
            self.settings({name: 0})

    @pytest.mark.parametrize("extra", [[1], "text", 7])
    def test_extra_that_is_no_object(self, extra: Any) -> None:
        with pytest.raises(InvalidInputError, match="the extra must be a JSON object"):
            self.settings(extra)

    def test_text(self) -> None:
        call: Callable[..., str] = reader(extra_dejson={"a": " x ", "b": None, "c": ""}).text
        assert [call(name, "d") for name in ("a", "b", "c", "e")] == ["x", "d", "d", "d"]


def test_unknown_extras_are_named_without_their_values(caplog: pytest.LogCaptureFixture) -> None:
    connection = SimpleNamespace(conn_id="c", extra_dejson={"max_retry": "value-7", "max_retries": 1})
    ConnectionReader(connection=connection, fields=PAI_FIELDS).warn_of_unknown_extras()
    assert "extras that are not known: max_retry." in caplog.text
    assert "max_retries" in caplog.text
    assert "value-7" not in caplog.text


def test_known_extras_are_no_reason_to_warn(caplog: pytest.LogCaptureFixture) -> None:
    connection = SimpleNamespace(conn_id="c", extra_dejson={field.name: 1 for field in PAI_FIELDS})
    ConnectionReader(connection=connection, fields=PAI_FIELDS).warn_of_unknown_extras()
    assert caplog.text == ""
