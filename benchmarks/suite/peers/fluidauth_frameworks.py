"""fluidauth in the place of the sessions of Flask and of Django, on SQLite."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

from fluidauth import CookieOptions, SessionEngine, SQLiteStore

from ..peer import Apps, Fields, Peer, Place, Traits
from ..stores import LIFETIME
from .django import applications
from .flask import application, bare_application
from .fluidauth import fill


def build_flask(place: Place, protocol: str, durability: Any) -> Apps:
    from fluidauth.integrations.flask import FluidAuthSessionInterface, session

    store = SQLiteStore(place.folder / "sessions.db", durability=durability)
    clock = itertools.count(time.time() + 30, 1e-6).__next__  # as in fluidauth.py
    engine = SessionEngine(place.secrets, store, cookie=CookieOptions("session"), clock=clock)

    def login(name: str) -> None:
        session.login(name)
        session["user"] = name

    app = application(place, login)
    app.session_interface = FluidAuthSessionInterface(engine)
    make_engine = partial(SessionEngine, place.secrets)
    return Apps(app, bare_application(place), partial(populate, make_engine, store, "session"), engine.close)


def build_django(place: Place, protocol: str, durability: Any) -> Apps:
    store = SQLiteStore(place.folder / "sessions.db", durability=durability)
    sessions, bare = applications(
        place,
        protocol,
        SESSION_ENGINE="fluidauth.integrations.django",
        FLUIDAUTH={"store": store, "secret": place.secrets},
    )
    # As Django's are: they end a time after their last change, and a read moves nothing.
    make_engine = partial(SessionEngine, place.secrets, absolute_timeout=LIFETIME, idle_timeout=None)
    return Apps(sessions, bare, partial(populate, make_engine, store, "sessionid"))


def populate(make_engine: Any, store: SQLiteStore, cookie: str, visitors: Iterable[Fields]) -> list[str]:
    store.open()
    return list(fill(store.path, make_engine, visitors, cookie))


def peer(framework: str, protocol: Any, setup: Any, durability: str, survives: str) -> Peer:
    build = {"Flask": build_flask, "Django": build_django}[framework]
    return Peer(
        library=f"fluidauth in {framework}",
        store="SQLite",
        protocol=protocol,
        setup=setup,
        traits=Traits("SQLite", survives),
        build=partial(build, protocol=protocol, durability=durability),
        packages=("fluidauth", "cryptography", framework.lower()),
        tuning="" if durability == "full" else 'durability="normal"',
        quick=setup == "tuned" and protocol == "WSGI",
    )


PEERS = [
    peer(framework, protocol, setup, durability, survives)
    for framework, protocol in (("Flask", "WSGI"), ("Django", "WSGI"), ("Django", "ASGI"))
    for setup, durability, survives in (("default", "full", "a power cut"), ("tuned", "normal", "a restart"))
]
