"""Connections to Redis: requests go out together, their replies come back in order.

The parser hiredis packs and parses, as it does for redis-py. Redis's own clients for Python were
measured and not used (``benchmarks/redis_clients.py``). With 32 requests at once, redis-py's
asynchronous client takes 42 µs for each, Valkey GLIDE 23, coredis 64, and this one 11. The reason
is that one event loop asks a server over one connection. For blocking code redis-py takes 96 µs,
GLIDE 101, and this one 22. GLIDE has no Sentinel.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from typing import Any

import hiredis

from fluidauth.stores.idle import keep_alive
from fluidauth.stores.polling import Poller

from .refusals import code_of
from .url import Login, Place, Settings

Command = tuple[Any, ...]
"""The first is a word of Redis or a :class:`Script`, which its number of keys, keys and values follow."""

Address = tuple[Any, ...]
"""As of ``socket.getaddrinfo``."""

_CHUNK = 1 << 16


class Script:
    """A Lua script that Redis runs as one step."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = b""
        """The name that Redis gave it. Each new connection loads all scripts."""


class LinkError(Exception):
    """A connection that could not be made, or broke. If *sent*, the server may have got the commands."""

    def __init__(self, place: Place, error: BaseException | str, *, sent: bool) -> None:
        # An event loop has its own words for errors of the system.
        reason = os.strerror(error.errno) if isinstance(error, ConnectionError) and error.errno else error
        super().__init__(f"{place}: {str(reason) or type(error).__name__}")
        self.place = place
        self.sent = sent
        self.refusal: hiredis.ReplyError | None = None
        """What the server answered to our greeting, if it refused."""
        self.timed_out: bool = isinstance(error, TimeoutError)
        self.was_used: bool = False
        """Whether the connection had brought answers before. Then it may be lost while its server works."""
        self.__cause__: BaseException | None = error if isinstance(error, BaseException) else None


class Greeting:
    """What each new connection sends first, and what the answers mean."""

    def __init__(self, login: Login, scripts: Sequence[Script], *, to_primary: bool = False) -> None:
        self._scripts = scripts
        self.commands: list[Command] = [("SCRIPT", "LOAD", script.source) for script in scripts]
        self._to_primary = to_primary
        if to_primary:  # the only command for that which no ACL forbids
            self.commands.insert(0, ("HELLO", 2))
        if login.database:
            self.commands.insert(0, ("SELECT", login.database))
        if login.user or login.password:  # a user may need none, and is not the default user
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
        self._was_used = False
        self.leads_astray: bool = False
        """Whether its server takes no changes: the name may lead to the primary by now."""
        self.used_at: float = 0.0
        """When it was last used, by ``time.monotonic()``."""
        self._reader = hiredis.Reader()
        try:
            self._socket = _connected(settings, place, limit)
        except OSError as error:
            raise LinkError(place, error, sent=False) from None
        self._poller = Poller()
        self._is_plain = settings.tls is None
        try:
            greeting.hear(place, self.ask(greeting.commands))
            self._was_used = False
        except LinkError as error:
            self.close()
            error.sent = False
            raise

    def ask(self, commands: Sequence[Command], alone: bool = False) -> list[Any]:
        """Return the replies to *commands*, errors of Redis among them; raise :class:`LinkError`.

        *alone* means that no other thread asks at this moment, which would wait while this one polls.
        Every failure closes the connection, because its next user would get our replies.
        """
        self.used_at = time.monotonic()
        give_up = self.used_at + self._limit
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
            self._was_used = True
            self.leads_astray = says_readonly(replies)
            return replies
        except (OSError, hiredis.ProtocolError) as error:
            self.close()
            lost = LinkError(self.place, last_words(replies, error), sent=True)
            lost.was_used = self._was_used
            raise lost from None
        except BaseException:
            self.close()
            raise

    def _look(self) -> bytes | None:
        return read_now(self._socket.fileno())

    def close(self) -> None:
        self._socket.close()


def last_words(replies: Sequence[Any], error: Exception) -> BaseException | str:
    """Return *error*, or why the server closed the connection, if it said so, as with too many clients."""
    said = replies[-1] if replies and isinstance(error, ConnectionError) else None
    return f"closed by the server: {said}" if isinstance(said, hiredis.ReplyError) else error


def says_readonly(replies: Sequence[Any]) -> bool:
    """Return whether one of *replies* says that the server is not, or no longer, the primary."""
    return any(isinstance(reply, hiredis.ReplyError) and code_of(reply) == "READONLY" for reply in replies)


def packed(commands: Sequence[Command]) -> bytes:
    """Return *commands* as they are sent."""
    parts = []
    for command in commands:
        word = command[0]
        if isinstance(word, Script):
            command = ("EVALSHA", word.sha, *command[1:])
        parts.append(hiredis.pack_command(command))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_now(descriptor: int) -> bytes | None:
    """Return what has arrived; None if nothing has."""
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
    link = _first_of(socket.getaddrinfo(*place, type=socket.SOCK_STREAM), limit)
    link.settimeout(limit)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    keep_alive(link, limit)
    return settings.tls.wrap_socket(link, server_hostname=place.host) if settings.tls else link


def _first_of(addresses: list[Address], limit: float) -> socket.socket:
    """Return a connection to the first of *addresses* that answers. None of them may use up all the time.

    A name often has an IPv6 address without a route as well. Raise the ``OSError`` of the last one.
    """
    failure = OSError("the name has no address")
    for family, kind, protocol, _, address in addresses:
        link = socket.socket(family, kind, protocol)
        try:
            link.settimeout(limit / len(addresses))
            link.connect(address)
            return link
        except BaseException as error:
            link.close()
            if not isinstance(error, OSError):
                raise
            failure = error
    raise failure
