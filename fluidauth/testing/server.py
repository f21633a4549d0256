"""The server of the stores that the suites in ``remote`` test: where it is, and how it fails."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

from .proxy import Proxy


class RemoteServer:
    """The server of the stores under test, described once for both suites."""

    address: str | tuple[str, int]
    """Where the server listens: the path of its socket, or host and port."""

    words: ClassVar[Mapping[str, str]] = {}
    """Patterns of errors: for a server that is "frozen" or "down", and for a pool that is "busy"."""

    limit: float = 1.0
    """Seconds that a call may take."""

    recovery: float = 2.0
    """Seconds after which calls work again that failed while the server was frozen."""

    def kill_server(self) -> None:
        """End the server as a power cut would."""
        raise NotImplementedError

    def start_server(self) -> None:
        """Start it again with what it had stored; return when it answers."""
        raise NotImplementedError

    def freeze_server(self) -> None:
        """Let it answer nothing while its connections stay open. A signal to the server shows most."""
        self.proxy.dam()

    def thaw_server(self) -> None:
        """Let it go on, and send its pending answers."""
        self.proxy.undam()

    @cached_property
    def proxy(self) -> Proxy:
        """What breaks connections to the server."""
        return Proxy(self.address)
