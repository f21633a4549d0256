"""What applications of tests do with a session."""

from __future__ import annotations

from typing import Any

from fluidauth import Session
from tests.support import (
    Browser,
    FlakyStore,
    state_of,
)


def log_in(session: Session) -> None:
    session.login("user-42", {"theme": "dark"})


def current_user(session: Session) -> str | None:
    return session.user_id


def fields(session: Session) -> dict[str, Any]:
    return dict(session)


def deadline(session: Session) -> int | None:
    """When the session ends, whatever happens."""
    body = state_of(session).body
    return body.deadline if body else None


def put(**values: Any) -> Any:
    """Return a handler that sets *values*."""
    return lambda session: session.update(values)


def write(session: Session) -> None:
    session["a"] = 1


def nothing(session: Session) -> None:
    """Leave the session alone."""


def broken(browser: Browser, *calls: str) -> FlakyStore:
    store = browser.engine.requests.store
    assert isinstance(store, FlakyStore)
    store.broken = set(calls)
    store.calls.clear()
    return store
