"""A proxy on loopback in front of a server on a socket. It can lose an answer or the connection."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_CHUNK = 1 << 16


class Proxy:
    """Forwards connections to *address*, a path or (host, port); :meth:`cut_after` breaks one."""

    def __init__(self, address: Any, tls: ssl.SSLContext | None = None) -> None:
        self._address = address
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._trigger = b""
        self._when = "after"
        self._then: Callable[[], object] = bool
        self._open: set[socket.socket] = set()
        self._forgotten: set[socket.socket] = set()
        self._flows = threading.Event()
        self._flows.set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def will_cut(self) -> bool:
        """Whether the request to lose has not come yet."""
        return bool(self._trigger)

    def cut_after(self, words: bytes, then: Callable[[], object] = bool) -> None:
        """Carry the next request with *words* to the server, do *then*, and lose the answer."""
        self._then = then
        self._trigger, self._when = words, "after"

    def cut_amid(self, words: bytes) -> None:
        """Do so, but let the first byte of the answer through."""
        self._trigger, self._when = words, "amid"

    def cut_before(self, words: bytes) -> None:
        """Break the connection of the next request with *words*. The server never sees the request."""
        self._trigger, self._when = words, "before"

    def dam(self) -> None:
        """Let nothing through from now on. It is kept, and lost with :meth:`close`."""
        self._flows.clear()

    def undam(self) -> None:
        self._flows.set()

    def forget(self) -> None:
        """Carry nothing more over the existing connections, without notice to either end."""
        self._forgotten |= self._open

    def lead_to(self, address: Any) -> None:
        """Forward new connections to *address*, as after a change of a name. Leave the others."""
        self._address = address

    def cut_all(self) -> None:
        """Break every connection there is."""
        for each in list(self._open):
            _end(each)

    def close(self) -> None:
        self._listener.close()
        self.cut_all()
        self.undam()  # for the threads that wait there

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._tls is not None:
                    try:
                        client = self._tls.wrap_socket(client, server_side=True)
                    except OSError:  # it refuses our certificate
                        _end(client)
                        continue
                kind = socket.AF_UNIX if isinstance(self._address, str) else socket.AF_INET
                server = socket.socket(kind)
                try:
                    server.connect(self._address)
                except OSError:
                    _end(client)
                    server.close()
                    continue
                self._open |= {client, server}
                lost = threading.Event()
                for source, target, is_request in ((client, server, True), (server, client, False)):
                    threading.Thread(
                        target=self._carry, args=(source, target, is_request, lost), daemon=True
                    ).start()

    def _carry(
        self, source: socket.socket, target: socket.socket, is_request: bool, lost: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                self._flows.wait()
                if source in self._forgotten:
                    continue
                if is_request and self._trigger and self._trigger in data:
                    self._trigger = b""
                    if self._when == "before":
                        break
                    lost.set()
                elif not is_request and lost.is_set():
                    if self._when == "amid":
                        target.sendall(data[:1])
                    else:
                        self._then()
                    break  # the server has done it, and nobody gets the answer
                target.sendall(data)
        for each in (source, target):
            _end(each)
            self._open.discard(each)
            self._forgotten.discard(each)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
