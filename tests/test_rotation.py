"""What a rotation does to stored sessions: cookies, seals, encrypted fields, and what is left at rest."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fluidauth import (
    CookieOptions,
    Keyring,
    MemoryStore,
    Session,
    SessionEngine,
    SessionRecord,
    SQLiteStore,
    StoreError,
)
from fluidauth.errors import FieldKeyMissing, FluidAuthError
from fluidauth.events import SessionEvent
from fluidauth.formats.encryption import FieldCipher, encrypted_by
from fluidauth.formats.payloads import sealed_by
from fluidauth.keys import file as keyfile
from fluidauth.keys import new_secret
from fluidauth.keys.key import kid_of
from fluidauth.maintenance.census import KeyUse, every_record
from fluidauth.maintenance.rekey import Rekeyed, rekey
from fluidauth.records import Body, Locked, Tombstone
from fluidauth.rules.verdicts import inspect
from fluidauth.testing import FakeClock

from .support import Browser, FlakyStore, Protocol, Task, opened

OLD, NEW = new_secret(), new_secret()
VALUES: dict[str, Any] = {
    "text": "Zoë",
    "number": 1.5,
    "large": 2**60,
    "yes": True,
    "nothing": None,
    "list": [1, [2, {"three": None}]],
    "map": {"a": {"b": ["c"]}},
    "empty": {},
}


@pytest.fixture(params=["memory", "sqlite"])
def full_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Our stores, which have every capability."""
    with opened(request.param, tmp_path) as store:
        yield store


def record_of(browser: Browser) -> SessionRecord:
    """Return the stored record of the browser's session."""
    handle = browser.twin().get(lambda session: session.handle)
    record = browser.engine.requests.store.get(handle)
    assert record is not None
    return record


def content_of(record: SessionRecord) -> list[Any]:
    """Return the body of *record* as stored: plain fields first, encrypted ones last, if any."""
    found = json.loads(record.payload[7:-32])
    return [found[0], found[5] if len(found) > 5 else {}]


# -- cookies and rows move by themselves -----------------------------------------------------


def fifty_at_once(browser: Browser, handler: Callable[[Session], Any]) -> list[Any]:
    """Run *handler* in fifty requests with one cookie that have all loaded before the first one answers."""
    if browser.protocol == "wsgi":
        barrier = threading.Barrier(50)

        def wait(session: Session) -> Any:
            value = handler(session)
            barrier.wait(20)
            return value

        tabs = [browser.twin() for _ in range(50)]
        answers: list[Any] = [None] * 50

        def run(number: int) -> None:
            answers[number] = tabs[number].request(wait)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers
    return asyncio.run(_fifty_tasks(browser, handler))


async def _fifty_tasks(browser: Browser, handler: Callable[[Session], Any]) -> list[Any]:
    everybody = asyncio.Event()
    loaded = 0

    async def wait(session: Session) -> Any:
        nonlocal loaded
        value = handler(session)
        loaded += 1
        if loaded == 50:
            everybody.set()
        await everybody.wait()
        return value

    async def one() -> Any:
        task = Task(wait)
        header = f"{browser.name}={browser.cookie}".encode("latin-1")
        scope = {"type": "http", "scheme": "https", "headers": [(b"cookie", header)], "test.task": task}
        messages: list[Any] = []

        async def send(message: Any) -> None:
            messages.append(message)

        await browser.app(scope, None, send)
        task.headers = [(n.decode(), v.decode("latin-1")) for n, v in messages[0]["headers"]]
        return task

    return list(await asyncio.gather(*(one() for _ in range(50))))


@pytest.mark.requirement("37")
def test_fifty_requests_at_once_agree_on_the_new_cookie(
    protocol: Protocol, full_store: Any, clock: FakeClock
) -> None:
    """Each gets the same cookie, with the same id and no longer life, and one of them moves the row."""
    before = Browser(protocol, SessionEngine(OLD, full_store, clock=clock))
    before.request(lambda session: session.login("ada", dict(VALUES)))
    version = record_of(before).version
    browser = Browser(protocol, SessionEngine([NEW, OLD], full_store, clock=clock))
    browser.cookie = before.cookie

    answers = fifty_at_once(browser, dict)

    lines = {value for answer in answers for name, value in answer.headers if name.lower() == "set-cookie"}
    assert [answer.value for answer in answers] == [VALUES] * 50
    assert len(lines) == 1
    name, _, rest = lines.pop().partition("=")
    browser.cookie = rest[:66]
    assert (name, rest[2:8], rest[9:41]) == ("__Host-session", kid_of(NEW), (before.cookie or "")[9:41])
    assert int(rest.partition("Max-Age=")[2].partition(";")[0]) <= 86400
    record = record_of(browser)
    assert (record.kid, sealed_by(record), record.version) == (kid_of(NEW), kid_of(NEW), version + 1)


