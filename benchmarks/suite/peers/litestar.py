"""Litestar's sessions: on the server in memory, files and Redis, and in an encrypted cookie."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ..peer import Apps, Fields, Peer, Place, Traits, aanswer, bare_answer
from ..stores import LIFETIME, write_to_redis

Rows = dict[str, bytes]


def build(place: Place, store: str) -> Apps:
    from litestar import Litestar

    common: dict[str, Any] = {"openapi_config": None, "logging_config": None}
    if store == "cookie":
        config, populate = in_cookie(place)
    else:
        config, kept, fill = on_server(place, store)
        common["stores"] = {"sessions": kept}

        def populate(visitors: Iterable[Fields]) -> list[str]:
            rows = {secrets.token_hex(32): json.dumps(fields).encode() for fields in visitors}
            fill(rows)
            return [f"session={name}" for name in rows]

    app = Litestar([handler(place)], middleware=[config.middleware], **common)
    return Apps(app, Litestar([bare_handler(place)], **common), populate)


def handler(place: Place) -> Any:
    """Return what answers every path, with sessions."""
    from litestar import Request

    async def respond(request: Any, name: str) -> str:
        if name == "logout":
            request.clear_session()
            return "ok"
        session = {} if name == "untouched" else request.session
        return await aanswer(place, name, request.scope["query_string"].decode(), session)

    return route(respond, request=Request[Any, Any, Any])


def bare_handler(place: Place) -> Any:
    from litestar import Request

    async def respond(request: Any, name: str) -> str:
        return bare_answer(place, name)

    return route(respond, request=Request[Any, Any, Any])


def route(respond: Any, **types: Any) -> Any:
    """Return a handler of every path; Litestar goes by the annotations of *respond*, so *types* are its."""
    from litestar import MediaType, get

    respond.__annotations__ |= {"name": str, "return": str, **types}
    return get("/{name:str}", media_type=MediaType.TEXT)(respond)


def in_cookie(place: Place) -> tuple[Any, Callable[[Iterable[Fields]], list[str]]]:
    """Return the configuration for a cookie, and what makes many."""
    from litestar.middleware.session.client_side import ClientSideSessionBackend, CookieBackendConfig

    config = CookieBackendConfig(secret=bytes.fromhex(place.secrets[0]), secure=True)
    dump = ClientSideSessionBackend(config).dump_data

    def populate(visitors: Iterable[Fields]) -> list[str]:
        found = []
        for fields in visitors:
            parts = [part.decode() for part in dump(fields)]
            names = ["session"] if len(parts) == 1 else [f"session-{n}" for n in range(len(parts))]
            found.append("; ".join(map("=".join, zip(names, parts, strict=True))))
        return found

    return config, populate


def on_server(place: Place, store: str) -> tuple[Any, Any, Callable[[Rows], None]]:
    """Return the configuration, the store, and what fills it."""
    from litestar.middleware.session.server_side import ServerSideSessionConfig
    from litestar.stores.base import StorageObject
    from litestar.stores.file import FileStore
    from litestar.stores.memory import MemoryStore
    from litestar.stores.redis import RedisStore

    folder, kept = place.folder / "sessions", MemoryStore()
    ways: dict[str, Callable[[], Any]] = {
        "memory": lambda: kept,
        "files": lambda: FileStore(folder, create_directories=True),
        "Redis": lambda: RedisStore.with_client(place.redis),
    }
    opened = ways[store]()

    def fill(rows: Rows) -> None:
        if store == "Redis":
            write_to_redis(place.redis, {f"LITESTAR:{name}": row for name, row in rows.items()})
            return
        folder.mkdir(exist_ok=True)
        for name, row in rows.items():
            item = StorageObject.new(row, LIFETIME)
            if store == "memory":
                kept._store[name] = item
            else:
                (folder / hashlib.blake2s(name.encode()).hexdigest()).write_bytes(item.to_bytes())

    return ServerSideSessionConfig(secure=True), opened, fill


def peer(store: str, survives: str, tuning: str = "", **more: Any) -> Peer:
    return Peer(
        library="Litestar",
        store=store,
        protocol="ASGI",
        setup="tuned" if tuning else "default",
        traits=Traits(store, survives, writes_on_read=store != "cookie", cookie_on_read=True),
        build=partial(build, store=store),
        packages=("litestar", *(("redis",) if store == "Redis" else ())),
        tuning=tuning,
        uses_redis=store == "Redis",
        without=("hiredis",) if store == "Redis" and not tuning else (),
        **more,
    )


PEERS = [
    peer("memory", "nothing", quick=True),
    peer("files", "a restart"),
    peer("Redis", "a restart"),
    peer("Redis", "a restart", "hiredis"),
    peer("cookie", "a power cut"),
]
