"""Applications under test: an engine in memory, and clients that are signed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluidauth.engine import SessionEngine
from fluidauth.formats.cookies import CookieOptions
from fluidauth.keys import new_secret
from fluidauth.records import system_time
from fluidauth.session import Session
from fluidauth.stores.memory import MemoryStore


def memory_engine(*, clock: Callable[[], float] = system_time, **options: Any) -> SessionEngine:
    """Return an engine whose sessions are gone with it, under a secret of its own.

    Its cookie is not Secure, as test clients speak plain http, and nothing warns of that. *options* are
    those of :class:`~fluidauth.SessionEngine`.
    """
    options.setdefault("cookie", CookieOptions(secure=False))
    options.setdefault("development", False)  # whatever the environment says: any host may be asked for
    return SessionEngine(new_secret(), MemoryStore(clock=clock), clock=clock, **options)


def sign_in(client: Any, engine: SessionEngine, user_id: str, data: dict[str, Any] | None = None) -> Session:
    """Sign *user_id* in, and give *client* the cookie; return the session, to read its fields.

    *client* keeps its cookies as httpx and requests do, and so the test clients of Starlette and FastAPI,
    in ``http.cookies`` as Django's, or is Flask's or Quart's. Raise ``TypeError`` for another.
    """
    token, session = engine.create_session(user_id, data)
    name = engine.policy.cookie.name
    cookies: Any = getattr(client, "cookies", None)
    app = getattr(client, "application", None) or getattr(client, "app", None)
    interface = getattr(app, "session_interface", None)
    if interface is not None:  # whose configuration may rename the cookie
        name = interface.requests_for(app, engine).policy.cookie.name
        client.set_cookie(*(("localhost",) if hasattr(client, "cookie_jar") else ()), name, token)
    elif hasattr(cookies, "value_encode"):  # of the standard library
        cookies[name] = token
    elif hasattr(cookies, "set"):
        cookies.set(name, token)
    else:
        raise TypeError(f"{type(client).__name__} has no cookies that a test could set")
    return session
