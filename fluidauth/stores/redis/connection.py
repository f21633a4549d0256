"""Connections to Redis: requests go out together, their replies come back in order.

hiredis packs and parses, as it does for redis-py. Redis's own clients for Python were measured
and not taken (``benchmarks/redis_clients.py``): with 32 requests at once redis-py's asynchronous
client takes 42 µs for each, Valkey GLIDE 23, coredis 64, and this one 11, as everything that one
event loop asks of a server travels over one connection; for blocking code redis-py takes 96 µs,
GLIDE 101, and this one 22. GLIDE has no Sentinel.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis

from fluidauth.stores.polling import Poller, PollingGate

from .url import Login, Place, Settings

Command = tuple[Any, ...]
"""The first is a word of Redis or a :class:`Script`, which its number of keys, keys and values follow."""

_CHUNK = 1 << 16


class Script:
    """A Lua script that Redis runs as one step."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = b""
        """The name that Redis gave it; each new connection loads all scripts."""


class LinkError(Exception):
    """A connection that could not be made, or broke; *sent*: the server may have heard the commands."""

    def __init__(self, place: Place, error: BaseException | str, *, sent: bool) -> None:
        # An event loop has words of its own for what the system says.
        reason = os.strerror(error.errno) if isinstance(error, ConnectionError) and error.errno else error
        super().__init__(f"{place}: {str(reason) or type(error).__name__}")
        self.place = place
        self.sent = sent
        self.refusal: hiredis.ReplyError | None = None
        """What the server said to our greeting, if it was no welcome."""
        self.timed_out = isinstance(error, TimeoutError)
        self.__cause__ = error if isinstance(error, BaseException) else None


class Greeting:
    """What each new connection says first, and what it makes of the answers."""

    def __init__(self, login: Login, scripts: Sequence[Script], *, to_primary: bool = False) -> None:
        self._scripts = scripts
        self.commands: list[Command] = [("SCRIPT", "LOAD", script.source) for script in scripts]
        self._to_primary = to_primary
        if to_primary:  # the one word for that which no ACL forbids
            self.commands.insert(0, ("HELLO", 2))
        if login.database:
            self.commands.insert(0, ("SELECT", login.database))
        if login.password:
            who = (login.user, login.password) if login.user else (login.password,)
            self.commands.insert(0, ("AUTH", *who))

    def hear(self, place: Place, replies: list[Any]) -> None:
        """Raise :class:`LinkError` if the server refused."""
        refusal = next((reply for reply in replies if isinstance(reply, hiredis.ReplyError)), None)
        if refusal is not None:
            error = LinkError(place, str(refusal), sent=False)
            error.refusal = refusal
            raise error
        if self._to_primary and b"replica" in replies[-1 - len(self._scripts)]:
            raise LinkError(place, "it is a replica", sent=False)
        for script, sha in zip(self._scripts, replies[len(replies) - len(self._scripts) :], strict=True):
            script.sha = sha


class Link:
    """A connection of one thread at a time."""

    def __init__(self, settings: Settings, place: Place, greeting: Greeting, limit: float) -> None:
        self.place = place
        self._limit = limit
        self._reader = hiredis.Reader()
        try:
            self._socket = _connected(settings, place, limit)
        except OSError as error:
            raise LinkError(place, error, sent=False) from None
        self._poller = Poller()
        self._is_plain = settings.tls is None
        try:
            greeting.hear(place, self.ask(greeting.commands))
        except LinkError as error:
            self.close()
            error.sent = False
            raise

    def ask(self, commands: Sequence[Command], alone: bool = False) -> list[Any]:
        """Return the replies to *commands*, errors of Redis among them; raise :class:`LinkError`.

        *alone*: no other thread asks at this moment, that would have to wait while this one polls.
        Whatever goes wrong on the way closes the connection: the next one to use it would get our replies.
        """
        give_up = time.monotonic() + self._limit
        replies: list[Any] = []
        waits = 0
        try:
            self._socket.sendall(packed(commands))
            while len(replies) < len(commands):
                if waits:
                    self._socket.settimeout(max(0.001, give_up - time.monotonic()))
                polls = alone and not waits and self._is_plain
                caught = self._poller.poll(self._look) if polls else None
                data = caught or self._socket.recv(_CHUNK)
                if not data:
                    raise ConnectionResetError("closed by the server")
                waits += 1
                self._reader.feed(data)
                while (reply := self._reader.gets()) is not False:
                    replies.append(reply)
            if waits > 1:
                self._socket.settimeout(self._limit)
            return replies
        except (OSError, hiredis.ProtocolError) as error:
            self.close()
            raise LinkError(self.place, error, sent=True) from None
        except BaseException:
            self.close()
            raise

    def _look(self) -> bytes | None:
        return _read_now(self._socket.fileno())

    def close(self) -> None:
        self._socket.close()


