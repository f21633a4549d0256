"""Starlette and FastAPI: their own words, their own tests, and what applications build on them."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from authlib.integrations.base_client import MismatchingStateError
from authlib.integrations.starlette_client import OAuth
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient as FastAPIClient
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser, requires
from starlette.datastructures import Secret
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware as TheirMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from fluidauth import ConfigError, CookieOptions, MemoryStore, SessionEngine
from fluidauth.integrations.fastapi import CurrentSession
from fluidauth.integrations.starlette import SessionMiddleware, session_of
from fluidauth.keys import new_secret

from .upstream import run_suite

NOT_APPLICABLE = {
    "test_session_expires": "max_age=-1 makes cookies that are dead at once; a wrong setting is refused here",
    "test_session_zero_max_age": "so does max_age=0",
    "test_session_tracks_modification": "it tries Starlette's own class, not a middleware",
}


def development_engine(**options: Any) -> SessionEngine:
    return SessionEngine(new_secret(), MemoryStore(), cookie=CookieOptions(secure=False), **options)


# -- Starlette's own tests -----------------------------------------------------------------------


@pytest.mark.check
@pytest.mark.timeout(600)
def test_starlettes_own_tests_pass() -> None:
    """All of ``tests/middleware/test_session.py`` that speaks of behaviour."""
    suite = ("starlette", "starlette_adapter", "tests/middleware/test_session.py")

    found = run_suite(*suite)
    broken = run_suite(*suite, canary=True)

    assert found.failed <= NOT_APPLICABLE.keys(), found.report
    assert len(found.passed - found.failed) >= 10
    assert found.passed - broken.failed <= NOT_APPLICABLE.keys(), "the canary was not felt"


# -- its arguments -------------------------------------------------------------------------------


async def remember(request: Request) -> JSONResponse:
    request.session["seen"] = request.session.get("seen", 0) + 1
    return JSONResponse(request.session)


def client_of(*middleware: Middleware, base_url: str = "https://testserver") -> TestClient:
    return TestClient(Starlette(routes=[Route("/", remember)], middleware=[*middleware]), base_url=base_url)


@pytest.mark.parametrize(
    ("options", "cookie"),
    [
        ({}, "session=<token>; path=/; Max-Age=1209600; httponly; samesite=lax"),
        (
            {
                "session_cookie": "sid",
                "max_age": 60,
                "path": "/app",
                "same_site": "strict",
                "https_only": True,
            },
            "sid=<token>; path=/app; Max-Age=60; httponly; samesite=strict; secure",
        ),
        ({"max_age": None}, "session=<token>; path=/; httponly; samesite=lax"),
        (
            {
                "session_cookie": "__Secure-s",
                "domain": ".example.org",
                "https_only": True,
                "partitioned": True,
            },
            "__Secure-s=<token>; path=/; Max-Age=1209600; httponly; samesite=lax; domain=.example.org;"
            " secure; partitioned",
        ),
    ],
)
def test_each_argument_does_what_it_says(options: dict[str, Any], cookie: str) -> None:
    """Names, defaults and the order in the cookie are Starlette's."""
    client = client_of(Middleware(SessionMiddleware, new_secret(), store=MemoryStore(), **options))

    name, _, rest = client.get("/").headers["set-cookie"].partition("=")
    attributes = set(rest.partition("; ")[2].split("; "))

    wanted, _, words = cookie.partition("=<token>; ")
    assert name == wanted
    assert attributes == set(words.split("; "))


@pytest.mark.parametrize("wrap", [str, Secret, lambda secret: [Secret(secret), new_secret()]])
def test_a_secret_may_be_starlettes(wrap: Any) -> None:
    """Text, ``Secret``, or several for a rotation."""
    secret, store = new_secret(), MemoryStore()
    first = client_of(Middleware(SessionMiddleware, secret_key=secret, store=store))
    first.get("/")

    second = client_of(Middleware(SessionMiddleware, secret_key=wrap(secret), store=store))
    second.cookies.update(first.cookies)

    assert second.get("/").json() == {"seen": 2}


def test_a_weak_secret_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match="new_secret"):
        client_of(Middleware(SessionMiddleware, secret_key="example", store=MemoryStore())).get("/")


def test_an_engine_stands_for_all_of_it() -> None:
    engine = development_engine()

    assert client_of(Middleware(SessionMiddleware, engine=engine)).get("/").json() == {"seen": 1}
    with pytest.raises(ConfigError, match="not both"):
        SessionMiddleware(client_of().app, new_secret(), engine=engine)


# -- what stands beside it -----------------------------------------------------------------------


