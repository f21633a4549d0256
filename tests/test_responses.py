"""What leaves with a response, and what happens when the store is out of order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fluidauth import (
    CookieOptions,
    MemoryStore,
    PayloadError,
    Session,
    SessionClosed,
    SessionEngine,
    SessionNotLoaded,
    SQLiteStore,
    StoreError,
)
from fluidauth.engine.denylist import MAX_DENIALS, Denylist
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock

from .support import AsyncBasicStore, BasicStore, Browser, FlakyStore, Headers, Protocol, live_sessions


def fields(session: Session) -> dict[str, Any]:
    return dict(session)


def put(session: Session) -> None:
    session["a"] = 1


def nothing(session: Session) -> None:
    """Leave the session alone."""


@pytest.fixture
def secret() -> str:
    return new_secret()


@pytest.fixture
def flaky(protocol: Protocol, clock: FakeClock, events: list[SessionEvent]) -> Iterator[Browser]:
    """A browser on a store that can be broken; it is signed in."""
    engine = SessionEngine(secret=new_secret(), store=FlakyStore(), clock=clock, on_event=events.append)
    browser = Browser(protocol, engine)
    browser.request(lambda session: session.login("user-42", {"a": 0}))
    yield browser


def broken(browser: Browser, *calls: str) -> FlakyStore:
    store = browser.engine.requests.store
    assert isinstance(store, FlakyStore)
    store.broken = set(calls)
    store.calls.clear()
    return store


# -- caches -----------------------------------------------------------------------------

ACCESSES: list[Any] = [
    lambda s: s.get("a"),
    lambda s: "a" in s,
    lambda s: list(s),
    lambda s: list(reversed(s)),
    len,
    bool,
    repr,
    str,
    lambda s: s.keys(),
    lambda s: s.values(),
    lambda s: s.items(),
    lambda s: s == {},
    lambda s: s != {},
    lambda s: s | {},
    lambda s: {} | s,
    lambda s: s.copy(),
    lambda s: s.pop("a", None),
    lambda s: s.setdefault("a", 1),
    lambda s: s.update(a=1),
    lambda s: s.clear(),
    lambda s: s.user_id,
    lambda s: s.is_authenticated,
    lambda s: s.is_new,
    lambda s: s.auth_time,
    lambda s: s.handle,
    lambda s: s.created_at,
    lambda s: s.expires_at,
    lambda s: s.mark_accessed(),
    lambda s: s.mark_modified(),
    lambda s: s.logout(),
    lambda s: s.login("user-42"),
    lambda s: s.regenerate(),
    lambda s: s.add("n"),
    lambda s: s.append("log", 1),
]


@pytest.mark.requirement("17")
@pytest.mark.parametrize("access", ACCESSES)
def test_every_access_varies_by_cookie(browser: Browser, access: Any) -> None:
    """A response that used the session in any way is not cached for other visitors."""
    response = browser.request(access, headers=[("vary", "accept-encoding")])

    assert response.all("vary") == ["accept-encoding", "Cookie"]


@pytest.mark.requirement("17")
@pytest.mark.parametrize("vary", ["*", "Cookie", "accept, COOKIE"])
def test_vary_is_not_repeated(browser: Browser, vary: str) -> None:
    """An application's own Vary that says as much is left as it is."""
    response = browser.request(fields, headers=[("Vary", vary)])

    assert response.all("vary") == [vary]


@pytest.mark.requirement("18")
@pytest.mark.parametrize(
    ("own", "expected", "overridden"),
    [
        ([], ["no-store"], False),
        ([("Cache-Control", "no-store")], ["no-store"], False),
        ([("cache-control", "private, max-age=60")], ["private, max-age=60"], False),
        ([("cache-control", "max-age=60")], ["max-age=60", "no-store"], False),
        ([("Cache-Control", "public, max-age=60")], ["no-store"], True),
        ([("cache-control", "s-maxage=60")], ["no-store"], True),
    ],
)
def test_a_response_with_a_cookie_is_not_stored(
    browser: Browser, events: list[SessionEvent], own: Headers, expected: list[str], overridden: bool
) -> None:
    """Whatever the application said, no cache keeps a response that carries a session."""
    response = browser.request(put, headers=own)

    assert len(response.set_cookies) == 1
    assert response.all("cache-control") == expected
    assert ("cache_overridden" in [event.name for event in events]) is overridden


