"""What a framework's own name hands out has dict's names and that framework's alone: templates see fields."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import flask
import pytest
import quart
from fastapi import FastAPI
from jinja2 import DictLoader, Environment
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from litestar.middleware import DefineMiddleware
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.template.config import TemplateConfig
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates
from starlette.testclient import TestClient

from fluidauth import Session, SessionMiddleware
from fluidauth.integrations import fastapi as our_fastapi
from fluidauth.integrations import flask as our_flask
from fluidauth.integrations import litestar as our_litestar
from fluidauth.integrations import quart as our_quart
from fluidauth.integrations import starlette as our_starlette
from fluidauth.integrations.flask.sessions import FlaskSession
from fluidauth.testing import memory_engine

FLASKS = frozenset({"permanent", "new", "modified", "accessed"})
NAMES = sorted(
    {name for known in (Session, FlaskSession) for name in dir(known) if not name.startswith("_")}
    - {*dir(dict)}
    # What Flask and its extensions, Django and others keep in a session, and what ours had for their own use.
    | {"_user_id", "_fresh", "_id", "_remember", "_permanent", "_flashes", "_csrf_token", "csrf_token"}
    | {"plain", "visit", "sid", "username", "prepare", "flush", "refill", "id", "name", "state"}
)
FIELDS = {name: f"the field {name}" for name in NAMES if name != "_permanent"}
PAGE = "".join(f"{name}={{{{ session.{name} }}}}\n" for name in NAMES)

Look = Callable[[Any], Any]
"""Takes what the framework hands out."""


class Site:
    """An application that signs ada in with FIELDS at /in, renders PAGE at /, and has a look at /look."""

    names: frozenset[str] = frozenset()
    module: Any
    advice: str

    def __init__(self) -> None:
        self.looked: Any = None
        self.look: Look = len
        self.engine = memory_engine()

    def get(self, path: str) -> str:
        raise NotImplementedError

    def hands(self, look: Look) -> Any:
        """Return what *look* finds in what the framework hands out."""
        self.look = look
        self.get("/look")
        return self.looked


class StarletteSite(Site):
    module = our_starlette
    advice = "from fluidauth.integrations.starlette import session_of"

    def __init__(self) -> None:
        super().__init__()
        self.client = TestClient(self.application())

    def get(self, path: str) -> str:
        answer = self.client.get(path)
        assert answer.status_code == 200
        return answer.text

    def application(self) -> Any:
        templates = Jinja2Templates(env=Environment(loader=DictLoader({"page": PAGE})))

        async def sign_in(request: Request) -> Response:
            self.module.session_of(request).login("ada", FIELDS)
            return Response()

        async def page(request: Request) -> Response:
            return templates.TemplateResponse(request, "page", {"session": request.session})

        async def look(request: Request) -> Response:
            self.looked = self.look(request.session)
            return JSONResponse(request.session)

        return self.wrapped([Route("/in", sign_in), Route("/", page), Route("/look", look)])

    def wrapped(self, routes: list[Any]) -> Any:
        middleware = [Middleware(our_starlette.SessionMiddleware, engine=self.engine)]
        return Starlette(routes=routes, middleware=middleware)


class FastAPISite(StarletteSite):
    def wrapped(self, routes: list[Any]) -> Any:
        app = FastAPI(routes=routes)
        app.add_middleware(our_starlette.SessionMiddleware, engine=self.engine)
        return app


class LitestarSite(StarletteSite):
    module = our_litestar
    advice = "from fluidauth.integrations.litestar import session_of"

    def application(self) -> Any:
        async def sign_in(request: Any) -> str:
            self.module.session_of(request).login("ada", FIELDS)
            return ""

        async def page(request: Any) -> Template:
            return Template(template_str=PAGE, context={"session": request.session})

        async def look(request: Any) -> str:
            self.looked = self.look(request.session)
            return ""

        for handler in (sign_in, page, look):
            handler.__annotations__["request"] = LitestarRequest[Any, Any, Any]
        page.__annotations__["return"], sign_in.__annotations__["return"] = Template, str
        look.__annotations__["return"] = str
        routes = [litestar_get("/in")(sign_in), litestar_get("/")(page), litestar_get("/look")(look)]
        return self.wrapped(routes)

    def wrapped(self, routes: list[Any]) -> Any:
        return Litestar(
            routes,
            middleware=[DefineMiddleware(our_litestar.SessionMiddleware, engine=self.engine)],
            template_config=TemplateConfig(engine=JinjaTemplateEngine, directory="."),
            openapi_config=None,
            logging_config=None,
        )


class LitestarSiteFromOutside(LitestarSite):
    def wrapped(self, routes: list[Any]) -> Any:
        app = Litestar(
            routes,
            template_config=TemplateConfig(engine=JinjaTemplateEngine, directory="."),
            openapi_config=None,
            logging_config=None,
        )
        return our_litestar.SessionMiddleware(app, engine=self.engine)


class FlaskSite(Site):
    names = FLASKS
    module = our_flask
    advice = "from fluidauth.integrations.flask import session"
    framework: Any = flask

    def __init__(self) -> None:
        super().__init__()
        app = self.framework.__dict__[self.framework.__name__.capitalize()](__name__)
        app.session_interface = self.module.FluidAuthSessionInterface(self.engine)
        app.add_url_rule("/in", view_func=self.sign_in)
        app.add_url_rule("/", view_func=self.page_of())
        app.add_url_rule("/look", view_func=self.looks)
        self.client = app.test_client()

    def sign_in(self) -> str:
        self.module.session.login("ada", FIELDS)
        return ""

    def page_of(self) -> Any:
        return lambda: flask.render_template_string(PAGE)

    def looks(self) -> str:
        self.looked = self.look(self.framework.session)
        return ""

    def get(self, path: str) -> str:
        answer = self.client.get(path)
        if inspect.isawaitable(answer):
            return asyncio.run(self.text_of(answer))
        assert answer.status_code == 200
        return str(answer.text)

    async def text_of(self, coming: Any) -> str:
        answer = await coming
        assert answer.status_code == 200
        return str(await answer.get_data(as_text=True))


class QuartSite(FlaskSite):
    module = our_quart
    advice = "from fluidauth.integrations.quart import session"
    framework = quart

    def page_of(self) -> Any:
        async def page() -> str:
            return await quart.render_template_string(PAGE)

        return page


SITES = [StarletteSite, FastAPISite, LitestarSite, LitestarSiteFromOutside, FlaskSite, QuartSite]


@pytest.fixture(params=SITES, ids=lambda site: site.__name__)
def site(request: pytest.FixtureRequest) -> Site:
    return request.param()  # type: ignore[no-any-return]  # pytest does not type it


def test_a_template_shows_fields(site: Site) -> None:
    """Of somebody who is signed in, and nothing to others."""
    nobody = dict(line.split("=", 1) for line in site.get("/").splitlines())
    site.get("/in")
    shown = dict(line.split("=", 1) for line in site.get("/").splitlines())

    assert {name for name in NAMES if nobody[name]} == site.names & {
        "permanent",
        "new",
        "modified",
        "accessed",
    }
    assert {name: shown[name] for name in FIELDS if name not in site.names} == {
        name: text for name, text in FIELDS.items() if name not in site.names
    }


def test_no_other_attribute_is_there(site: Site) -> None:
    """Public ones are dict's and the framework's; hidden names are ours alone, and few."""
    site.get("/in")

    found = site.hands(lambda session: {name for name in dir(session) if hasattr(session, name)}) - {
        *dir(dict)
    }
    hidden = {name for name in found if name.startswith("_") and not name.endswith("__")}

    assert {name for name in found if not name.startswith("_")} == site.names
    assert site.hands(lambda session: [name for name in NAMES if hasattr(session, name)]) == sorted(
        site.names
    )
    assert hidden.isdisjoint(NAMES)
    assert len(hidden) <= 12


@pytest.mark.parametrize("name", ["login", "user_id"])
def test_the_error_says_where_a_name_is(site: Site, name: str) -> None:
    def ask(session: Any) -> str:
        with pytest.raises(AttributeError) as raised:
            getattr(session, name)
        return str(raised.value)

    assert site.advice in site.hands(ask)


def test_what_is_handed_out_is_a_dict(site: Site) -> None:
    """With the storage that C code looks into, once it was used."""
    site.get("/in")

    fields = site.hands(lambda session: dict(session))

    assert fields == FIELDS
    assert site.hands(lambda session: isinstance(session, dict)) is True


def test_the_accessors_have_all_names() -> None:
    """As they are typed; what they change is what the framework's session has."""

    async def page(request: Request) -> Response:
        session = our_starlette.session_of(request)
        session.login("ada", {"user_id": 42})
        session.add("n", 2)
        session |= {"more": True}
        session.append("log", "seen")
        fields: Any = request.session
        assert session == fields
        return JSONResponse([session.user_id, fields])

    middleware = [Middleware(our_starlette.SessionMiddleware, engine=memory_engine())]
    client = TestClient(Starlette(routes=[Route("/", page)], middleware=middleware))

    assert client.get("/").json() == ["ada", {"user_id": 42, "n": 2, "more": True, "log": ["seen"]}]


