"""What handlers of these tests ask of a session, in the way of each protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluidauth import Session
from fluidauth.errors import Refusal
from tests.support import Browser, Handler


def awaited(browser: Browser, blocking: Callable[[Session], Any], twin: Callable[[Session], Any]) -> Handler:
    """Return what a handler calls: in asynchronous code the *twin*, which a remote store needs."""
    if browser.protocol == "wsgi":
        return blocking

    async def handler(session: Session) -> Any:
        return await twin(session)

    return handler


def redeem(browser: Browser, purpose: str, value: object) -> Any:
    """Return what *value* was issued with, in a request of its own, or the class of the refusal."""
    return browser.get(
        awaited(
            browser,
            lambda session: _caught(lambda: session.redeem(purpose, value)),
            lambda session: _acaught(session.aredeem(purpose, value)),
        )
    )


def take_flashes(browser: Browser) -> list[tuple[str, str]]:
    """Return the messages that a request shows."""
    found: list[tuple[str, str]] = browser.get(
        awaited(browser, Session.take_flashes, lambda session: session.atake_flashes())
    )
    return found


def refused(browser: Browser, call: Callable[[Session], object]) -> Any:
    """Return the class of the refusal that *call* raises in a request; None if it raises none."""
    return browser.get(lambda session: _caught(lambda: call(session)))


def _caught(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Refusal as error:
        return type(error)


async def _acaught(waiting: Any) -> Any:
    try:
        return await waiting
    except Refusal as error:
        return type(error)
