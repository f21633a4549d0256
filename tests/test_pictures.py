"""The pictures show what the code does: they are drawn from it, and what they show is performed here."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from fluidauth import Keyring, MemoryStore, Session, SessionEngine, new_secret
from fluidauth.cli.commands import run
from fluidauth.keys import file as keyfile
from fluidauth.keys.document import STATES, KeyState
from fluidauth.testing import FakeClock
from harness.colours import DARK, LIGHT, TEXTS, contrast
from tests.handlers import current_user, fields, log_in, nothing, write
from tests.support import Browser, Protocol, live_sessions
from tools import recording
from tools.pictures import FOLDER, PICTURES, cookie_life, drawing, key_states, packages, request_way

PHONE = 350
"""Pixels in width that a page on a phone leaves for a picture."""


@pytest.mark.parametrize("name", PICTURES)
def test_files_are_what_the_code_draws(name: str) -> None:
    """After a change of the code: `python -m tools.pictures`."""
    assert (FOLDER / f"{name}.svg").read_text("utf-8") == PICTURES[name]()


def test_each_file_of_the_folder_is_drawn() -> None:
    """By the code of these pictures, or by that of the recording."""
    drawn = [f"{name}.svg" for name in PICTURES] + [recording.PICTURE.name]

    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(drawn)


# -- for every reader --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_say_what_they_are(name: str) -> None:
    """Each has a title and a description for those who hear it, and its texts are text."""
    picture = ET.fromstring(PICTURES[name]())
    tag = "{http://www.w3.org/2000/svg}"

    assert all((picture.findtext(tag + part) or "").strip() for part in ("title", "desc"))
    assert len(picture.findall(f"{tag}text")) > 10


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_stands_out(colours: dict[str, str]) -> None:
    """On light and on dark pages, as WCAG 2 asks at level AA; lines need less."""
    texts = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in TEXTS}

    assert {pair: ratio for pair, ratio in texts.items() if ratio < 4.5} == {}
    assert contrast(colours["line"], colours["card"]) > 3
    assert LIGHT.keys() == DARK.keys()


def test_text_is_legible_on_a_phone() -> None:
    """A picture is scaled to the phone's width, and the smallest text with it."""
    assert min(drawing.SIZES.values()) * PHONE / drawing.WIDTH >= 9


def test_text_that_does_not_fit_is_not_drawn() -> None:
    """Neither past the edge of the card, nor out of its box."""
    picture = drawing.Picture("A title", "A description")

    with pytest.raises(drawing.DoesNotFit, match="'mmmmmmmmm' takes"):
        picture.box((20, 20), (80, 30), [("m" * 9, "plain")])
    with pytest.raises(drawing.DoesNotFit):
        picture.text((400, 20), "past the edge")


# -- architecture and the way of a request ------------------------------------------------------------


def test_arrows_that_others_imply_are_left_out() -> None:
    graph = {"a": {"b", "c"}, "b": {"c"}, "c": set[str]()}

    assert packages.direct(graph) == {"a": {"b"}, "b": {"c"}, "c": set()}


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ("| 1 | `middleware/nowhere` | reads |", "step 1 is at middleware.nowhere, which is no module"),
        ("| 1 | `cli/doctor` | reads |", "imports nothing that leads there"),
        ("| 2 | `middleware/wsgi` | reads |", "not numbered from 1"),
        ("", "not numbered from 1"),
    ],
)
def test_a_step_that_is_not_in_the_code_is_not_drawn(row: str, wrong: str) -> None:
    """A module that is gone, or that no request gets to, fails the drawing."""
    with pytest.raises(request_way.NoSuchStep, match=re.escape(wrong)):
        request_way.steps(row)


# -- the life of a cookie ------------------------------------------------------------------------------