def test_a_rotation_moves_encrypted_fields_of_every_type(browser: Browser, store: Any) -> None:
    """The first use under the new key encrypts all anew; nothing is left under the old one."""
    engines = [SessionEngine(secret, store, encrypted_fields="*") for secret in (OLD, [NEW, OLD], NEW)]
    first, both, last = (Browser(browser.protocol, engine) for engine in engines)
    first.request(lambda session: session.login("ada", dict(VALUES)))
    both.cookie = first.cookie

    both.request(lambda session: session.user_id)
    last.cookie = both.cookie

    plain, encrypted = content_of(record_of(last))
    assert last.get(dict) == VALUES
    assert plain == {}
    assert {encrypted_by(envelope) for envelope in encrypted.values()} == {kid_of(NEW)}


@pytest.mark.parametrize("setting", ["larger when encrypted", "limit lowered"])
def test_a_large_session_is_moved_and_kept_alive(
    protocol: Protocol, store: Any, clock: FakeClock, setting: str
) -> None:
    """A session that would not be accepted anew goes on: re-signed, re-sealed and touched like any other."""
    before = Browser(protocol, SessionEngine(OLD, store, clock=clock))
    before.request(lambda session: session.login("ada", {"text": "x" * 52_000}))
    options: dict[str, Any] = (
        {"encrypted_fields": "*"} if setting.startswith("larger") else {"max_payload": 10_000}
    )
    after = Browser(protocol, SessionEngine([NEW, OLD], store, clock=clock, **options))
    after.cookie = before.cookie

    for _ in range(9):  # an hour and a half, every ten minutes
        clock.advance(600)
        assert after.get(lambda session: session.user_id) == "ada"

    record = record_of(after)
    assert ((after.cookie or "")[2:8], record.kid, sealed_by(record)) == (kid_of(NEW),) * 3


def test_a_client_that_keeps_its_old_cookie_causes_one_write(
    protocol: Protocol, store: Any, clock: FakeClock
) -> None:
    """It is offered the new one each time, and the row, once moved, is left alone."""
    before = Browser(protocol, SessionEngine(OLD, store, clock=clock))
    before.request(lambda session: session.login("ada"))
    engine = SessionEngine([NEW, OLD], store, clock=clock)
    version = record_of(before).version

    answers = []
    for _ in range(5):
        stubborn = Browser(protocol, engine)
        stubborn.cookie = before.cookie
        answers.append(stubborn.request(lambda session: session.user_id))
    moved = stubborn

    assert len({tuple(answer.set_cookies) for answer in answers}) == 1
    assert answers[0].set_cookies != []
    assert record_of(moved).version == version + 1


# -- encrypted_fields changes between deployments ---------------------------------------------


@pytest.mark.parametrize("following", [("email",), "*"])
def test_a_plain_field_is_encrypted_at_its_next_write(protocol: Protocol, store: Any, following: Any) -> None:
    """Rows written before the deployment are read, and encrypted when they are next saved."""
    before = Browser(protocol, SessionEngine(OLD, store))
    before.request(lambda session: session.login("ada", {"email": "ada@example.com", "theme": "dark"}))
    after = Browser(protocol, SessionEngine(OLD, store, encrypted_fields=following))
    after.cookie = before.cookie

    read = after.get(dict)
    stored_before = content_of(record_of(after))
    after.request(lambda session: session.update(theme="light"))
    stored = content_of(record_of(after))

    assert read == {"email": "ada@example.com", "theme": "dark"}
    assert stored_before == [read, {}]
    assert "email" not in stored[0]
    assert set(stored[1]) == ({"email"} if following != "*" else {"email", "theme"})
    assert after.get(dict) == {"email": "ada@example.com", "theme": "light"}


def test_an_encrypted_field_becomes_plain_at_its_next_write(protocol: Protocol, store: Any) -> None:
    """And back: what is no longer named is stored in the clear when it is next saved."""
    before = Browser(protocol, SessionEngine(OLD, store, encrypted_fields="*"))
    before.request(lambda session: session.login("ada", dict(VALUES)))
    after = Browser(protocol, SessionEngine(OLD, store))
    after.cookie = before.cookie

    assert after.get(dict) == VALUES
    after.request(lambda session: session.update(theme="light"))

    assert content_of(record_of(after)) == [{**VALUES, "theme": "light"}, {}]


