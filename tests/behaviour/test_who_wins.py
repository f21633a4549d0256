"""Each cell of the picture "Who wins when two requests overlap" is performed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fluidauth import Keyring, MemoryStore, Session, SessionEngine, new_secret
from fluidauth.errors import RecordTampered
from fluidauth.events import SessionEvent
from fluidauth.keys import file as keyfile
from fluidauth.testing import FakeClock
from tests.support import Browser, Protocol, Response, apart, live_sessions
from tools.pictures.who_wins import ACTS, MEANWHILE, OUTCOMES, TABLE

START: dict[str, Any] = {"a": 0, "n": 10}


@dataclass
class Scene:
    """Two tabs of one browser: a request of *mine* is overtaken by what *other*, or an admin, does."""

    mine: Browser
    other: Browser
    clock: FakeClock
    events: list[SessionEvent]
    revoke_key: Callable[[], object]
    act: str = ""
    theirs: dict[str, Any] | None = None
    response: Response | None = None

    def perform(self, act: str, meanwhile: str) -> None:
        """Do *act* in a request that has read its session before *meanwhile*."""

        def handler(session: Session) -> None:
            assert dict(session) == START
            MEANWHILES[meanwhile](self)
            LATER[act](session)

        self.act, self.theirs = act, THEIRS.get(meanwhile, {})
        self.response = self.mine.request(handler)

    @property
    def fields(self) -> dict[str, Any]:
        """What the stored session should hold if both requests had come one after the other."""
        return {**START, **(self.theirs or {})}

    def seen(self, tab: Browser) -> tuple[str | None, dict[str, Any]]:
        found: tuple[str | None, dict[str, Any]] = tab.get(lambda session: (session.user_id, dict(session)))
        return found

    @property
    def sent(self) -> list[str]:
        assert self.response is not None
        return self.response.set_cookies

    @property
    def dropped(self) -> bool:
        return any(event.name == "write_dropped" for event in self.events)

    @property
    def live(self) -> int:
        try:
            return live_sessions(self.mine.engine)
        except RecordTampered:  # the only record is under the key that was revoked
            return 0


MINE: dict[str, dict[str, Any]] = {"set": {"a": "mine", "n": 1}}
LATER: dict[str, Callable[[Session], object]] = {
    "set": lambda session: session.update(MINE["set"]),
    "add": lambda session: session.add("n", 1),
    "regenerate": Session.regenerate,
    "login": lambda session: session.login("ann"),
    "logout": Session.logout,
}
THEIRS: dict[str, dict[str, Any]] = {
    "other_field": {"b": 2},
    "same_field": {"a": "theirs", "n": 100},
    "added": {"n": 15},
}
MEANWHILES: dict[str, Callable[[Scene], object]] = {
    "other_field": lambda scene: scene.other.request(lambda session: session.update(THEIRS["other_field"])),
    "same_field": lambda scene: scene.other.request(lambda session: session.update(THEIRS["same_field"])),
    "added": lambda scene: scene.other.request(lambda session: session.add("n", 5)),
    "regenerated": lambda scene: scene.other.request(Session.regenerate),
    "logged_in": lambda scene: scene.other.request(lambda session: session.login("bob")),
    "logged_out": lambda scene: scene.other.request(Session.logout),
    "revoked": lambda scene: apart(scene.mine.engine.revoke_all),
    "expired": lambda scene: scene.clock.advance(3_600),
    "key_revoked": lambda scene: scene.revoke_key(),
}


# -- outcomes: each by what can be seen afterwards -----------------------------------------------------


def both(scene: Scene) -> bool:
    """What the other request stored is there, and so is what this one did."""
    if scene.live != 1 or scene.dropped or not scene.theirs:
        return False
    user, fields = scene.seen(scene.mine)
    if scene.act in ("regenerate", "login"):
        renewed = len(scene.sent) == 1 and scene.seen(scene.other) == (None, {})
        return renewed and user == ("ann" if scene.act == "login" else None) and fields == scene.fields
    mine = MINE["set"] if scene.act == "set" else {"n": 11}
    return not mine.keys() & (scene.theirs or {}).keys() and fields == {**scene.fields, **mine}


def later(scene: Scene) -> bool:
    """The same field was set by both: what this request set is there."""
    same = MINE.get(scene.act, {}).keys() & (scene.theirs or {}).keys()
    return bool(same) and not scene.dropped and scene.seen(scene.mine)[1] == {**scene.fields, **MINE["set"]}


def added_up(scene: Scene) -> bool:
    """What the other request stored is there, with what this one added on top."""
    theirs = scene.theirs or {}
    total = {**scene.fields, "n": scene.fields["n"] + 1}
    return scene.act == "add" and "n" in theirs and scene.seen(scene.mine)[1] == total


def follows(scene: Scene) -> bool:
    """One session lives, under the id of the other request; it has what this one did."""
    mine = {"set": MINE["set"], "add": {"n": 11}}.get(scene.act, {})
    moved = scene.live == 1 and scene.sent == [] and not scene.dropped
    return moved and scene.seen(scene.mine) == (None, {}) and scene.seen(scene.other)[1] == {**START, **mine}


def two(scene: Scene) -> bool:
    """Each tab has a session of its own."""
    return scene.live == 2 and scene.seen(scene.mine)[0] == "ann" and scene.seen(scene.other)[1] == START


def fresh(scene: Scene) -> bool:
    """The user is signed in, and nothing of the session before came along."""
    return scene.live == 1 and scene.seen(scene.mine) == ("ann", {})


def keeps(scene: Scene) -> bool:
    """The user is signed in with the fields of the session before, though that opens nothing any more."""
    opens = scene.seen(scene.other) != (None, {})
    return scene.live == 1 and scene.seen(scene.mine) == ("ann", START) and not opens


def ends(scene: Scene) -> bool:
    """No session is left, and the cookie is removed."""
    gone = scene.seen(scene.mine) == scene.seen(scene.other) == (None, {}) and scene.live == 0
    return gone and not scene.dropped and all("Max-Age=0" in line for line in scene.sent)


def dropped(scene: Scene) -> bool:
    """The request was reported, and nothing of it was stored: no session has what it did."""
    without = scene.seen(scene.mine)[1] in ({}, START) and scene.seen(scene.other)[1] in ({}, START)
    return scene.dropped and scene.sent == [] and without and scene.live <= 1


SEEN: dict[str, Callable[[Scene], bool]] = {
    "both": both,
    "later": later,
    "sum": added_up,
    "follows": follows,
    "two": two,
    "fresh": fresh,
    "keeps": keeps,
    "ends": ends,
    "dropped": dropped,
}


@pytest.fixture
def scene(
    tmp_path: Path, protocol: Protocol, clock: FakeClock, events: list[SessionEvent]
) -> Iterator[Scene]:
    """A browser without a user that has a session of two fields, and its second tab."""
    path, ring_clock = tmp_path / "keyring.json", FakeClock(0)
    keyfile.change(path, lambda empty: empty.added(new_secret(), 1))
    keyring = Keyring.from_file(path, clock=ring_clock)

    def revoke_key() -> None:
        kid = keyring.signing.kid
        keyfile.change(path, lambda ring: ring.leaked(kid, new_secret(), 1))
        ring_clock.advance(5)

    engine = SessionEngine(keyring, MemoryStore(), clock=clock, on_event=events.append)
    mine = Browser(protocol, engine)
    mine.request(lambda session: session.update(START))
    yield Scene(mine, mine.twin(), clock, events, revoke_key)
    engine.close()


def test_the_table_is_whole() -> None:
    """Each cell has an outcome that is explained, and each act and outcome can be performed and seen."""
    assert set(TABLE) == {(act, meanwhile) for act in ACTS for meanwhile in MEANWHILE}
    assert set(TABLE.values()) == set(OUTCOMES) == set(SEEN)
    assert (set(LATER), set(MEANWHILES)) == (set(ACTS), set(MEANWHILE))


@pytest.mark.parametrize(("act", "meanwhile"), TABLE)
def test_who_wins(scene: Scene, act: str, meanwhile: str) -> None:
    """The outcome is the one that is drawn, and no other."""
    scene.perform(act, meanwhile)

    assert [name for name, is_so in SEEN.items() if is_so(scene)] == [TABLE[act, meanwhile]]
