"""Connections that are unused: a balancer, NAT or firewall may forget them without notice to either end.

Azure's does so after 4 minutes, AWS's after 350 seconds. A request on such a connection gets no answer.
"""

from __future__ import annotations

import socket

MAX_IDLE = 60.0  # seconds unused after which a connection is not used again
KEEP_ALIVE = {"IDLE": 30, "INTVL": 10, "CNT": 3}  # seconds unused, seconds between probes, probes


def keep_alive(connection: socket.socket, limit: float) -> None:
    """Let the system check now and then that the other end is there; *limit* is in seconds, for sent data."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {f"TCP_KEEP{name}": value for name, value in KEEP_ALIVE.items()}
    options["TCP_USER_TIMEOUT"] = round(limit * 1000)
    for name, value in options.items():
        if hasattr(socket, name):  # systems have some of these
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
