"""Ports for servers that tests start."""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack

# Below those that the system gives to connections: one of them could take a port before its server does.
LOWEST, HIGHEST = 10_000, 22_000
SHARES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))  # of the ports, one for each process
_given: set[int] = set()


def free_port(beside: int = 0) -> int:
    """Return a port of loopback that is free, also with *beside* added to it (10,000 at most).

    No port is given twice, nor by two processes of one run. A test that kills its server would
    otherwise meet somebody else's in its place.
    """
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    while True:
        port = random.randrange(LOWEST, HIGHEST, SHARES) + share
        if port in _given:
            continue
        try:
            with ExitStack() as stack:
                for each in {port, port + beside}:
                    stack.enter_context(socket.create_server(("127.0.0.1", each)))
        except OSError:
            continue
        _given.add(port)
        return port


def is_open(port: int) -> bool:
    """Return whether something on loopback accepts connections on *port*."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
