"""Stores that must be awaited: loaded ahead, or asked for."""

from __future__ import annotations

from typing import Any

import pytest

from fluidauth import Session, SessionEngine, SessionNotLoaded, SQLiteStore
from fluidauth.keys import new_secret
from tests.handlers import fields, nothing, write
from tests.support import AsyncBasicStore, BasicStore, Browser


@pytest.mark.parametrize("make", [BasicStore, AsyncBasicStore])
def test_a_remote_store_without_autoload_must_be_awaited(make: Any) -> None:
    """Access before aload() says what to do; after it the session is a dict as ever."""
    browser = Browser("asgi", SessionEngine(secret=new_secret(), store=make()), autoload=False)

    async def handler(session: Session) -> Any:
        with pytest.raises(SessionNotLoaded, match=r"await session\.aload\(\)"):
            dict(session)
        await session.aload()
        session["a"] = 1

    browser.request(handler)

    assert browser.get(lambda session: session.accessed) is False


def test_autoload_may_depend_on_the_request() -> None:
    """A predicate on the scope chooses the requests that need their session."""
    browser = Browser(
        "asgi",
        SessionEngine(secret=new_secret(), store=BasicStore()),
        autoload=lambda scope: scope["test.task"].status == 200,
    )

    response = browser.request(fields)
    other = browser.request(fields, status=201, catch=True)

    assert response.value == {}
    assert isinstance(other.error, SessionNotLoaded)


def test_autoload_alone_is_no_access() -> None:
    """A session loaded ahead and never used leaves the response as it was."""
    browser = Browser("asgi", SessionEngine(secret=new_secret(), store=AsyncBasicStore()))
    browser.request(write)

    response = browser.request(nothing)

    assert response.headers == []


def test_the_file_is_shared_by_both_protocols(tmp_path: Any, secret: str) -> None:
    """One session works through WSGI and ASGI at the same time."""
    engine = SessionEngine(secret=secret, store=SQLiteStore(tmp_path / "s.db"))
    wsgi, asgi = Browser("wsgi", engine), Browser("asgi", engine)
    wsgi.request(write)
    asgi.cookie = wsgi.cookie

    asgi.request(lambda session: session.update(b=2))

    assert wsgi.get(fields) == {"a": 1, "b": 2}
    engine.close()
