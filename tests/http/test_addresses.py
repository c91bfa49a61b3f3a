"""Hosts: those that all libraries read alike, and those that are this machine."""

import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import parse_url

from airflow_provider_audiences.http.addresses import checked_host, is_loopback


@pytest.mark.parametrize(
    ("host", "checked"),
    [
        ("Api.Example.COM", "api.example.com"),
        ("api.example.com.", "api.example.com."),
        ("my_host", "my_host"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
        ("127.0.0.1", "127.0.0.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("1.example", "1.example"),
    ],
)
def test_a_name_or_an_address_is_a_host(host: str, checked: str) -> None:
    assert checked_host(host) == checked


@pytest.mark.parametrize(
    "host",
    [
        "", ".", "a..b", "-a.example", "a-.example", "a" * 64 + ".example", "a." * 127 + "example", "a b", "a/b", "a@b",
        "a\\b", "a%2eb", "a\uff0eb", "a\n", "127.1", "0x7f000001", "2130706433", "1.2.3.4.5", "256.0.0.1", "127.0.0.1.",
        "fe80::1%eth0", "::g", "[::1]", "example.0x1",
    ],
)  # fmt: skip
def test_what_libraries_read_in_two_ways_is_none(host: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its text is not shown
        checked_host(host)


@given(st.text(alphabet="aA0x7.:-_%/\\@[] \u3002", max_size=20))
def test_a_host_that_passes_is_the_one_that_is_connected_to(host: str) -> None:
    try:
        checked = checked_host(host)
    except ValueError:
        return
    named = f"[{checked}]" if ":" in checked else checked
    assert parse_url(f"https://{named}/").host == named
    # An address of another form, such as 127.1, would be one to the system.
    with contextlib.suppress(OSError):
        if ":" not in checked:
            assert socket.inet_ntoa(socket.inet_aton(checked)) == checked


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LocalHost", True),
        ("localhost.", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("x.localhost", True),
        ("localhost.example.com", False),
        ("127.0.0.1", True),
        ("127.255.0.1", True),
        ("128.0.0.1", False),
        ("::1", True),
        ("example.com", False),
        ("", False),
    ],
)
def test_which_hosts_are_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
