"""Ports for servers that tests start."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

# Below those that the system gives to connections: one of them could take a port before its server does.
LOWEST, HIGHEST = 10_000, 22_000


def free_port(beside: int = 0) -> int:
    """Return a port of loopback that is free, also with *beside* added to it (10,000 at most)."""
    while True:
        port = random.randrange(LOWEST, HIGHEST)
        try:
            with ExitStack() as stack:
                for each in {port, port + beside}:
                    stack.enter_context(socket.create_server(("127.0.0.1", each)))
        except OSError:
            continue
        return port
