"""The applications of ``asgi_app.py`` and ``wsgi_app.py``, for the page of the demo.

They differ in three ways. They follow a keyring file and look at it twice a second, encrypt every field,
and append what they log to a file that the page shows.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import asgi_app
import wsgi_app

from fluidauth import ASGISessionMiddleware, Keyring, SessionEngine, SessionEvent, WSGISessionMiddleware

INTERVAL = 0.5  # seconds between two looks at the keyring file


def asgi() -> ASGISessionMiddleware:
    return ASGISessionMiddleware(asgi_app.notes, engine=engine_for("uvicorn"))


def wsgi() -> WSGISessionMiddleware:
    return WSGISessionMiddleware(wsgi_app.notes, engine=engine_for("waitress"))


def engine_for(server: str) -> SessionEngine:
    """Return the engine of *server*, on the keyring and the database that the environment names."""
    events = Path(os.environ["DEMO_EVENTS"])

    def report(event: SessionEvent) -> None:
        line = json.dumps({"time": event.time, "server": server, "event": str(event)})
        with events.open("a", encoding="utf-8") as file:  # both servers append to it, each line in one write
            file.write(f"{line}\n")

    keyring = Keyring.from_file(os.environ["FLUIDAUTH_KEYRING"], interval=INTERVAL)
    return SessionEngine(keyring, encrypted_fields="*", on_event=report)