@pytest.mark.requirement("18")
def test_a_response_without_a_cookie_keeps_its_cache_control(browser: Browser) -> None:
    """Reading a session does not forbid caching for the one visitor."""
    browser.request(put)

    response = browser.request(fields, headers=[("cache-control", "public")])

    assert response.all("cache-control") == ["public"]


@pytest.mark.requirement("47")
def test_the_applications_headers_survive(browser: Browser) -> None:
    """Other cookies and repeated headers stay, in their order, before ours."""
    own = [("set-cookie", "a=1"), ("Set-Cookie", "b=2; Path=/"), ("x-a", "1"), ("x-a", "2")]

    response = browser.request(put, headers=own)

    assert response.headers[:4] == own
    assert len(response.set_cookies) == 3


# -- the cookie -------------------------------------------------------------------------


@pytest.mark.requirement("11")
def test_the_cookie_is_safe_by_default(browser: Browser) -> None:
    """Host-only, Secure, HttpOnly, SameSite=Lax, until the absolute deadline."""
    line = browser.request(put).set_cookies[0]

    name, _, rest = line.partition("=")
    assert name == "__Host-session"
    assert rest[66:] == "; path=/; Max-Age=86400; httponly; samesite=lax; secure"


@pytest.mark.requirement("37")
def test_a_rotation_is_noticed_by_nobody(protocol: Protocol, store: Any, secret: str) -> None:
    """Under a new secret the session goes on, with the same id in a re-signed cookie."""
    old = Browser(protocol, SessionEngine(secret=secret, store=store))
    old.request(lambda session: session.login("user-42", {"a": 1}))
    new = Browser(protocol, SessionEngine(secret=[new_secret(), secret], store=store))
    new.cookie = old.cookie

    tabs = [new.twin() for _ in range(3)]
    responses = [tab.request(fields) for tab in tabs]
    again = tabs[0].request(fields)

    cookies = {tab.cookie for tab in tabs}
    assert [response.value for response in responses] == [{"a": 1}] * 3
    assert len(cookies) == 1
    assert (old.cookie or "")[9:41] == cookies.pop()[9:41]  # type: ignore[index]  # it is set
    assert again.set_cookies == []


@pytest.mark.requirement("29")
def test_a_secret_that_was_removed_ends_its_sessions(
    protocol: Protocol, store: Any, secret: str, events: list[SessionEvent]
) -> None:
    """After the old secret is gone its cookies open nothing, with the reason in the log."""
    old = Browser(protocol, SessionEngine(secret=secret, store=store))
    old.request(put)
    new = Browser(protocol, SessionEngine(secret=new_secret(), store=store, on_event=events.append))
    new.cookie = old.cookie

    response = new.request(fields)

    assert (response.value, response.set_cookies) == ({}, [])
    assert [(event.name, event.reason) for event in events] == [("cookie_rejected", "unknown_key")]


def test_a_former_name_is_read_and_replaced(protocol: Protocol, store: Any, secret: str) -> None:
    """Renaming the cookie logs nobody out; the old name is removed from the browser."""
    old = Browser(protocol, SessionEngine(secret=secret, store=store, cookie=CookieOptions(name="sid")))
    old.request(put)
    options = CookieOptions(former_names=("sid",))
    new = Browser(protocol, SessionEngine(secret=secret, store=store, cookie=options))

    response = new.request(fields, cookie_header=f"sid={old.cookie}")

    assert response.value == {"a": 1}
    assert [line.partition("=")[0] for line in response.set_cookies] == ["__Host-session", "sid"]
    assert "Max-Age=0" in response.set_cookies[1]
    assert new.get(fields) == {"a": 1}


