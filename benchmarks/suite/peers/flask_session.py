"""Flask-Session: sessions of Flask on the server, in files, Redis and SQLite."""

from __future__ import annotations

import pickle
import secrets
import struct
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from ..peer import Apps, Fields, Peer, Place, Traits
from ..stores import LIFETIME, WAL_TOLD, tune_sqlalchemy, write_to_redis
from .flask import application, bare_application

MOST_FILES = 500  # as it is set up without SESSION_CACHELIB
PREFIX = "session:"
Rows = dict[str, Fields]


def build(place: Place, store: str, tuned: bool) -> Apps:
    import flask
    from flask_session import Session

    def login(name: str) -> None:
        app.session_interface.regenerate(flask.session)
        flask.session["user"] = name

    app = application(place, login)
    if tuned:
        app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    fill = {"files": use_files, "Redis": use_redis, "SQLite": use_sqlite}[store](app, place, tuned)
    with app.app_context():
        Session(app)

    def populate(visitors: Iterable[Fields]) -> list[str]:
        lasting = {"_permanent": True}  # as its own code begins each session
        rows = {secrets.token_urlsafe(32): fields | lasting for fields in visitors}
        fill({f"{PREFIX}{name}": fields for name, fields in rows.items()})
        return [f"session={name}" for name in rows]

    return Apps(app, bare_application(place), populate)


def use_files(app: Any, place: Place, tuned: bool) -> Callable[[Rows], None]:
    """Set up files; return what fills them."""
    from cachelib import FileSystemCache

    folder = Path(place.folder, "flask_session")
    cache = FileSystemCache(str(folder), threshold=0 if tuned else MOST_FILES)
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)

    def fill(rows: Rows) -> None:
        expires = struct.pack("I", int(time.time()) + LIFETIME)
        for name, fields in rows.items():
            Path(cache._get_filename(name)).write_bytes(expires + pickle.dumps(fields))
        cache._update_count(value=len(rows))

    return fill


def use_redis(app: Any, place: Place, tuned: bool) -> Callable[[Rows], None]:
    from redis import Redis

    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=Redis.from_url(place.redis))

    def fill(rows: Rows) -> None:
        encode = app.session_interface.serializer.encode
        write_to_redis(place.redis, {name: encode(fields) for name, fields in rows.items()})

    return fill


def use_sqlite(app: Any, place: Place, tuned: bool) -> Callable[[Rows], None]:
    from flask_sqlalchemy import SQLAlchemy

    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{place.folder}/sessions.db"
    database = SQLAlchemy(app)
    with app.app_context():
        if tuned:
            tune_sqlalchemy(database.engine)
    app.config.update(SESSION_TYPE="sqlalchemy", SESSION_SQLALCHEMY=database)

    def fill(rows: Rows) -> None:
        interface = app.session_interface
        expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=LIFETIME)
        stored = [
            {"session_id": name, "data": interface.serializer.encode(fields), "expiry": expiry}
            for name, fields in rows.items()
        ]
        with app.app_context(), database.engine.begin() as connection:
            connection.execute(interface.sql_session_model.__table__.insert(), stored)

    return fill


def peer(store: str, survives: str, tuning: str = "", most: int = 0, **more: Any) -> Peer:
    tuned = bool(tuning)
    told = f"{tuning}, SESSION_REFRESH_EACH_REQUEST=False" if tuned else ""
    client = {"files": ("cachelib",), "Redis": ("redis",), "SQLite": ("flask-sqlalchemy", "sqlalchemy")}
    return Peer(
        library="Flask-Session",
        store=store,
        protocol="WSGI",
        setup="tuned" if tuned else "default",
        traits=Traits(store, survives, writes_on_read=not tuned, cookie_on_read=not tuned, most=most),
        build=partial(build, store=store, tuned=tuned),
        packages=("flask-session", "flask", *client[store]),
        tuning=told,
        uses_redis=store == "Redis",
        without=("hiredis",) if store == "Redis" and not tuned else (),
        **more,
    )


PEERS = [
    peer("files", "a restart", most=MOST_FILES),
    peer("files", "a restart", "no threshold"),
    peer("SQLite", "a power cut"),
    peer("SQLite", "a restart", WAL_TOLD, quick=True),
    peer("Redis", "a restart"),
    peer("Redis", "a restart", "hiredis"),
]
