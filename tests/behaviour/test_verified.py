"""What was verified a moment ago is not verified again, and ends when it must, on every store."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fluidauth import Keyring, Session, SessionEngine
from fluidauth.events import SessionEvent
from fluidauth.formats import tokens
from fluidauth.keys import Key, new_secret
from fluidauth.keys import file as keyfile
from fluidauth.keys.key import kid_of
from fluidauth.records import Body, SessionRecord
from fluidauth.rules import verified
from fluidauth.testing import FakeClock
from fluidauth.testing.forks import begin_child
from tests.keys.documents import FIRST, NOW, SECOND
from tests.stores.sqlite.writers import PATIENCE
from tests.support import Browser, FlakyStore, state_of

SECRET_WORD = "swordfish-in-the-clear"


@pytest.fixture
def engine(
    path: Path, ring_clock: FakeClock, store: Any, clock: FakeClock, events: list[SessionEvent]
) -> Iterator[SessionEngine]:
    keyring = Keyring.from_file(path, clock=ring_clock)
    engine = SessionEngine(keyring, store, clock=clock, on_event=events.append, encrypted_fields=("secret",))
    yield engine
    engine.close()


@pytest.fixture
def macs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The MACs that were computed."""
    found: list[str] = []

    def note(name: str) -> None:
        compute = getattr(Key, name)

        def noted(key: Key, text: bytes) -> Any:
            found.append(name)
            return compute(key, text)

        monkeypatch.setattr(Key, name, noted)

    note("cookie_mac")
    note("record_mac")
    return found


def warmed(browser: Browser, **fields: Any) -> Browser:
    """Return *browser* in a session with *fields* that is known, as is its header."""
    browser.request(lambda session: session.login("ada", fields))
    for _ in range(8):
        browser.get(dict)
    return browser


@pytest.mark.requirement("73")
def test_token_and_record_are_verified_once(browser: Browser, macs: list[str]) -> None:
    warmed(browser, theme="dark")
    macs.clear()

    assert browser.get(dict) == {"theme": "dark"}
    assert not macs


@pytest.mark.requirement("73")
def test_change_is_verified_once_and_no_more(browser: Browser, macs: list[str]) -> None:
    warmed(browser, count=1)
    browser.twin().request(lambda session: session.add("count"))
    assert browser.get(dict) == {"count": 2}
    browser.get(dict)
    macs.clear()

    assert browser.get(dict) == {"count": 2}
    assert not macs


@pytest.mark.requirement("73")
@pytest.mark.requirement("36")
def test_revoked_key_ends_it_at_once(
    browser: Browser, path: Path, ring_clock: FakeClock, events: list[SessionEvent]
) -> None:
    warmed(browser, theme="dark")
    keyfile.change(path, lambda document: document.added(SECOND, NOW))
    keyfile.change(path, lambda document: document.promoted(kid_of(SECOND), NOW))
    keyfile.change(path, lambda document: document.revoked(kid_of(FIRST), NOW))
    ring_clock.advance(5)
    events.clear()

    assert browser.get(dict) == {}
    assert [event.reason for event in events if event.name == "cookie_rejected"] == ["revoked_key"]


@pytest.mark.requirement("73")
def test_rotation_moves_a_session_that_is_known(browser: Browser, path: Path, ring_clock: FakeClock) -> None:
    warmed(browser, theme="dark")
    keyfile.change(path, lambda document: document.added(SECOND, NOW))
    keyfile.change(path, lambda document: document.promoted(kid_of(SECOND), NOW))
    ring_clock.advance(5)

    assert browser.get(dict) == {"theme": "dark"}
    assert (browser.cookie or "")[2:8] == kid_of(SECOND)


@pytest.mark.requirement("73")
@pytest.mark.requirement("4")
def test_logout_elsewhere_ends_it(browser: Browser) -> None:
    warmed(browser, theme="dark")

    browser.twin().request(lambda session: session.logout())

    assert browser.get(dict) == {}


@pytest.mark.requirement("73")
@pytest.mark.requirement("7")
@pytest.mark.requirement("8")
@pytest.mark.parametrize("seconds", [3_600, 86_400], ids=["idle", "absolute"])
def test_timeouts_end_it(browser: Browser, clock: FakeClock, seconds: int) -> None:
    warmed(browser, theme="dark")
    if seconds > 3_600:
        for _ in range(24):
            clock.advance(3_500)
            assert browser.get(dict) == {"theme": "dark"}

    clock.advance(3_600)

    assert browser.get(dict) == {}


@pytest.mark.requirement("73")
@pytest.mark.requirement("26")
def test_record_that_was_altered_is_verified_again(browser: Browser, events: list[SessionEvent]) -> None:
    """The bytes are others, whoever wrote them: nothing that was known counts for them."""
    warmed(browser, theme="dark")
    requests = browser.engine.requests
    handle = browser.get(lambda session: session.handle)
    record = _record_in(requests, handle)
    forged = record._replace(
        version=record.version + 1, payload=record.payload.replace(b"dark", b"pink", 1), user_id="eve"
    )
    events.clear()
    _update_in(requests, forged)

    assert browser.get(dict) == {}
    assert [event.name for event in events] == ["record_tampered"]


