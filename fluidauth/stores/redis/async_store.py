"""The asynchronous side of Redis: two connections of each event loop to each server, for all its tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Protocol, TypeVar

from fluidauth.after_fork import catch_up, renew_in_child
from fluidauth.concurrency import adrive, on_asyncio
from fluidauth.secrecy import HoldsSecrets
from fluidauth.stores import idle
from fluidauth.stores.delegating import AsyncDelegatingStore

from .async_connection import AsyncLink
from .batches import RedisCalls
from .connection import LinkError
from .routing import Pause, Pipeline, Routes, Steps
from .scripts import KIN_DIGITS, greeting_for
from .url import Place, Settings

T = TypeVar("T")


class Blocking(Protocol):
    """The synchronous side."""

    def carry_out(self, steps: Steps[T]) -> T: ...

    def close(self) -> None: ...


class AsyncRedisStore(HoldsSecrets, AsyncDelegatingStore):
    """What *blocking* does, to await. Under trio it blocks."""

    expires_itself = True

    def __init__(self, settings: Settings, blocking: Blocking) -> None:
        self.namespace: str = settings.namespace
        self.kin_digits = KIN_DIGITS if settings.kind == "cluster" else 0
        self._settings = settings
        self._blocking = blocking
        self._begin()
        renew_in_child(self, AsyncRedisStore._begin)

    def _begin(self) -> None:
        """Begin without connections: the loop of a parent process would read our answers from its own."""
        self._records = RedisCalls(Routes(self._settings))
        self._links: dict[asyncio.AbstractEventLoop, _Links] = {}

    async def _call(self, verb: str, *arguments: Any) -> Any:
        return await self._do(getattr(self._records, verb)(*arguments))

    async def close(self) -> None:
        """Close the connections of this event loop, and those of the synchronous side."""
        catch_up()
        if on_asyncio():
            links = self._links.pop(asyncio.get_running_loop(), None)
            if links is not None:
                links.close()
        self._blocking.close()

    async def _do(self, steps: Steps[T]) -> T:
        catch_up()
        try:
            links = self._links[asyncio.get_running_loop()]
        except (KeyError, RuntimeError):
            if not on_asyncio():
                return self._blocking.carry_out(steps)
            links = await self._opened()
        return await adrive(steps, links.answer, (LinkError,))

    async def _opened(self) -> _Links:
        for ended in [loop for loop in self._links if loop.is_closed()]:
            del self._links[ended]
        links = self._links.setdefault(asyncio.get_running_loop(), _Links(self._settings))
        await links.close_with_loop()
        return links


class _Links:
    """The connections of one event loop: one to each server, and another for what takes long."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: dict[tuple[Place, bool], AsyncLink] = {}
        self._opening: dict[tuple[Place, bool], asyncio.Task[AsyncLink]] = {}
        self._guard: AsyncGenerator[None, None] | None = None

    async def close_with_loop(self) -> None:
        """Close the connections when the event loop ends, because that ends its asynchronous generators."""
        if self._guard is None:
            self._guard = self._until_the_end()
            await anext(self._guard)

    async def _until_the_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.close()

    async def answer(self, step: Pipeline | Pause) -> Any:
        """Return the replies to *step*; raise :class:`LinkError`."""
        if isinstance(step, Pause):
            return await asyncio.sleep(step.seconds)
        if step.limit is None:
            return await self._replies(step)
        try:
            return await asyncio.wait_for(self._replies(step), step.limit)
        except TimeoutError as error:
            raise LinkError(step.place, error, sent=True) from None

    async def _replies(self, step: Pipeline) -> list[Any]:
        key = step.place, step.apart
        link = self._open.get(key)
        if link is not None and asyncio.get_running_loop().time() - link.used_at > idle.MAX_IDLE:
            self._open.pop(key).close()
            link = None
        if link is not None and link.closed:
            del self._open[key]
            if step.tells:
                raise LinkError(step.place, "closed by the server", sent=False)
            link = None
        return await (link or await self._opened(step.place, step.apart)).ask(step.commands)

    async def _opened(self, place: Place, apart: bool) -> AsyncLink:
        """Return a new connection, one for all tasks that want it now, even if one of them is cancelled."""
        key = place, apart
        if key not in self._opening:
            greeting = greeting_for(self._settings, place)
            opening = AsyncLink.opened(self._settings, place, greeting, self._settings.timeout)
            self._opening[key] = asyncio.ensure_future(opening)
            self._opening[key].add_done_callback(lambda task: self._settle(key, task))
        return await asyncio.shield(self._opening[key])

    def _settle(self, key: tuple[Place, bool], task: asyncio.Task[AsyncLink]) -> None:
        del self._opening[key]
        if not task.cancelled() and task.exception() is None:
            self._open[key] = task.result()

    def close(self) -> None:
        for task in list(self._opening.values()):
            task.cancel()
        for link in self._open.values():
            link.close()
        self._open.clear()