def test_a_field_whose_key_is_gone_is_quarantined(protocol: Protocol, full_store: Any) -> None:
    """Its access raises, the rest is read and written, and it is whole again when the key is back."""
    engine = SessionEngine(NEW, full_store, encrypted_fields=("email",))
    browser = Browser(protocol, engine)
    browser.request(lambda session: session.login("ada", {"theme": "dark"}))
    record = record_of(browser)
    envelope = FieldCipher(Keyring.from_secrets(OLD), record.handle).encrypt("email", '"ada@example.com"')
    body = engine.policy.sealer.unseal(record)
    assert isinstance(body, Body)
    following = record._replace(version=record.version + 1)
    locked = {"email": Locked(envelope, FieldKeyMissing("email"))}
    full_store.update(engine.policy.sealer.seal(following, body._replace(locked=locked)))

    def read_email(session: Session) -> Any:
        with pytest.raises(FieldKeyMissing, match="encrypted session field 'email' cannot be read"):
            session["email"]
        return dict(session)

    assert browser.get(read_email) == {"theme": "dark"}
    browser.request(lambda session: session.update(theme="light"))
    assert browser.get(read_email) == {"theme": "light"}
    carry_through(SessionEngine(NEW, full_store), full_store)
    back = Browser(protocol, SessionEngine([NEW, OLD], full_store, encrypted_fields=("email",)))
    back.cookie = browser.cookie
    assert back.get(dict) == {"theme": "light", "email": "ada@example.com"}


# -- rekey -------------------------------------------------------------------------------------


def carry_through(engine: SessionEngine, store: Any, batch: int = 3) -> Rekeyed:
    """Rekey the whole store and return the totals."""
    *_, totals = rekey(engine.policy.sealer, store, batch)
    return totals


def stored(store: Any) -> list[SessionRecord]:
    return list(every_record(store.scan))


def test_rekey_moves_every_record_and_changes_nothing_else(full_store: Any) -> None:
    """Fields, encrypted or not, user, times and the key of the cookie stay; tombstones move as well."""
    before = SessionEngine(OLD, full_store, encrypted_fields=("text", "map"))
    for number in range(10):
        before.create_session(f"user-{number}", dict(VALUES))
    browser = Browser("wsgi", before)
    browser.request(lambda session: session.update(VALUES))
    browser.request(Session.regenerate)
    earlier = stored(full_store)
    engine = SessionEngine([NEW, OLD], full_store)

    totals = carry_through(engine, full_store)

    later = stored(full_store)
    assert (totals.seen, totals.done, totals.skipped, totals.failed) == (12, 12, 0, [])
    assert {sealed_by(record) for record in later} == {kid_of(NEW)}
    assert [r._replace(version=0, payload=b"") for r in later] == [
        r._replace(version=0, payload=b"") for r in earlier
    ]
    contents = [SessionEngine(NEW, full_store).policy.sealer.unseal(record) for record in later]
    assert [b.fields for b in contents if isinstance(b, Body)] == [VALUES] * 11
    assert [set(b.locked) for b in contents if isinstance(b, Body)] == [{"text", "map"}] * 11
    assert sum(isinstance(found, Tombstone) for found in contents) == 1


def test_rekey_goes_on_where_it_stopped(full_store: Any) -> None:
    """What an interrupted run did is skipped by the next one."""
    before = SessionEngine(OLD, full_store)
    for number in range(10):
        before.create_session(f"user-{number}")
    engine = SessionEngine([NEW, OLD], full_store)

    first = next(rekey(engine.policy.sealer, full_store, 4)).done
    totals = carry_through(engine, full_store)

    assert (first, totals.done, totals.skipped) == (4, 6, 4)


