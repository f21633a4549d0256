"""Events: every one is counted, few are logged, and none tells a secret or forges a line."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from fluidauth import CookieOptions, MemoryStore, Session, SessionEngine
from fluidauth.engine.visit import Visit
from fluidauth.events import LINES_PER_WINDOW, WINDOW, EventLog, SessionEvent
from fluidauth.meanings import MEANINGS, EventName
from fluidauth.session.session import visit_of
from fluidauth.testing import FakeClock

SECRET = "TEST-ONLY-0123456789-abcdefghijklmn"
NOW = 1_700_000_000


def event(name: EventName = "cookie_rejected", time: int = NOW, **details: Any) -> SessionEvent:
    return SessionEvent(name, time, **details)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """A function that returns the lines logged so far, whatever their level."""
    caplog.set_level(logging.DEBUG, "fluidauth")
    yield lambda: [record.getMessage() for record in caplog.records if record.name == "fluidauth"]


# -- what a line says ---------------------------------------------------------------------------


@pytest.mark.requirement("57")
@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            event("session_renewed"),
            "session_renewed: The session has a new id, and the old one opens nothing.",
        ),
        (
            event(reason="bad_mac"),
            "cookie_rejected: The signature of the cookie is wrong: "
            "it was changed or forged. reason='bad_mac'",
        ),
        (
            event("session_created", reason="login", handle="ab" * 32, user_id="user-42"),
            "session_created: A user signed in, and a session from before was replaced. "
            f"reason='login' handle='{'ab' * 32}' user_id='user-42'",
        ),
        (
            event("session_revoked", user_id="Zoë", count=0),
            "session_revoked: Sessions were ended from outside of their own requests. user_id='Zoë' count=0",
        ),
    ],
)
def test_an_event_is_a_line(given: SessionEvent, line: str, lines: Any) -> None:
    """Its name for programs, a sentence for people, then the fields."""
    EventLog().emit(given)

    assert lines() == [str(given)] == [line]


@pytest.mark.requirement("57")
@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("session_created", logging.INFO),
        ("session_renewed", logging.INFO),
        ("revoke_failed", logging.ERROR),
        ("session_expired", logging.INFO),
        ("session_logout", logging.INFO),
        ("session_revoked", logging.INFO),
        ("cookie_rejected", logging.INFO),
        ("cookie_insecure", logging.WARNING),
        ("cookie_conflict", logging.WARNING),
        ("cache_overridden", logging.WARNING),
        ("clock_skew", logging.WARNING),
        ("write_dropped", logging.WARNING),
        ("ambiguous", logging.WARNING),
        ("record_tampered", logging.ERROR),
        ("store_error", logging.ERROR),
    ],
)
def test_a_level_says_how_bad_it_is(name: EventName, level: int, caplog: pytest.LogCaptureFixture) -> None:
    """What visitors do is INFO, what an operator should look at WARNING, what is broken ERROR."""
    caplog.set_level(logging.DEBUG, "fluidauth")

    EventLog().emit(event(name))

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("fluidauth", level)
    assert vars(record)["event"] == event(name)


def test_every_name_can_be_logged(lines: Any) -> None:
    """No event is without a level and a sentence, whatever its reason."""
    names = get_args(EventName)

    for name in names:
        EventLog().emit(event(name))

    assert [line.partition(": ")[0] for line in lines()] == list(names)
    sentences = [
        sentence
        for meaning in MEANINGS.values()
        for sentence in (meaning.sentence, *meaning.reasons.values())
    ]
    assert [each for each in sentences if not re.fullmatch(r"[A-Z][^\n]+\.", each)] == []
    assert len(set(sentences)) == len(sentences)


@pytest.mark.requirement("57")
@pytest.mark.parametrize(
    "evil",
    [
        "x\r\nCRITICAL fluidauth forged",
        "x\nforged",
        "x\rforged",
        "x\x0bforged",
        "x\x0cforged",
        "x\x1cforged",
        "x\x85forged",
        "x\u2028forged",
        "x\u2029forged",
        "x\x1b[2Jforged",
        "x\x00forged",
        "x\u202eforged",
        "x' handle='forged",
    ],
    ids=repr,
)
@pytest.mark.parametrize("column", ["reason", "handle", "user_id"])
def test_no_text_forges_a_line(evil: str, column: str, lines: Any) -> None:
    """Line breaks and terminal codes come out escaped, whatever column they stand in."""
    details: Any = {column: evil}

    EventLog().emit(event(**details))

    (line,) = lines()
    assert line.splitlines() == [line]
    assert line.isprintable()
    assert line == f"cookie_rejected: A cookie opened no session. {column}={evil!r}"


# -- how many lines ---------------------------------------------------------------------------------


@pytest.mark.requirement("57")
def test_forged_cookies_do_not_fill_the_log(lines: Any) -> None:
    """A hundred thousand in a minute: ten lines, every one counted, and no more work than that."""
    counted: list[SessionEvent] = []
    clock = FakeClock(NOW)
    engine = SessionEngine(
        SECRET, MemoryStore(), cookie=CookieOptions(secure=False), on_event=counted.append, clock=clock
    )

    for number in range(100_000):
        Session(Visit(engine.requests, f"session={number}")).get("x")
    logged = lines()
    clock.advance(60)
    Session(Visit(engine.requests, "session=x")).get("x")

    assert logged == [str(event(reason="malformed"))] * 10
    assert lines()[10:] == [f"{event(reason='malformed')} (99990 more held back)"]
    assert counted == [event(reason="malformed")] * 100_000 + [event(time=NOW + 60, reason="malformed")]


@pytest.mark.requirement("57")
def test_a_failing_callback_does_not_fill_the_log(lines: Any) -> None:
    """A stranger who causes events must not cause a traceback for each of them either."""

    def on_event(event: SessionEvent) -> None:
        raise RuntimeError("counter is broken")

    log = EventLog(on_event)

    for _ in range(1_000):
        log.emit(event(reason="malformed"))

    assert 11 <= len(lines()) <= 20


@pytest.mark.requirement("57")
def test_the_limit_is_for_each_name_and_reason(lines: Any) -> None:
    """A flood of one kind hides no other."""
    log = EventLog()

    for _ in range(50):
        for reason in ("malformed", "bad_mac", None):
            log.emit(event(reason=reason))
        log.emit(event("store_error", reason="malformed"))

    assert sorted(lines()) == sorted(
        [
            *[str(event(reason="malformed"))] * 10,
            *[str(event(reason="bad_mac"))] * 10,
            *[str(event())] * 10,
            *[str(event("store_error", reason="malformed"))] * 10,
        ]
    )


@pytest.mark.requirement("57")
@pytest.mark.parametrize("name", ["session_created", "session_renewed", "session_logout", "session_revoked"])
def test_audit_events_are_never_held_back(name: EventName, lines: Any) -> None:
    """Each of these follows a genuine sign-in or sign-out."""
    log = EventLog()

    for number in range(200):
        log.emit(event(name, user_id=f"user-{number}"))

    assert lines() == [str(event(name, user_id=f"user-{number}")) for number in range(200)]


@pytest.mark.requirement("57")
@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (0, 10),
        (59, 10),
        (60, 20),
        (3600, 20),
        (-1, 20),
        (-3600, 20),
    ],
)
def test_a_window_is_a_minute(later: int, expected: int, lines: Any) -> None:
    """Then lines go out again; a clock that was set back does not silence the log."""
    log = EventLog()

    for moment in (NOW, NOW + later):
        for _ in range(30):
            log.emit(event(time=moment))

    assert (LINES_PER_WINDOW, WINDOW) == (10, 60)
    assert len(lines()) == expected


@pytest.mark.requirement("57")
def test_held_back_lines_are_counted_once(lines: Any) -> None:
    """With the first line of the next window."""
    log = EventLog()

    for moment, count in ((NOW, 13), (NOW + 60, 2), (NOW + 120, 1)):
        for _ in range(count):
            log.emit(event(time=moment))

    assert lines()[10:] == [f"{event()} (3 more held back)", str(event()), str(event())]


@pytest.mark.requirement("57")
def test_threads_share_the_limit(lines: Any) -> None:
    """Nothing is lost or logged twice when many threads report at once."""
    counted: list[SessionEvent] = []
    log = EventLog(counted.append)
    start = threading.Barrier(8)

    def report() -> None:
        start.wait()
        for _ in range(500):
            log.emit(event())

    threads = [threading.Thread(target=report) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.emit(event(time=NOW + 60))

    assert lines() == [str(event())] * 10 + [f"{event()} (3990 more held back)"]
    assert len(counted) == 4001


def test_strangers_cannot_make_the_log_grow() -> None:
    """Windows are kept for names and reasons of ours alone, never for what a visitor sent."""
    engine = SessionEngine(SECRET, MemoryStore(), cookie=CookieOptions(secure=False))

    for number in range(2_000):
        Session(Visit(engine.requests, f"session=1.{number:06}.{'x' * 32}.{'y' * 24}; session={number}")).get(
            "x"
        )

    assert len(engine.requests._events._windows) == 2


# -- on_event --------------------------------------------------------------------------------------


@pytest.mark.requirement("57")
def test_a_callback_that_fails_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    """The request goes on, and the log says what failed."""
    seen = []

    def on_event(event: SessionEvent) -> None:
        seen.append(event.name)
        raise RuntimeError("counter is broken")

    engine = SessionEngine(SECRET, MemoryStore(), cookie=CookieOptions(secure=False), on_event=on_event)

    token, session = engine.create_session("user-42", {"a": 1})
    read = dict(Session(Visit(engine.requests, f"session={token}; session=junk")))

    assert read == dict(session) == {"a": 1}
    assert seen == ["session_created", "cookie_rejected"]
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert messages == ["on_event failed for session_created", "on_event failed for cookie_rejected"]
    assert "counter is broken" in caplog.text


def test_a_callback_may_be_interrupted() -> None:
    """KeyboardInterrupt and SystemExit are not the callback's failure."""

    def on_event(event: SessionEvent) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EventLog(on_event).emit(event())


