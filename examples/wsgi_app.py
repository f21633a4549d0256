"""Sessions in a bare WSGI application.

    FLUIDAUTH_DEVELOPMENT=1 waitress-serve --listen 127.0.0.1:8080 wsgi_app:app

Without FLUIDAUTH_DEVELOPMENT it needs FLUIDAUTH_SECRET, and https for its Secure cookie. Its page
has buttons to try. ``asgi_app.py`` does the same for ASGI and finds the same sessions.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIEnvironment

from fluidauth import SessionEngine, SessionMiddleware

PAGE = Path(__file__).with_name("page.html").read_bytes()


def notes(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    session = environ["fluidauth.session"]
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    match environ["REQUEST_METHOD"], environ["PATH_INFO"]:
        case "POST", "/login":
            session.login(query["user"])
        case "POST", "/note":
            session.update(query)
        case "POST", "/count":
            session.add("count")
        case "POST", "/logout":
            session.logout()
    if environ["PATH_INFO"] == "/":
        kind, body = "text/html", PAGE
    else:
        kind, body = "application/json", json.dumps({"user": session.user_id, "notes": session}).encode()
    start_response("200 OK", [("Content-Type", kind)])
    return [body]


app = SessionMiddleware(notes, engine=SessionEngine())
