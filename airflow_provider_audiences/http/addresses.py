"""Host names and IP addresses: which are allowed, and which are this machine."""

from __future__ import annotations

import ipaddress
import re

_LONGEST_NAME = 253
_NAME_PATTERN = re.compile(r"(?:(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.)*(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.?", re.ASCII)
_NUMBER_PATTERN = re.compile(r"[0-9]+|0[Xx][0-9A-Fa-f]*", re.ASCII)


def checked_host(host: str) -> str:
    """
    Return a host that every library reads alike: a name of letters, digits, hyphens, underscores and dots, or an IP
    address.

    Whatever else a text has (a backslash, a percent sign, a full-width dot), one library takes for the end of the name
    and another for a part of it; of numbers such as 127.1 or 0x7f000001, one makes an address and another a name.

    :param host: without brackets.
    :return: the same in lower case.
    :raises ValueError: it is neither.
    """
    host = host.lower()
    if ":" in host:
        if "%" in host:
            raise ValueError("an address with a zone")
        ipaddress.IPv6Address(host)
        return host
    if len(host) > _LONGEST_NAME or not _NAME_PATTERN.fullmatch(host):
        raise ValueError("no name of a host")
    if _NUMBER_PATTERN.fullmatch(host.rstrip(".").rpartition(".")[2]):
        ipaddress.IPv4Address(host)
    return host


def is_loopback(host: str) -> bool:
    """
    Return whether a host is this machine.

    :param host: name or address, without brackets.
    """
    host = host.lower().removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
