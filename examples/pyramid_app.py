"""Notes of those who are signed in, on Pyramid.

    pip install fluidauth pyramid waitress
    FLUIDAUTH_DEVELOPMENT=1 waitress-serve --listen 127.0.0.1:8000 examples.pyramid_app:app

Without FLUIDAUTH_DEVELOPMENT it needs FLUIDAUTH_SECRET, and https for its Secure cookie. For tokens
against forgery, ``config.set_csrf_storage_policy(SessionCSRFStoragePolicy())`` keeps them in this session.
"""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request

from fluidauth import Session, SessionEngine, SessionMiddleware


def current_session(request: Request) -> Session:
    """Return what ``request.session`` is from here on."""
    session: Session = request.environ["fluidauth.session"]
    return session


def home(request: Request) -> dict[str, Any]:
    return {"hello": request.session.user_id}


def sign_in(request: Request) -> HTTPSeeOther:
    # Here a real application compares a password.
    request.session.login(request.POST["name"])
    return HTTPSeeOther("/notes")


def notes(request: Request) -> dict[str, Any]:
    session = request.session
    if not session.is_authenticated:
        request.response.status_code = 401
        return {"error": "sign in first"}
    if request.method == "POST":
        session.append("notes", request.POST["note"])
    return {"user": session.user_id, "notes": session.get("notes", [])}


def sign_out(request: Request) -> HTTPSeeOther:
    request.session.logout()
    return HTTPSeeOther("/notes")


def pages() -> Any:
    with Configurator() as config:
        config.add_request_method(current_session, "session", property=True)
        for name, view, path in (("home", home, "/"), ("notes", notes, "/notes")):
            config.add_route(name, path)
            config.add_view(view, route_name=name, renderer="json")
        for name, view, path in (("sign_in", sign_in, "/sign-in"), ("sign_out", sign_out, "/sign-out")):
            config.add_route(name, path, request_method="POST")
            config.add_view(view, route_name=name)
        return config.make_wsgi_app()


engine = SessionEngine()
app = SessionMiddleware(pages(), engine=engine)
