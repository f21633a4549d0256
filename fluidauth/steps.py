"""Store calls as values: a generator yields ``(method, *arguments)`` and is sent the answer.

So each sequence of calls is written once; :func:`run` drives it on a blocking store,
:func:`arun` on an asynchronous one. ``(TAKE_TURN, handle)`` is no store call: the rest of
the steps is then carried out while no other request of this process that asked for the
same turn is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import AsyncExitStack, ExitStack
from typing import Any, TypeVar

from .errors import NotSupported, RecordExists, StoreError
from .stores.base import AsyncSessionStore, SessionStore
from .stores.bridge import AsyncBridge, on_asyncio
from .turns import aturn, turn

T = TypeVar("T")
Steps = Generator[tuple[Any, ...], Any, T]

TAKE_TURN = "take turn"
_STORE_ERRORS = (StoreError, RecordExists, NotSupported)


def run(store: SessionStore, steps: Steps[T]) -> T:
    """Carry out *steps* on a blocking store."""
    turns: ExitStack | None = None
    try:
        call = next(steps)
        while True:
            if call[0] is TAKE_TURN:
                if turns is None:
                    turns = ExitStack()
                    turns.enter_context(turn(call[1]))
                call = steps.send(None)
                continue
            try:
                answer = getattr(store, call[0])(*call[1:])
            except _STORE_ERRORS as error:
                call = steps.throw(error)
            else:
                call = steps.send(answer)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # StopIteration is not generic
    finally:
        if turns is not None:
            turns.close()


async def arun(store: AsyncSessionStore, steps: Steps[T]) -> T:
    """Carry out *steps* on an asynchronous store, to the end even if the caller is cancelled.

    A client that goes away must not stop its own logout halfway.
    """
    if store.inline or not on_asyncio():  # never waits; or trio, where nothing can shield it
        return await _arun(store, steps)
    return await asyncio.shield(asyncio.ensure_future(_arun(store, steps)))


async def _arun(store: AsyncSessionStore, steps: Steps[T]) -> T:
    if isinstance(store, AsyncBridge):
        return await store.run_whole(run, steps)  # one hop to a thread, not one a step
    turns: AsyncExitStack | None = None
    try:
        call = next(steps)
        while True:
            if call[0] is TAKE_TURN:
                if turns is None:
                    turns = AsyncExitStack()
                    await turns.enter_async_context(aturn(call[1]))
                call = steps.send(None)
                continue
            try:
                answer = await getattr(store, call[0])(*call[1:])
            except _STORE_ERRORS as error:
                call = steps.throw(error)
            else:
                call = steps.send(answer)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # StopIteration is not generic
    finally:
        if turns is not None:
            await turns.aclose()
