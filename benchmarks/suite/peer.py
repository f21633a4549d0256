"""What a peer is, and what its adapter must give: one module in ``peers/`` for each library.

An adapter makes one small application twice, with sessions and without, both in the way
of the peer's own framework, so that the difference is what sessions cost. Both answer
these paths, whatever the method, by :func:`answer` and :func:`bare_answer`:

==============  ===========================================================================
``/untouched``  nothing is asked of the session
``/read``       the field ``theme``
``/change``     the field ``visits`` becomes the number in the query string
``/login``      signs in whom the query string names, as the peer's documentation says
``/logout``     signs out as it says
``/fields``     all fields, as JSON
``/slow``       reads ``theme``, waits at :attr:`Place.gate`, sets the field ``?name=value``
==============  ===========================================================================
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

Fields = dict[str, Any]
Session = MutableMapping[str, Any]

FIELDS_BYTES = 288  # of a session's fields as json.dumps writes them, unless a question varies them
GATE_TIMEOUT = 3.0  # seconds; a peer that locks a session lets only one request up to the gate
PRIME = 2**127 - 1
LOOPS = 12_000  # of `work`, about a millisecond


@dataclass(frozen=True)
class Traits:
    """What a peer does and does not do; stands beside the figures, to compare like with like."""

    data: str
    """Where the fields are: ``cookie``, ``memory``, ``files``, ``SQLite``, ``Redis``, ``PostgreSQL``."""
    survives: str
    """What acknowledged changes survive: ``nothing``, ``a restart`` of the application, ``a power cut``."""
    writes_on_read: bool = False
    """Whether a request that only reads writes to the store."""
    cookie_on_read: bool = False
    """Whether a request that only reads is answered with a cookie. Checked before timing."""
    most: int = 0
    """So many sessions are kept, of more the oldest are forgotten; 0 for no bound."""
    note: str = ""


class Gate:
    """Holds requests in the middle, until as many are there as were expected."""

    def __init__(self) -> None:
        self.expected = 0
        """Nobody waits while it is 0."""
        self.arrived = threading.Semaphore(0)
        self._open = threading.Event()

    def expect(self, count: int) -> None:
        """Let the next *count* requests wait for each other; one is let go by :meth:`release`."""
        self.expected, self.arrived, self._open = count, threading.Semaphore(0), threading.Event()
        self._waiting = 0
        self._lock = threading.Lock()

    def release(self) -> None:
        self.expected = 0
        self._open.set()

    def _arrive(self) -> None:
        with self._lock:
            self._waiting += 1
            is_full = 1 < self.expected == self._waiting
        self.arrived.release()
        if is_full:
            self.release()

    def wait(self) -> None:
        """Wait here, in a thread."""
        if self.expected:
            self._arrive()
            self._open.wait(GATE_TIMEOUT)

    async def await_(self) -> None:
        """Wait here, in a task."""
        if self.expected:
            self._arrive()
            loop = asyncio.get_running_loop()
            end = loop.time() + GATE_TIMEOUT
            while not self._open.is_set() and loop.time() < end:
                await asyncio.sleep(0.001)


@dataclass(eq=False)
class Place:
    """Where a peer may keep things, and how it is to be set up."""

    folder: Path
    secrets: list[str]
    """Newest first. A peer that knows no rotation takes the first alone."""
    redis: str = ""
    """URL of a database of the suite's own server, for peers that need it."""
    postgres: str = ""
    """The same."""
    encrypted: list[str] = field(default_factory=list)
    """Fields to encrypt, where the peer can."""
    gate: Gate = field(default_factory=Gate)
    busy: bool = False
    """Whether handlers compute for about a millisecond."""

    def work(self) -> None:
        """Compute, if this run is about busy handlers."""
        if self.busy:
            sum(range(LOOPS))
            total = 0
            for number in range(LOOPS):
                total ^= number


