"""Sessions in a bare ASGI application.

    FLUIDAUTH_DEVELOPMENT=1 uvicorn asgi_app:app

Without FLUIDAUTH_DEVELOPMENT it needs FLUIDAUTH_SECRET, and https for its Secure cookie. Its page
has buttons to try. ``wsgi_app.py`` does the same for WSGI and finds the same sessions.
"""

import json
from pathlib import Path
from urllib.parse import parse_qsl

from fluidauth import SessionEngine, SessionMiddleware
from fluidauth.middleware.asgi import Receive, Scope, Send

PAGE = Path(__file__).with_name("page.html").read_bytes()


async def notes(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    session = scope["session"]
    query = dict(parse_qsl(scope["query_string"].decode()))
    match scope["method"], scope["path"]:
        case "POST", "/login":
            session.login(query["user"])
        case "POST", "/note":
            session.update(query)
        case "POST", "/count":
            session.add("count")
        case "POST", "/logout":
            session.logout()
    if scope["path"] == "/":
        kind, body = b"text/html", PAGE
    else:
        kind, body = b"application/json", json.dumps({"user": session.user_id, "notes": session}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": body})


app = SessionMiddleware(notes, engine=SessionEngine())
