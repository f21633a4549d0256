"""After a rotation cookies and rows move to the new key by themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fluidauth import Session, SessionEngine
from fluidauth.formats.encryption import encrypted_by
from fluidauth.formats.payloads import sealed_by
from fluidauth.keys.key import kid_of
from fluidauth.testing import FakeClock
from tests.stored import NEW, OLD, VALUES, content_of, record_of
from tests.support import Browser, Protocol, Task


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