def _record_in(requests: Any, handle: str) -> SessionRecord:
    record = requests.store.get(handle)
    assert isinstance(record, SessionRecord)
    return record


def _update_in(requests: Any, record: SessionRecord) -> None:
    assert requests.store.update(record)


@pytest.mark.requirement("73")
@pytest.mark.requirement("36")
def test_key_revoked_while_the_session_is_read_keeps_nothing(
    browser: Browser, path: Path, ring_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token and record were genuine when they were verified. They are not when they are kept."""
    browser.request(lambda session: session.login("ada"))
    for _ in range(2):  # the next time it would be kept
        browser.get(dict)
    kept, keep = browser.engine.policy.verified, verified.Verified.keep

    def late(*values: Any) -> None:
        keyfile.change(path, lambda document: document.added(SECOND, NOW))
        keyfile.change(path, lambda document: document.promoted(kid_of(SECOND), NOW))
        keyfile.change(path, lambda document: document.revoked(kid_of(FIRST), NOW))
        ring_clock.advance(5)
        browser.engine.policy.keyring.refresh()
        assert kept.credential(("", "")) is None  # another request
        keep(*values)

    with monkeypatch.context() as patch:
        patch.setattr(verified.Verified, "keep", late)
        browser.get(dict)

    assert not kept._credentials.younger
    assert not kept._bodies.younger
    assert browser.get(dict) == {}


# -- values ----------------------------------------------------------------------------


@pytest.mark.requirement("73")
@pytest.mark.parametrize(
    "fields",
    [{"theme": "dark"}, {"list": [1, {"a": []}]}, {"theme": "dark", "secret": [1]}],
    ids=["flat", "nested", "encrypted"],
)
def test_no_two_requests_share_a_value(browser: Browser, fields: dict[str, Any]) -> None:
    """What one request does to its fields is its own, until it is saved."""
    warmed(browser, **fields)

    def spoil(session: Session) -> None:
        session["theme"] = "spoilt"
        for name in ("list", "secret"):
            if name in session:
                session[name].append("spoilt")

    for _ in range(3):
        browser.twin().request(spoil, status=500, catch=True)  # nothing of it is kept
        assert browser.get(dict) == fields


@pytest.mark.requirement("73")
@pytest.mark.parametrize("fields", [{"theme": "dark"}, {"list": [1]}], ids=["flat", "nested"])
def test_each_call_returns_values_of_its_own(browser: Browser, fields: dict[str, Any]) -> None:
    warmed(browser, **fields)
    record = state_of_twin(browser)

    first, second = (browser.engine.policy.verified.unseal(record) for _ in range(2))

    assert isinstance(first, Body)
    assert isinstance(second, Body)
    assert first == second
    assert first.fields is not second.fields
    assert "list" not in fields or first.fields["list"] is not second.fields["list"]


def state_of_twin(browser: Browser) -> SessionRecord:
    record = browser.twin().get(lambda session: state_of(session).record)
    assert isinstance(record, SessionRecord)
    return record


@pytest.mark.requirement("73")
def test_what_is_handed_out_can_be_changed_and_saved(browser: Browser) -> None:
    warmed(browser, list=[1])

    for length in range(2, 6):
        browser.request(lambda session: session["list"].append(len(session["list"]) + 1))
        assert browser.twin().get(dict) == {"list": list(range(1, length + 1))}


# -- what is kept ----------------------------------------------------------------------


def _reached(start: object) -> Iterator[object]:
    """Yield all that *start* refers to, outside of modules and classes."""
    seen, waiting = set[int](), [start]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, type | ModuleType):
            continue
        seen.add(id(found))
        yield found
        waiting.extend(gc.get_referents(found))


def _texts(kept: verified.Verified) -> str:
    recent = (kept._credentials, kept._headers, kept._bodies)
    values = [each for values in recent for each in (values.younger, values.older)]
    return repr([found for found in _reached(values) if isinstance(found, str | bytes)])


@pytest.mark.requirement("73")
@pytest.mark.requirement("38")
def test_encrypted_field_is_not_kept_in_the_clear(browser: Browser) -> None:
    warmed(browser, secret=SECRET_WORD, theme="dark")

    texts = _texts(browser.engine.policy.verified)
    assert "dark" in texts
    assert SECRET_WORD not in texts
    assert browser.get(dict) == {"secret": SECRET_WORD, "theme": "dark"}


@pytest.mark.requirement("73")
@pytest.mark.requirement("59")
def test_nothing_of_it_is_shown_or_copied(browser: Browser) -> None:
    warmed(browser, theme="dark")
    kept = browser.engine.policy.verified

    assert browser.cookie
    for shown in (repr(kept), repr(browser.engine.policy), repr(browser.engine)):
        assert browser.cookie not in shown
        assert "dark" not in shown
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="holds secrets"):
            leave(kept)


@pytest.mark.requirement("73")
@pytest.mark.requirement("21")
def test_forged_and_unknown_tokens_are_never_kept(browser: Browser) -> None:
    """Nobody fills this memory from outside, nor with what was logged out."""
    kept = browser.engine.policy.verified
    strangers = [tokens.sign(Key(new_secret()), tokens.new_session_id()) for _ in range(3)]
    gone = [tokens.sign(browser.engine.policy.keyring.signing, tokens.new_session_id()) for _ in range(3)]
    for _ in range(4):
        for token in (*strangers, *gone):
            assert browser.with_cookie(token).get(dict) == {}

    assert not kept._credentials.younger
    assert not kept._bodies.younger


@pytest.mark.requirement("73")
def test_forged_token_is_reported_each_time(browser: Browser, events: list[SessionEvent]) -> None:
    warmed(browser, theme="dark")
    events.clear()
    header = f"{browser.name}=1.forged; {browser.name}={browser.cookie}"

    assert [browser.get(dict, cookie_header=header) for _ in range(3)] == [{"theme": "dark"}] * 3
    assert [event.reason for event in events] == ["malformed"] * 3


@pytest.mark.requirement("73")
def test_token_counts_under_the_name_it_was_verified_for(browser: Browser) -> None:
    """In another cookie, or as the token of a client, the same text opens what it did before: nothing."""
    warmed(browser, theme="dark")

    for header in (f"other={browser.cookie}", f"{browser.cookie}", f"={browser.cookie}"):
        assert browser.get(dict, cookie_header=header) == {}


@pytest.mark.requirement("73")
def test_bytes_are_bounded(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified, "MAX_TOKEN_BYTES", 8_000)
    monkeypatch.setattr(verified, "MAX_BODY_BYTES", 40_000)
    browser.engine.policy.verified.forget()
    visitors = [warmed(browser.with_cookie(None), pad="x" * 500) for _ in range(15)]

    kept = browser.engine.policy.verified
    assert 0 < len({**kept._credentials.younger, **kept._credentials.older}) <= 8_000 // verified._TOKEN_BYTES
    assert 0 < len({**kept._bodies.younger, **kept._bodies.older}) <= 40_000 // 1_500
    assert all(visitor.get(dict) == {"pad": "x" * 500} for visitor in visitors)


@pytest.mark.requirement("73")
@pytest.mark.parametrize("length", [100, 4_000])
def test_other_cookies_that_change_push_nobody_out(browser: Browser, length: int) -> None:
    """A visitor with one session sends another header each time."""
    others = [warmed(browser.with_cookie(None), theme="dark") for _ in range(3)]
    warmed(browser, theme="dark")
    kept = browser.engine.policy.verified
    before = set(kept._credentials.younger)
    for number in range(50):
        header = f"other={str(number) * length}; {browser.name}={browser.cookie}"
        assert browser.get(dict, cookie_header=header) == {"theme": "dark"}

    assert set(kept._credentials.younger) == before
    assert len(kept._headers.younger) <= len(others) + 1
    assert kept._headers._size <= verified.MAX_HEADER_BYTES


@pytest.mark.requirement("73")
def test_close_forgets_it(browser: Browser) -> None:
    warmed(browser, theme="dark")

    browser.engine.close()

    assert "dark" not in _texts(browser.engine.policy.verified)


@pytest.mark.requirement("73")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("heard", [True, False], ids=["by Python", "in C"])
@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_child_knows_nothing_of_its_parent(browser: Browser, heard: bool) -> None:
    warmed(browser, theme="dark")
    here, there = multiprocessing.get_context("fork").Pipe()

    def look() -> None:
        browser.with_cookie(None).get(dict)
        there.send("dark" in _texts(browser.engine.policy.verified))

    child = begin_child(look, heard=heard)
    assert here.poll(PATIENCE)
    assert here.recv() is False
    child.join()


@pytest.mark.requirement("73")
@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_engines_on_one_store_share_nothing(browser: Browser, engine: SessionEngine) -> None:
    """Another application with other keys reads the same records."""
    warmed(browser, theme="dark")
    other = Browser(browser.protocol, SessionEngine(new_secret(), engine.requests.store))

    assert other.with_cookie(browser.cookie).get(dict) == {}


@pytest.mark.requirement("73")
@pytest.mark.requirement("52")
def test_denied_session_stays_denied(flaky: Browser) -> None:
    """Its logout could not be stored: this process lets nobody in, whatever it knows."""
    warmed(flaky, theme="dark")
    store: FlakyStore = flaky.engine.requests.store  # type: ignore[assignment]  # the fixture's
    store.broken = {"delete"}
    twin = flaky.twin()
    flaky.twin().request(lambda session: session.logout(), catch=True)

    assert twin.get(dict) == {}