def test_life_of_a_cookie(tmp_path: Path, protocol: Protocol, clock: FakeClock) -> None:
    """Each moment is performed: its response sets the cookie where that is drawn, and the ids are so."""
    path, ring_clock = tmp_path / "keyring.json", FakeClock(0)
    keyfile.change(path, lambda empty: empty.added(new_secret(), 1))
    engine = SessionEngine(Keyring.from_file(path, clock=ring_clock), MemoryStore(), clock=clock)
    browser = Browser(protocol, engine)

    def rotate() -> None:
        keyfile.change(
            path, lambda ring: (new := ring.added(new_secret(), 1)).promoted(new.entries[0].kid, 1)
        )
        ring_clock.advance(5)

    seen: list[tuple[bool, str]] = []
    cookies: list[str] = []
    for handler in (nothing, write, fields, log_in, fields, Session.logout):
        if len(seen) == 4:
            rotate()
        sent = browser.cookie is not None
        lines = browser.request(handler).set_cookies
        seen.append((sent, "" if not lines else "Max-Age=0" if "Max-Age=0" in lines[0] else "Set-Cookie"))
        cookies.append(browser.cookie or "..")
    keys, ids = zip(*((cookie.split(".")[1], cookie.split(".")[2][:32]) for cookie in cookies), strict=True)

    assert seen == [(moment.sent, moment.answer) for moment in cookie_life.MOMENTS]
    assert ids[1] == ids[2] != ids[3] == ids[4]
    assert keys[1] == keys[2] == keys[3] != keys[4]
    assert browser.with_cookie(cookies[4]).get(current_user) is None
    assert live_sessions(engine) == 0
    engine.close()


# -- the states of a key -------------------------------------------------------------------------------


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a keyring file is to be; the commands know it."""
    path = tmp_path / "keyring.json"
    for name in ("FLUIDAUTH_SECRET", "FLUIDAUTH_SECRETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLUIDAUTH_KEYRING", str(path))
    monkeypatch.setenv("FLUIDAUTH_DATABASE", str(tmp_path / "sessions.db"))
    return path


def key_in(state: KeyState | None, ring: Path) -> str:
    """Return a key that is in *state* in the file; for None the file has none yet."""
    if state is None:
        return ""
    secrets = [new_secret() for _ in range(3)]
    keyfile.change(ring, lambda empty: empty.added(secrets[0], 1))
    first = keyfile.read(ring)[0].entries[0].kid
    if state == "signing":
        return first
    keyfile.change(ring, lambda ring: ring.added(secrets[1], 1))
    second = keyfile.read(ring)[0].entries[0].kid
    if state == "pending":
        return second
    keyfile.change(ring, lambda ring: ring.promoted(second, 1))
    if state == "revoked":
        keyfile.change(ring, lambda ring: ring.revoked(first, 1))
    return first


def perform(command: str, before: KeyState | None, kid: str, ring: Path) -> int:
    """Carry out *command* on the key *kid*; return its exit code."""
    verb = command.split()[1]
    if command == "keys add" and not ring.exists():
        assert run(["keys", "add", "--create"]) == 0
    if verb == "promote" and before == "signing":  # it is another key that this is said of
        assert run(["keys", "add"]) == 0
        kid = keyfile.read(ring)[0].entries[0].kid
    extra = {"add": [], "promote": [kid, "--interval", "0", "--force"], "revoke": [kid, "--yes"]}[verb]
    return run([*command.split(), *extra])


@pytest.mark.parametrize(("move", "command"), key_states.MOVES.items())
def test_each_arrow_between_states(move: tuple[KeyState | None, KeyState], command: str, ring: Path) -> None:
    """The command on the arrow moves a key from the one state to the other."""
    before, after = move
    kid = key_in(before, ring)

    assert perform(command, before, kid, ring) == 0

    states = keyfile.read(ring)[0].states
    assert (states[kid] if kid else next(iter(states.values()))) == after


@pytest.mark.parametrize(
    ("before", "command"),
    [
        pair
        for pair in itertools.product(STATES, ("keys promote", "keys revoke"))
        if pair not in {(before, command) for (before, _), command in key_states.MOVES.items()}
    ],
)
def test_no_other_command_moves_a_key(before: KeyState, command: str, ring: Path) -> None:
    """Where no arrow is drawn, the command is refused and the file stays as it was."""
    kid = key_in(before, ring)
    text = ring.read_bytes()

    assert run([*command.split(), kid, *(["--yes"] if "revoke" in command else ["--force"])]) != 0

    assert ring.read_bytes() == text


@pytest.mark.parametrize("state", STATES)
def test_what_a_key_does_in_each_state(state: KeyState, ring: Path) -> None:
    """It verifies and signs as is drawn."""
    kid = key_in(state, ring)
    keyring = Keyring.from_file(ring)
    _, verifies, signs = key_states.STATES[state]

    assert (keyring.find(kid) is not None, keyring.signing.kid == kid) == (verifies, signs)
