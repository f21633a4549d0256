"""A pooler before PostgreSQL that lends a connection for one transaction at a time.

As PgBouncer in transaction mode without prepared statements: what a client leaves in a
connection, the next client finds there.
"""

from __future__ import annotations

import queue
import socket
import struct
import threading
from contextlib import suppress
from typing import NamedTuple

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_IDLE = b"I"  # in no transaction
_ASKS = b"QSF"  # messages that the server answers: query, sync, function call


class Message(NamedTuple):
    kind: bytes
    whole: bytes


class Pooler:
    """Serves any number of clients of one user and database with *size* connections to *address*."""

    def __init__(self, address: str | tuple[str, int], size: int) -> None:
        self._address = address
        self._to_open = size
        self._free: queue.LifoQueue[socket.socket] = queue.LifoQueue()
        self._greeting = b""
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lent = 0
        """How often a client was lent another connection than the last time."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        while not self._free.empty():
            self._free.get().close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            start = _start_of(client)
            with self._lock:
                while self._to_open:
                    self._free.put(self._opened(start))
                    self._to_open -= 1
            client.sendall(self._greeting)
            server: socket.socket | None = None
            last: socket.socket | None = None
            while (message := _read(client)).kind != b"X":
                if server is None:
                    server = self._free.get()
                    self.lent += last not in (None, server)
                    last = server
                server.sendall(message.whole)
                if message.kind in _ASKS and _answered(server, client) == _IDLE:
                    self._free.put(server)
                    server = None

    def _opened(self, start: bytes) -> socket.socket:
        server = socket.socket(socket.AF_UNIX if isinstance(self._address, str) else socket.AF_INET)
        server.connect(self._address)
        server.sendall(start)
        self._greeting = b""
        while (message := _read(server)).kind != b"Z":
            self._greeting += message.whole
        self._greeting += message.whole
        return server


def _start_of(client: socket.socket) -> bytes:
    """Return the client's first message, past its questions for encryption."""
    while True:
        head = _exactly(client, 8)
        length, code = struct.unpack(">ii", head)
        if code not in (_SSL_REQUEST, _GSS_REQUEST):
            return head + _exactly(client, length - 8)
        client.sendall(b"N")


def _answered(server: socket.socket, client: socket.socket) -> bytes:
    """Pass the answers on until the server is ready; return whether it is in a transaction."""
    while (message := _read(server)).kind != b"Z":
        client.sendall(message.whole)
    client.sendall(message.whole)
    return message.whole[5:6]


def _read(link: socket.socket) -> Message:
    head = _exactly(link, 5)
    return Message(head[:1], head + _exactly(link, struct.unpack(">i", head[1:])[0] - 4))


def _exactly(link: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = link.recv(count - len(data))
        if not more:
            raise ConnectionResetError
        data += more
    return data
