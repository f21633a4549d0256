"""Several middlewares with sessions, around one another and one after the other: each sees its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware as TheirMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from fluidauth import CookieOptions, Session, SessionEngine, SessionMiddleware
from fluidauth.engine.visit import Visit
from fluidauth.integrations import starlette
from fluidauth.testing import memory_engine
from tests.integrations.shared_scope.layers import Outside, counting, dropped_in
from tests.middleware.asgi.requests import get


def two_engines() -> tuple[SessionEngine, SessionEngine]:
    first, second = (memory_engine(cookie=CookieOptions(name, secure=False)) for name in ("outer", "inner"))
    return first, second


def handles(engine: SessionEngine, client: TestClient) -> Any:
    """Return the fields of the session that *client* has a cookie of *engine* for."""
    name = engine.policy.cookie.name
    visit = Visit(engine.requests, f"{name}={client.cookies.get(name)}")
    return dict(Session(visit))


@pytest.mark.parametrize("inner_type", [starlette.SessionMiddleware, SessionMiddleware])
@pytest.mark.parametrize("outer_type", [starlette.SessionMiddleware, SessionMiddleware])
@pytest.mark.parametrize("replaces", [False, True])
def test_of_two_engines_each_has_its_own(outer_type: Any, inner_type: Any, replaces: bool) -> None:
    """In layers, and in a mounted application; also where that replaces its session by a dict."""
    outer, inner = two_engines()

    async def within(request: Request) -> Response:
        if replaces:
            request.scope["session"] = {"in": request.session.get("in", 0) + 1}
            return JSONResponse(request.scope["session"])
        return await counting("in")(request)  # type: ignore[no-any-return]

    mounted = inner_type(Starlette(routes=[Route("/{n}", within)]), engine=inner)
    inside = Starlette(routes=[Mount("/mounted", mounted), Route("/", counting("out"))])
    app = Outside(
        outer_type(inside, engine=outer),
        lambda scope: (dict(scope.get("session", {})), scope.get("path_params")),
    )
    client = TestClient(app)

    answers = [client.get(path).json() for path in ("/", "/mounted/7", "/mounted/8", "/")]

    assert answers == [{"out": 1}, {"in": 1}, {"in": 2}, {"out": 2}]
    assert handles(outer, client) == {"out": 2}
    assert handles(inner, client) == {"in": 2}
    if outer_type is starlette.SessionMiddleware:
        assert [fields for fields, _ in app.seen] == [{"out": 1}, {"out": 1}, {"out": 1}, {"out": 2}]
        assert [params for _, params in app.seen] == [{}, {"n": "7"}, {"n": "8"}, {}] or (
            inner_type is SessionMiddleware
        )


def test_within_itself_it_is_one() -> None:
    engine = memory_engine()
    app = Outside(
        starlette.SessionMiddleware(dropped_in(Route("/", counting("n")), engine=engine), engine=engine),
        lambda scope: dict(scope["session"]),
    )
    client = TestClient(app)

    assert [client.get("/").json() for _ in range(2)] == [{"n": 1}, {"n": 2}]
    assert app.seen == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("same", [True, False])
def test_a_scope_that_is_used_again_gets_a_session_anew(same: bool) -> None:
    """As where one application after the other is tried; each by the cookie, of one engine or of two."""
    first, second = two_engines()
    apps = [
        dropped_in(Route("/", counting("n")), engine=first),
        dropped_in(Route("/", counting("n")), engine=first if same else second),
    ]

    async def both(scope: Any, receive: Any, send: Any) -> None:
        async def nowhere(message: Any) -> None:
            answers.append(message)

        await apps[0](scope, receive, nowhere)
        await apps[1](scope, receive, send)

    answers: list[Any] = []
    answers += asyncio.run(get(both, path="/", method="GET", query_string=b""))

    assert [message["body"] for message in answers if "body" in message] == [b'{"n":1}', b'{"n":1}']


def test_starlettes_own_around_ours_keeps_its_session() -> None:
    """Its cookie holds its own fields, and none of ours."""
    inside = dropped_in(Route("/", counting("ours")), engine=two_engines()[1])

    async def theirs(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["session"]["theirs"] = scope["session"].get("theirs", 0) + 1
        await inside(scope, receive, send)

    app = Outside(TheirMiddleware(theirs, secret_key="theirs"), lambda scope: dict(scope["session"]))
    client = TestClient(app)

    assert [client.get("/").json() for _ in range(2)] == [{"ours": 1}, {"ours": 2}]
    assert app.seen == [{"theirs": 1}, {"theirs": 2}]


def test_a_session_that_the_application_replaced_is_taken_over() -> None:
    engine = memory_engine()

    async def replace(request: Request) -> Response:
        request.scope["session"] = {"put": "there"}
        return PlainTextResponse()

    app = Outside(
        dropped_in(Route("/", replace), Route("/look", counting("n")), engine=engine),
        lambda scope: dict(scope["session"]),
    )
    client = TestClient(app)
    client.get("/")

    assert client.get("/look").json() == {"put": "there", "n": 1}
    assert app.seen == [{"put": "there"}, {"put": "there", "n": 1}]