@pytest.mark.requirement("48")
def test_a_secure_cookie_over_plain_http_is_explained_once(
    protocol: Protocol, events: list[SessionEvent]
) -> None:
    """The log says once why the browser will drop the cookie; X-Forwarded-Proto decides nothing."""
    engine = SessionEngine(secret=new_secret(), store=MemoryStore(), on_event=events.append)
    browser = Browser(protocol, engine)

    seen = []
    for scheme in ("https", "http", "http"):
        browser.request(Session.regenerate if browser.cookie else put, scheme=scheme)
        seen.append([event.name for event in events].count("cookie_insecure"))

    assert seen == [0, 1, 1]


# -- after the head -----------------------------------------------------------------------


def test_changes_while_streaming_are_saved(browser: Browser) -> None:
    """What a streaming body changes is stored when the application ends."""
    browser.request(put)

    browser.request(fields, later=lambda session: session.update(b=2))

    assert browser.get(fields) == {"a": 1, "b": 2}


def test_a_reference_changed_while_streaming_is_saved(browser: Browser) -> None:
    """A list taken from the session before the head still counts after it."""
    browser.request(lambda session: session.update(log=[]))
    taken: list[Any] = []

    browser.request(
        lambda session: taken.append(session["log"]), later=lambda session: taken[0].append("late")
    )

    assert browser.get(fields) == {"log": ["late"]}


@pytest.mark.parametrize(
    "change", [lambda s: s.login("x"), lambda s: s.regenerate()], ids=["login", "regenerate"]
)
def test_what_needs_a_cookie_is_too_late_after_the_head(browser: Browser, change: Any) -> None:
    """A new id cannot reach the browser any more."""
    browser.request(put)

    def later(session: Session) -> None:
        with pytest.raises(SessionClosed, match="needs a Set-Cookie header"):
            change(session)

    browser.request(fields, later=later)

    assert browser.get(fields) == {"a": 1}


def test_a_session_cannot_begin_after_the_head(browser: Browser) -> None:
    """A visitor without a session gets none from a streaming body."""

    def later(session: Session) -> None:
        with pytest.raises(SessionClosed, match="a new session needs a Set-Cookie header"):
            session["a"] = 1

    response = browser.request(fields, later=later)

    assert response.error is None


@pytest.mark.requirement("17")
def test_a_first_access_after_the_head_is_refused(browser: Browser) -> None:
    """Vary can no longer be sent, so that what is read must not depend on the cookie."""
    browser.request(put)

    def later(session: Session) -> None:
        with pytest.raises(SessionClosed, match="first used after the response head"):
            session["a"]

    response = browser.request(nothing, later=later)

    assert response.all("vary") == []


def test_logout_works_after_the_head(browser: Browser) -> None:
    """A session can end at any time."""
    browser.request(put)

    browser.request(fields, later=Session.logout)

    assert browser.get(fields) == {}


def test_a_stream_that_fails_keeps_only_its_logout(browser: Browser) -> None:
    """An exception after the head drops what was not saved."""
    browser.request(put)

    def later(session: Session) -> None:
        session["b"] = 2
        raise RuntimeError("stream")

    response = browser.request(fields, later=later, catch=True)

    assert isinstance(response.error, RuntimeError)
    assert browser.get(fields) == {"a": 1}


# -- a store out of order -----------------------------------------------------------------


@pytest.mark.requirement("52")
@pytest.mark.parametrize("handler", [fields, put, Session.logout, lambda s: s.login("other")])
def test_a_failed_load_is_a_503(flaky: Browser, handler: Any, events: list[SessionEvent]) -> None:
    """An outage is never an anonymous session and never clears a cookie."""
    broken(flaky, "get")

    response = flaky.request(handler)

    assert response.status == 503
    assert response.all("retry-after") == ["5"]
    assert response.all("cache-control") == ["no-store"]
    assert response.set_cookies == []
    assert ("store_error", "load") in [(event.name, event.reason) for event in events]


