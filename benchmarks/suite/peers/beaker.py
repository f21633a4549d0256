"""Beaker: WSGI middleware with sessions in memory, files, SQLite, Redis and PostgreSQL."""

from __future__ import annotations

import pickle
import time
from base64 import b64encode
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..peer import Apps, Fields, Peer, Place, Traits, answer
from ..plain import bare_wsgi, wsgi_app
from ..stores import WAL_TOLD, sqlalchemy_url, tune_sqlalchemy, write_to_redis

COOKIE = "beaker.session.id"
SAVED = ("change", "login", "logout", "slow")  # an application says itself when to save
Rows = dict[str, str]


def build(place: Place, store: str, tuned: bool) -> Apps:
    from beaker.middleware import SessionMiddleware

    def respond(path: str, query: str, environ: Any) -> str:
        session = environ["beaker.session"]

        def login(name: str) -> None:
            session.regenerate_id()
            session["user"] = name

        text = answer(place, path, query, session, login, session.delete)
        if path in SAVED:
            session.save()
        return text

    use = {"memory": use_memory, "files": use_files, "Redis": use_redis}.get(store, use_sql)
    options, fill = use(place, tuned)
    options |= {"session.secret": place.secrets[0], "session.secure": True, "session.httponly": True}
    if tuned:
        options["session.save_accessed_time"] = False
    app = SessionMiddleware(wsgi_app(respond), options)

    def populate(visitors: Iterable[Fields]) -> list[str]:
        from beaker.session import SignedCookie

        times = {"_creation_time": time.time(), "_accessed_time": time.time()}
        rows = {uuid4().hex: b64encode(pickle.dumps(fields | times)).decode() for fields in visitors}
        fill(rows)
        encode = SignedCookie(place.secrets[0]).value_encode
        return [f"{COOKIE}={encode(name)[1]}" for name in rows]

    return Apps(app, bare_wsgi(place), populate)


def use_memory(place: Place, tuned: bool) -> tuple[dict[str, Any], Callable[[Rows], None]]:
    """Return the options for memory, and what fills it."""
    from beaker.container import MemoryNamespaceManager

    def fill(rows: Rows) -> None:
        for name, row in rows.items():
            MemoryNamespaceManager(name)["session"] = row

    return {"session.type": "memory"}, fill


def use_files(place: Place, tuned: bool) -> tuple[dict[str, Any], Callable[[Rows], None]]:
    from beaker.util import encoded_path, verify_directory

    folder = str(place.folder / "beaker")

    def fill(rows: Rows) -> None:
        for name, row in rows.items():
            path = encoded_path(
                f"{folder}/container_file", [name], extension=".cache", digest_filenames=False
            )
            verify_directory(str(Path(path).parent))
            Path(path).write_bytes(pickle.dumps({"session": row}))

    return {"session.type": "file", "session.data_dir": folder}, fill


def use_sql(place: Place, tuned: bool) -> tuple[dict[str, Any], Callable[[Rows], None]]:
    import sqlalchemy
    from beaker.ext.sqla import SqlaNamespaceManager, make_cache_table

    engine = sqlalchemy.create_engine(sqlalchemy_url(place))
    if tuned and not place.postgres:
        tune_sqlalchemy(engine)
    SqlaNamespaceManager._init_dependencies()
    table = make_cache_table(sqlalchemy.MetaData())
    table.create(engine, checkfirst=True)

    def fill(rows: Rows) -> None:
        now = datetime.now()
        stored = [
            {"namespace": name, "data": {"session": row}, "accessed": now, "created": now}
            for name, row in rows.items()
        ]
        with engine.begin() as connection:
            connection.execute(table.insert(), stored)

    options = {"session.type": "ext:sqla", "session.bind": engine, "session.table": table}
    return options | {"session.lock_dir": str(place.folder / "locks")}, fill


def use_redis(place: Place, tuned: bool) -> tuple[dict[str, Any], Callable[[Rows], None]]:
    def fill(rows: Rows) -> None:
        stored = {f"beaker_cache:{name}:session": pickle.dumps(row) for name, row in rows.items()}
        write_to_redis(place.redis, stored, None)

    return {"session.type": "ext:redis", "session.url": place.redis}, fill


def peer(store: str, survives: str, tuning: str | None = None, **more: Any) -> Peer:
    tuned = tuning is not None
    client = {"SQLite": ("sqlalchemy",), "PostgreSQL": ("sqlalchemy", "psycopg"), "Redis": ("redis",)}
    return Peer(
        library="Beaker",
        store=store,
        protocol="WSGI",
        setup="tuned" if tuned else "default",
        traits=Traits(store, survives, writes_on_read=not tuned),
        build=partial(build, store=store, tuned=tuned),
        packages=("beaker", *client.get(store, ())),
        tuning=", ".join(filter(None, (tuning, "save_accessed_time=False"))) if tuned else "",
        uses_redis=store == "Redis",
        uses_postgres=store == "PostgreSQL",
        without=("hiredis",) if store == "Redis" and not tuned else (),
        **more,
    )


PEERS = [
    peer("memory", "nothing"),
    peer("memory", "nothing", ""),
    peer("files", "a restart"),
    peer("files", "a restart", ""),
    peer("SQLite", "a power cut"),
    peer("SQLite", "a restart", WAL_TOLD, quick=True),
    peer("Redis", "a restart"),
    peer("Redis", "a restart", "hiredis"),
    peer("PostgreSQL", "a restart"),
    peer("PostgreSQL", "a restart", ""),
]
