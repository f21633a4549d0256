"""The checker of histories finds what a broken store does, and nothing in a sound one."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from fluidauth import MemoryStore, Session, SessionEngine
from fluidauth.keys import new_secret
from fluidauth.stores import SessionRecord
from harness.history import (
    Answer,
    problems_in,
    run_lives,
)
from harness.servers.operations import outside, step
from tests.support import Browser, Protocol, apart


class LastWriteWins(MemoryStore):
    """Writes over what another request stored meanwhile."""

    def update(self, record: SessionRecord) -> bool:
        if self.get(record.handle) is None:
            return False
        self._records[record.handle] = record
        return True


class Forgetful(MemoryStore):
    """Says that it stored what it did not, now and then."""

    def update(self, record: SessionRecord) -> bool:
        return random.random() < 0.2 or super().update(record)


class Reviving(MemoryStore):
    """Inserts on update, so that a slow request brings a session back."""

    def update(self, record: SessionRecord) -> bool:
        if self.get(record.handle) is None:
            super().create(record)
            return True
        return super().update(record)


class Undead(MemoryStore):
    """Says that it deleted a record, and keeps it."""

    def delete(self, handle: str, version: int | None = None) -> bool:
        return True


class Losing(MemoryStore):
    """Forgets a session that nobody ended, now and then."""

    def get(self, handle: str) -> SessionRecord | None:
        return super().get(handle) if random.random() < 0.98 else None


class Mixing(MemoryStore):
    """Answers with another session's record, now and then."""

    def get(self, handle: str) -> SessionRecord | None:
        found = super().get(handle)
        others = list(self._records.values())
        return random.choice(others)._replace(handle=handle) if found and random.random() < 0.1 else found


class InProcess:
    """An engine of this process in the place of a server; each handler lets others pass."""

    def __init__(self, protocol: Protocol, store: MemoryStore) -> None:
        engine = SessionEngine(new_secret(), store)
        self._browser = Browser(protocol, engine)

    def ask(self, kind: str, key: str, value: str, cookie: str) -> Answer:
        tab = self._browser.with_cookie(cookie)

        def handler(session: Any) -> Any:
            _ = session.user_id  # loads it
            time.sleep(0.001)  # gives way to the other clients; nothing relies on it
            query = {"kind": kind, "key": key, "value": value}
            apart(outside, self._browser.engine, query)
            step(session, query)
            return session.user_id, dict(session)

        # Behind the head, where a logout is done in a stream; it was read before.
        late: dict[str, Any] = {"later": Session.logout} if kind == "stream" else {}
        response = tab.request(handler, **late)
        if response.status != 200:
            return Answer(response.status)
        user, fields = (None, {}) if late else response.value
        return Answer(200, user, fields, tab.cookie if response.set_cookies else None)


def test_a_sound_store_has_no_problems(protocol: Protocol) -> None:
    """The checker accuses nobody of what did not happen."""
    assert problems_in(run_lives(InProcess(protocol, MemoryStore()), range(8))) == []


@pytest.mark.parametrize(
    ("protocol", "store", "problem"),
    [
        # The checker sees answers, of whichever protocol: one is enough for `make check`.
        pytest.param(
            protocol, store, problem, marks=pytest.mark.check if quick == protocol else pytest.mark.matrix
        )
        for store, problem, quick in (
            (LastWriteWins, "lost", "asgi"),
            (Forgetful, "lost", ""),
            (Reviving, "alive after its logout", "wsgi"),
            (Undead, "alive after its logout", ""),
            (Losing, "was not found", ""),
        )
        for protocol in ("wsgi", "asgi")
    ],
)
def test_the_checker_catches_a_broken_store(
    protocol: Protocol, store: type[MemoryStore], problem: str
) -> None:
    """Each broken promise is found."""
    found = problems_in(run_lives(InProcess(protocol, store()), range(30), clients=8))

    assert any(problem in sentence for sentence in found), found


@pytest.mark.check
def test_the_checker_catches_mixed_up_sessions(protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value of another session is found, where the record's MAC does not stop it first."""
    sound = problems_in(run_lives(InProcess(protocol, Mixing()), range(8)))
    monkeypatch.setattr("fluidauth.formats.payloads.hmac.compare_digest", lambda ours, theirs: True)
    mixed = problems_in(run_lives(InProcess(protocol, Mixing()), range(8)))

    assert not any("was shown" in sentence for sentence in sound)
    assert any("was shown" in sentence for sentence in mixed)
