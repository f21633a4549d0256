"""A session whose request has ended: it may be read, and a change is refused, as nothing would save it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import flask
import pytest

from fluidauth import Session, SessionClosed, SessionEngine
from fluidauth.testing import memory_engine
from tests.integrations.flask.sites import FlaskSite, QuartSite
from tests.support import Browser, FlakyStore, apart, state_of

OVER = r"the request of this session has ended; use engine\.edit"


def kept(browser: Browser) -> Session:
    """Return the session of a request of *browser* that has ended."""
    sessions: list[Session] = []

    def sign_in(session: Session) -> None:
        session.login("ada", {"log": []})
        sessions.append(session)

    browser.request(sign_in)
    return sessions[0]


@pytest.mark.requirement("68")
def test_change_after_the_response_is_refused_and_not_lost_in_silence(browser: Browser) -> None:
    """As in a thread, or a task, that outlives it; the handle leads to the session all the same."""
    session = kept(browser)

    changes: list[Callable[[], object]] = [
        lambda: session.update(late=1),
        lambda: session.add("n"),
        lambda: session.append("log", 1),
        lambda: session.login("bob"),
    ]
    for change in changes:
        with pytest.raises(SessionClosed):
            change()
    with pytest.raises(SessionClosed, match=OVER):
        session["late"] = 1
    with browser.engine.edit(session.handle or "") as edited:
        edited["late"] = 2

    assert session.user_id == "ada"
    assert browser.get(dict) == {"log": [], "late": 2}


@pytest.mark.requirement("4")
def test_logout_after_the_response_stands(browser: Browser) -> None:
    kept(browser).logout()

    assert browser.get(lambda session: session.user_id) is None


CHANGES: list[Callable[[Any], object]] = [
    lambda session: session.update(late=1),
    lambda session: session.__setitem__("late", 1),
    lambda session: session.pop("absent", None),
    lambda session: session.setdefault("late", 1),
    lambda session: session.add("n"),
    lambda session: session.append("log", 1),
    lambda session: session.regenerate(),
    lambda session: session.login("bob"),
    lambda session: session.__ior__({"late": 1}),
]


def fails(session: Any) -> None:
    raise ZeroDivisionError


def refused(session: Any, *changes: Callable[[Any], object]) -> None:
    """Check that *session*, of a request that has ended, takes no change."""
    for change in (*CHANGES, *changes):
        with pytest.raises(SessionClosed):
            change(session)


@pytest.mark.requirement("68")
@pytest.mark.parametrize("user_id", [None, "ada"])
@pytest.mark.parametrize(
    "use", [id, len, lambda session: session.update(a=1)], ids=["not", "reads", "changes"]
)
@pytest.mark.parametrize(
    ("end", "status"), [(id, 200), (id, 404), (id, 500), (fails, 500)], ids=["200", "404", "500", "error"]
)
def test_whatever_the_request_did_and_however_it_ended(
    protocol: Any, user_id: str | None, use: Any, end: Any, status: int
) -> None:
    """An error before the head is an end as well: nothing would save what is written then."""
    engine = memory_engine()
    browser = Browser(protocol, engine)
    if user_id:
        browser.request(lambda session: session.login(user_id, {"log": []}))
    sessions: list[Session] = []

    def handler(session: Session) -> None:
        sessions.append(session)
        use(session)
        end(session)

    browser.request(handler, status=status, catch=True)

    refused(sessions[0], Session.mark_modified)
    assert browser.get(lambda session: (session.user_id, "late" in session)) == (user_id, False)


@pytest.mark.requirement("68")
def test_a_response_that_gave_way_to_a_503_is_an_end(flaky: Browser) -> None:
    store: FlakyStore = flaky.engine.requests.store  # type: ignore[assignment]  # a fixture made it
    sessions: list[Session] = []

    def handler(session: Session) -> None:
        session["a"] = 1
        sessions.append(session)
        store.broken.add("update")

    assert flaky.request(handler).status == 503
    store.broken.clear()

    refused(sessions[0])
    assert flaky.get(dict) == {"a": 0}


@pytest.mark.requirement("4")
def test_a_logout_after_an_error_before_the_head_is_carried_out(browser: Browser) -> None:
    """At once, as no head is left to wait for."""
    sessions: list[Session] = []

    def handler(session: Session) -> None:
        state_of(session)
        sessions.append(session)
        raise ZeroDivisionError

    browser.request(lambda session: session.login("ada", {"a": 1}))
    store = browser.engine.requests.store
    browser.request(handler if store.inline or browser.protocol == "wsgi" else _loaded(handler), catch=True)
    sessions[0].logout()

    assert browser.get(lambda session: session.user_id) is None


def _loaded(handler: Callable[[Session], None]) -> Callable[[Session], Any]:
    async def call(session: Session) -> None:
        await session.aload()
        handler(session)

    return call


@pytest.mark.requirement("68")
def test_the_session_of_a_block_that_has_ended_takes_no_changes(engine: SessionEngine) -> None:
    """Of one that changed it, of one that only read, and of one that raised."""
    blocks: list[Callable[[Session], object]] = [lambda session: session.update(a=1), len, fails]
    _, session = engine.create_session("ada", {"log": []})
    for block in blocks:
        kept: list[Session] = []
        with suppress(ZeroDivisionError), engine.edit(session.handle or "") as edited:
            kept.append(edited)
            block(edited)

        refused(kept[0], Session.mark_modified, Session.logout, Session.clear)
        with pytest.raises(
            SessionClosed, match=r"its `with engine.edit\(handle\)` has ended; change it inside"
        ):
            kept[0]["late"] = 1
        assert kept[0]["a" if block is blocks[0] else "log"] in (1, [])
    found = engine.get_session(session.handle or "")

    assert found == {"log": [], "a": 1}


@pytest.mark.requirement("68")
def test_the_session_of_an_asynchronous_block_takes_none_either(engine: SessionEngine) -> None:
    async def edit(handle: str) -> Session:
        async with engine.aedit(handle) as edited:
            edited["a"] = 1
        return edited

    _, session = engine.create_session("ada", {"log": []})

    refused(apart(asyncio.run, edit(session.handle or "")), Session.logout)


@pytest.mark.requirement("68")
def test_a_session_that_was_handed_out_to_be_read_takes_none(engine: SessionEngine) -> None:
    _, created = engine.create_session("ada", {"log": []})

    refused(created, Session.logout)
    refused(engine.get_session(created.handle or ""), Session.logout)


@pytest.fixture(params=[FlaskSite, QuartSite])
def site(request: pytest.FixtureRequest, engine: SessionEngine) -> Iterator[Any]:
    yield request.param(engine)


@pytest.mark.requirement("68")
def test_change_after_a_response_of_flask_is_refused(site: Any) -> None:
    sessions: list[Any] = []

    def keep(session: Any) -> None:
        session["a"] = 1
        sessions.append(session._get_current_object())

    site.get(keep)

    with pytest.raises(SessionClosed, match=OVER):
        sessions[0]["late"] = 1
    assert site.ask(dict) == {"a": 1}


@pytest.mark.requirement("68")
@pytest.mark.parametrize(
    "use", [id, len, lambda session: session.update(a=1)], ids=["not", "reads", "changes"]
)
@pytest.mark.parametrize("end", ["200", "500", "error", "raised"])
@pytest.mark.parametrize("make", [FlaskSite, QuartSite])
def test_whatever_a_request_of_flask_did_and_however_it_ended(make: Any, use: Any, end: str) -> None:
    """``modified = True`` of a change deep inside is one, too; an error may pass by ``save_session``."""
    site = make(memory_engine(), PROPAGATE_EXCEPTIONS=end == "raised")
    site.ask(lambda session: session.login("ada", {"log": []}))
    sessions: list[Any] = []

    def handler(session: Any) -> Any:
        sessions.append(session._get_current_object())
        use(sessions[0])
        if end in ("error", "raised"):
            raise ZeroDivisionError
        return "page", int(end)

    with suppress(ZeroDivisionError):
        response = site.get(handler)
        if make is FlaskSite:
            response.close()  # as a server does

    refused(
        sessions[0],
        lambda session: setattr(session, "modified", True),
        lambda session: setattr(session, "permanent", True),
    )
    assert site.ask(lambda session: (session.user_id, "late" in session)) == ("ada", False)


@pytest.mark.requirement("68")
def test_a_copy_of_flasks_context_does_not_end_the_request() -> None:
    """As a greenlet has one, which may be done before the response is."""
    site = FlaskSite(memory_engine())

    def handler(session: Any) -> None:
        session["a"] = 1
        apart(flask.copy_current_request_context(lambda: session["a"]))
        session["b"] = 2

    site.get(handler)

    assert site.ask(dict) == {"a": 1, "b": 2}


@pytest.mark.requirement("68")
def test_stream_of_flask_that_outlives_its_context_may_change_the_session(engine: SessionEngine) -> None:
    site = FlaskSite(engine)

    def begin(session: Any) -> Any:
        inner = session._get_current_object()
        inner["a"] = 1

        def body() -> Iterator[str]:
            yield "begun"
            inner["late"] = 1

        return flask.Response(body()), 200

    with site.get(begin) as response:
        assert response.get_data(as_text=True) == "begun"

    assert site.ask(dict) == {"a": 1, "late": 1}