@pytest.mark.requirement("57")
def test_the_callback_gets_what_the_logger_drops() -> None:
    """Counters stay true where the logger is switched off, or its limit reached."""
    counted: list[SessionEvent] = []
    log = EventLog(counted.append)
    logging.getLogger("fluidauth").disabled = True

    try:
        for _ in range(100):
            log.emit(event(handle="ab" * 32))
    finally:
        logging.getLogger("fluidauth").disabled = False

    assert counted == [event(handle="ab" * 32)] * 100


# -- secrets ----------------------------------------------------------------------------------------


@pytest.mark.requirement("25", "57")
def test_no_line_holds_a_token_an_id_or_a_secret(lines: Any) -> None:
    """Through a session's whole life, attacks on it included."""
    seen: list[SessionEvent] = []
    clock = FakeClock(NOW)
    store = MemoryStore()
    engine = SessionEngine(
        SECRET, store, cookie=CookieOptions(secure=False), on_event=seen.append, clock=clock
    )
    tokens = []

    def request(*given: str) -> Session:
        session = Session(Visit(engine.requests, "; ".join(f"session={token}" for token in given)))
        session.get("x")
        return session

    def save(session: Session) -> None:
        session.save()
        tokens.extend(re.findall(r"session=([^;]+)", " ".join(visit_of(session).set_cookies.values())))

    for user in ("ada", "bob", "eve"):
        token, _ = engine.create_session(user, {"mail": "private@example.org"})
        tokens.append(token)
    ada, bob, eve = tokens
    request(ada, bob)  # ambiguous
    request(ada[:-1] + "!", "junk")  # cookie_rejected
    again = request(ada)
    again.login("ada")
    save(again)  # session_created
    request(ada)  # cookie_rejected: replaced
    renewed = request(tokens[-1])
    renewed.regenerate()
    save(renewed)  # session_renewed
    slow = request(bob)
    engine.revoke_user("bob")  # session_revoked
    slow["x"] = 1
    save(slow)  # write_dropped
    request(bob)  # cookie_rejected: unknown_id
    (stored,) = store.list_for_user("eve")
    store._records[stored.handle] = stored._replace(user_id="ada")
    request(eve)  # record_tampered
    store._records[stored.handle] = stored
    clock.advance(-600)
    request(eve)  # clock_skew
    clock.advance(4200)
    request(eve)  # session_expired
    last = request(tokens[-1])
    last.logout()
    save(last)

    told = "\n".join([*lines(), *map(repr, seen), *map(str, seen)])

    assert {e.name for e in seen} >= {
        "session_created",
        "session_renewed",
        "session_revoked",
        "session_expired",
        "cookie_rejected",
        "write_dropped",
        "record_tampered",
        "clock_skew",
        "ambiguous",
    }
    secrets = [SECRET, "private@example.org", *tokens]
    secrets += [token[9:41] for token in tokens] + [token[42:] for token in tokens]
    assert len(tokens) == 5
    assert not [secret for secret in secrets if secret in told]
