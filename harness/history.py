"""Many clients, what each was told and when; and which of it cannot be true of a sound server.

A *life* is one session from login, or from a former system's cookie, to one of several
endings. Its clients share the cookie, as the tabs of a browser do, and run random operations at
once; every value says whose it is. Each request and answer is recorded. A checker then finds an
acknowledged write that is missing, a session alive after its acknowledged end, and a value of
another session.
"""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode, urlsplit

from itsdangerous import TimestampSigner
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

COOKIE = "__Host-session"
TIMEOUT = 20  # seconds for one answer
RETRY = 0.02  # seconds, while a server that was killed comes back
GIVE_UP = 60  # seconds for a login or logout, however often it is tried

Kind = str  # login, read, set, add, append, regenerate, or one of those that end sessions:
ENDS = ("logout", "revoke_user", "revoke_all")
LATE_ENDS = ("stream", "socket")
"""A logout behind a head that was sent: nobody is told whether the store has it yet."""
ENDINGS = ("logout", "logouts", "revoke_user", "stream")
"""How a life ends: by one client, by all of them at once, from outside, in a stream; or in a "socket"."""
EVERYBODY = "everybody"
"""The life of those operations that concern all others."""


class Answer(NamedTuple):
    """What a server said; *fields* as its handler saw them, before the save."""

    status: int
    user: str | None = None
    fields: dict[str, Any] | None = None
    cookie: str | None = None
    """A new token, or "" if the cookie was taken away."""


class Target(Protocol):
    """A server, or something that stands for one. Raise ``OSError`` if no answer comes."""

    def ask(self, kind: Kind, key: str, value: str, cookie: str) -> Answer: ...


