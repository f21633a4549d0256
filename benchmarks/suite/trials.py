"""What a worker tries with its peer: whether its adapter is right, and many requests at once."""

from __future__ import annotations

import asyncio
import cProfile
import io
import itertools
import json
import pstats
import random
import statistics
import threading
import time
from contextlib import suppress
from typing import Any

from . import client
from .client import Answer, Protocol, Request
from .peer import Apps, Peer, Place, visitors

KNOWN = 3  # sessions to look at
CHANGES, HOT_CHANGES = 200, 100  # in a thousand requests of a storm


class Browser:
    """A client of one peer that keeps its cookies."""

    def __init__(self, peer: Peer, app: Any, cookie: str = "") -> None:
        self._peer, self._app = peer, app
        self.cookies = {cookie.partition("=")[0]: cookie} if cookie else {}

    @property
    def cookie(self) -> str:
        return "; ".join(pair for pair in self.cookies.values() if pair)

    async def ask(self, path: str, query: str = "") -> Answer:
        answer = await client.ask(self._peer.protocol, self._app, Request(path, query, self.cookie or None))
        if answer.status != 200:
            raise RuntimeError(
                f"{self._peer.name}: /{path} was answered with {answer.status}: {answer.text[:500]}"
            )
        self.cookies |= answer.cookies
        return answer

    async def fields(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((await self.ask("fields")).text)
        return found


async def complaints(peer: Peer, place: Place, apps: Apps) -> list[str]:
    """Return in which respects the adapter is not what ``peer.py`` asks for."""
    found = []

    def expect(is_so: object, otherwise: str) -> None:
        if not is_so:
            found.append(otherwise)

    stored = list(visitors(KNOWN, encrypted=place.encrypted))
    cookies = apps.populate(stored)
    for fields, cookie in zip(stored, cookies, strict=True):
        browser = Browser(peer, apps.sessions, cookie)
        seen = await browser.fields()
        expect(fields.items() <= seen.items(), f"stored {fields}, found {seen}")
        answer = await browser.ask("read")
        expect(answer.text == fields["theme"], f"/read: {answer.text!r}")
        is_sent = bool(answer.set_cookies)
        expect(is_sent == peer.traits.cookie_on_read, f"a cookie with each read: {is_sent}, not as described")
        await browser.ask("change", "1234567")
        changed = (await browser.fields()).get("visits")
        expect(changed == 1234567, f"after /change visits is {changed}")
        await browser.ask("slow", "field=slow")
        expect((await browser.fields()).get("field") == "slow", "/slow sets no field")
        for path in ("untouched", "read", "change", "login"):
            bare = await client.ask(peer.protocol, apps.bare, Request(path, "1", browser.cookie))
            whole = await browser.ask(path, "1")
            same = (bare.status, len(bare.text)) == (whole.status, len(whole.text))
            expect(same and not bare.set_cookies, f"the bare /{path} answers {bare}")
    stranger = Browser(peer, apps.sessions)
    expect((await stranger.ask("untouched")).text == "ok", "no answer without a cookie")
    cookie = await sign_in(peer, apps, "alice")
    expect(await is_signed_in(peer, apps, cookie), "not signed in after /login")
    browser = Browser(peer, apps.sessions, cookie)
    await browser.ask("logout")
    expect(not await is_signed_in(peer, apps, browser.cookie), "signed in after /logout")
    return found


async def sign_in(peer: Peer, apps: Apps, name: str) -> str:
    """Sign in without a session before; return the cookie."""
    browser = Browser(peer, apps.sessions)
    await browser.ask("login", name)
    return browser.cookie


async def is_signed_in(peer: Peer, apps: Apps, cookie: str) -> bool:
    """Return whether a request with *cookie* is one of somebody who signed in."""
    fields = await Browser(peer, apps.sessions, cookie).fields()
    return any(name in fields for name in ("user", "_auth_user_id"))


async def survivors(peer: Peer, place: Place, apps: Apps, count: int) -> int:
    """Let *count* requests change as many fields of one session at once; return how many are there after.

    All have read the session before the first of them writes. The browser takes the cookies in
    the order in which the answers come.
    """
    browser = Browser(peer, apps.sessions, await sign_in(peer, apps, "alice"))
    place.gate.expect(count)
    await asyncio.gather(*(browser.ask("slow", f"k{number}=v{number}") for number in range(count)))
    place.gate.release()
    fields = await browser.fields()
    return sum(fields.get(f"k{number}") == f"v{number}" for number in range(count))


async def logouts(peer: Peer, place: Place, apps: Apps) -> dict[str, bool]:
    """Return whether a logout holds: against a copy of the cookie, and against a slower request."""
    browser = Browser(peer, apps.sessions, await sign_in(peer, apps, "alice"))
    stolen = browser.cookie
    await browser.ask("logout")
    final = not await is_signed_in(peer, apps, stolen)

    cookie = await sign_in(peer, apps, "bob")
    first, second = Browser(peer, apps.sessions, cookie), Browser(peer, apps.sessions, cookie)
    place.gate.expect(1)
    slow = asyncio.create_task(first.ask("slow", "late=yes"))
    await asyncio.to_thread(place.gate.arrived.acquire, timeout=3)
    place.gate.expected = 0  # the logout itself does not wait
    await second.ask("logout")
    place.gate.release()
    with suppress(RuntimeError):  # a late write may be refused
        await slow
    # Whoever has the cookie that the slower request was given, or the one it came with.
    back = [await is_signed_in(peer, apps, each) for each in {first.cookie, second.cookie or cookie, cookie}]
    return {"a copied cookie is refused": final, "a slower request brings it back": any(back)}


class Storm:
    """Many requests under way to one application, each with a value that was not set before."""

    def __init__(self, worker: Any, app: Any, seconds: float, hot: bool) -> None:
        self._app = app
        changes = HOT_CHANGES if hot else CHANGES
        prepared = worker.requests("read", 1000 - changes, hot) + worker.requests("change", changes, hot)
        random.shuffle(prepared)
        self._requests, self._numbers = itertools.cycle(prepared), itertools.count(worker.changes + 1)
        self._start = time.perf_counter()
        self._end = self._start + seconds
        self._waits: list[float] = []
        self._refused: list[object] = []

    async def by_tasks(self, concurrent: int) -> None:
        await asyncio.gather(*(self._in_task() for _ in range(concurrent)))

    def by_threads(self, concurrent: int) -> None:
        threads = [threading.Thread(target=self._in_thread) for _ in range(concurrent)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def told(self) -> dict[str, float]:
        """Return answers a second, waits in seconds, and the part of the requests that got no good answer."""
        took = time.perf_counter() - self._start
        cuts = statistics.quantiles(self._waits, n=100, method="inclusive")
        refused = len(self._refused) / len(self._waits)
        rate = len(self._waits) * (1 - refused) / took
        return {"rate": rate, "p50": cuts[49], "p99": cuts[98], "refused": refused}

    def _next_request(self) -> dict[str, Any]:
        query: Any = str(next(self._numbers))
        return {**next(self._requests), "query_string": query.encode(), "QUERY_STRING": query}

    def _in_thread(self) -> None:
        while (now := time.perf_counter()) < self._end:
            try:
                client.drive_wsgi(self._app, [self._next_request()], self._start_response)
            except Exception as error:  # a server would answer with 500
                self._refused.append(error)
            self._waits.append(time.perf_counter() - now)

    async def _in_task(self) -> None:
        while (now := time.perf_counter()) < self._end:
            try:
                await client.drive_asgi(self._app, [self._next_request()], self._send)
            except Exception as error:
                self._refused.append(error)
            self._waits.append(time.perf_counter() - now)
            await asyncio.sleep(0)  # a server looks at its sockets

    def _start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        if not status.startswith("200"):
            self._refused.append(status)
        return client.nothing

    async def _send(self, message: Any) -> None:
        if message.get("status", 200) != 200:
            self._refused.append(message["status"])


async def storm(worker: Any, app: Any, concurrent: int, seconds: float, hot: bool) -> dict[str, float]:
    """Keep *concurrent* requests under way for *seconds*; four in five read, of *hot* ones nine in ten."""
    found = Storm(worker, app, seconds, hot)
    if worker.peer.protocol == "ASGI":
        await found.by_tasks(concurrent)
    else:
        found.by_threads(concurrent)
    worker.changes += len(found._waits) + 1
    return found.told()


async def one(protocol: Protocol, app: Any, request: Request) -> float:
    """Return the seconds that one request takes; raise if its answer is no good one."""
    prepared = [client.prepare(protocol, request)]
    statuses: set[int] = set()

    async def send(message: Any) -> None:
        statuses.add(message.get("status", 200))

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        statuses.add(int(status[:3]))
        return client.nothing

    if protocol == "ASGI":
        took = await client.drive_asgi(app, prepared, send)
    else:
        took = await asyncio.to_thread(client.drive_wsgi, app, prepared, start_response)
    if statuses != {200}:
        raise RuntimeError(f"/{request.path} was answered with {sorted(statuses)}")
    return took


async def profile(protocol: Protocol, app: Any, requests: list[dict[str, Any]]) -> str:
    """Return cProfile's table by internal time; threads of the application are not looked into."""
    profiler = cProfile.Profile()
    if protocol == "ASGI":
        with profiler:
            await client.drive_asgi(app, requests)
    else:
        await asyncio.to_thread(profiler.runcall, client.drive_wsgi, app, requests)
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).sort_stats("tottime").print_stats(40)
    return text.getvalue()
