"""The public API as applications use it. Nothing here is run: mypy and pyright read it, both strictly.

``assert_type`` says what a call must give. A line with both an ``ignore`` of mypy's and one of pyright's must be
refused by both: one that is not needed is an error itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, assert_type

from flask import Flask
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.middleware import DefineMiddleware
from litestar.middleware.session.server_side import ServerSideSessionBackend
from litestar.security.session_auth import SessionAuth
from starlette.applications import Starlette
from starlette.requests import Request

from fluidauth import (
    ASGISessionMiddleware,
    ConfigError,
    CookieOptions,
    FluidAuthError,
    Keyring,
    Lifetime,
    MemoryStore,
    PayloadError,
    Session,
    SessionClosed,
    SessionEngine,
    SessionEvent,
    SessionMiddleware,
    SessionNotLoaded,
    SQLiteStore,
    StoreError,
    WSGISessionMiddleware,
    new_secret,
)
from fluidauth.adoption import Adopted, Adopter
from fluidauth.errors import FreshLoginRequired, NoSuchSession, OutcomeUnknown, RecordExists, StoreBusy
from fluidauth.events import EventName
from fluidauth.integrations import fastapi, flask, litestar, quart, starlette
from fluidauth.integrations.django.adopters import DjangoSessions
from fluidauth.integrations.django.facts import asession_of, session_of
from fluidauth.integrations.django.keys import handle_of
from fluidauth.integrations.django.serving import trusting_keys
from fluidauth.stores import AsyncSessionStore, SessionInfo, SessionRecord, SessionStore
from fluidauth.stores.migrating import MigratingStore
from fluidauth.testing import BEGINNING, FakeClock, StoreContract, make_record, memory_engine, sign_in

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


# -- an engine ----------------------------------------------------------------------------------


def engines() -> None:
    assert_type(new_secret(), str)
    assert_type(Keyring.from_secrets([new_secret(), new_secret()]), Keyring)
    assert_type(Keyring.from_file("keyring.json", interval=1.0), Keyring)

    SessionEngine()
    SessionEngine(new_secret(), "redis://localhost")
    SessionEngine([b"bytes", "text"], SQLiteStore("sessions.db", durability="normal"))
    SessionEngine(
        Keyring.from_secrets(new_secret()),
        MigratingStore(MemoryStore(), MemoryStore()),
        absolute_timeout=timedelta(days=1),
        idle_timeout=None,
        cookie=CookieOptions(name="sid", secure=False, same_site="Strict"),
        encrypted_fields="*",
        adopt=[Legacy(), starlette.StarletteCookie("secret"), flask.FlaskCookie("secret"), DjangoSessions()],
        on_event=told,
        clock=FakeClock(),
    )

    SessionEngine(42)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SessionEngine(store=object())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SessionEngine(absolute_timeout="1h")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SessionEngine(absolute_timeout=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SessionEngine(timeout=60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    SessionEngine(on_event=lambda: None)  # type: ignore[arg-type, misc]  # pyright: ignore[reportArgumentType]
    CookieOptions(secure=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Lifetime()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Lifetime(1).idle = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def administration(engine: SessionEngine) -> None:
    token, session = engine.create_session("user-42", {"theme": "dark"}, lifetime=Lifetime(600))
    assert_type(token, str)
    assert_type(session, Session)
    engine.create_session(None)
    assert_type(engine.get_session("handle"), Session | None)
    with engine.edit("handle") as edited:
        assert_type(edited, Session)
    assert_type(engine.delete_session("handle"), bool)
    assert_type(engine.delete_session("handle", user_id="user-42"), bool)
    token, session = engine.create_client_token("user-42", {"scope": "read"})
    assert_type(token, str)
    assert_type(engine.open_client_token(token), Session | None)
    session.confirm()
    assert_type(engine.extend_session("handle", timedelta(hours=1)), bool)
    assert_type(engine.set_cookie_header(token), str)
    assert_type(engine.list_sessions("user-42"), list[SessionInfo])
    assert_type(engine.list_sessions("user-42")[0].user_id, str | None)
    assert_type(engine.list_sessions("user-42")[0].client, bool)
    assert_type(engine.revoke_user("user-42", except_handle=session.handle), int)
    assert_type(engine.revoke_all(), int)
    assert_type(engine.clean(), int)
    engine.explain([("cookie", "a=b")])
    engine.explain({"cookie": "a=b"}, offline=True)

    engine.create_session(42)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    engine.create_session("user-42", [1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    engine.get_session("handle").logout()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    with engine.aedit("handle"):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


async def administration_without_blocking(engine: SessionEngine) -> None:
    token, session = await engine.acreate_session("user-42")
    assert_type(token, str)
    assert_type(session, Session)
    assert_type(await engine.aget_session("handle"), Session | None)
    async with engine.aedit("handle") as edited:
        assert_type(edited, Session)
    assert_type(await engine.adelete_session("handle"), bool)
    assert_type(await engine.aextend_session("handle", 60), bool)
    assert_type(await engine.aset_cookie_header(token), str)
    assert_type(await engine.alist_sessions("user-42"), list[SessionInfo])
    assert_type(await engine.arevoke_user("user-42"), int)
    assert_type(await engine.arevoke_all(), int)
    assert_type(await engine.aclean(), int)
    await engine.aclose()

    len(engine.alist_sessions("user-42"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await engine.clean()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]


def told(event: SessionEvent) -> None:
    assert_type(event.name, EventName)
    assert_type(event.time, int)
    assert_type(event.reason, str | None)
    assert_type(event.count, int | None)
    if event.name == "session_revoked":
        print(event.user_id, event)

    event.count = 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    SessionEvent("session_forgotten", 0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# -- a session ----------------------------------------------------------------------------------


def as_a_dict(session: Session) -> dict[str, Any]:
    session["cart"] = [1, 2]
    assert_type(session["cart"], Any)
    session["cart"].append(3)
    assert_type(session.get("theme"), Any)
    assert_type(session.get("theme", "dark"), Any)
    assert_type(session.pop("theme"), Any)
    assert_type(session.setdefault("theme", "dark"), Any)
    assert_type("theme" in session, bool)
    assert_type(len(session), int)
    assert_type(list(session), list[str])
    assert_type([name for name, _ in session.items()], list[str])
    assert_type(session.copy(), dict[str, Any])
    session.update({"theme": "light"}, visits=1)
    session |= {"theme": "light"}
    del session["theme"]
    session.clear()

    session[1] = "one"  # type: ignore[index]  # pyright: ignore[reportArgumentType]
    del session[1]  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return session


def as_a_session(session: Session) -> None:
    session.add("visits")
    session.add("visits", 0.5)
    session.append("log", {"at": 1})
    session.login("user-42")
    session.login(
        "user-42", {"theme": "dark"}, lifetime=Lifetime(timedelta(days=30), idle=None, persistent=True)
    )
    session.regenerate()
    session.set_lifetime(Lifetime(absolute=600))
    session.require_fresh(timedelta(minutes=5))
    session.save()
    session.reload()
    session.logout()
    session.destroy()
    assert_type(session.user_id, str | None)
    assert_type(session.is_authenticated, bool)
    assert_type(session.is_new, bool)
    assert_type(session.auth_time, int | None)
    assert_type(session.handle, str | None)
    assert_type(session.created_at, int | None)
    assert_type(session.expires_at, int | None)
    assert_type(session.accessed, bool)
    assert_type(session.modified, bool)

    session.login(42)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    session.login(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    session.login("user-42", lifetime=600)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    session.set_lifetime(600)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    session.add("visits", "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    session.append(1, "one")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    session.user_id = "user-43"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    session.log_out()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def without_blocking(session: Session) -> None:
    await session.aload()
    await session.areload()
    await session.asave()

    await session.save()  # type: ignore[func-returns-value, misc]  # pyright: ignore[reportGeneralTypeIssues]


def errors(session: Session) -> None:
    try:
        session.require_fresh(300)
    except FreshLoginRequired as error:
        assert_type(error, FreshLoginRequired)
    except (PayloadError, SessionClosed, SessionNotLoaded, ConfigError, NoSuchSession) as error:
        told_of: FluidAuthError = error
        print(told_of)
    except (StoreBusy, OutcomeUnknown) as error:
        failed: StoreError = error
        print(failed)


# -- middlewares --------------------------------------------------------------------------------

Message = MutableMapping[str, Any]


def wsgi_application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    session: Session = environ["fluidauth.session"]
    session.add("visits")
    start_response("200 OK", [])
    return []


async def asgi_application(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    session: Session = scope["session"]
    session.add("visits")


def middlewares(engine: SessionEngine) -> None:
    either = SessionMiddleware(wsgi_application, engine=engine, on_store_error="raise")
    assert_type(either, ASGISessionMiddleware | WSGISessionMiddleware)
    wrapped: WSGIApplication = WSGISessionMiddleware(wsgi_application, engine=engine, environ_key="session")
    WSGISessionMiddleware(wrapped, engine=engine, on_store_error="respond")
    ASGISessionMiddleware(asgi_application, engine=engine, autoload=lambda scope: scope["path"] != "/health")
    ASGISessionMiddleware(
        ASGISessionMiddleware(asgi_application, engine=engine), engine=engine, autoload=False
    )
    assert_type(flask.session.user_id, str | None)
    assert_type(flask.session.is_authenticated, bool)
    flask.session.login("user-42")
    quart.session.logout()
    assert_type(quart.session.handle, str | None)
    WSGISessionMiddleware(Flask("site"), engine=engine)
    ASGISessionMiddleware(Starlette(), engine=engine)
    Flask("site").session_interface = flask.FluidAuthSessionInterface(engine, on_store_error="raise")
    Flask("site").session_interface = flask.FluidAuthSessionInterface(store="redis://localhost", adopt=False)
    quart.FluidAuthSessionInterface(engine)
    Starlette().add_middleware(starlette.SessionMiddleware, secret_key="secret", max_age=None)
    Litestar(middleware=[DefineMiddleware(litestar.SessionMiddleware, engine=engine, autoload=False)])
    litestar.SessionMiddleware(Litestar(), engine=engine, on_store_error="raise")
    of_litestar(engine)

    SessionMiddleware(wsgi_application)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    SessionMiddleware(wsgi_application, engine)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    WSGISessionMiddleware(asgi_application, engine=engine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ASGISessionMiddleware(wsgi_application, engine=engine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WSGISessionMiddleware(wsgi_application, engine=engine, on_store_error="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def user_of(session: dict[str, Any], connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    return session.get("user_id")


def of_litestar(engine: SessionEngine) -> None:
    sessions = litestar.FluidAuthSessionConfig(engine=engine, exclude="^/static")
    app = Litestar(middleware=[sessions.middleware])
    app.asgi_handler = litestar.SessionMiddleware(app.asgi_handler, engine=engine)
    auth = SessionAuth[str, ServerSideSessionBackend](
        session_backend_config=litestar.FluidAuthSessionConfig(
            secret=["new", "old"], store="memory://", max_age=60
        ),
        retrieve_user_handler=user_of,
    )
    assert_type(auth.session_backend, ServerSideSessionBackend)
    assert_type(sessions.engine_in_use, SessionEngine)


async def of_django(request: object) -> None:
    known = session_of(request)
    assert_type(known.user_id, str | None)
    assert_type(known.handle, str | None)
    assert_type(known.auth_time, int | None)
    assert_type(known.expires_at, int | None)
    known.require_fresh(timedelta(minutes=5))
    assert_type((await asession_of(request)).created_at, int | None)
    with trusting_keys():
        assert_type(handle_of("key"), str)


async def view(session: fastapi.CurrentSession) -> int:
    assert_type(session, Session)
    return len(session)


def accessors(request: Request, litestar_request: ASGIConnection[Any, Any, Any, Any]) -> None:
    assert_type(starlette.session_of(request), Session)
    assert_type(litestar.session_of(litestar_request), Session)

    request.session.login("user-42")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


# -- a store and an adopter of one's own --------------------------------------------------------


class Rows(SessionStore):
    """Five verbs are a store."""

    def __init__(self) -> None:
        self._rows: dict[str, SessionRecord] = {}

    def get(self, handle: str) -> SessionRecord | None:
        return self._rows.get(handle)

    def create(self, record: SessionRecord) -> None:
        if self._rows.setdefault(record.handle, record) is not record:
            raise RecordExists

    def update(self, record: SessionRecord) -> bool:
        known = self._rows.get(record.handle)
        if known is None or known.version != record.version - 1:
            return False
        self._rows[record.handle] = record
        return True

    def delete(self, handle: str, version: int | None = None) -> bool:
        return self._rows.pop(handle, None) is not None

    def clean(self, now: int, limit: int | None = None) -> int:
        return 0


class AsyncRows(AsyncSessionStore):
    """The same to await."""

    async def get(self, handle: str) -> SessionRecord | None:
        return None

    async def create(self, record: SessionRecord) -> None: ...

    async def update(self, record: SessionRecord) -> bool:
        return False

    async def delete(self, handle: str, version: int | None = None) -> bool:
        return False

    async def clean(self, now: int, limit: int | None = None) -> int:
        return 0


class Half(SessionStore):
    """Verbs are missing, and one is another's."""

    def get(self, handle: str) -> bytes | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return None

    def update(self, record: bytes) -> bool:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return False