class OverHTTP:
    """A real server at *url*."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc

    def ask(self, kind: Kind, key: str, value: str, cookie: str) -> Answer:
        if kind == "socket":
            return self._ask_socket(cookie)
        connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT)
        try:
            query = urlencode({"kind": kind, "key": key, "value": value})
            path = "leave" if kind == "stream" else "step"
            connection.request("GET", f"/{path}?{query}", headers=_headers(cookie))
            response = connection.getresponse()
            body = response.read()
        except http.client.HTTPException as error:  # cut off in the middle
            raise OSError("no whole answer") from error
        finally:
            connection.close()
        name, _, rest = (response.getheader("Set-Cookie") or "").partition("=")
        token = rest.partition(";")[0] if name == COOKIE else None
        if response.status != 200:
            return Answer(response.status, cookie=token)
        user, fields = json.loads(body)
        return Answer(200, user, fields, token)

    def _ask_socket(self, cookie: str) -> Answer:
        try:
            with connect(f"ws://{self._address}/leave", additional_headers=_headers(cookie)) as socket:
                user, fields = json.loads(socket.recv(TIMEOUT))
        except (WebSocketException, TimeoutError) as error:
            raise OSError("the socket was closed") from error
        return Answer(200, user, fields)


def _headers(cookie: str) -> dict[str, str]:
    """Return the header with *cookie*, a token of ours or a whole cookie of a former system."""
    return {"Cookie": cookie if "=" in cookie else f"{COOKIE}={cookie}"}


@dataclass(frozen=True)
class Operation:
    """One request. Times are those of the client, in seconds."""

    life: str
    kind: Kind
    cookie: str
    key: str
    value: str
    start: float
    end: float
    answer: Answer | None
    """None if none came: it may have been carried out or not."""

    @property
    def acknowledged(self) -> bool:
        """Whether the server said that it was done, in this very session."""
        return self.answer is not None and self.answer.status == 200 and self.answer.user == self.life

    @property
    def refused(self) -> bool:
        """Whether it failed: it may have been carried out or not."""
        return self.answer is None or self.answer.status != 200


@dataclass
class History:
    """All that happened so far; several threads add to it."""

    operations: list[Operation] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _grows: threading.Condition = field(default_factory=threading.Condition)

    def ask(
        self, target: Target, life: str, kind: Kind, cookie: str, key: str = "", value: str = ""
    ) -> Answer | None:
        """Ask *target* and record it; None if no answer came."""
        start = time.monotonic()
        try:
            answer = target.ask(kind, key, value, cookie)
        except OSError:
            answer = None
        operation = Operation(life, kind, cookie, key, value, start, time.monotonic(), answer)
        with self._grows:
            self.operations.append(operation)
            self._grows.notify_all()
        return answer

    def await_more(self, count: int, what: str = "acknowledged") -> None:
        """Wait until *count* more operations were "acknowledged" or "refused"; else ``TimeoutError``."""
        begin = len(self.operations)
        with self._grows:
            if not self._grows.wait_for(lambda: self.count(what, begin) >= count, GIVE_UP):
                raise TimeoutError(f"less than {count} operations were {what} within {GIVE_UP} s")

    def count(self, what: str, begin: int = 0) -> int:
        """Return how many operations were "acknowledged" or "refused", from the one numbered *begin* on."""
        return sum(getattr(operation, what) for operation in self.operations[begin:])


class Life:
    """One session, from login to logout, with its clients."""

    def __init__(
        self, name: str, target: Target, history: History, clients: int, steps: int, ending: str, former: str
    ) -> None:
        self.name = name
        self._ending = ending
        self._former = former  # the cookie of another system, or nothing
        self._target = target
        self._history = history
        self._clients = clients
        self._steps = steps
        self._cookie = ""
        self._old_cookies: list[str] = []
        self._serial = itertools.count()

    def run(self) -> None:
        """Live: sign in, let all clients work, end it while some still do, and try to come back."""
        self._cookie = self._former
        if not self._insist("read" if self._former else "login", self.name):
            return
        with ThreadPoolExecutor(self._clients) as clients:
            working = [clients.submit(self._work, number, self._steps) for number in range(self._clients)]
            for client in working:
                client.result()
            self._insist("read")
            late = [clients.submit(self._work, number, 3) for number in range(self._clients)]
            self._end(clients)
            for client in late:
                client.result()
        for cookie in (*self._old_cookies, self._cookie):
            self._history.ask(self._target, self.name, "read", cookie)
            self._history.ask(self._target, self.name, "set", cookie, "back", self._value())

    def _end(self, clients: ThreadPoolExecutor) -> None:
        if self._ending == "logouts":
            for client in [clients.submit(self._insist, "logout") for _ in range(self._clients)]:
                client.result()
        elif self._ending in LATE_ENDS:
            self._step(self._ending, "")
            self._insist("logout")  # which says when it is in the store
        else:
            self._insist(self._ending, self.name)

    def _insist(self, kind: Kind, value: str = "") -> bool:
        """Ask until it is done: who signs in or out tries again."""
        give_up = time.monotonic() + GIVE_UP
        while True:
            answer = self._history.ask(self._target, self.name, kind, self._cookie, value=value)
            if answer is not None and answer.status == 200:
                self._keep(answer)
                return True
            if time.monotonic() > give_up:
                self._history.problems.append(f"{self.name}: no {kind} within {GIVE_UP} s")
                return False
            time.sleep(RETRY)

    def _work(self, client: int, steps: int) -> None:
        choices = random.Random(f"{self.name} {client} {steps}")
        key = f"field {client} {next(self._serial)}"
        for _ in range(steps):
            kind = choices.choices(("set", "add", "append", "read", "regenerate"), (4, 2, 2, 2, client == 0))[
                0
            ]
            answer = self._step(kind, key)
            if answer is None or answer.status != 200:
                # What is under way still may come through late: never write that key again.
                key = f"field {client} {next(self._serial)}"
                time.sleep(RETRY)

    def _step(self, kind: Kind, key: str) -> Answer | None:
        name = {"set": key, "add": "count", "append": "log"}.get(kind, "")
        answer = self._history.ask(self._target, self.name, kind, self._cookie, name, self._value())
        if answer is not None:
            self._keep(answer)
        return answer

    def _value(self) -> str:
        return f"{self.name}/{next(self._serial):06}"

    def _keep(self, answer: Answer) -> None:
        if answer.cookie and answer.cookie != self._cookie:
            if self._cookie:
                self._old_cookies.append(self._cookie)
            self._cookie = answer.cookie


def run_lives(
    target: Target,
    lives: Iterable[int],
    *,
    at_once: int = 4,
    clients: int = 4,
    steps: int = 12,
    history: History | None = None,
    done: Callable[[History], object] = lambda history: None,
    endings: Sequence[str] = ENDINGS,
    former: Callable[[str], str] | None = None,
) -> History:
    """Run *lives*, some at once, and add what happens to *history*; call *done* after each.

    They end in each of the *endings* in turn. Where *former* makes cookies of another system for
    a user, every other life begins with one.
    """
    history = history or History()
    todo, lock = iter(lives), threading.Lock()

    def worker() -> None:
        while True:
            with lock:
                number = next(todo, None)
            if number is None:
                return
            name, ending = f"life-{number}", endings[number % len(endings)]
            cookie = former(name) if former and number // len(endings) % 2 else ""
            Life(name, target, history, clients, steps, ending, cookie).run()
            done(history)

    with ThreadPoolExecutor(at_once) as workers:
        for result in [workers.submit(worker) for _ in range(at_once)]:
            result.result()
    return history


@contextmanager
def load_on(target: Target, *, steps: int = 8, **more: Any) -> Iterator[History]:
    """Have clients use *target*; what they are told is complete when the block has ended.

    *more*: as for :func:`run_lives`.
    """
    over, history = threading.Event(), History()
    lives = itertools.takewhile(lambda _: not over.is_set(), itertools.count())
    with ThreadPoolExecutor(1) as apart:
        running = apart.submit(run_lives, target, lives, at_once=3, steps=steps, history=history, **more)
        try:
            yield history
        finally:
            over.set()
            running.result()


def cookies_of_starlette(secret: str) -> Callable[[str], str]:
    """Return what makes the cookie of a user of the former system, as ``apps.former_user`` reads it."""

    def cookie(user: str) -> str:
        fields = b64encode(json.dumps({"user": f"{user}/former"}).encode())
        return f"session={TimestampSigner(secret).sign(fields).decode()}"

    return cookie


# -- the checker -----------------------------------------------------------------------


def problems_in(history: History) -> list[str]:
    """Return what no sound server would have said, one sentence each."""
    lives: dict[str, list[Operation]] = {}
    for operation in history.operations:
        lives.setdefault(operation.life, []).append(operation)
    found = list(history.problems)
    for_all = lives.pop(EVERYBODY, [])
    for name, operations in lives.items():
        found.extend(f"{name}: {problem}" for problem in _problems_of_life(name, operations, for_all))
    return found


def _problems_of_life(name: str, operations: list[Operation], for_all: list[Operation]) -> Iterable[str]:
    begun = _first(o.end for o in operations if o.acknowledged)
    ends = [o for o in operations if o.kind in ENDS]
    logout = _first(o.end for o in [*ends, *(o for o in for_all if o.start > begun)] if _answered(o))
    leaves = [o for o in operations if o.kind in ("login", *ENDS, *LATE_ENDS) and o.cookie]
    leaving = _first(o.start for o in [*leaves, *for_all] if o.end > begun)
    renewals: dict[str, float] = {}
    for operation in operations:
        if operation.kind == "regenerate":
            renewals[operation.cookie] = min(operation.start, renewals.get(operation.cookie, operation.start))
    for operation in operations:
        entitled = operation.cookie and operation.end < min(leaving, renewals.get(operation.cookie, leaving))
        if entitled and _answered(operation) and not operation.acknowledged:
            yield f"was not found by a {operation.kind}, though nobody had ended it"
        seen = operation.answer
        if seen is None or seen.fields is None:
            continue
        remains = seen.fields if operation.kind == "read" else None
        if operation.start > logout and (seen.user is not None or remains):
            yield f"alive after its logout: {seen.user} {sorted(seen.fields)}"
        yield from _foreign(name, seen)
        if operation.kind == "read" and operation.acknowledged and operation.end < leaving:
            yield from _missing(operation, operations)


def _first(times: Iterable[float]) -> float:
    return min(times, default=float("inf"))


def _answered(operation: Operation) -> bool:
    return operation.answer is not None and operation.answer.status == 200


def _foreign(name: str, seen: Answer) -> Iterable[str]:
    if seen.user not in (None, name):
        yield f"was shown the user {seen.user}"
    for value in (seen.fields or {}).values():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and not text.startswith(f"{name}/"):
                yield f"was shown {text!r}"


def _missing(read: Operation, operations: list[Operation]) -> Iterable[str]:
    """What was acknowledged before *read* began and is not in it, or was never written."""
    fields = read.answer.fields if read.answer and read.answer.fields else {}
    before = [o for o in operations if o.acknowledged and o.end < read.start]
    begun = [o for o in operations if o.start < read.end]
    last = {o.key: o.value for o in before if o.kind == "set"}
    for key, value in last.items():
        if fields.get(key, "") < value:  # a later one may have come already
            yield f"lost {key} = {value!r}, found {fields.get(key)!r}"
    log = fields.get("log", [])
    for item in {o.value for o in before if o.kind == "append"} - set(log):
        yield f"lost the item {item!r}"
    if len(set(log)) < len(log):
        yield "has an item twice"
    if unknown := set(log) - {o.value for o in begun if o.kind == "append"}:
        yield f"has items that nobody appended: {unknown}"
    least = sum(o.kind == "add" for o in before)
    most = sum(o.kind == "add" for o in begun)
    if not least <= fields.get("count", 0) <= most:
        yield f"counted {fields.get('count', 0)}, not {least} to {most}"