@pytest.mark.requirement("52")
@pytest.mark.parametrize("handler", [put, Session.regenerate, lambda s: s.login("other")])
def test_a_failed_save_is_a_503(flaky: Browser, handler: Any, events: list[SessionEvent]) -> None:
    """No success is told that never happened; after the outage the session is as it was."""
    store = broken(flaky, "update", "delete", "replace", "create")

    response = flaky.request(handler)
    store.broken = set()

    assert response.status == 503
    assert response.set_cookies == []
    assert response.body == b"The service is temporarily unavailable. Please try again.\n"
    assert ("store_error", "save") in [(event.name, event.reason) for event in events]
    assert flaky.get(lambda s: (s.user_id, dict(s))) == ("user-42", {"a": 0})


@pytest.mark.requirement("52")
def test_a_failed_logout_lets_nobody_in(flaky: Browser, events: list[SessionEvent]) -> None:
    """It is never answered with success, and asked for again it is carried out."""
    store = broken(flaky, "delete")
    cookie = flaky.cookie

    failed = flaky.request(Session.logout)
    meanwhile = flaky.get(lambda s: (s.user_id, dict(s)))
    again = flaky.request(Session.logout)
    written = flaky.request(put)
    store.broken = set()
    done = flaky.request(Session.logout)

    assert [response.status for response in (failed, again)] == [503, 503]
    assert failed.set_cookies == again.set_cookies == written.set_cookies == []
    assert meanwhile == (None, {})
    assert done.status == 200
    assert live_sessions(flaky.engine) == 0
    assert flaky.with_cookie(cookie).get(fields) == {}
    assert "revoke_failed" in [event.name for event in events]


@pytest.mark.requirement("52")
def test_a_failed_logout_is_made_up_for(flaky: Browser, clock: FakeClock, events: list[SessionEvent]) -> None:
    """Once the store is back, cleaning removes the record, though nobody asks again."""
    store = broken(flaky, "delete")
    visitor = flaky.with_cookie(None)

    assert flaky.request(Session.logout).status == 503
    with pytest.raises(StoreError):
        flaky.engine.delete_session(other_handle := visitor_handle(visitor))
    store.broken = set()
    clock.advance(61)
    flaky.with_cookie(None).request(put)

    assert live_sessions(flaky.engine) == 1  # of the last request
    assert flaky.engine.get_session(other_handle) is None
    assert [e.reason for e in events if e.name == "session_revoked"] == ["late", "late"]


@pytest.mark.requirement("4", "52")
def test_a_logout_that_fails_halfway_lets_nobody_in(flaky: Browser, monkeypatch: Any) -> None:
    """The tombstone is gone, the new id is not: neither opens anything, and the retry ends it."""
    store = broken(flaky)
    old = flaky.twin()
    flaky.request(Session.regenerate)
    delete, calls = MemoryStore.delete, []

    def fail_the_second(self: Any, handle: str, version: int | None = None) -> bool:
        calls.append(handle)
        if len(calls) > 1:
            raise StoreError("the store is down")
        return delete(self, handle, version)

    monkeypatch.setattr(FlakyStore, "delete", fail_the_second, raising=False)
    failed = old.request(Session.logout)
    seen = [browser.get(lambda s: (s.user_id, dict(s))) for browser in (old, flaky)]
    again = old.request(Session.logout)
    monkeypatch.undo()
    done = old.request(Session.logout)

    assert (failed.status, again.status, done.status) == (503, 503, 200)
    assert seen == [(None, {}), (None, {})]
    assert live_sessions(flaky.engine) == 0
    assert store.scan() == []


