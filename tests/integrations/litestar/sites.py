"""An application of Litestar's with our sessions, and who visits it."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request, delete, get, post
from litestar.testing import TestClient

from fluidauth import SessionEngine
from fluidauth.integrations.litestar import FluidAuthSessionConfig, session_of

AnyRequest = Request[Any, Any, Any]


@post("/login/ada")
async def login(request: AnyRequest) -> None:
    session_of(request).login("ada", {"user_id": "ada"})


@delete("/session")
async def leave(request: AnyRequest) -> None:
    request.clear_session()


@get("/session")
async def show(request: AnyRequest) -> dict[str, Any]:
    return request.session


@post("/session")
async def put(request: AnyRequest) -> dict[str, Any]:
    request.session.update(await request.json())
    return {"id": request.get_session_id()}


@get("/who")
async def who(request: AnyRequest) -> list[Any]:
    session = session_of(request)
    return [session.user_id, dict(session)]


@get("/id")
async def tell_id(request: AnyRequest) -> str | None:
    return request.get_session_id()


@get("/plain")
async def plain() -> str:
    return "plain"


HANDLERS = (login, leave, show, put, who, tell_id, plain)


def site(engine: SessionEngine, *handlers: Any, config: Any = None, **options: Any) -> Litestar:
    """Return an application with *handlers* beside its own."""
    sessions = config or FluidAuthSessionConfig(engine=engine)
    return Litestar(
        [*HANDLERS, *handlers],
        middleware=[sessions.middleware],
        openapi_config=None,
        logging_config=None,
        **options,
    )


def visitor(engine: SessionEngine, *handlers: Any, **options: Any) -> TestClient[Any]:
    """Return a browser on a site."""
    return TestClient(site(engine, *handlers, **options), raise_server_exceptions=False)
