"""Connections that lie unused: a balancer, NAT or firewall may forget them, and tells neither end.

Azure's does so after 4 minutes, AWS's after 350 seconds. Who sends on one then waits in vain.
"""

from __future__ import annotations

import socket

MAX_IDLE = 60.0  # seconds after which one is not used again
KEEP_ALIVE = {"IDLE": 30, "INTVL": 10, "CNT": 3}  # seconds unused, seconds between questions, questions


def keep_alive(connection: socket.socket, limit: float) -> None:
    """Have the system ask now and then whether the other end is there; *limit*: seconds for what is sent."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {f"TCP_KEEP{name}": value for name, value in KEEP_ALIVE.items()}
    options["TCP_USER_TIMEOUT"] = round(limit * 1000)
    for name, value in options.items():
        if hasattr(socket, name):  # each system has some of them
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
