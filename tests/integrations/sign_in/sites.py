"""One application in each framework: its only page does with its session what a test says."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import flask
import quart
from django.contrib.auth import get_user_model
from django.contrib.auth import login as django_login
from django.test import Client, override_settings
from fastapi import FastAPI
from litestar import Litestar, route
from litestar import Request as LitestarRequest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from fluidauth import MemoryStore, SessionEngine
from fluidauth.integrations import django as our_django
from fluidauth.integrations import flask as our_flask
from fluidauth.integrations import quart as our_quart
from fluidauth.integrations.fastapi import CurrentSession
from fluidauth.integrations.litestar import FluidAuthSessionConfig
from fluidauth.integrations.litestar import SessionMiddleware as OurMiddleware
from fluidauth.integrations.litestar import session_of as litestar_session_of
from fluidauth.integrations.starlette import SessionMiddleware, session_of
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.integrations.django_site import handlers

HOST = "testserver"
ANY = ["GET", "POST"]
Handler = Callable[[Any], Any]


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str
    value: Any


class Site:
    """An application, and a browser that keeps its cookie."""

    def __init__(self, engine: SessionEngine, clock: FakeClock, stack: ExitStack) -> None:
        self.engine = engine
        self.clock = clock
        self.handler: Handler = bool
        self.value: Any = None
        self.client: Any = self.build(stack)

    def build(self, stack: ExitStack) -> Any:
        """Return a client of the application."""
        raise NotImplementedError

    def do(self, session: Any) -> str:
        self.value = self.handler(session)
        return "page"

    def open(self, path: str, method: str, headers: dict[str, str]) -> tuple[int, Any, str]:
        answer = self.client.request(method, path, headers=headers, follow_redirects=False)
        return answer.status_code, answer.headers, answer.text

    def ask(self, handler: Handler, method: str = "GET", path: str = "/", **sent: str) -> Reply:
        """Have the page do *handler*."""
        self.handler, self.value = handler, None
        headers = {name.replace("_", "-"): value for name, value in sent.items()}
        status, found, text = self.open(path, method, headers)
        return Reply(status, {name.lower(): value for name, value in found.items()}, text, self.value)

    def login(self, user_id: str, **options: Any) -> Handler:
        """Return a handler that signs in."""
        return lambda session: session.login(user_id, **options)

    def logout(self, session: Any) -> None:
        session.logout()


class StarletteSite(Site):
    def build(self, stack: ExitStack) -> Any:
        async def page(request: Request) -> JSONResponse:
            return JSONResponse(self.do(session_of(request)))

        middleware = [Middleware(SessionMiddleware, engine=self.engine)]
        app = Starlette(routes=[Route("/", page, methods=ANY)], middleware=middleware)
        return TestClient(app, base_url=f"https://{HOST}")


class FastAPISite(Site):
    def build(self, stack: ExitStack) -> Any:
        app = FastAPI()
        app.add_middleware(SessionMiddleware, engine=self.engine)

        @app.api_route("/", methods=ANY)
        async def page(session: CurrentSession) -> str:
            return self.do(session)

        return TestClient(app, base_url=f"https://{HOST}")


class LitestarSite(Site):
    def build(self, stack: ExitStack) -> Any:
        async def page(request: LitestarRequest[Any, Any, Any]) -> str:
            return self.do(litestar_session_of(request))

        page.__annotations__ = {"request": LitestarRequest, "return": str}
        config = FluidAuthSessionConfig(engine=self.engine)
        app = Litestar(
            [route("/", http_method=["GET", "POST"])(page)],
            middleware=[config.middleware],
            openapi_config=None,
            logging_config=None,
        )
        if self.engine.requests.status_path is not None:  # what Litestar has within asks its routes first
            around: Any = OurMiddleware(app.asgi_handler, engine=self.engine)
            app.asgi_handler = around
        return TestClient(app, base_url=f"https://{HOST}")  # type: ignore[arg-type]  # of another's ASGI


class FlaskSite(Site):
    framework: Any = flask
    ours: Any = our_flask

    def build(self, stack: ExitStack) -> Any:
        app = getattr(self.framework, self.framework.__name__.capitalize())(__name__)
        app.session_interface = self.ours.FluidAuthSessionInterface(self.engine)
        app.add_url_rule("/", view_func=lambda: self.do(self.ours.session), methods=ANY)
        return app.test_client()

    def open(self, path: str, method: str, headers: dict[str, str]) -> tuple[int, Any, str]:
        answer = self.client.open(path, method=method, headers={"Host": HOST, **headers})
        if not inspect.isawaitable(answer):
            return answer.status_code, answer.headers, answer.text

        async def read() -> tuple[int, Any, str]:
            found = await answer
            return found.status_code, found.headers, await found.get_data(as_text=True)

        return asyncio.run(read())


class QuartSite(FlaskSite):
    framework = quart
    ours = our_quart


class DjangoSite(Site):
    def build(self, stack: ExitStack) -> Any:
        policy = self.engine.policy
        options = {
            "store": self.engine.requests.store,
            "secret": policy.keyring,
            "idle_timeout": policy.lifetime.idle,
            "cross_origin": policy.origins.mode,
            "login_url": policy.login_url,
            "status_path": self.engine.requests.status_path,
            "clear_site_data": CLEARS,
        }
        stack.enter_context(override_settings(FLUIDAUTH=options, ALLOWED_HOSTS=[HOST]))
        our_django.get_engine().requests.clock = self.clock
        return Client()

    def open(self, path: str, method: str, headers: dict[str, str]) -> tuple[int, Any, str]:
        handlers.append(lambda request: self.do(Facts(request)))
        try:
            answer = self.client.generic(method, path, headers=headers)
        finally:
            handlers.pop()
        return answer.status_code, answer.headers, answer.content.decode()

    def login(self, user_id: str, methods: tuple[str, ...] = (), **options: Any) -> Handler:
        def handler(session: Any) -> None:
            django_login(session.request, user(user_id), "django.contrib.auth.backends.ModelBackend")
            if methods:
                session.confirm(methods)

        return handler

    def logout(self, session: Any) -> None:
        session.request.session.flush()


class Facts:
    """A request of Django's, with what others have on one object: what is known of its session."""

    def __init__(self, request: Any) -> None:
        self.request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(our_django.session_of(self.request), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "request":
            super().__setattr__(name, value)
        else:
            setattr(our_django.session_of(self.request), name, value)

    def __setitem__(self, name: str, value: Any) -> None:
        self.request.session[name] = value

    def impersonate(self, user_id: str, reason: str) -> None:
        our_django.impersonate(self.request, user(user_id), reason)

    def end_impersonation(self) -> None:
        our_django.end_impersonation(self.request)


def user(user_id: str) -> Any:
    """Return the user with that primary key, made when it is needed."""
    model: Any = get_user_model()
    return model.objects.get_or_create(pk=user_id, defaults={"username": f"user-{user_id}"})[0]


CLEARS = ("cache", "storage")
SITES: dict[str, type[Site]] = {
    "starlette": StarletteSite,
    "fastapi": FastAPISite,
    "litestar": LitestarSite,
    "flask": FlaskSite,
    "quart": QuartSite,
    "django": DjangoSite,
}


def site_of(name: str, stack: ExitStack, **options: Any) -> Site:
    """Return the site in the framework *name*, until *stack* ends."""
    clock = FakeClock()
    settings: Any = {"clock": clock, "clear_site_data": CLEARS, "idle_timeout": 600, **options}
    engine = SessionEngine(new_secret(), MemoryStore(), **settings)
    return SITES[name](engine, clock, stack)