class Apps(NamedTuple):
    """The application with sessions, the same without, and what goes with them."""

    sessions: Any
    bare: Any
    populate: Callable[[Iterable[Fields]], list[str]]
    """Stores a session for each of the fields, as fast as the peer's own code can, and returns
    the cookies that a browser would send for them: ``name=value``."""
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Peer:
    """One library in one set-up, which *build* makes in a process of its own."""

    library: str
    store: str
    protocol: Literal["WSGI", "ASGI"]
    setup: Literal["default", "tuned"]
    traits: Traits
    build: Callable[[Place], Apps]
    packages: tuple[str, ...]
    """Whose versions are told."""
    tuning: str = ""
    """What ``tuned`` changes, as the library's documentation recommends."""
    uses_redis: bool = False
    uses_postgres: bool = False
    without: tuple[str, ...] = ()
    """Modules that are hidden from the process, such as ``hiredis`` from a default set-up."""
    quick: bool = False
    """Whether ``make bench-quick`` and the question of growth look at it."""

    @property
    def name(self) -> str:
        return f"{self.library} {self.store}, {self.protocol} {self.setup}"

    @property
    def shares(self) -> bool:
        """Whether several processes see the same sessions."""
        return self.traits.data != "memory"


WORDS = ["session", "cart", "order", "price", "theme", "blue", "Paris", "2026", "a", "12.50", "null"]
TEXT = " ".join(random.Random(0).choices(WORDS, k=40_000))  # some peers compress what they store


def visitors(count: int, size: int = FIELDS_BYTES, encrypted: Iterable[str] = ()) -> Iterator[Fields]:
    """Yield the fields of *count* visitors, each of *size* bytes of JSON, if that is possible."""
    for number in range(count):
        fields: Fields = {"theme": f"dark{number % 10}", "name": f"Visitor {number:07}", "visits": 100_000}
        if size >= FIELDS_BYTES:
            fields["csrf"] = f"{number * PRIME % 2**128:032x}"
            fields["cart"] = [
                {"sku": f"A-{number % 9973:04}", "quantity": 2},
                {"sku": "B-0815", "quantity": 1},
            ]
        fields |= dict.fromkeys(encrypted, f"{number:016}")
        fields["note"] = ""
        start, length = number * 97 % (len(TEXT) // 2), max(0, size - len(json.dumps(fields)))
        fields["note"] = TEXT[start : start + length]
        yield fields


def answer(
    place: Place,
    path: str,
    query: str,
    session: Session,
    login: Callable[[str], None] | None = None,
    logout: Callable[[], None] | None = None,
) -> str:
    """Do what *path* asks of *session*; give *login* and *logout* where the peer has its own."""
    if path == "untouched":
        return "ok"
    if path == "read":
        place.work()
        return str(session["theme"])
    if path == "change":
        place.work()
        session["visits"] = int(query)
        return "ok"
    if path == "login":
        if login:
            login(query)
        else:
            session["user"] = query
        return "ok"
    if path == "logout":
        (logout or session.clear)()
        return "ok"
    if path == "slow":
        session.get("theme")
        place.gate.wait()
        name, _, value = query.partition("=")
        session[name] = value
        return "ok"
    return json.dumps(dict(session.items()))  # Django's cannot be iterated over


async def aanswer(place: Place, path: str, query: str, session: Session) -> str:
    """Do as :func:`answer` in a task. Signing in and out is the adapter's where the peer has its own way."""
    if path == "slow" and place.gate.expected:
        session.get("theme")
        await place.gate.await_()
        name, _, value = query.partition("=")
        session[name] = value
        return "ok"
    return answer(place, path, query, session)


def bare_answer(place: Place, path: str) -> str:
    """Answer as :func:`answer` does, without a session."""
    if path == "untouched":
        return "ok"
    if path == "read":
        place.work()
        return "dark0"
    if path == "change":
        place.work()
    return "ok"