def test_rekey_leaves_alone_what_it_cannot_open(full_store: Any) -> None:
    """Tampered and foreign records are named with their reason and stay as they are."""
    before = SessionEngine(OLD, full_store)
    foreign, tampered, good = (before.create_session("ada")[1].handle for _ in range(3))
    other = SessionEngine(new_secret(), full_store)
    full_store.update(reseal_as(other, before, full_store.get(foreign)))
    record = full_store.get(tampered)
    full_store.update(record._replace(version=2, user_id="mallory"))
    left = {handle: full_store.get(handle) for handle in (foreign, tampered)}

    totals = carry_through(SessionEngine([NEW, OLD], full_store), full_store)

    assert (totals.done, totals.skipped) == (1, 0)
    assert {handle: reason.partition(" ")[0] for handle, reason in totals.failed} == {
        foreign: "sealed",
        tampered: "changed,",
    }
    assert {handle: full_store.get(handle) for handle in left} == left
    assert sealed_by(full_store.get(good)) == kid_of(NEW)


def reseal_as(other: SessionEngine, engine: SessionEngine, record: SessionRecord) -> SessionRecord:
    """Return the next version of *record* under the key of another application."""
    body = engine.policy.sealer.unseal(record)
    return other.policy.sealer.seal(record._replace(version=record.version + 1), body)


class RacingStore(MemoryStore):
    """Lets a request in between each read of a page and the update that follows."""

    def __init__(self, race: Callable[[], object]) -> None:
        super().__init__()
        self.race = race
        self.left = 0

    def update_many(self, records: Any) -> list[bool]:
        if self.left:
            self.left -= 1
            self.race()
        return super().update_many(records)


@pytest.mark.parametrize(("races", "failures"), [(1, 0), (4, 0), (5, 1)])
def test_rekey_loses_no_change_of_a_request(races: int, failures: int) -> None:
    """A request that wins the race keeps its change; the record is read again, five times at most."""
    store = RacingStore(lambda: browser.request(lambda session: session.add("visits")))
    browser = Browser("wsgi", SessionEngine(OLD, store))
    browser.request(lambda session: session.login("ada", {"visits": 0}))
    store.left = races

    totals = carry_through(SessionEngine([NEW, OLD], store), store)

    assert browser.with_cookie(browser.cookie).get(lambda s: s.user_id) in ("ada", None)
    both = Browser("wsgi", SessionEngine([NEW, OLD], store))
    both.cookie = browser.cookie
    assert both.get(lambda session: session["visits"]) == races
    assert [reason for _, reason in totals.failed] == ["requests kept changing it"] * failures


def test_rekey_does_not_bring_back_what_was_logged_out() -> None:
    """A logout between the read and the update is final, and no failure."""
    store = RacingStore(lambda: browser.request(Session.logout))
    browser = Browser("wsgi", SessionEngine(OLD, store))
    browser.request(lambda session: session.login("ada"))
    store.left = 1

    totals = carry_through(SessionEngine([NEW, OLD], store), store)

    assert stored(store) == []
    assert (totals.done, totals.skipped, totals.failed) == (0, 1, [])


def test_rekey_may_pass_the_payload_limit(full_store: Any) -> None:
    """A record that fitted under a higher limit is not refused for it."""
    engine = SessionEngine(OLD, full_store, max_payload=10_000_000)
    engine.create_session("ada", {"text": "x" * 1_000_000})

    assert carry_through(SessionEngine([NEW, OLD], full_store), full_store).done == 1


# -- who depends on a key ----------------------------------------------------------------------


def test_the_use_of_a_key_is_counted_exactly(full_store: Any, clock: FakeClock) -> None:
    """Cookies and payloads of live sessions, who ends, and when the last expires by itself."""

    def engine(*secrets: str) -> SessionEngine:
        return SessionEngine(list(secrets), full_store, clock=clock)

    old, both = engine(OLD), engine(NEW, OLD)
    used = Browser("wsgi", old)
    used.request(lambda session: session.login("ada"))
    renewed = Browser("wsgi", old)
    renewed.request(lambda session: session.login("eve"))
    renewed.request(Session.regenerate)  # leaves a tombstone
    old.create_session("idle")
    expired = old.create_session("late")[1].handle
    record = full_store.get(expired)
    full_store.delete(expired)
    full_store.create(record._replace(expires_at=int(clock())))
    clock.advance(60)
    other = Browser("wsgi", both)
    other.cookie = used.cookie
    other.get(lambda session: session.user_id)  # cookie and row move to the new key

    use = KeyUse()
    use.count(both.policy, kid_of(OLD), stored(full_store), int(clock()))

    assert (use.sessions, use.cookies, use.payloads, use.fields) == (2, 2, 2, 0)
    assert use.until == int(clock()) - 60 + 3600
    carry_through(both, full_store)
    use = KeyUse()
    use.count(both.policy, kid_of(OLD), stored(full_store), int(clock()))
    assert (use.sessions, use.cookies, use.payloads) == (2, 2, 0)