@pytest.mark.requirement("52")
def test_a_failed_logout_of_two_live_cookies_denies_both(flaky: Browser) -> None:
    """One was planted; none of them may open anything after an attempt to leave."""
    store = broken(flaky)
    other = flaky.with_cookie(None)
    other.request(lambda session: session.login("planted"))
    both = f"{flaky.name}={flaky.cookie}; {flaky.name}={other.cookie}"
    store.broken = {"delete"}

    failed = flaky.request(Session.logout, cookie_header=both)
    seen = [browser.get(lambda s: s.user_id) for browser in (flaky, other)]
    store.broken = set()
    done = [browser.request(Session.logout).status for browser in (flaky, other)]

    assert failed.status == 503
    assert seen == [None, None]
    assert done == [200, 200]
    assert live_sessions(flaky.engine) == 0


def test_a_logout_that_was_carried_out_is_no_failed_one(flaky: Browser, events: list[SessionEvent]) -> None:
    """What fails after it, a fresh session here, does not undo it."""
    broken(flaky, "create")

    def leave_and_begin(session: Session) -> None:
        session.logout()
        session["a"] = 1

    response = flaky.request(leave_and_begin)

    assert response.status == 503
    assert live_sessions(flaky.engine) == 0
    assert "revoke_failed" not in [event.name for event in events]


def test_denials_are_bounded() -> None:
    """The oldest gives way; an expired one is forgotten; one that is done is gone under all its handles."""
    denials = Denylist()
    for number in range(MAX_DENIALS + 1):
        denials.add(f"handle {number}", f"handle {number}", 100 + number)
    assert denials.record_left("handle 0") is None
    assert denials.record_left(f"handle {MAX_DENIALS}") == f"handle {MAX_DENIALS}"

    last = f"handle {MAX_DENIALS}"
    assert denials.pending(99 + MAX_DENIALS, 5) == [(last, last, 100 + MAX_DENIALS)]
    denials.add("old", "new", 10**9)
    denials.remove("new")

    assert denials.record_left("old") is None
    assert denials.record_left("new") is None


@pytest.mark.requirement("52")
def test_a_denial_that_comes_amid_a_look_at_them_stays() -> None:
    """Threads deny and tidy at once; none loses what another noted."""
    denials = Denylist()

    class Meanwhile(int):
        def __gt__(self, other: int) -> bool:
            denials.add("late", "late", 10**9)
            return int(self) > other

    denials.add("first", "first", Meanwhile(10**9))
    denials.add("second", "second", 10**9)

    assert {record for _, record, _ in denials.pending(100, 5)} >= {"first", "second"}
    assert denials.record_left("late") == "late"


def visitor_handle(visitor: Browser) -> str:
    visitor.request(put)
    return str(visitor.get(lambda session: session.handle))


@pytest.mark.requirement("52")
def test_pages_that_never_look_are_served(flaky: Browser) -> None:
    """An outage stops only those that need their session."""
    broken(flaky, "get", "update")

    response = flaky.request(nothing)

    assert (response.status, response.headers) == (200, [])


@pytest.mark.requirement("52")
def test_a_failed_touch_harms_nobody(flaky: Browser, clock: FakeClock, events: list[SessionEvent]) -> None:
    """Prolonging a session is best effort; the response goes out, and the log tells."""
    broken(flaky, "touch")
    clock.advance(600)

    response = flaky.request(fields)

    assert (response.status, response.value) == (200, {"a": 0})
    assert ("store_error", "refresh") in [(event.name, event.reason) for event in events]


@pytest.mark.requirement("52")
def test_a_500_made_of_a_failed_load_is_a_503(flaky: Browser) -> None:
    """Frameworks turn every exception into a 500 head; the client is told to come back."""
    broken(flaky, "get")

    def handler(session: Session) -> None:
        with pytest.raises(StoreError):
            dict(session)

    response = flaky.request(handler, status=500)

    assert response.status == 503


@pytest.mark.requirement("52")
def test_an_application_may_handle_a_failed_load(flaky: Browser) -> None:
    """A page that can do without its session answers as it likes."""
    broken(flaky, "get")

    def handler(session: Session) -> str:
        with pytest.raises(StoreError):
            dict(session)
        return "guest"

    response = flaky.request(handler)

    assert (response.status, response.value, response.set_cookies) == (200, "guest", [])


