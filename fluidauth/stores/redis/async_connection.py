"""Connections of an event loop to Redis: all its tasks ask a server over one connection."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis

from fluidauth.stores.idle import keep_alive
from fluidauth.stores.polling import Poller, PollingGate

from .connection import Address, Command, Greeting, LinkError, last_words, packed, read_now, says_readonly
from .url import Place, Settings


class AsyncLink(asyncio.Protocol):
    """A connection of one event loop, for any number of tasks: each gets the replies to its commands.

    The place of a cancelled task stays in the queue, so that no other task gets its replies.
    """

    def __init__(self, place: Place, limit: float) -> None:
        self.place = place
        self.closed: bool = False
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
        self._was_used = False
        self.used_at: float = 0.0
        """When it was last used, by the clock of its loop."""

    @classmethod
    async def opened(cls, settings: Settings, place: Place, greeting: Greeting, limit: float) -> AsyncLink:
        """Return a new connection; raise :class:`LinkError`."""
        loop = asyncio.get_running_loop()
        link = cls(place, limit)
        name = place.host if settings.tls else None
        try:
            async with asyncio.timeout(limit):
                if place.port:
                    addresses = await loop.getaddrinfo(*place, type=socket.SOCK_STREAM)
                    first = await _first_of(addresses, limit)
                    await loop.create_connection(
                        lambda: link, sock=first, ssl=settings.tls, server_hostname=name
                    )
                else:
                    await loop.create_unix_connection(lambda: link, place.host)
                greeting.hear(place, await link.ask(greeting.commands))
            link._settle_down()
        except BaseException as error:
            link.close()
            if isinstance(error, LinkError):
                error.sent = False
            elif isinstance(error, OSError):  # a TimeoutError is one
                raise LinkError(place, error, sent=False) from None
            raise
        return link

    def ask(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Return a future of the replies to *commands*, errors of Redis among them, or :class:`LinkError`."""
        self.used_at = self._loop.time()
        asked = _Asked(self._loop.create_future(), len(commands), self.used_at + self._limit)
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
                if isinstance(data, bytes) and data:  # the loop reports an end
                    self.data_received(data)
        else:  # what one turn of the loop asks for goes out at once
            if not self._unsent:
                self._loop.call_soon(self._send)
            self._unsent.append(packed(commands))
            self._asked.append(asked)
        if self._watch is None:
            self._watch = self._loop.call_at(asked.give_up, self._check)
        return asked.future

    def _settle_down(self) -> None:
        """Switch keep-alive on, and poll for answers unless TLS hides the bytes."""
        self._was_used = False
        keep_alive(self._transport.get_extra_info("socket"), self._limit)
        if self._transport.get_extra_info("ssl_object") is None:
            self._descriptor = self._transport.get_extra_info("socket").fileno()
            self._poller = Poller()

    def _look(self) -> bytes | None:
        return read_now(self._descriptor)

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
        leads_astray = False
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                asked = self._asked[0]
                asked.replies.append(reply)
                if len(asked.replies) == asked.wanted:
                    self._asked.popleft()
                    self._was_used = True
                    leads_astray = leads_astray or says_readonly(asked.replies)
                    if not asked.future.done():
                        asked.future.set_result(asked.replies)
            if leads_astray:  # its name may lead to the primary by now
                self._end(ConnectionResetError("it takes no changes any more"))
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
            asked = self._asked.popleft()
            if not asked.future.done():
                lost = LinkError(self.place, last_words(asked.replies, error), sent=True)
                lost.was_used = self._was_used
                asked.future.set_exception(lost)


async def _first_of(addresses: list[Address], limit: float) -> socket.socket:
    """Do as the function of blocking code."""
    failure = OSError("the name has no address")
    for family, kind, protocol, _, address in addresses:
        link = socket.socket(family, kind, protocol)
        try:
            link.setblocking(False)
            async with asyncio.timeout(limit / len(addresses)):
                await asyncio.get_running_loop().sock_connect(link, address)
            return link
        except BaseException as error:
            link.close()
            if not isinstance(error, OSError):
                raise
            failure = error
    raise failure


class _Asked:
    """One question of an event loop, and how much of its answer has come."""

    __slots__ = ("future", "give_up", "replies", "wanted")

    def __init__(self, future: asyncio.Future[list[Any]], wanted: int, give_up: float) -> None:
        self.future = future
        self.wanted = wanted
        self.give_up = give_up
        self.replies: list[Any] = []
