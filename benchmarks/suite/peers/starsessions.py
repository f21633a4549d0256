"""starsessions: sessions of Starlette on the server, in memory and in Redis."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from functools import partial
from typing import Any

from ..peer import Apps, Fields, Peer, Place, Traits, aanswer
from ..plain import asgi_app, bare_asgi
from ..stores import write_to_redis


def build(place: Place, store: str) -> Apps:
    from starlette.requests import HTTPConnection
    from starsessions import SessionMiddleware, load_session, regenerate_session_id
    from starsessions.serializers import JsonSerializer
    from starsessions.stores.memory import InMemoryStore

    opened: Any = InMemoryStore()
    if store == "Redis":
        from starsessions.stores.redis import RedisStore

        opened = RedisStore(place.redis)

    async def respond(path: str, query: str, scope: Any) -> str:
        if path == "untouched":
            return "ok"
        connection = HTTPConnection(scope)
        await load_session(connection)
        if path == "login":
            regenerate_session_id(connection)
        return await aanswer(place, path, query, connection.session)

    def populate(visitors: Iterable[Fields]) -> list[str]:
        rows = {secrets.token_hex(32): JsonSerializer().serialize(fields) for fields in visitors}
        if store == "Redis":
            write_to_redis(place.redis, {f"starsessions.{name}": row for name, row in rows.items()})
        else:
            for name, row in rows.items():
                opened.data[name] = row
        return [f"session={name}" for name in rows]

    return Apps(SessionMiddleware(asgi_app(respond), store=opened), bare_asgi(place), populate)


def peer(store: str, setup: Any = "default", **more: Any) -> Peer:
    packages = ("starsessions", "starlette") + (("redis",) if store == "Redis" else ())
    return Peer(
        library="starsessions",
        store=store,
        protocol="ASGI",
        setup=setup,
        traits=Traits(
            store,
            "a restart" if store == "Redis" else "nothing",
            writes_on_read=True,
            cookie_on_read=True,
            note="saves and sends the cookie whenever the session was read",
        ),
        build=partial(build, store=store),
        packages=packages,
        uses_redis=store == "Redis",
        **more,
    )


PEERS = [
    peer("memory", quick=True),
    peer("Redis", without=("hiredis",)),
    peer("Redis", "tuned", tuning="hiredis"),
]