@pytest.mark.parametrize("call", ["get", "update"])
def test_errors_may_be_left_to_the_framework(flaky: Browser, call: str) -> None:
    """on_store_error="raise" hands the error on instead of answering 503."""
    strict = Browser(flaky.protocol, flaky.engine, on_store_error="raise")
    strict.cookie = flaky.cookie
    broken(flaky, call)

    response = strict.request(put, catch=True)

    assert isinstance(response.error, StoreError)
    assert response.status == 0


def test_a_failed_load_is_not_tried_again(flaky: Browser) -> None:
    """One time limit a request is enough; reload() tries anew."""
    store = broken(flaky, "get")

    def handler(session: Session) -> list[str]:
        for _ in range(3):
            with pytest.raises(StoreError):
                session.get("a")
        return list(store.calls)

    assert flaky.get(handler) == ["get"]


# -- cleaning -----------------------------------------------------------------------------


@pytest.mark.requirement("56")
def test_cleaning_follows_responses_at_times(flaky: Browser, clock: FakeClock) -> None:
    """Once a minute a request that used its session is followed by a small cleaning."""
    store = broken(flaky)
    calls = []
    for seconds in (0, 59, 1, 1):
        clock.advance(seconds)
        store.calls.clear()
        flaky.request(fields)
        calls.append(store.calls.count("clean"))

    assert calls == [0, 0, 1, 0]


@pytest.mark.requirement("56")
def test_cleaning_spares_what_expired_within_the_hour(flaky: Browser, clock: FakeClock) -> None:
    """A clock that jumps half an hour ahead removes nothing."""
    store = broken(flaky)
    visitor = flaky.with_cookie(None)
    clock.advance(3_600 + 1_800)
    visitor.request(fields)
    early = len(store.scan())
    clock.advance(1_800)
    visitor.request(fields)

    assert (early, len(store.scan())) == (1, 0)


def test_a_failed_cleaning_harms_nobody(flaky: Browser, clock: FakeClock) -> None:
    """Cleaning is never the enforcement, and its failure nobody's problem."""
    broken(flaky, "clean")
    clock.advance(120)

    response = flaky.request(fields)

    assert response.status == 200


# -- remote stores -------------------------------------------------------------------------


@pytest.mark.parametrize("make", [BasicStore, AsyncBasicStore])
def test_a_remote_store_without_autoload_must_be_awaited(make: Any) -> None:
    """Access before aload() says what to do; after it the session is a dict as ever."""
    browser = Browser("asgi", SessionEngine(secret=new_secret(), store=make()), autoload=False)

    async def handler(session: Session) -> Any:
        with pytest.raises(SessionNotLoaded, match=r"await session\.aload\(\)"):
            dict(session)
        await session.aload()
        session["a"] = 1

    browser.request(handler)

    assert browser.get(lambda session: session.accessed) is False


def test_autoload_may_depend_on_the_request() -> None:
    """A predicate on the scope chooses the requests that need their session."""
    browser = Browser(
        "asgi",
        SessionEngine(secret=new_secret(), store=BasicStore()),
        autoload=lambda scope: scope["test.task"].status == 200,
    )

    response = browser.request(fields)
    other = browser.request(fields, status=201, catch=True)

    assert response.value == {}
    assert isinstance(other.error, SessionNotLoaded)


def test_autoload_alone_is_no_access() -> None:
    """A session loaded ahead and never used leaves the response as it was."""
    browser = Browser("asgi", SessionEngine(secret=new_secret(), store=AsyncBasicStore()))
    browser.request(put)

    response = browser.request(nothing)

    assert response.headers == []


def test_the_file_is_shared_by_both_protocols(tmp_path: Any, secret: str) -> None:
    """One session works through WSGI and ASGI at the same time."""
    engine = SessionEngine(secret=secret, store=SQLiteStore(tmp_path / "s.db"))
    wsgi, asgi = Browser("wsgi", engine), Browser("asgi", engine)
    wsgi.request(put)
    asgi.cookie = wsgi.cookie

    asgi.request(lambda session: session.update(b=2))

    assert wsgi.get(fields) == {"a": 1, "b": 2}
    engine.close()


