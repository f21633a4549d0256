"""fluidauth itself, over both protocols, on SQLite, in Redis, in PostgreSQL and in memory."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Literal

from fluidauth import ASGISessionMiddleware, MemoryStore, SessionEngine, SQLiteStore, WSGISessionMiddleware

from ..peer import Apps, Fields, Peer, Place, Traits, aanswer, answer
from ..plain import asgi_app, bare_asgi, bare_wsgi, wsgi_app
from ..stores import write_to_redis

COOKIE = "__Host-session"
CHUNK = 10_000
MEMORY_SESSIONS = 2_000_000
INSERT = (
    "INSERT INTO fluidauth_sessions"
    " (namespace, handle, user_id, created_at, expires_at, version, kid, payload)"
    " SELECT id, ?, ?, ?, ?, ?, ?, ? FROM fluidauth_namespaces"
)

COPY = (
    "COPY fluidauth.sessions"
    " (namespace, handle, user_id, created_at, expires_at, version, kid, payload, stamp) FROM STDIN"
)
CLIENTS = {"Redis": ("hiredis",), "PostgreSQL": ("psycopg",)}


def build(
    place: Place,
    store: Literal["SQLite", "Redis", "PostgreSQL", "memory"],
    protocol: Literal["WSGI", "ASGI"],
    durability: Any = "full",
) -> Apps:
    opened = open_store(place, store, durability)
    # A second takes a million looks at this clock: as many sessions as there are here, each seen for
    # the first time in minutes, would otherwise make every read of this run the one that writes.
    clock = itertools.count(time.time() + 30, 1e-6).__next__
    engine = SessionEngine(place.secrets, opened, encrypted_fields=place.encrypted, clock=clock)

    async def arespond(path: str, query: str, scope: Any) -> str:
        session = scope["session"]
        if path == "untouched":
            return "ok"
        session.mark_accessed()  # as session_of does
        if path == "login":
            sign_in(session, query)
        elif path == "logout":
            session.logout()
        else:
            return await aanswer(place, path, query, session)
        return "ok"

    def respond(path: str, query: str, environ: Any) -> str:
        session = environ["fluidauth.session"]
        return answer(place, path, query, session, partial(sign_in, session), session.logout)

    def populate(visitors: Iterable[Fields]) -> list[str]:
        if store == "memory":
            return [f"{COOKIE}={engine.create_session(None, fields)[0]}" for fields in visitors]
        make_engine = partial(SessionEngine, place.secrets, encrypted_fields=place.encrypted)
        if store == "Redis":
            return list(fill_redis(place.redis, make_engine, visitors))
        if store == "PostgreSQL":
            return list(fill_postgres(place.postgres, make_engine, visitors))
        opened.open()
        return list(fill(opened.path, make_engine, visitors))

    if protocol == "ASGI":
        sessions: Any = ASGISessionMiddleware(asgi_app(arespond), engine=engine)
        return Apps(sessions, bare_asgi(place), populate, engine.close)
    sessions = WSGISessionMiddleware(wsgi_app(respond), engine=engine)
    return Apps(sessions, bare_wsgi(place), populate, engine.close)


def open_store(place: Place, store: str, durability: Any) -> Any:
    if store == "memory":
        return MemoryStore(max_sessions=MEMORY_SESSIONS)
    if store == "Redis":
        from fluidauth.stores.redis import RedisStore

        return RedisStore(place.redis)
    if store == "PostgreSQL":
        from fluidauth.stores.postgres import PostgresStore

        opened = PostgresStore(place.postgres)
        opened.create_schema()
        return opened
    return SQLiteStore(place.folder / "sessions.db", durability=durability)


def sign_in(session: Any, name: str) -> None:
    session.login(name)
    session["user"] = name  # as the other adapters keep it


def made(
    make_engine: Any, visitors: Iterable[Fields], cookie: str = COOKIE
) -> Iterator[list[tuple[str, Any]]]:
    """Yield cookies and the records for them, some thousands at a time, as an engine makes them in memory."""
    waiting = iter(visitors)
    while chunk := list(itertools.islice(waiting, CHUNK)):
        memory = MemoryStore(max_sessions=CHUNK)
        engine = make_engine(store=memory)
        sessions = [engine.create_session(None, fields) for fields in chunk]
        yield [(f"{cookie}={token}", memory.get(session.handle)) for token, session in sessions]


def fill(path: Path, make_engine: Any, visitors: Iterable[Fields], cookie: str = COOKIE) -> Iterator[str]:
    """Put sessions into the file by plain SQL."""
    with closing(sqlite3.connect(path)) as connection:
        for rows in made(make_engine, visitors, cookie):
            with connection:
                connection.executemany(
                    INSERT, [(bytes.fromhex(record.handle), *record[1:]) for _, record in rows]
                )
            yield from (cookie for cookie, _ in rows)


def fill_redis(url: str, make_engine: Any, visitors: Iterable[Fields]) -> Iterator[str]:
    """Put sessions into Redis by plain SET, as the other adapters do."""
    from fluidauth.stores.redis.scripts import encoded

    for rows in made(make_engine, visitors):
        write_to_redis(
            url,
            {
                b"fluidauth:{%b}%b" % (record.handle[:2].encode(), bytes.fromhex(record.handle)): encoded(
                    record
                )
                for _, record in rows
            },
        )
        yield from (cookie for cookie, _ in rows)


def fill_postgres(url: str, make_engine: Any, visitors: Iterable[Fields]) -> Iterator[str]:
    """Put sessions into PostgreSQL by COPY."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as link:
        for rows in made(make_engine, visitors):
            with link.cursor() as cursor, cursor.copy(COPY) as copy:
                for _, record in rows:
                    copy.write_row(("fluidauth", bytes.fromhex(record.handle), *record[1:], 0))
            yield from (cookie for cookie, _ in rows)
        link.execute("VACUUM ANALYZE fluidauth.sessions")


def peer(
    store: Any, protocol: Any, setup: Any, survives: str, *, quick: bool = False, **options: Any
) -> Peer:
    return Peer(
        library="fluidauth",
        store=store,
        protocol=protocol,
        setup=setup,
        traits=Traits(store, survives),
        build=partial(build, store=store, protocol=protocol, **options),
        packages=("fluidauth", "cryptography", *CLIENTS.get(store, ())),
        uses_redis=store == "Redis",
        uses_postgres=store == "PostgreSQL",
        tuning='durability="normal": the last second is lost with the power' if options else "",
        quick=quick,
    )


PEERS = [
    peer("SQLite", "ASGI", "default", "a power cut", quick=True),
    peer("SQLite", "ASGI", "tuned", "a restart", durability="normal"),
    peer("SQLite", "WSGI", "default", "a power cut"),
    peer("SQLite", "WSGI", "tuned", "a restart", quick=True, durability="normal"),
    peer("Redis", "ASGI", "default", "a restart"),
    peer("Redis", "WSGI", "default", "a restart"),
    peer("PostgreSQL", "ASGI", "default", "a restart"),
    peer("PostgreSQL", "WSGI", "default", "a restart"),
    peer("memory", "ASGI", "default", "nothing", quick=True),
    peer("memory", "WSGI", "default", "nothing"),
]
