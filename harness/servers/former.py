"""Applications as they were, with their framework's own sessions, and as they are after the one line changed.

``FORMER=1`` says which. Each signs in whom ``/sign-in?user=`` names and answers ``/`` with who it is, and a
counter that each visit moves.
"""

from __future__ import annotations

import os
from typing import Any

BEFORE = bool(os.environ.get("FORMER"))
SECRET = os.environ["FLUIDAUTH_SECRETS"]


def starlette_app() -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    if BEFORE:
        from starlette.middleware.sessions import SessionMiddleware
    else:
        from fluidauth.integrations.starlette import SessionMiddleware  # type: ignore[assignment]  # the one line

    async def sign_in(request: Request) -> JSONResponse:
        request.session["user"] = request.query_params["user"]
        return JSONResponse({})

    async def home(request: Request) -> JSONResponse:
        request.session["n"] = request.session.get("n", 0) + 1
        return JSONResponse([request.session.get("user"), request.session["n"]])

    routes = [Route("/sign-in", sign_in), Route("/", home)]
    return Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, secret_key=SECRET)])


def _flask_app() -> Any:
    import flask

    app = flask.Flask(__name__)
    app.secret_key = SECRET

    @app.get("/sign-in")
    def sign_in() -> dict[str, Any]:
        flask.session["_user_id"] = flask.request.args["user"]
        return {}

    @app.get("/")
    def home() -> list[Any]:
        flask.session["n"] = flask.session.get("n", 0) + 1
        return [flask.session.get("_user_id"), flask.session["n"]]

    return app


def flask_app() -> Any:
    app = _flask_app()
    if not BEFORE:
        from fluidauth.integrations.flask import FluidAuthSessionInterface

        app.session_interface = FluidAuthSessionInterface()  # the one line
    return app


def flask_session_app() -> Any:
    import redis
    from flask_session import Session

    from fluidauth import CookieOptions, SessionEngine
    from fluidauth.integrations.flask import FlaskSessionRedis, FluidAuthSessionInterface

    app, client = _flask_app(), redis.Redis.from_url(os.environ["FORMER_REDIS"])
    if BEFORE:
        app.config.update(SESSION_TYPE="redis", SESSION_REDIS=client)
        Session(app)
    else:
        engine = SessionEngine(adopt=[FlaskSessionRedis(client)], cookie=CookieOptions(secure=False))
        app.session_interface = FluidAuthSessionInterface(engine)  # the one line
    return app


def django_app() -> Any:
    import django
    from django.conf import settings
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse, JsonResponse
    from django.urls import path

    def sign_in(request: HttpRequest) -> HttpResponse:
        request.session["_auth_user_id"] = request.GET["user"]
        return JsonResponse({})

    def home(request: HttpRequest) -> HttpResponse:
        request.session["n"] = request.session.get("n", 0) + 1
        return JsonResponse([request.session.get("_auth_user_id"), request.session["n"]], safe=False)

    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        SECRET_KEY=SECRET,
        INSTALLED_APPS=["django.contrib.sessions"],
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.environ["FORMER_DATABASE"],
                "OPTIONS": {"timeout": 20},
            }
        },
        ROOT_URLCONF=(path("sign-in", sign_in), path("", home)),
        SESSION_ENGINE="django.contrib.sessions.backends.db" if BEFORE else "fluidauth.integrations.django",
        FLUIDAUTH={"adopt": ["django.contrib.sessions.backends.db"]},
    )
    django.setup()
    if BEFORE:
        call_command("migrate", verbosity=0)
    return get_wsgi_application()