# -- what reviewers of this library tried -----------------------------------------------------


@pytest.mark.requirement("52")
def test_a_503_hands_out_a_new_id_that_is_stored(flaky: Browser) -> None:
    """After a login was saved, a later failure must not leave the browser with a dead id."""
    store = broken(flaky)

    def handler(session: Session) -> None:
        session.login("other")
        if flaky.protocol == "wsgi":
            session.save()
            store.broken = {"update"}
            session["z"] = 1

    async def ahandler(session: Session) -> None:
        session.login("other")
        await session.asave()
        store.broken = {"update"}
        session["z"] = 1

    response = flaky.request(handler if flaky.protocol == "wsgi" else ahandler)
    store.broken = set()

    assert response.status == 503
    assert flaky.get(lambda session: session.user_id) == "other"


@pytest.mark.requirement("52")
def test_a_500_made_of_a_failed_save_is_a_503(flaky: Browser) -> None:
    """Also where the application saved by itself and its framework caught the error."""
    broken(flaky, "update")

    def handler(session: Session) -> None:
        session["x"] = 1
        with pytest.raises(StoreError):
            session.save()

    response = flaky.request(handler, status=500)

    assert response.status == 503


@pytest.mark.requirement("4")
def test_a_logout_survives_a_reload(browser: Browser) -> None:
    """reload() drops changes, not a logout."""
    browser.request(put)
    stolen = browser.twin()

    def handler(session: Session) -> None:
        session.logout()
        session.reload()

    async def ahandler(session: Session) -> None:
        await session.aload()
        session.logout()
        await session.areload()

    browser.request(handler if browser.protocol == "wsgi" else ahandler)

    assert stolen.get(fields) == {}


@pytest.mark.requirement("4")
def test_a_logout_ends_every_session_presented(protocol: Protocol) -> None:
    """Two live sessions make a request anonymous, but a logout or login clears them away."""
    options = CookieOptions(former_names=("old",))
    engine = SessionEngine(secret=new_secret(), store=MemoryStore(), cookie=options)
    browser = Browser(protocol, engine)
    tokens = [engine.create_session(user)[0] for user in ("ada", "bob")]
    both = f"__Host-session={tokens[0]}; old={tokens[1]}"

    anonymous = browser.get(lambda session: session.user_id, cookie_header=both)
    response = browser.request(Session.logout, cookie_header=both)

    assert anonymous is None
    assert engine.revoke_all() == 0
    assert sorted(line.partition("=")[0] for line in response.set_cookies) == ["__Host-session", "old"]


@pytest.mark.parametrize(
    "value", [(1, [2]), type("Mine", (dict,), {})(a=[2]), type("Mine", (list,), {})([[2]])]
)
def test_changes_inside_any_container_are_noticed(browser: Browser, value: Any) -> None:
    """A tuple or a subclass holds values that can change, too."""

    def handler(session: Session) -> None:
        session["v"] = value
        session.mark_modified()

    browser.request(handler, later=lambda session: _innermost(session["v"]).append(3))

    assert _innermost(browser.get(fields)["v"]) == [2, 3]
    _innermost(value).remove(3)


def _innermost(value: Any) -> Any:
    return value["a"] if isinstance(value, dict) else value[-1]


@pytest.mark.parametrize(
    ("arguments", "options"), [(("bob", {"x": {1}}), {}), (("bob",), {"lifetime": 3_600})]
)
def test_a_login_with_bad_arguments_changes_nothing(browser: Browser, arguments: Any, options: Any) -> None:
    """The error comes at the call, and the user before stays signed in."""
    browser.request(lambda session: session.login("ada", {"a": 1}))

    def handler(session: Session) -> None:
        with pytest.raises((PayloadError, TypeError)):
            session.login(*arguments, **options)

    browser.request(handler)

    assert browser.get(lambda s: (s.user_id, dict(s))) == ("ada", {"a": 1})
