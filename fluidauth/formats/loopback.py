"""The addresses and names of a machine for itself."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::\d{1,5})?")


def is_loopback(address: str | None) -> bool:
    """Return whether *address* means this machine itself: one of 127.0.0.0/8, or ``::1``."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    mapped = (
        found.ipv4_mapped if isinstance(found, IPv6Address) else None
    )  # as sockets for IPv4 and IPv6 write it
    return (mapped or found).is_loopback


def is_local_name(host: str) -> bool:
    """Return whether *host*, with or without a port, is this machine for every browser."""
    parts = _HOST.fullmatch(host)
    if parts is None:
        return False
    if parts[1]:
        return parts[1] == "::1"
    name = parts[2].lower()
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)