class Legacy(Adopter):
    """A former system."""

    name = "legacy"
    cookie = CookieOptions(name="legacy")
    lifetime = 600

    def read(self, value: str) -> Adopted | None:
        return Adopted({"theme": "dark"}, "user-42") if value else None


async def stores(engine: SessionEngine) -> None:
    SessionEngine(store=Rows())
    SessionEngine(store=AsyncRows())
    record = make_record()
    assert_type(record, SessionRecord)
    assert_type(record._replace(version=2), SessionRecord)
    assert_type(Rows().touch("handle", 1), bool)
    assert_type(await AsyncRows().list_for_user("user-42"), list[SessionRecord])

    Half()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]
    SessionEngine(store=Rows)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SessionEngine(adopt=[Legacy])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    record.version = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# -- tests --------------------------------------------------------------------------------------


class TestRows(StoreContract):
    """The suite for a store of one's own."""

    def make_store(self, namespace: str) -> SessionStore:
        return Rows()


def helpers(client: object) -> None:
    clock = FakeClock()
    FakeClock(BEGINNING)
    assert_type(clock(), float)
    clock.advance(60)
    engine = memory_engine(clock=clock, idle_timeout=60)
    assert_type(engine, SessionEngine)
    assert_type(sign_in(client, engine, "user-42", {"theme": "dark"}), Session)

    clock.advance("a minute")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sign_in(client, "user-42")  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
