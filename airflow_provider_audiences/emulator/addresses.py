"""Recognises names and addresses of this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """
    Return whether a host is this machine only.

    :param host: host name or IP address.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() in ("localhost", "localhost.")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
