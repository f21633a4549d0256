"""``request.get_session_id()``."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import post

from fluidauth.integrations.litestar import session_of
from fluidauth.testing import memory_engine
from tests.integrations.litestar.sites import AnyRequest, visitor


def test_the_id_is_a_handle_that_is_known_at_once() -> None:
    """Before anything is stored, and another for each visitor; it stays the same, and opens nothing."""
    engine = memory_engine()
    visitors = [visitor(engine) for _ in range(2)]

    ids = [client.post("/session", json={"n": n}).json()["id"] for n, client in enumerate(visitors)]

    assert len({*ids}) == 2
    assert [engine.get_session(each) for each in ids] == [{"n": 0}, {"n": 1}]
    assert [client.get("/id").text for client in visitors] == ids
    thief = visitor(engine)
    thief.cookies["session"] = ids[0]
    assert thief.get("/session").json() == {}
    assert thief.get("/id").text not in ids


@pytest.mark.requirement("3")
def test_a_login_has_another_one_which_later_hooks_are_told() -> None:
    engine = memory_engine()
    told: list[str | None] = []

    async def after(request: AnyRequest) -> None:
        told.append(request.get_session_id())

    client = visitor(engine, after_response=after)
    before = client.post("/session", json={"n": 1}).json()["id"]
    client.post("/login/ada")

    [info] = engine.list_sessions("ada")
    assert told == [before, info.handle]
    assert client.get("/id").text == info.handle != before
    client.delete("/session")
    assert told[-1] is None


@pytest.mark.requirement("2")
def test_an_id_that_was_told_is_used_once() -> None:
    """What is written after a logout has another."""
    engine = memory_engine()
    seen: list[Any] = []

    @post("/twice")
    async def twice(request: AnyRequest) -> None:
        session = session_of(request)
        session["n"] = 1
        await session.asave()
        seen.append((request.get_session_id(), session.handle))
        session.logout()
        await session.asave()
        session["n"] = 2
        await session.asave()
        seen.append(session.handle)

    client = visitor(engine, twice)
    client.post("/twice")

    (told, first), second = seen
    assert told == first != second
    assert engine.get_session(first) is None
    assert client.get("/id").text == second


def test_an_id_of_a_session_that_has_ended_gives_way_to_a_new_one() -> None:
    """Where the session was looked at before the id was asked for."""
    engine = memory_engine()
    client = visitor(engine)
    first = client.post("/session", json={"n": 1}).json()["id"]
    engine.delete_session(first)

    second = client.post("/session", json={"n": 2}).json()["id"]

    assert second != first
    assert client.get("/id").text == second
