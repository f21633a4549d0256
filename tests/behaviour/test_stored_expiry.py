"""What a store knows of a session's end: the earlier of its two deadlines, however it came about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidauth import Lifetime, MemoryStore, Session, SessionEngine
from fluidauth.adoption import Adopted
from fluidauth.errors import NotSupported
from fluidauth.keys import new_secret
from fluidauth.records import Body
from fluidauth.testing import FakeClock
from tests.behaviour.adoption.former_system import OldSystem
from tests.support import Browser, Protocol

DAY = 24 * 3600
LIFETIMES = st.builds(
    Lifetime,
    absolute=st.integers(100, 400 * DAY),
    idle=st.one_of(st.none(), st.integers(50, 30 * DAY)),
    persistent=st.booleans(),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.none()),
        st.tuples(st.just("login"), st.one_of(st.none(), LIFETIMES)),
        st.tuples(st.just("lasts"), LIFETIMES),
        st.tuples(st.just("regenerate"), st.none()),
        st.tuples(st.just("confirm"), st.none()),
        st.tuples(st.just("extend"), st.integers(1, 40 * DAY)),
        st.tuples(st.just("wait"), st.integers(1, 2 * DAY)),
    ),
    max_size=6,
)


def _step(session: Session, what: str, value: Any) -> None:
    if what == "put":
        session.add("n")
    elif what == "login":
        session.login("ada", lifetime=value)
    elif what == "lasts":
        session.set_lifetime(value)
    elif what == "regenerate":
        session.regenerate()
    elif session.user_id is not None:
        session.confirm()


@pytest.mark.requirement("8")
@given(
    begins=st.sampled_from(["adopted", "created", "login"]),
    steps=STEPS,
    absolute=st.integers(100, 400 * DAY),
    idle=st.one_of(st.none(), st.integers(50, 31 * DAY)),
)
@settings(max_examples=150)
def test_no_record_outlives_its_session(
    begins: str, steps: list[Any], absolute: int, idle: int | None
) -> None:
    """However it begins or changes: a list of live sessions shows none that opens nothing."""
    clock, old = FakeClock(), OldSystem()
    old.sessions["ada"] = Adopted({"cart": 1}, "ada")
    engine = SessionEngine(
        new_secret(), MemoryStore(), adopt=[old], absolute_timeout=absolute, idle_timeout=idle, clock=clock
    )
    browser = Browser("wsgi", engine)
    if begins == "created":
        browser.cookie, _ = engine.create_session("ada", {"cart": 1})
    elif begins == "login":
        browser.request(lambda session: session.login("ada"))
    else:
        browser.request(len, cookie_header="old=ada")
    for what, value in steps:
        if what == "wait":
            clock.advance(value)
        elif what == "extend":
            for info in engine.list_sessions("ada"):
                engine.extend_session(info.handle, value)
        else:
            browser.request(lambda session, w=what, v=value: _step(session, w, v))  # type: ignore[misc]
        for record in engine.requests.store.scan():
            body = engine.policy.sealer.unseal(record)
            if isinstance(body, Body):
                latest = body.deadline if body.idle is None else max(clock.now + body.idle, record.expires_at)
                assert record.expires_at <= min(body.deadline, latest)


@pytest.fixture
def adopted(store: Any, protocol: Protocol, clock: FakeClock) -> Iterator[Browser]:
    """A former session, in an engine that lets sessions last as long as a drop-in does."""
    old = OldSystem()
    old.sessions["ada"] = Adopted({"cart": 1}, "ada")
    engine = SessionEngine(
        new_secret(),
        store,
        adopt=[old],
        clock=clock,
        absolute_timeout=timedelta(days=400),
        idle_timeout=timedelta(days=31),
    )
    with closing(engine):
        browser = Browser(protocol, engine)
        browser.request(len, cookie_header="old=ada")
        yield browser


@pytest.mark.requirement("8")
def test_an_adopted_session_expires_when_nobody_uses_it(adopted: Browser, clock: FakeClock) -> None:
    assert adopted.get(lambda session: session.expires_at) == int(clock.now) + 31 * DAY


@pytest.mark.requirement("8")
def test_a_lifetime_that_is_cut_short_is_so_in_the_store(adopted: Browser, clock: FakeClock) -> None:
    """By a new id, since a store lets no expiry move back."""
    former = adopted.twin()
    adopted.request(lambda session: session.set_lifetime(Lifetime(absolute=3600, idle=None)))

    try:
        listed = [info.expires_at for info in adopted.engine.list_sessions("ada")]
    except NotSupported:
        listed = [adopted.get(lambda session: session.expires_at)]

    assert listed == [int(clock.now) + 3600]
    assert former.get(lambda session: session.user_id) is None
