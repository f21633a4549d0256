"""What is reported to the operator, and how: logger ``fluidauth`` and ``on_event``.

An event never holds a token, a session id or a secret. The handle, which it may
hold, opens nothing. Lines that a stranger can cause are limited for each name and
reason; ``on_event`` gets every event, so that counters stay true.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .after_fork import ProcessLock
from .meanings import MEANINGS
from .meanings import EventName as EventName

LINES_PER_WINDOW = 10
WINDOW = 60  # seconds


# Each of these follows a genuine sign-in or sign-out, so an audit must find them all.
_UNLIMITED = frozenset(
    (
        *("session_created", "session_adopted", "session_renewed", "session_logout", "session_revoked"),
        *("impersonation_begun", "impersonation_ended"),
    )
)

logger: logging.Logger = logging.getLogger("fluidauth")


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One thing that happened; ``time`` is Unix seconds (UTC)."""

    name: EventName
    time: int
    reason: str | None = None
    handle: str | None = None
    user_id: str | None = None
    count: int | None = None
    actor: str | None = None
    """The user who acts in the name of ``user_id``."""
    origin: str | None = None
    """Of a request of another origin: the value of ``Origin``, or of ``Sec-Fetch-Site`` without one."""

    @property
    def message(self) -> str:
        """What happened, in a sentence."""
        meaning = MEANINGS[self.name]
        return meaning.reasons.get(self.reason or "", meaning.sentence)

    def __str__(self) -> str:
        # %r escapes CR and LF: a user id cannot forge a line.
        details = (
            ("reason", self.reason),
            ("handle", self.handle),
            ("user_id", self.user_id),
            ("actor", self.actor),
            ("origin", self.origin),
        )
        shown = [f"{name}={value!r}" for name, value in details if value is not None]
        if self.count is not None:
            shown.append(f"count={self.count}")
        return " ".join([f"{self.name}: {self.message}", *shown])


class EventLog:
    """Sends events to the logger, and to *on_event* if given."""

    __slots__ = ("_lock", "_on_event", "_windows")

    def __init__(self, on_event: Callable[[SessionEvent], object] | None = None) -> None:
        self._on_event = on_event
        self._lock = ProcessLock()
        self._windows: dict[tuple[str, str | None], _Window] = {}

    def emit(self, event: SessionEvent) -> None:
        """Log *event* within its limit and hand it to ``on_event``, whose errors are logged."""
        admitted, dropped = True, 0
        if event.name not in _UNLIMITED:
            with self._lock:
                window = self._windows.setdefault((event.name, event.reason), _Window(event.time))
                admitted, dropped = window.admit(event.time)
        if admitted:
            _log(event, dropped)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                if admitted:
                    logger.exception("on_event failed for %s", event.name)


class _Window:
    """Counts the lines of one reason in one stretch of time."""

    __slots__ = ("dropped", "lines", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.lines = 0
        self.dropped = 0

    def admit(self, now: int) -> tuple[bool, int]:
        """Return whether a line may go out, and how many were held back before it."""
        if not self.start <= now < self.start + WINDOW:
            self.start, self.lines = now, 0
        if self.lines >= LINES_PER_WINDOW:
            self.dropped += 1
            return False, 0
        self.lines += 1
        dropped, self.dropped = self.dropped, 0
        return True, dropped


def _log(event: SessionEvent, dropped: int) -> None:
    held_back = f" ({dropped} more held back)" if dropped else ""
    logger.log(level_of(event), "%s%s", event, held_back, extra={"event": event})


def level_of(event: SessionEvent) -> int:
    """Return the level of the logger for *event*."""
    meaning = MEANINGS[event.name]
    return meaning.level if event.reason is None else meaning.with_reason or meaning.level


class Notice(NamedTuple):
    """Something to report to the operator. The engine makes an event of it."""

    name: EventName
    reason: str | None = None
    handle: str | None = None
    user_id: str | None = None
    number: int | None = None  # the event's count, which is the name of a method here
    actor: str | None = None
    origin: str | None = None
