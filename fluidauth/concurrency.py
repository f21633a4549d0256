"""Work that waits, with an event loop or without one: tasks, threads, and which of them there are.

Code that is written once for both worlds is a generator. It yields questions and receives answers.
:func:`drive` calls for each answer, and :func:`adrive` awaits it.
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
    """Return whether an asyncio event loop runs in this thread (under trio none does)."""
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
    """Return a task for *work*. Since Python 3.12 it has already done what needs no waiting."""
    if sys.version_info < (3, 12):
        return asyncio.ensure_future(work)
    return asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=True)


async def in_thread(function: Callable[..., T], *args: Any, thread_sensitive: bool = False) -> T:
    """Return ``function(*args)``, called in a thread if an asyncio loop runs, and here if none does.

    *thread_sensitive* means the thread that all blocking code of a request shares (Django needs it).
    """
    if not on_asyncio():
        return function(*args)
    return await sync_to_async(function, thread_sensitive=thread_sensitive)(*args)


def drive(steps: Generator[QuestionT, Any, T], answer: Callable[[QuestionT], Any], errors: Errors) -> T:
    """Return the result of *steps*. It is sent the *answer* to all that it yields, or thrown the *errors*."""
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
    """Return the result of *steps*, as :func:`drive` does, but await each answer."""
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