class OfTheSession(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        user = session_of(conn).user_id
        return (AuthCredentials(["authenticated"]), SimpleUser(user)) if user else None


def test_authentication_rests_on_the_session() -> None:
    """Starlette's ``AuthenticationMiddleware`` sees who is signed in, and who signed out."""

    async def sign_in(request: Request) -> JSONResponse:
        session_of(request).login("ada")
        return JSONResponse({})

    async def sign_out(request: Request) -> JSONResponse:
        session_of(request).logout()
        return JSONResponse({})

    @requires("authenticated")
    async def whoami(request: Request) -> JSONResponse:
        return JSONResponse({"user": request.user.display_name})

    app = Starlette(
        routes=[Route("/in", sign_in), Route("/out", sign_out), Route("/", whoami)],
        middleware=[
            Middleware(SessionMiddleware, engine=development_engine()),
            Middleware(AuthenticationMiddleware, backend=OfTheSession()),
        ],
    )
    client = TestClient(app)

    codes = [client.get(path).status_code for path in ("/", "/in", "/", "/out", "/")]

    assert codes == [403, 200, 200, 200, 403]


def test_a_mounted_application_may_have_sessions_of_its_own() -> None:
    """Each keeps its cookie; neither sees the other's fields."""
    theirs = Starlette(
        routes=[Route("/", remember)],
        middleware=[Middleware(TheirMiddleware, secret_key="theirs", session_cookie="theirs")],
    )
    app = Starlette(
        routes=[Mount("/theirs", theirs), Route("/", remember)],
        middleware=[Middleware(SessionMiddleware, engine=development_engine())],
    )
    client = TestClient(app)

    seen = [client.get(path).json()["seen"] for path in ("/", "/theirs/", "/theirs/", "/", "/theirs/")]

    assert seen == [1, 1, 2, 2, 3]
    assert json.loads(base64.b64decode(client.cookies["theirs"].split(".")[0])) == {"seen": 3}


# -- FastAPI -------------------------------------------------------------------------------------


def shop() -> FastAPI:
    app = FastAPI()

    @app.post("/cart/{item}")
    async def put(item: str, session: CurrentSession) -> list[str]:
        session.append("cart", item)
        return list(session["cart"])

    @app.get("/cart")
    def cart(session: CurrentSession) -> list[str]:
        return list(session.get("cart", []))

    @app.websocket("/live")
    async def live(socket: WebSocket, session: CurrentSession) -> None:
        await socket.accept()
        await socket.send_json(session.get("cart"))
        await socket.close()

    return app


def test_the_session_is_a_parameter() -> None:
    """Of coroutines, of functions in threads, and of a WebSocket."""
    app = shop()
    app.add_middleware(SessionMiddleware, engine=development_engine())
    client = FastAPIClient(app)

    answers = [client.post("/cart/tea").json(), client.post("/cart/cup").json(), client.get("/cart").json()]

    assert answers == [["tea"], ["tea", "cup"], ["tea", "cup"]]
    with client.websocket_connect("/live") as socket:
        assert socket.receive_json() == ["tea", "cup"]


def test_the_document_tells_of_the_cookie() -> None:
    document = shop().openapi()

    assert document["components"]["securitySchemes"] == {
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "__Host-session",
            "description": "The cookie of a signed-in session.",
        }
    }
    assert document["paths"]["/cart"]["get"]["security"] == [{"session": []}]


def test_a_missing_middleware_is_named() -> None:
    with pytest.raises(ConfigError, match="add_middleware"):
        FastAPIClient(shop()).get("/cart")


# -- Authlib -------------------------------------------------------------------------------------


async def give_token(request: Request) -> JSONResponse:
    """The token endpoint of a provider."""
    form = dict([pair.split("=") for pair in (await request.body()).decode().split("&")])
    assert form["code"] == "the-code"
    return JSONResponse({"access_token": "the-token", "token_type": "Bearer"})


def oauth_client(engine: SessionEngine) -> TestClient:
    """An application that signs people in at a provider, by Authlib's client."""
    provider = Starlette(routes=[Route("/token", give_token, methods=["POST"])])
    oauth = OAuth()
    remote = oauth.register(
        "provider",
        client_id="shop",
        client_secret="no secret",
        authorize_url="https://provider.test/authorize",
        access_token_url="https://provider.test/token",
        client_kwargs={"transport": httpx2.ASGITransport(provider)},
    )

    async def go(request: Request) -> Any:
        return await remote.authorize_redirect(request, "http://testserver/back")

    async def back(request: Request) -> JSONResponse:
        token = await remote.authorize_access_token(request)
        session_of(request).login("ada", {"token": token["access_token"]})
        return JSONResponse(request.session)

    routes = [Route("/go", go), Route("/back", back)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, engine=engine)]))


def test_authlib_keeps_its_state_in_the_session() -> None:
    """From the redirect to the provider and back; the state is of use once, and to this browser alone."""
    engine = development_engine()
    client, thief = oauth_client(engine), oauth_client(engine)

    away = client.get("/go", follow_redirects=False)
    state = parse_qs(urlsplit(away.headers["location"]).query)["state"][0]
    answer = f"/back?code=the-code&state={state}"

    with pytest.raises(MismatchingStateError):
        thief.get(answer)
    assert client.get(answer).json() == {"token": "the-token"}
    with pytest.raises(MismatchingStateError):
        client.get(answer)
