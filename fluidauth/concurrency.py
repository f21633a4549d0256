"""Work that waits, beside an event loop or without one: tasks, threads, and which of them there are."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from asgiref.sync import sync_to_async

T = TypeVar("T")


def on_asyncio() -> bool:
    """Return whether an asyncio event loop runs in this thread (not so under trio)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def begun(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Return a task for *work*; since Python 3.12 it has done already what needs no waiting."""
    if sys.version_info < (3, 12):
        return asyncio.ensure_future(work)
    return asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=True)


async def in_thread(function: Callable[..., T], *args: Any, thread_sensitive: bool = False) -> T:
    """Return ``function(*args)``, called in a thread where an asyncio loop runs, and here where none does.

    *thread_sensitive*: in the thread that all blocking code of a request shares, as Django's database wants.
    """
    if not on_asyncio():
        return function(*args)
    return await sync_to_async(function, thread_sensitive=thread_sensitive)(*args)
