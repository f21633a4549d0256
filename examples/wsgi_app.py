"""Sessions in a bare WSGI application.

    export FLUIDAUTH_SECRET=$(python -c "from fluidauth import new_secret; print(new_secret())")
    DEVELOPMENT=1 waitress-serve --listen 127.0.0.1:8080 wsgi_app:app

Its page has buttons to try. ``asgi_app.py`` does the same for ASGI and finds the same sessions.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIEnvironment

from fluidauth import CookieOptions, SessionEngine, SessionMiddleware

PAGE = Path(__file__).with_name("page.html").read_bytes()


def notes(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    session = environ["fluidauth.session"]
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    match environ["REQUEST_METHOD"], environ["PATH_INFO"]:
        case "POST", "/login":
            session.login(query["user"])
        case "POST", "/note":
            session.update(query)
        case "POST", "/logout":
            session.logout()
    if environ["PATH_INFO"] == "/":
        kind, body = "text/html", PAGE
    else:
        kind, body = "application/json", json.dumps({"user": session.user_id, "notes": session}).encode()
    start_response("200 OK", [("Content-Type", kind)])
    return [body]


# Browsers keep a Secure cookie, the default, over https only.
cookie = CookieOptions(secure=os.environ.get("DEVELOPMENT") != "1")
app = SessionMiddleware(notes, engine=SessionEngine(cookie=cookie))
