"""Which names and addresses mean this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """
    :param host: a name or an address
    :return: whether it means this machine only
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() in ("localhost", "localhost.")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
