"""Tokens for clients that are no browsers: ``Authorization: Bearer``, where the engine has them."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidauth import (
    Lifetime,
    MemoryStore,
    Session,
    SessionClosed,
    SessionEngine,
    SessionMiddleware,
    new_secret,
)
from fluidauth.errors import ConfigError, FreshLoginRequired, NotSupported
from fluidauth.events import SessionEvent
from fluidauth.formats import client_tokens, tokens
from fluidauth.keys import Key, Keyring
from fluidauth.testing import FakeClock
from tests.support import Protocol, each_store, run_apart

store = each_store("memory", "sqlite", "postgres", "redis")


class Client:
    """A program that sends headers, by WSGI or ASGI, and keeps no cookie."""

    def __init__(self, protocol: Protocol, engine: SessionEngine) -> None:
        self.engine = engine
        self.send = self._by_wsgi if protocol == "wsgi" else self._by_asgi

    def get(self, look: Any, token: str | None = None, *, cookie: str = "", scheme: str = "Bearer") -> Any:
        """Return what *look* finds of the session, and the headers of the response."""
        given = [] if token is None else [("Authorization", f"{scheme} {token}")]
        return self.send(look, [*given, *([("Cookie", cookie)] if cookie else [])])

    def _by_wsgi(self, look: Any, headers: list[tuple[str, str]]) -> Any:
        found: list[Any] = []

        def application(environ: Any, start_response: Any) -> list[bytes]:
            found.append(look(environ["fluidauth.session"]))
            start_response("200 OK", [])
            return [b""]

        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET",
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(),
        }
        environ |= {"wsgi.errors": sys.stderr} | {f"HTTP_{name.upper()}": value for name, value in headers}
        heads: list[Any] = []
        wrapped: Any = SessionMiddleware(application, engine=self.engine)
        list(wrapped(environ, lambda *head: heads.append(head)))
        return found[0], {name.lower(): value for name, value in heads[0][1]}

    def _by_asgi(self, look: Any, headers: list[tuple[str, str]]) -> Any:
        found: list[Any] = []
        sent: list[Any] = []

        async def application(scope: Any, receive: Any, send: Any) -> None:
            found.append(look(scope["session"]))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})

        async def send(message: Any) -> None:
            sent.append(message)

        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        scope = {"type": "http", "scheme": "https", "method": "GET", "path": "/", "headers": raw}
        wrapped: Any = SessionMiddleware(application, engine=self.engine)
        run_apart(wrapped(scope, None, send))
        return found[0], {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}


def whoami(session: Session) -> tuple[str | None, dict[str, Any]]:
    return session.user_id, dict(session)


@pytest.fixture
def api(store: Any, protocol: Protocol, clock: FakeClock, events: list[SessionEvent]) -> Any:
    engine = SessionEngine(new_secret(), store, client_tokens=True, clock=clock, on_event=events.append)
    yield Client(protocol, engine)
    engine.close()


@pytest.mark.requirement("51")
def test_a_clients_token_opens_its_session(api: Client) -> None:
    """It may be changed, without a cookie; caches keep it apart from others."""
    token, session = api.engine.create_client_token("ada", {"scope": "read"})

    found, headers = api.get(whoami, token)
    api.get(lambda session: session.add("calls"), token)

    assert found == ("ada", {"scope": "read"})
    assert headers == {"vary": "Cookie, Authorization"}
    assert api.get(whoami, token, scheme="bearer ")[0] == ("ada", {"scope": "read", "calls": 1})
    assert api.engine.get_session(str(session.handle)) is not None


@pytest.mark.requirement("51")
def test_a_cookies_token_in_the_header_opens_nothing(api: Client) -> None:
    """Nor a client's in a cookie, nor one made into the other."""
    cookie, _ = api.engine.create_session("ada")
    token, _ = api.engine.create_client_token("ada")
    name = api.engine.policy.cookie.name
    as_token = f"{client_tokens.PREFIX}{cookie[2:]}"
    as_cookie = f"1.{token.removeprefix(client_tokens.PREFIX)}"

    for wrong in (cookie, as_token):
        assert api.get(whoami, wrong)[0] == (None, {})
    for wrong in (token, as_cookie):
        assert api.get(whoami, cookie=f"{name}={wrong}")[0] == (None, {})


