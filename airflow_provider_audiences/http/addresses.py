"""Checks of host names and IP addresses: whether they are allowed, and whether they mean this machine."""

from __future__ import annotations

import ipaddress
import re

_MAX_NAME_BYTES = 253
_NAME_PATTERN = re.compile(r"(?:(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.)*(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.?", re.ASCII)
_NUMBER_PATTERN = re.compile(r"[0-9]+|0[Xx][0-9A-Fa-f]*", re.ASCII)


def checked_host(host: str) -> str:
    """
    Return a host if all libraries read it alike: a name of letters, digits, hyphens, underscores and dots, or an IP
    address.

    Libraries disagree on other characters, such as a backslash, a percent sign or a full-width dot: some take them for
    the end of the name, others for a part of it. They also disagree on whether 127.1 or 0x7f000001 is an address or a
    name.

    :param host: name or IP address, without brackets.
    :return: the host in lower case.
    :raises ValueError: the host is neither such a name nor an IP address.
    """
    host = host.lower()
    if ":" in host:
        if "%" in host:
            raise ValueError("an address with a zone")
        ipaddress.IPv6Address(host)
        return host
    if len(host) > _MAX_NAME_BYTES or not _NAME_PATTERN.fullmatch(host):
        raise ValueError("no name of a host")
    if _NUMBER_PATTERN.fullmatch(host.rstrip(".").rpartition(".")[2]):
        ipaddress.IPv4Address(host)
    return host


def is_loopback(host: str) -> bool:
    """
    Return whether a host is this machine: ``localhost``, a name below it, or a loopback address.

    :param host: name or IP address, without brackets.
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