class AsyncLink(asyncio.Protocol):
    """A connection of one event loop, for any number of tasks: each gets the replies to its commands.

    A task that is cancelled leaves its place in the queue, so that its replies go to nobody else.
    """

    def __init__(self, place: Place, limit: float) -> None:
        self.place = place
        self.closed = False
        self._limit = limit
        self._reader = hiredis.Reader()
        self._loop = asyncio.get_running_loop()
        self._asked: deque[_Asked] = deque()
        self._unsent: list[bytes] = []
        self._transport: Any = None
        self._watch: asyncio.TimerHandle | None = None
        self._poller: Poller | None = None
        self._gate = PollingGate()
        self._descriptor = -1

    @classmethod
    async def opened(cls, settings: Settings, place: Place, greeting: Greeting, limit: float) -> AsyncLink:
        """Return a new connection; raise :class:`LinkError`."""
        loop = asyncio.get_running_loop()
        link = cls(place, limit)
        name = place.host if settings.tls else None
        try:
            async with asyncio.timeout(limit):
                if place.port:
                    await loop.create_connection(
                        lambda: link, place.host, place.port, ssl=settings.tls, server_hostname=name
                    )
                else:
                    await loop.create_unix_connection(lambda: link, place.host)
                greeting.hear(place, await link.ask(greeting.commands))
            link._poll_from_now_on()
        except BaseException as error:
            link.close()
            if isinstance(error, LinkError):
                error.sent = False
            elif isinstance(error, OSError):  # a TimeoutError is one
                raise LinkError(place, error, sent=False) from None
            raise
        return link

    def ask(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Return the replies to *commands* to come, errors of Redis among them, or :class:`LinkError`."""
        asked = _Asked(self._loop.create_future(), len(commands), self._loop.time() + self._limit)
        if self.closed:
            asked.future.set_exception(LinkError(self.place, "closed", sent=False))
            return asked.future
        if not commands:  # no reply would end it
            asked.future.set_result([])
            return asked.future
        if not self._asked:
            self._transport.write(packed(commands))
            self._asked.append(asked)
            if self._poller is not None and self._gate.is_open():
                data = self._transport.get_write_buffer_size() or self._poller.poll(self._look)
                if isinstance(data, bytes) and data:  # an end is told by the loop
                    self.data_received(data)
        else:  # what one turn of the loop asks for goes out at once
            if not self._unsent:
                self._loop.call_soon(self._send)
            self._unsent.append(packed(commands))
            self._asked.append(asked)
        if self._watch is None:
            self._watch = self._loop.call_at(asked.give_up, self._check)
        return asked.future

    def _poll_from_now_on(self) -> None:
        """Poll for answers from now on, where bytes come as they are."""
        if self._transport.get_extra_info("ssl_object") is None:
            self._descriptor = self._transport.get_extra_info("socket").fileno()
            self._poller = Poller()

    def _look(self) -> bytes | None:
        return _read_now(self._descriptor)

    def _send(self) -> None:
        data, self._unsent = b"".join(self._unsent), []
        if not self.closed:
            self._transport.write(data)

    def _check(self) -> None:
        """Give up if the oldest question was not answered in time; look again when the next one is due."""
        self._watch = None
        if not self._asked:
            return
        due = self._asked[0].give_up
        if due <= self._loop.time():
            self._end(TimeoutError(f"no answer within {self._limit:g} seconds"))
        else:
            self._watch = self._loop.call_at(due, self._check)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                asked = self._asked[0]
                asked.replies.append(reply)
                if len(asked.replies) == asked.wanted:
                    self._asked.popleft()
                    if not asked.future.done():
                        asked.future.set_result(asked.replies)
        except (hiredis.ProtocolError, IndexError) as error:  # nobody asked for it
            self._end(error)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or ConnectionResetError("closed by the server"))

    def close(self) -> None:
        self._end(ConnectionResetError("closed"))

    def _end(self, error: Exception) -> None:
        self.closed = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._transport is not None:
            self._transport.abort()
        while self._asked:
            future = self._asked.popleft().future
            if not future.done():
                future.set_exception(LinkError(self.place, error, sent=True))


class _Asked:
    """One question of an event loop, and how much of its answer has come."""

    __slots__ = ("future", "give_up", "replies", "wanted")

    def __init__(self, future: asyncio.Future[list[Any]], wanted: int, give_up: float) -> None:
        self.future = future
        self.wanted = wanted
        self.give_up = give_up
        self.replies: list[Any] = []


def packed(commands: Sequence[Command]) -> bytes:
    """Return *commands* as they go over the wire."""
    parts = []
    for command in commands:
        word = command[0]
        if isinstance(word, Script):
            command = ("EVALSHA", word.sha, *command[1:])
        parts.append(hiredis.pack_command(command))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _read_now(descriptor: int) -> bytes | None:
    """Return what has come, None if nothing has."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None


def _connected(settings: Settings, place: Place, limit: float) -> socket.socket:
    if not place.port:
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(limit)
        link.connect(place.host)
        return link
    link = socket.create_connection(place, limit)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return settings.tls.wrap_socket(link, server_hostname=place.host) if settings.tls else link