def test_a_session_is_an_answer_of_fastapi() -> None:
    """With a type of the response, without one, inside of another, and by a response's class."""
    app = FastAPI()
    app.add_middleware(our_starlette.SessionMiddleware, engine=memory_engine())

    @app.get("/typed")
    def typed(session: our_fastapi.CurrentSession) -> dict[str, Any]:
        session.update(user_id=42)
        return session

    @app.get("/plain", response_model=None)
    def plain(session: our_fastapi.CurrentSession) -> Any:
        return session

    @app.get("/within")
    def within(session: our_fastapi.CurrentSession) -> dict[str, dict[str, Any]]:
        return {"session": session}

    @app.get("/response")
    def response(session: our_fastapi.CurrentSession) -> JSONResponse:
        return JSONResponse(session)

    client = TestClient(app)

    assert client.get("/typed").json() == {"user_id": 42}
    assert client.get("/plain").json() == {"user_id": 42}
    assert client.get("/within").json() == {"session": {"user_id": 42}}
    assert client.get("/response").json() == {"user_id": 42}


def test_the_plain_middlewares_session_keeps_its_methods() -> None:
    """Also for Starlette's and Litestar's accessors, which give it as it is."""
    found: list[bool] = []

    async def page(request: Request) -> Response:
        found.append(our_starlette.session_of(request) is request.scope["session"])
        request.scope["session"].login("ada")
        return Response()

    app: Any = SessionMiddleware(Starlette(routes=[Route("/", page)]), engine=memory_engine())
    TestClient(app).get("/")

    assert found == [True]


def test_flask_without_our_interface_is_told_by_flask() -> None:
    """The accessor stands for what is there."""
    app = flask.Flask(__name__)

    with app.test_request_context(), pytest.raises(RuntimeError, match="no secret key"):
        our_flask.session["n"] = 1
    with pytest.raises(RuntimeError, match="outside of request context"):
        our_flask.session.get("n")


def test_litestar_without_a_middleware_is_told() -> None:
    async def page(request: Any) -> str:
        our_litestar.session_of(request)
        return ""

    page.__annotations__ = {"request": LitestarRequest[Any, Any, Any], "return": str}
    app: Any = Litestar([litestar_get("/")(page)], openapi_config=None, logging_config=None, debug=True)

    assert (
        "no session here: middleware=[FluidAuthSessionConfig(engine=engine).middleware]"
        in TestClient(app).get("/").text
    )