@pytest.mark.requirement("51")
def test_beside_a_clients_token_cookies_count_for_nothing(api: Client) -> None:
    """Even where the token opens nothing; another system's token leaves them alone."""
    cookie, _ = api.engine.create_session("bob")
    token, _ = api.engine.create_client_token("ada")
    cookies = f"{api.engine.policy.cookie.name}={cookie}"

    assert api.get(whoami, token, cookie=cookies)[0][0] == "ada"
    assert api.get(whoami, token[:-1] + "~", cookie=cookies)[0][0] is None
    assert api.get(whoami, "eyJhbGciOi.J9.x", cookie=cookies)[0][0] == "bob"
    assert api.get(whoami, token, cookie=cookies, scheme="Basic")[0][0] == "bob"


@pytest.mark.requirement("23")
def test_clients_are_listed_as_such_and_revoked(api: Client) -> None:
    token, session = api.engine.create_client_token("ada")
    api.engine.create_session("ada")

    try:
        listed: dict[Any, bool] = {info.handle: info.client for info in api.engine.list_sessions("ada")}
    except NotSupported:
        listed = {session.handle: True, "": False}
    assert sorted(listed.values()) == [False, True]
    assert listed[session.handle] is True
    assert api.engine.delete_session(str(session.handle), user_id="ada")
    assert api.get(whoami, token)[0] == (None, {})


@pytest.mark.requirement("4")
def test_a_client_signs_out(api: Client) -> None:
    """Also where its session was never read."""
    token, _ = api.engine.create_client_token("ada")

    assert api.get(Session.logout, token)[1].get("set-cookie") is None
    assert api.get(whoami, token)[0] == (None, {})


@pytest.mark.requirement("3")
@pytest.mark.parametrize(
    ("what", "call"),
    [
        ("login()", lambda session: session.login("bob")),
        ("regenerate()", Session.regenerate),
        ("confirm()", Session.confirm),
        ("set_lifetime()", lambda session: session.set_lifetime(Lifetime(absolute=60))),
    ],
)
def test_what_needs_a_cookie_is_refused(api: Client, what: str, call: Any) -> None:
    token, _ = api.engine.create_client_token("ada")

    def handler(session: Session) -> str:
        with pytest.raises(SessionClosed) as caught:
            call(session)
        return str(caught.value)

    said = (
        f"{what} needs a cookie, but this request came with a client's token, which no response can replace"
    )
    assert api.get(handler, token)[0] == said
    assert api.get(whoami, token)[0] == ("ada", {})


def test_a_client_without_a_session_gets_none(api: Client, events: list[SessionEvent]) -> None:
    """A write has nowhere to go, and says so."""

    def handler(session: Session) -> str:
        with pytest.raises(FreshLoginRequired) as caught:  # a 401
            session["n"] = 1
        return str(caught.value)

    gone, session = api.engine.create_client_token("ada")
    api.engine.delete_session(str(session.handle))

    assert "the token of this request opens no session" in api.get(handler, gone)[0]
    assert [event.reason for event in events if event.name == "token_rejected"] == ["unknown_id"]


@pytest.mark.requirement("7")
def test_a_clients_session_expires(api: Client, clock: FakeClock) -> None:
    token, _ = api.engine.create_client_token("ada", lifetime=Lifetime(absolute=7200, idle=None))
    clock.advance(7199)
    assert api.get(whoami, token)[0][0] == "ada"
    clock.advance(1)
    assert api.get(whoami, token)[0][0] is None


@pytest.mark.requirement("37")
def test_a_clients_token_outlives_a_rotation(protocol: Protocol, clock: FakeClock) -> None:
    """It stays under its key, as nothing can replace it: with that it goes."""
    old, new = new_secret(), new_secret()
    store = MemoryStore()
    token, _ = SessionEngine(old, store, client_tokens=True, clock=clock).create_client_token("ada", {"n": 1})
    rotated = SessionEngine([new, old], store, client_tokens=True, clock=clock)

    found, headers = Client(protocol, rotated).get(whoami, token)
    Client(protocol, rotated).get(lambda session: session.add("n"), token)

    assert (found, headers.get("set-cookie")) == (("ada", {"n": 1}), None)
    assert Client(protocol, rotated).get(whoami, token)[0] == ("ada", {"n": 2})
    assert store.count_by_kid() == {Keyring.from_secrets(old).signing.kid: 1}
    revoked = SessionEngine(new, store, client_tokens=True, clock=clock)
    assert Client(protocol, revoked).get(whoami, token)[0] == (None, {})


