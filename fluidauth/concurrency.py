"""Work that waits, beside an event loop or without one: tasks, threads, and which of them there are.

What is written once for both worlds is a generator: it yields questions and is sent the answers, by
:func:`drive` as soon as they are there, by :func:`adrive` when they were awaited.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar

from asgiref.sync import SyncToAsync, sync_to_async

T = TypeVar("T")
QuestionT = TypeVar("QuestionT")
Errors = tuple[type[Exception], ...]


def on_asyncio() -> bool:
    """Return whether an asyncio event loop runs in this thread (not so under trio)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def serves_a_loop() -> bool:
    """Return whether an event loop runs in this thread, or waits for it over asgiref's bridge."""
    waiting = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
    return on_asyncio() or (waiting is not None and waiting.is_running())


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


def drive(steps: Generator[QuestionT, Any, T], answer: Callable[[QuestionT], Any], errors: Errors) -> T:
    """Return what *steps* comes to, given the *answer* to all that it yields, or *errors* to handle."""
    try:
        question = next(steps)
        while True:
            try:
                found = answer(question)
            except errors as error:
                question = steps.throw(error)
            else:
                question = steps.send(found)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # StopIteration is not generic


async def adrive(
    steps: Generator[QuestionT, Any, T], answer: Callable[[QuestionT], Awaitable[Any]], errors: Errors
) -> T:
    """Return what *steps* comes to, as with :func:`drive`, where each answer is awaited."""
    try:
        question = next(steps)
        while True:
            try:
                found = await answer(question)
            except errors as error:
                question = steps.throw(error)
            else:
                question = steps.send(found)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # StopIteration is not generic
