"""The session as a typed parameter of FastAPI's path operations, shown in the OpenAPI document.

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

    *name* is the name of the cookie. Only the OpenAPI document shows it, with *scheme_name*
    and *description*. Raise :class:`ConfigError` if no session middleware is in place.
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
"""The session of the request. For another cookie name, use ``Security(SessionCookie(name))``."""
