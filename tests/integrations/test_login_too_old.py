"""``require_fresh`` that nobody handles is a 401, as each framework answers one; Django is elsewhere."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import flask
import pytest
import quart
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import Response as LitestarResponse
from litestar import get as litestar_get
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from fluidauth import Session
from fluidauth.errors import FreshLoginRequired
from fluidauth.integrations import flask as our_flask
from fluidauth.integrations import quart as our_quart
from fluidauth.integrations.fastapi import CurrentSession
from fluidauth.integrations.litestar import FluidAuthSessionConfig
from fluidauth.integrations.litestar import session_of as litestar_session_of
from fluidauth.integrations.starlette import SessionMiddleware, session_of
from fluidauth.testing import memory_engine
from tests.handlers import put
from tests.support import Browser

CHALLENGE = 'Session error="insufficient_user_authentication", max_age="300"'
SAID = "this needs a login within the last 300 seconds"


def starlette(handlers: Any) -> Any:
    async def page(request: Request) -> Response:
        session_of(request).require_fresh(300)
        return Response()

    middleware = [Middleware(SessionMiddleware, engine=memory_engine())]
    return TestClient(
        Starlette(routes=[Route("/", page)], middleware=middleware, exception_handlers=handlers)
    )


def fastapi(handlers: Any) -> Any:
    app = FastAPI(exception_handlers=handlers)
    app.add_middleware(SessionMiddleware, engine=memory_engine())

    @app.get("/")
    async def page(session: CurrentSession) -> None:
        session.require_fresh(300)

    return TestClient(app)


def litestar(handlers: Any) -> Any:
    async def page(request: LitestarRequest[Any, Any, Any]) -> None:
        litestar_session_of(request).require_fresh(300)

    page.__annotations__ = {"request": LitestarRequest, "return": None}
    config = FluidAuthSessionConfig(engine=memory_engine())
    app = Litestar(
        [litestar_get("/")(page)],
        middleware=[config.middleware],
        exception_handlers=handlers,
        openapi_config=None,
        logging_config=None,
    )
    return TestClient(app)  # type: ignore[arg-type]  # of another's ASGI


def flasks(framework: Any, ours: Any) -> Any:
    def application(handlers: Any) -> Any:
        app = getattr(framework, framework.__name__.capitalize())(__name__)
        app.session_interface = ours.FluidAuthSessionInterface(memory_engine())
        for what, handler in handlers.items():
            app.register_error_handler(what, lambda error, handler=handler: handler(None, error))
        app.add_url_rule("/", view_func=lambda: ours.session.require_fresh(300) or "page")
        return app.test_client()

    return application


def told(client: Any) -> tuple[int, str | None, str]:
    """Return status, challenge and text of the page."""
    answer = client.get("/")
    if not inspect.isawaitable(answer):
        return answer.status_code, answer.headers.get("www-authenticate"), answer.text

    async def read() -> tuple[int, str | None, str]:
        found = await answer
        text = await found.get_data(as_text=True)
        return found.status_code, found.headers.get("www-authenticate"), text

    return asyncio.run(read())


APPLICATIONS = {
    "starlette": starlette,
    "fastapi": fastapi,
    "litestar": litestar,
    "flask": flasks(flask, our_flask),
    "quart": flasks(quart, our_quart),
}


@pytest.fixture(params=APPLICATIONS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_is_answered_as_the_framework_answers(name: str) -> None:
    status, challenge, text = told(APPLICATIONS[name]({}))

    assert (status, challenge) == (401, CHALLENGE)
    assert SAID in text
    assert text.startswith(
        {"starlette": SAID, "fastapi": '{"detail":"this', "litestar": '{"status_code":401'}.get(
            name, "<!doctype html>"
        )
    )


def by_code(name: str) -> Any:
    return 401


def by_class(name: str) -> Any:
    return FreshLoginRequired


@pytest.mark.parametrize("what", [by_code, by_class])
def test_an_applications_own_handler_is_asked(name: str, what: Any) -> None:
    def page(request: Any, error: Any) -> Any:
        text = f"own page: {error.max_age}"
        if name == "litestar":
            return LitestarResponse(text, status_code=401, media_type="text/plain")
        return (text, 401) if request is None else PlainTextResponse(text, 401)

    status, _, text = told(APPLICATIONS[name]({what(name): page}))

    assert (status, text) == (401, "own page: 300")


@pytest.mark.requirement("24")
def test_without_a_framework_the_middleware_answers(browser: Browser) -> None:
    """Nothing of the request is kept, as of one that fails."""
    browser.request(put(n=1))

    def handler(session: Session) -> None:
        session["n"] = 2
        session.require_fresh(300)

    answer = browser.request(handler)

    assert answer.status == 401
    assert answer.all("www-authenticate") == [CHALLENGE]
    assert answer.all("cache-control") == ["no-store"]
    assert browser.get(lambda session: session["n"]) == 1


@pytest.mark.parametrize("later", [lambda session: session.require_fresh(300)])
def test_after_the_head_it_is_the_applications_error(browser: Browser, later: Any) -> None:
    answer = browser.request(len, later=later, catch=True)

    assert isinstance(answer.error, FreshLoginRequired)
    assert answer.status == 200


@pytest.mark.requirement("4")
@pytest.mark.requirement("52")
def test_a_logout_that_could_not_be_stored_is_a_503_all_the_same(flaky: Browser) -> None:
    """Who is told to sign in again would think that the logout was made."""

    def handler(session: Session) -> None:
        session.logout()
        session.require_fresh(300)

    store: Any = flaky.engine.requests.store
    store.broken = {"delete"}

    assert flaky.request(handler).status == 503
