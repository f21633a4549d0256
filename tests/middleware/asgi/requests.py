"""ASGI requests without a server."""

from __future__ import annotations

from typing import Any

from fluidauth import Session, SessionEngine
from fluidauth.engine.visit import Visit


async def get(app: Any, cookie: str = "", **scope: Any) -> list[Any]:
    """Send one request; return the messages of its response."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"cookie", cookie.encode())] if cookie else []
    await app({"type": "http", "scheme": "https", "headers": headers, **scope}, receive, send)
    return sent


def cookie_of(message: Any) -> str:
    lines = [value.decode() for name, value in message.get("headers", []) if name == b"set-cookie"]
    return lines[-1].partition(";")[0] if lines else ""


def fields(engine: SessionEngine, cookie: str) -> dict[str, Any]:
    """What the session behind *cookie* holds."""
    session = Session(Visit(engine.requests, cookie))
    return dict(session)
