"""Nothing secret is left at rest, or in what is told."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

import pytest

from fluidauth import Keyring, Session, SessionEngine, SQLiteStore
from fluidauth.errors import FluidAuthError
from fluidauth.events import SessionEvent
from fluidauth.keys import file as keyfile
from fluidauth.keys.key import kid_of
from fluidauth.testing import FakeClock
from tests.stored import NEW, OLD
from tests.support import Browser, Protocol


@pytest.mark.requirement("25", "57", "59")
def test_nothing_secret_is_left_anywhere(
    protocol: Protocol, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a life with a rotation: not in the database, its log, events, log lines, reprs or errors."""
    caplog.set_level(logging.DEBUG)
    ring = tmp_path / "keyring.json"
    keyfile.change(ring, lambda empty: empty.added(OLD, 1))
    clock, events, told = FakeClock(0), list[SessionEvent](), list[str]()
    database = tmp_path / "sessions.db"
    secrets_ = {"email": "SECRET-ada@example.com", "token": "SECRET-token", "nested": {"deep": "SECRET-deep"}}
    with closing(SQLiteStore(database)) as store:
        keyring = Keyring.from_file(ring, clock=clock)
        engine = SessionEngine(keyring, store, encrypted_fields=tuple(secrets_), on_event=events.append)
        browser = Browser(protocol, engine)
        cookies = set()
        for step in (
            lambda session: session.login("ada", dict(secrets_)),
            lambda session: told.append(repr(session)),
            Session.regenerate,
            lambda session: session["nested"].update(more="SECRET-more"),
            dict,
        ):
            browser.request(step)
            cookies.add(browser.cookie)
        keyfile.change(ring, lambda old: old.added(NEW, 1).promoted(kid_of(NEW), 1))
        clock.advance(5)
        browser.get(dict)
        cookies.add(browser.cookie)
        for odd in [cookie[:-1] + "!" for cookie in cookies if cookie]:
            browser.with_cookie(odd).request(dict)
        told += [repr(engine), repr(store), repr(keyring), repr(events), str(events), repr(engine.policy)]
        told.append(str(engine.explain({"Cookie": f"__Host-session={browser.cookie}"})))
        try:
            engine.set_cookie_header((browser.cookie or "")[:-1] + "!")
        except FluidAuthError as error:
            told.append(repr(error))
        at_rest = b"".join(file.read_bytes() for file in tmp_path.glob("sessions.db*"))
        browser.request(Session.logout)

    ids = {(cookie or "")[9:41] for cookie in cookies if cookie}
    private = {*ids, *(c for c in cookies if c), "SECRET-", OLD[6:], NEW[6:]}
    assert len(ids) == 2
    assert [name for name in private if name.encode() in at_rest] == []
    assert [name for name in private if name in caplog.text or name in "".join(told)] == []
    assert caplog.text
    assert b"ada" in at_rest  # the search would find what is there