@pytest.mark.parametrize("secrets", [[OLD], [NEW, OLD]])
def test_inspection_tells_records_apart(full_store: Any, clock: FakeClock, secrets: list[str]) -> None:
    """Live, expired, renewed, foreign, tampered with, and from the future."""
    engine = SessionEngine(OLD, full_store, clock=clock)
    policy = SessionEngine(secrets, full_store, clock=clock).policy
    live = full_store.get(engine.create_session("ada")[1].handle)
    now = int(clock())
    browser = Browser("wsgi", engine)
    browser.request(lambda session: session.update(a=1))
    grave = browser.get(lambda session: session.handle)
    browser.request(Session.regenerate)
    foreign = reseal_as(SessionEngine(new_secret(), full_store), engine, live)

    verdicts = [
        inspect(policy, record, at).verdict
        for record, at in [
            (live, now),
            (live, now + 3600),
            (live, now - 3600),
            (full_store.get(grave), now),
            (foreign, now),
            (live._replace(user_id="eve"), now),
            (live._replace(payload=b""), now),
            (live._replace(expires_at="soon"), now),
        ]
    ]

    assert verdicts == ["live", "ended", "ended", "ended", "foreign", "tampered", "tampered", "tampered"]


def test_a_session_whose_cookie_is_under_a_revoked_key_is_dead(full_store: Any, tmp_path: Path) -> None:
    """Also if its row was moved in time: nobody can come in with it."""
    engine = SessionEngine(OLD, full_store)
    handle = engine.create_session("ada")[1].handle
    carry_through(SessionEngine([NEW, OLD], full_store), full_store)
    path = tmp_path / "keyring.json"
    keyfile.change(
        path, lambda r: r.added(OLD, 1).added(NEW, 1).promoted(kid_of(NEW), 1).revoked(kid_of(OLD), 1)
    )
    policy = SessionEngine(Keyring.from_file(path), full_store).policy

    found = inspect(policy, full_store.get(handle), int(time.time()))

    assert (found.verdict, sealed_by(full_store.get(handle))) == ("revoked", kid_of(NEW))


# -- nothing secret at rest or in what is told ---------------------------------------------------


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


# -- why a request is signed in or not ------------------------------------------------------------


