"""The session as a typed parameter of FastAPI's path operations, told in the OpenAPI document.

app.add_middleware(SessionMiddleware, engine=engine)

@app.get("/cart")
async def cart(session: CurrentSession) -> list[str]:
    return session.get("cart", [])
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Security
from fastapi.openapi.models import APIKey, APIKeyIn
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from fluidauth.session import Session

from .starlette import session_of

__all__ = ["CurrentSession", "SessionCookie"]


class SessionCookie(SecurityBase):
    """A dependency that gives the session of a request or WebSocket.

    *name* is the cookie's, for the document alone; *scheme_name* and *description* are told
    there as well. Raise :class:`ConfigError` where no session middleware is in place.
    """

    def __init__(
        self,
        name: str = "__Host-session",
        *,
        scheme_name: str = "session",
        description: str = "The cookie of a signed-in session.",
    ) -> None:
        self.model: APIKey = APIKey.model_validate(
            {"in": APIKeyIn.cookie, "name": name, "description": description}
        )
        self.scheme_name = scheme_name

    async def __call__(self, connection: HTTPConnection) -> Session:
        return session_of(connection)


CurrentSession = Annotated[Session, Security(SessionCookie())]
"""The session of the request, for ``cookie=CookieOptions()``; else ``Security(SessionCookie(name))``."""
