"""Applications under test: an engine in memory, and clients that are signed in."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from fluidauth.engine import SessionEngine
from fluidauth.formats.cookies import CookieOptions
from fluidauth.keys import new_secret
from fluidauth.records import system_time
from fluidauth.session import Session
from fluidauth.stores.memory import MemoryStore


def memory_engine(*, clock: Callable[[], float] = system_time, **options: Any) -> SessionEngine:
    """Return an engine with sessions in memory, under a secret of its own.

    Its cookie is not Secure, because test clients use plain http, and nothing warns of that. The *options*
    are those of :class:`~fluidauth.SessionEngine`.
    """
    options.setdefault("cookie", CookieOptions(secure=False))
    options.setdefault("development", False)  # whatever the environment says: tests may use any host
    return SessionEngine(new_secret(), MemoryStore(clock=clock), clock=clock, **options)


def sign_in(
    client: Any,
    engine: SessionEngine,
    user_id: str,
    data: dict[str, Any] | None = None,
    *,
    methods: Collection[str] = (),
) -> Session:
    """Sign *user_id* in, and give *client* the cookie. Return the session, to read its fields. The user has
    authenticated by *methods*, such as ``("pwd", "otp")``.

    The *client* is one of httpx or requests, or a test client of Starlette, FastAPI, Django, Flask or Quart,
    or keeps its cookies as one of these does. Raise ``TypeError`` for any other.
    """
    token, session = engine.create_session(user_id, data, methods=methods)
    name = engine.policy.cookie.name
    cookies: Any = getattr(client, "cookies", None)
    app = getattr(client, "application", None) or getattr(client, "app", None)
    interface = getattr(app, "session_interface", None)
    if interface is not None:  # its configuration may rename the cookie
        name = interface.requests_for(app, engine).policy.cookie.name
        client.set_cookie(*(("localhost",) if hasattr(client, "cookie_jar") else ()), name, token)
    elif hasattr(cookies, "value_encode"):  # of the standard library
        cookies[name] = token
    elif hasattr(cookies, "set"):
        cookies.set(name, token)
    else:
        raise TypeError(f"{type(client).__name__} has no cookies that a test could set")
    return session
