"""Applications as tutorials publish them, weak secret and all, with the documented line changed."""

from __future__ import annotations

from pathlib import Path

from .served import Served

_STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from fluidauth.integrations.starlette import SessionMiddleware

async def index(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return PlainTextResponse(str(request.session["visits"]))

app = Starlette(routes=[Route("/", index)])
app.add_middleware(SessionMiddleware, secret_key="change-me-in-production")
"""
_FASTAPI = """
from fastapi import FastAPI, Request
from fluidauth.integrations.starlette import SessionMiddleware

app = FastAPI()
SECRET_KEY = "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"
app.add_middleware(SessionMiddleware, secret_key=SECRET_KEY)

@app.get("/")
async def index(request: Request) -> int:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return request.session["visits"]
"""
_FLASK = """
import flask
from fluidauth.integrations.flask import FluidAuthSessionInterface

app = flask.Flask(__name__)
app.config.from_mapping(SECRET_KEY="dev")
app.session_interface = FluidAuthSessionInterface(app=app)

@app.route("/")
def index():
    flask.session["visits"] = flask.session.get("visits", 0) + 1
    return str(flask.session["visits"])
"""
_QUART = """
import quart
from fluidauth.integrations.quart import FluidAuthSessionInterface

app = quart.Quart(__name__)
app.session_interface = FluidAuthSessionInterface(app=app)
app.config.update(SECRET_KEY="development key")

@app.route("/")
async def index():
    quart.session["visits"] = quart.session.get("visits", 0) + 1
    return str(quart.session["visits"])
"""
_LITESTAR = """
from litestar import Litestar, Request, get
from litestar.middleware import DefineMiddleware
from fluidauth import SessionEngine
from fluidauth.integrations.litestar import SessionMiddleware

@get("/")
async def index(request: Request) -> int:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return request.session["visits"]

app = Litestar([index], middleware=[DefineMiddleware(SessionMiddleware, engine=SessionEngine("my-secret"))])
"""
_DJANGO = """
import os, sys
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost", "rebound.example"],
    DEBUG=True,
    SECRET_KEY="django-insecure-&x1_7gx-3i4$k8#2f@w9v(z!q0)b6n5m+e=t^r*y%u",
    SESSION_ENGINE="fluidauth.integrations.django",
    INSTALLED_APPS=["fluidauth.integrations.django"],
    MIDDLEWARE=["fluidauth.integrations.django.middleware.SessionMiddleware"],
    ROOT_URLCONF=__name__,
)
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

def index(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))

urlpatterns = [path("", index)]
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
else:
    application, asgi = get_wsgi_application(), get_asgi_application()
"""

_WSGI = """
from fluidauth import SessionEngine, SessionMiddleware

def application(environ, start_response):
    session = environ["fluidauth.session"]
    session.add("visits")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(session["visits"]).encode()]

app = SessionMiddleware(application, engine=SessionEngine("my-secret"))
"""
_ASGI = """
from fluidauth import SessionEngine, SessionMiddleware

async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    session = scope["session"]
    session.add("visits")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(session["visits"]).encode()})

app = SessionMiddleware(application, engine=SessionEngine("my-secret"))
"""
_UNCHECKED = _DJANGO.replace('["fluidauth.integrations.django"]', "[]")
_UVICORN = "-m uvicorn --host 127.0.0.1 --port {port} app:"
TUTORIALS = {
    "starlette on uvicorn": (_STARLETTE, f"{_UVICORN}app"),
    "starlette on hypercorn": (_STARLETTE, "-m hypercorn --bind 127.0.0.1:{port} app:app"),
    "fastapi on uvicorn": (_FASTAPI, f"{_UVICORN}app"),
    "flask run": (_FLASK, "-m flask --app app run --port {port}"),
    "flask on gunicorn": (_FLASK, "-m gunicorn --bind 127.0.0.1:{port} app:app"),
    "quart on uvicorn": (_QUART, f"{_UVICORN}app"),
    "quart on hypercorn": (_QUART, "-m hypercorn --bind 127.0.0.1:{port} app:app"),
    "litestar on uvicorn": (_LITESTAR, f"{_UVICORN}app"),
    "wsgi on waitress": (_WSGI, "-m waitress --listen 127.0.0.1:{port} app:app"),
    "asgi on uvicorn": (_ASGI, f"{_UVICORN}app"),
    "django's own server": (_DJANGO, "app.py runserver --noreload 127.0.0.1:{port}"),
    "django's own server, without checks": (_UNCHECKED, "app.py runserver --noreload 127.0.0.1:{port}"),
    "django on gunicorn": (_UNCHECKED, "-m gunicorn --bind 127.0.0.1:{port} app:application"),
    "django on uvicorn": (_UNCHECKED, f"{_UVICORN}asgi"),
}


class Tutorial(Served):
    """The application *name* in a folder of its own, run there as its framework says, with *environ*."""

    def __init__(self, name: str, folder: Path, **environ: str) -> None:
        source, command = TUTORIALS[name]
        super().__init__(folder, command, **environ)
        (folder / "app.py").write_text(source)
