"""Store calls as values: a generator yields ``(method, *arguments)`` and is sent the answer.

So each sequence of calls is written once; :func:`run` drives it on a blocking store,
:func:`arun` on an asynchronous one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, TypeVar

from .errors import NotSupported, RecordExists, StoreError
from .stores.base import AsyncSessionStore, SessionStore
from .stores.bridge import AsyncBridge, on_asyncio

T = TypeVar("T")
Steps = Generator[tuple[Any, ...], Any, T]

_STORE_ERRORS = (StoreError, RecordExists, NotSupported)


def run(store: SessionStore, steps: Steps[T]) -> T:
    """Carry out *steps* on a blocking store."""
    try:
        call = next(steps)
        while True:
            try:
                answer = getattr(store, call[0])(*call[1:])
            except _STORE_ERRORS as error:
                call = steps.throw(error)
            else:
                call = steps.send(answer)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # StopIteration is not generic


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
    try:
        call = next(steps)
        while True:
            try:
                answer = await getattr(store, call[0])(*call[1:])
            except _STORE_ERRORS as error:
                call = steps.throw(error)
            else:
                call = steps.send(answer)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # StopIteration is not generic