@pytest.mark.requirement("51")
def test_an_engine_without_the_option_opens_none(protocol: Protocol) -> None:
    secret, store = new_secret(), MemoryStore()
    token, _ = SessionEngine(secret, store, client_tokens=True).create_client_token("ada")
    engine = SessionEngine(secret, store)

    found, headers = Client(protocol, engine).get(whoami, token)

    assert (found, headers) == ((None, {}), {"vary": "Cookie"})
    for call in (engine.create_client_token, engine.open_client_token):
        with pytest.raises(ConfigError, match="give it client_tokens=True"):
            call(token)
    with pytest.raises(ConfigError, match="client_tokens='yes' must be True or False"):
        SessionEngine(secret, store, client_tokens="yes")  # type: ignore[arg-type]


def test_an_application_may_open_a_token_itself(api: Client) -> None:
    token, session = api.engine.create_client_token("ada", {"n": 1})
    cookie, _ = api.engine.create_session("ada")

    found = api.engine.open_client_token(token)

    assert found is not None
    assert (found.handle, found["n"]) == (session.handle, 1)
    assert api.engine.open_client_token(cookie) is None
    assert api.engine.open_client_token("") is None
    assert asyncio.run(_each_store(token)) is None


async def _each_store(token: str) -> Session | None:
    engine = SessionEngine(new_secret(), MemoryStore(), client_tokens=True)
    await engine.acreate_client_token("ada")
    return await engine.aopen_client_token(token)


@pytest.mark.parametrize("made", ["create_session", "create_client_token"])
def test_a_token_where_a_handle_belongs_is_told(api: Client, made: str) -> None:
    """It is not repeated: it is a secret."""
    token, _ = getattr(api.engine, made)("ada")

    for call in (
        api.engine.get_session,
        api.engine.delete_session,
        lambda h: api.engine.extend_session(h, 60),
    ):
        with pytest.raises(
            ValueError, match="this is a token, which opens a session, and not a handle"
        ) as caught:
            call(token)
        assert token not in str(caught.value)


@pytest.mark.requirement("25")
def test_explain_tells_of_the_header(api: Client) -> None:
    token, session = api.engine.create_client_token("ada")
    cookie, _ = api.engine.create_session("ada")
    off = SessionEngine(new_secret(), MemoryStore())

    good = api.engine.explain({"Authorization": f"Bearer {token}"})
    wrong = api.engine.explain({"Authorization": f"Bearer {cookie}"})
    cut = api.engine.explain({"Authorization": f"Bearer {token[:-1]}"})
    switched_off = off.explain({"Authorization": f"Bearer {token}"})

    assert (good.opens, good.user_id, good.handle) == (True, "ada", session.handle)
    assert "a cookie's token opens nothing in a header" in wrong.remarks[0].says
    assert (cut.opens, cut.reason) == (False, "malformed")
    assert "client_tokens=False" in switched_off.remarks[0].says
    assert token[20:] not in str((good, wrong, cut, switched_off))


KEY = Key(new_secret())


@given(position=st.integers(0, 69), char=st.characters())
def test_no_other_spelling_is_genuine(position: int, char: str) -> None:
    keyring = Keyring.from_secrets(secret := new_secret())
    token = client_tokens.sign(keyring.signing, tokens.new_session_id())
    changed = token[:position] + char + token[position + 1 :]

    assert isinstance(client_tokens.verify(keyring, token), tuple)
    assert changed == token or isinstance(client_tokens.verify(keyring, changed), str)
    del secret


@given(st.lists(st.tuples(st.sampled_from([b"authorization", b"cookie"]), st.binary(max_size=90))))
def test_any_header_is_taken_or_left(headers: list[tuple[bytes, bytes]]) -> None:
    found = client_tokens.bearer_in(headers)

    assert found is None or found == "" or found.startswith(client_tokens.PREFIX)


def test_of_two_headers_none_counts() -> None:
    """Proxies and frameworks disagree which one does."""
    token = client_tokens.sign(KEY, tokens.new_session_id()).encode()
    one, other = (b"authorization", b"Bearer " + token), (b"Authorization", b"Basic x")

    assert client_tokens.bearer_in([one]) == token.decode()
    assert client_tokens.bearer_in([one, other]) == client_tokens.bearer_in([one, one]) == ""
    assert client_tokens.bearer_in([other]) is None