@pytest.fixture(params=["blocking", "awaited"])
def explain(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``engine.explain`` and its twin."""

    def call(engine: SessionEngine, headers: Any, **options: Any) -> Any:
        if request.param == "blocking":
            return engine.explain(headers, **options)
        return asyncio.run(engine.aexplain(headers, **options))

    return call


def cookie_of(browser: Browser, cookie: str | None = None) -> dict[str, str]:
    return {"cookie": f"theme=dark; {browser.name}={cookie or browser.cookie}"}


def test_a_live_session_is_explained(explain: Any, browser: Browser) -> None:
    """Each step is good, and the user and handle are named."""
    browser.request(lambda session: session.login("ada"))

    found = explain(browser.engine, cookie_of(browser))

    assert (found.opens, found.signed_in, found.reason, found.user_id) == (True, True, "live", "ada")
    assert found.handle == browser.get(lambda session: session.handle)
    assert [remark.subject for remark in found.remarks] == [
        "cookie",
        "form",
        "key",
        "signature",
        "record",
        "seal",
        "expiry",
    ]
    assert all(remark.good for remark in found.remarks)


def test_headers_come_in_every_shape(explain: Any, browser: Browser) -> None:
    """A mapping, pairs of text or bytes, a WSGI environ; split headers are joined."""
    browser.request(lambda session: session.login("ada"))
    text = f"{browser.name}={browser.cookie}"
    shapes: list[Any] = [
        {"Cookie": text},
        [("Cookie", text)],
        [(b"host", b"x"), (b"cookie", b"a=b"), (b"cookie", text.encode())],
        {"HTTP_COOKIE": text, "wsgi.input": object(), "REQUEST_METHOD": "GET"},
    ]

    assert [explain(browser.engine, headers).signed_in for headers in shapes] == [True] * 4


REASONS: dict[str, tuple[Callable[[Browser], Any], str, str]] = {
    "no cookie": (
        lambda b: {"cookie": "theme=dark"},
        "no_cookie",
        "none named __Host-session; it has theme",
    ),
    "nothing": (lambda b: {}, "no_cookie", "the request has none named __Host-session"),
    "cut": (lambda b: cookie_of(b, (b.cookie or "")[:-1]), "malformed", "has 65 characters, not 66"),
    "version": (lambda b: cookie_of(b, "2" + (b.cookie or "")[1:]), "malformed", "its version is not 1"),
    "dots": (
        lambda b: cookie_of(b, (b.cookie or "").replace(".", "-").replace("1-", "1.", 1)),
        "malformed",
        "is not of the form version.key.id.signature",
    ),
    "unknown key": (
        lambda b: cookie_of(b, "1.aaaaaa" + (b.cookie or "")[8:]),
        "unknown_key",
        "aaaaaa is unknown",
    ),
    "forged": (
        lambda b: cookie_of(b, (b.cookie or "")[:-4] + "AAAA"),
        "bad_mac",
        "does not fit: changed on the way, or forged",
    ),
    "long": (lambda b: {"cookie": "x" * 70_000}, "too_long", "more than 65536 characters"),
    "many": (
        lambda b: {"cookie": "; ".join(f"{b.name}={n}" for n in range(5))},
        "too_many",
        "5 of our name; at most 4 are read",
    ),
}


@pytest.mark.parametrize("kind", REASONS)
@pytest.mark.parametrize("offline", [False, True])
def test_a_refused_cookie_is_explained(explain: Any, browser: Browser, kind: str, offline: bool) -> None:
    """With the reason of the event that the request would log, and without the cookie itself."""
    browser.request(lambda session: session.login("ada"))
    headers, reason, words = REASONS[kind]

    found = explain(browser.engine, headers(browser), offline=offline)

    assert (found.opens, found.signed_in, found.reason) == (False, False, reason)
    assert words in found.remarks[-1].says
    assert (browser.cookie or "")[9:41] not in str(found)


def test_what_became_of_a_session_is_explained(explain: Any, browser: Browser, clock: FakeClock) -> None:
    """Logged out, renewed, expired, planted twice, tampered with."""
    engine, store = browser.engine, browser.engine.requests.store
    browser.request(lambda session: session.login("ada"))
    former = browser.cookie
    browser.request(Session.regenerate)
    successor = browser.get(lambda session: session.handle)
    other = browser.with_cookie(None)
    other.request(lambda session: session.login("eve"))
    two = {"cookie": f"{browser.name}={browser.cookie}; {browser.name}={other.cookie}"}

    renewed = explain(engine, cookie_of(browser, former))
    planted = explain(engine, two)
    clock.advance(3600)
    expired = explain(engine, cookie_of(browser))
    clock.advance(-3600)
    ended = other.cookie
    other.request(Session.logout)
    logged_out = explain(engine, cookie_of(browser, ended))
    record = store.get(successor)
    assert record is not None
    store.update(record._replace(version=record.version + 1))
    tampered = explain(engine, cookie_of(browser))

    assert (renewed.opens, renewed.reason) == (False, "replaced")
    assert renewed.remarks[-1].says == f"replaced by regenerate; goes on as {successor}"
    assert (planted.opens, planted.reason) == (False, "ambiguous")
    assert (expired.opens, expired.reason) == (False, "session_expired")
    assert (tampered.opens, tampered.reason) == (False, "record_tampered")
    assert (logged_out.opens, logged_out.reason) == (False, "unknown_id")


def test_a_token_in_the_place_of_a_name_is_not_echoed(explain: Any, browser: Browser) -> None:
    """Whatever stands before an equals sign is no name to show, if it could be an id."""
    browser.request(lambda session: session.login("ada"))
    token = browser.cookie or ""

    found = [explain(browser.engine, {"cookie": odd}) for odd in (f"{token}=", f"{token[9:41]}=x; a=b")]

    assert [about.reason for about in found] == ["no_cookie"] * 2
    assert not [about for about in found if token[9:41] in str(about)]
    assert found[1].remarks[0].says.endswith("; it has a")


def test_offline_no_store_is_asked(explain: Any) -> None:
    """Whether the token is genuine can be said through an outage."""
    store = FlakyStore()
    engine = SessionEngine(OLD, store, cookie=CookieOptions(secure=False))
    token, session = engine.create_session("ada")
    store.broken.add("get")

    found = explain(engine, {"cookie": f"session={token}"}, offline=True)

    assert (found.opens, found.reason, found.handle, found.signed_in) == (
        None,
        "genuine",
        session.handle,
        False,
    )
    with pytest.raises(StoreError):
        explain(engine, {"cookie": f"session={token}"})
