"""Django's sessions: in its database, in that behind a cache, and in a signed cookie; WSGI and ASGI."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ..peer import Apps, Fields, Peer, Place, Traits, aanswer, answer, bare_answer
from ..stores import LIFETIME, WAL, WAL_TOLD

BATCH = 10_000
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"  # of a session key
CACHED = "SQLite and cache"
ENGINES = {"SQLite": "db", "PostgreSQL": "db", CACHED: "cached_db", "cookie": "signed_cookies"}


def build(place: Place, store: str, protocol: str, tuned: bool) -> Apps:
    sessions, bare = applications(
        place,
        protocol,
        INSTALLED_APPS=["django.contrib.sessions"],
        SESSION_ENGINE=f"django.contrib.sessions.backends.{ENGINES[store]}",
        DATABASES={"default": postgres(place, protocol, tuned) if place.postgres else database(place, tuned)},
        CACHES={"default": cache(place, store, tuned)},
    )
    if store != "cookie":
        in_thread(create_table)

    def populate(visitors: Iterable[Fields]) -> list[str]:
        found: list[str] = in_thread(partial(fill, store, visitors, with_cache=tuned and store == CACHED))
        return found

    return Apps(sessions, bare, populate)


def applications(place: Place, protocol: str, **more: Any) -> tuple[Any, Any]:
    """Return the application with sessions, as the settings in *more* have it, and the same without."""
    import django
    from django.conf import settings
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler
    from django.urls import path

    handler: Any = ASGIHandler if protocol == "ASGI" else WSGIHandler
    respond = async_view(place) if protocol == "ASGI" else view(place)
    settings.configure(
        SECRET_KEY=place.secrets[0],
        SECRET_KEY_FALLBACKS=place.secrets[1:],
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=(path("<name>", respond),),
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        SESSION_COOKIE_SECURE=True,
        LOGGING_CONFIG=None,
        **more,
    )
    django.setup()
    sessions = handler()
    settings.MIDDLEWARE = []
    return sessions, handler()


def database(place: Place, tuned: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(place.folder / "sessions.db"),
    }
    if tuned:
        found["CONN_MAX_AGE"] = None
        found["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "init_command": f"{';'.join(WAL)};"}
    return found


def postgres(place: Place, protocol: str, tuned: bool) -> dict[str, Any]:
    from psycopg.conninfo import conninfo_to_dict

    known = conninfo_to_dict(place.postgres)
    found: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql", "NAME": known["dbname"]}
    found |= {name.upper(): known[name] for name in ("host", "port", "user", "password") if name in known}
    if tuned and protocol == "WSGI":
        found["CONN_MAX_AGE"] = None
    elif tuned:
        found["OPTIONS"] = {"pool": {"max_size": 32}}  # of four, as the pool has it, fifty writers time out
    return found


def cache(place: Place, store: str, tuned: bool) -> dict[str, Any]:
    if tuned and store == CACHED:
        return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": place.redis}
    return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}


def in_thread(function: Any) -> Any:
    """Call *function* in a thread: beside an event loop Django refuses to use its database."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def create_table() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def view(place: Place) -> Any:
    """Return what answers every path over WSGI, with and without sessions."""
    from django.http import HttpResponse

    def respond(request: Any, name: str) -> Any:
        session = getattr(request, "session", None)
        if session is None:
            return HttpResponse(bare_answer(place, name))

        def login(user: str) -> None:
            session.cycle_key()
            session["user"] = user

        query = request.META["QUERY_STRING"]
        return HttpResponse(answer(place, name, query, session, login, session.flush))

    return respond


def async_view(place: Place) -> Any:
    """Return what answers every path over ASGI, with and without sessions."""
    from django.http import HttpResponse

    async def respond(request: Any, name: str) -> Any:
        session, query = getattr(request, "session", None), request.META["QUERY_STRING"]
        if session is None:
            return HttpResponse(bare_answer(place, name))
        if name == "login":
            await session.acycle_key()
            await session.aset("user", query)
        elif name == "logout":
            await session.aflush()
        elif name != "untouched":
            await session.aget("theme")  # loads it; from here on nothing waits
            return HttpResponse(await aanswer(place, name, query, session))
        return HttpResponse("ok")

    return respond


def fill(store: str, visitors: Iterable[Fields], with_cache: bool) -> list[str]:
    """Store the sessions of *visitors*; return the cookies."""
    from django.conf import settings
    from django.utils.module_loading import import_string

    make = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    names = signed(make, visitors) if store == "cookie" else stored(make(), visitors, with_cache)
    return [f"sessionid={name}" for name in names]


def signed(make: Any, visitors: Iterable[Fields]) -> Iterator[str]:
    for fields in visitors:
        session = make()
        session.update(fields)
        session.save()
        yield session.session_key


def stored(session: Any, visitors: Iterable[Fields], with_cache: bool) -> Iterator[str]:
    from django.contrib.sessions.models import Session
    from django.core.cache import cache
    from django.utils.crypto import get_random_string

    expires = datetime.now(UTC) + timedelta(seconds=LIFETIME)
    waiting = iter(visitors)
    while chunk := {get_random_string(32, ALPHABET): each for each in itertools.islice(waiting, BATCH)}:
        rows = ((name, session.encode(each)) for name, each in chunk.items())
        Session.objects.bulk_create(Session(name, data, expires) for name, data in rows)
        if with_cache:
            cached = {f"{session.cache_key_prefix}{name}": each for name, each in chunk.items()}
            cache.set_many(cached, LIFETIME)
        yield from chunk


def peer(store: str, protocol: Any, survives: str, tuning: str = "", **more: Any) -> Peer:
    tuned = bool(tuning)
    uses_redis, uses_postgres = tuned and store == CACHED, store == "PostgreSQL"
    return Peer(
        library="Django",
        store=store,
        protocol=protocol,
        setup="tuned" if tuned else "default",
        traits=Traits("SQLite" if store == CACHED else store, survives),
        build=partial(build, store=store, protocol=protocol, tuned=tuned),
        packages=("django", *(("redis",) if uses_redis else ()), *(("psycopg",) if uses_postgres else ())),
        tuning=tuning,
        uses_redis=uses_redis,
        uses_postgres=uses_postgres,
        **more,
    )


TUNED = f"{WAL_TOLD}, IMMEDIATE, CONN_MAX_AGE=None"
PEERS = [
    peer("SQLite", "WSGI", "a power cut"),
    peer("SQLite", "WSGI", "a restart", TUNED, quick=True),
    peer("SQLite", "ASGI", "a power cut"),
    peer("SQLite", "ASGI", "a restart", TUNED),
    peer("PostgreSQL", "WSGI", "a restart"),
    peer("PostgreSQL", "WSGI", "a restart", "CONN_MAX_AGE=None"),
    peer("PostgreSQL", "ASGI", "a restart"),
    peer("PostgreSQL", "ASGI", "a restart", "a pool of connections"),
    peer(CACHED, "WSGI", "a power cut"),
    peer(CACHED, "WSGI", "a restart", f"{TUNED}, cache in Redis with hiredis"),
    peer(CACHED, "ASGI", "a power cut"),
    peer(CACHED, "ASGI", "a restart", f"{TUNED}, cache in Redis with hiredis"),
    peer("cookie", "WSGI", "a power cut"),
    peer("cookie", "ASGI", "a power cut"),
]
