"""What tests of logouts ask of a session."""

from __future__ import annotations

from typing import Any

from fluidauth import Session
from tests.support import Browser


def user_of(session: Session) -> str | None:
    return session.user_id


def is_out(browser: Browser, cookie: str | None) -> bool:
    return browser.with_cookie(cookie).get(user_of) is None


def as_function(coroutine: Any) -> Any:
    async def awaited() -> Any:
        return await coroutine

    return awaited
