"""Traffic for real servers: clients that keep them busy, and a watch over whom they let in.

Each request notes what came of it, and none raises: who calls judges.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from .visitor import COOKIE

THREADS = 4
PACE = 0.01  # seconds from one request of a thread to its next: steady, far from saturation


class Line:
    """A way to one server; with *keep_alive* one connection, made anew when the server ends it."""

    def __init__(self, url: str, *, keep_alive: bool = False) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        self._keep_alive = keep_alive

    def get(self, path: str, token: str = "") -> tuple[Any, str]:
        """Return what was answered, and the token that came with it; a failure as ``{"failed": …}``."""
        try:
            self._connection.request("GET", path, headers={"Cookie": f"{COOKIE}={token}"} if token else {})
            response = self._connection.getresponse()
            body = response.read()
            value = json.loads(body) if response.status == 200 else {"failed": response.status}
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            return {"failed": repr(error)}, ""
        if not self._keep_alive:
            self.close()
        name, _, rest = (response.getheader("Set-Cookie") or "").partition("=")
        return value, rest.partition(";")[0] if name == COOKIE else ""

    def close(self) -> None:
        self._connection.close()


@dataclass
class Client:
    """A user with the cookie that his browser keeps; one thread at a time has him."""

    name: str
    token: str = ""
    requests: int = 0
    visits: int = 0
    """Additions that were acknowledged."""
    failures: list[str] = field(default_factory=list)

    @property
    def kid(self) -> str:
        return self.token[2:8]

    def ask(self, line: Line, path: str) -> Any:
        value, token = line.get(path, self.token)
        self.token = token or self.token
        return value

    def is_signed_in(self, line: Line) -> bool:
        return bool(self.ask(line, "/whoami") == self.name)

    def use(self, lines: Sequence[Line]) -> None:
        """Ask who it is, or add a visit, in turn and at one server after the other; note what fails."""
        adds = self.requests % 2
        line = lines[self.requests // 2 % len(lines)]
        value = self.ask(line, "/add?key=visits" if adds else "/whoami")
        self.requests += 1
        if value != (None if adds else self.name):
            self.failures.append(f"{self.name}: {value!r}")
        elif adds:
            self.visits += 1


class Load:
    """Threads that keep clients busy, each client with one of them."""

    def __init__(self, clients: Sequence[Client], urls: Sequence[str]) -> None:
        self._urls = urls
        self._done = threading.Event()
        shares = [clients[number::THREADS] for number in range(THREADS)]
        self._threads = [threading.Thread(target=self._keep_busy, args=(share,)) for share in shares]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _keep_busy(self, clients: Sequence[Client]) -> None:
        lines = [Line(url, keep_alive=True) for url in self._urls]
        number = 0
        while not self._done.wait(PACE):
            clients[number % len(clients)].use(lines)
            number += 1
        for line in lines:
            line.close()


class Seen(NamedTuple):
    """What one worker process answered to a cookie, and when the request began."""

    began: float
    process: int
    user: str | None


class Watch(Load):
    """Tries cookies in all processes, each on a connection of its own.

    No process is left alone meanwhile: one that looked at its file just before a change
    is the last to notice it. The cookies stay as they are, like those that were stolen.
    """

    def __init__(self, clients: Sequence[Client], urls: Sequence[str]) -> None:
        self._seen: list[Seen] = []
        super().__init__(clients, urls)

    def _keep_busy(self, clients: Sequence[Client]) -> None:
        number = 0
        while not self._done.wait(PACE):
            began = time.monotonic()
            line = Line(self._urls[number % len(self._urls)])
            value, _ = line.get("/process", clients[number % len(clients)].token)
            if isinstance(value, list):  # who gets no answer is not signed in
                self._seen.append(Seen(began, *value))
            number += 1

    def processes(self, since: float = 0.0, *, signed_in: bool = False) -> int:
        """Return how many processes answered requests that began *since* then."""
        seen = list(self._seen)
        return len({s.process for s in seen if s.began > since and (s.user or not signed_in)})

    def signed_in(self, since: float) -> list[Seen]:
        """Return those that found a session, of requests that began *since* then."""
        return [seen for seen in list(self._seen) if seen.began > since and seen.user]
