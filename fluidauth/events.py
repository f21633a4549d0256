"""What is reported to the operator, and how: logger ``fluidauth`` and ``on_event``.

An event never holds a token, a session id or a secret. The handle, which it may
hold, opens nothing. Lines that a stranger can cause are limited for each name and
reason; ``on_event`` gets every event, so that counters stay true.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from fluidauth.after_fork import ProcessLock

EventName = Literal[
    "session_created",
    "session_adopted",
    "session_renewed",
    "session_expired",
    "session_logout",
    "session_revoked",
    "revoke_failed",
    "cookie_rejected",
    "token_rejected",
    "cookie_insecure",
    "development_mode",
    "cookie_conflict",
    "session_replaced",
    "cache_overridden",
    "clock_skew",
    "write_dropped",
    "record_tampered",
    "ambiguous",
    "store_error",
    "keyring_reloaded",
    "keyring_rejected",
]

LINES_PER_WINDOW = 10
WINDOW = 60  # seconds


class Meaning(NamedTuple):
    """What an event says to the operator, in a sentence; some reasons have a sentence of their own."""

    level: int
    sentence: str
    reasons: Mapping[str, str] = MappingProxyType({})


_REFUSED = {
    "malformed": "The {} is not one of ours: it was cut off, changed or made up.",
    "unknown_key": (
        "The {} was signed with a key that this process does not have: give all processes the same secrets."
    ),
    "revoked_key": "The {} was signed with a key that was revoked.",
    "bad_mac": "The signature of the {} is wrong: it was changed or forged.",
    "unknown_id": (
        "The {} is genuine, but the store has no such session: it was logged out or expired, or this is "
        "another database."
    ),
}

MEANINGS: dict[EventName, Meaning] = {
    "session_created": Meaning(
        logging.INFO,
        "A session was stored for the first time.",
        {"login": "A user signed in, and a session from before was replaced."},
    ),
    "session_adopted": Meaning(logging.INFO, "A session of a former system goes on here."),
    "session_renewed": Meaning(logging.INFO, "The session has a new id, and the old one opens nothing."),
    "session_expired": Meaning(
        logging.INFO, "The session had expired: it was idle for too long, or reached its absolute timeout."
    ),
    "session_logout": Meaning(
        logging.INFO,
        "The session was logged out.",
        {"emptied": "The session of a visitor lost its last field, so it was deleted."},
    ),
    "session_revoked": Meaning(
        logging.INFO,
        "Sessions were ended from outside of their own requests.",
        {"late": "The store works again, and a session that could not be ended before has ended."},
    ),
    "revoke_failed": Meaning(
        logging.ERROR,
        (
            "The store could not end a session. This process refuses the session, and tries again until it "
            "has ended."
        ),
    ),
    "cookie_rejected": Meaning(
        logging.INFO,
        "A cookie opened no session.",
        {
            **{reason: sentence.format("cookie") for reason, sentence in _REFUSED.items()},
            "replaced": (
                "The browser sent the cookie from before a login or regenerate(), and that opens nothing."
            ),
            "too_long": "The Cookie header is longer than 64 KiB, so nothing in it was used.",
            "too_many": "The Cookie header has more than four cookies of our name, so none was used.",
            "old_system": "The cookie of the former system is forged, expired or unknown there.",
            "too_large": (
                "The session of the former system is larger than max_payload, so it was not adopted."
            ),
            "unstorable": (
                "The session of the former system has a value that is not JSON, or a user id that is not "
                "valid, so it was not adopted."
            ),
        },
    ),
    "token_rejected": Meaning(
        logging.INFO,
        "A client token opened no session.",
        {reason: sentence.format("client token") for reason, sentence in _REFUSED.items()},
    ),
    "cookie_insecure": Meaning(
        logging.WARNING,
        (
            "A Secure cookie was sent over plain http to a client that drops it: use https, and tell the "
            "server which proxy it can trust."
        ),
    ),
    "development_mode": Meaning(
        logging.INFO,  # in addition to a warning that says where the secret is
        "Development mode is on: only requests from this machine are served.",
        {"refused": "Development mode refused a request that came from elsewhere."},
    ),
    "cookie_conflict": Meaning(
        logging.WARNING,
        (
            "The application, or one that is mounted in it, sets a cookie of our name: give one of the two "
            "another name."
        ),
    ),
    "session_replaced": Meaning(
        logging.INFO, "Another session middleware inside ours took the place of our session: remove it."
    ),
    "cache_overridden": Meaning(
        logging.WARNING,
        (
            "The application let caches store a response that sets the session cookie. Its Cache-Control "
            "was replaced by no-store."
        ),
    ),
    "clock_skew": Meaning(
        logging.WARNING,
        "The session was created in the future, so it was refused: set the clocks of the servers.",
    ),
    "write_dropped": Meaning(
        logging.WARNING,
        "A change came too late and was dropped.",
        {
            "ended": "The session had ended before a slower request saved, so its changes were dropped.",
            "logged_in": (
                "A login took the place of the session before a slower request saved, so its changes were "
                "dropped."
            ),
            "replaced": (
                "The session had a new id before a slower request saved, so its changes were dropped."
            ),
            "key_revoked": (
                "The key of the cookie was revoked during the request, so its changes were dropped."
            ),
            "followed": "The session goes on under a new id, so a late change under the old id was dropped.",
        },
    ),
    "record_tampered": Meaning(
        logging.ERROR,
        "A record in the store was refused.",
        {
            "format": "A record in the store is not of a form that this version knows.",
            "unknown_key": "A record in the store was sealed with a key that this process does not have.",
            "revoked_key": "A record in the store was sealed with a key that was revoked.",
            "mac": "A record in the store was changed, or copied from another database.",
            "handle": "The store answered with the record of another session.",
        },
    ),
    "ambiguous": Meaning(
        logging.WARNING,
        (
            "Two cookies of our name open two sessions. One may have been planted, so neither counts until "
            "a login or logout."
        ),
    ),
    "store_error": Meaning(
        logging.ERROR,
        "The store failed. Requests that need their session get 503 until it answers.",
        {
            "refresh": (
                "The store failed during an update that can wait, such as a later expiry. The request went "
                "on."
            ),
            "clean": "The store failed while expired sessions were deleted. The next cleaning tries again.",
        },
    ),
    "keyring_reloaded": Meaning(logging.INFO, "The keyring file changed, and its keys are in force."),
    "keyring_rejected": Meaning(
        logging.ERROR, "The keyring file cannot be used, so the keys that were read before stay in force."
    ),
}
# Each of these follows a genuine sign-in or sign-out, so an audit must find them all.
_UNLIMITED = frozenset(
    ("session_created", "session_adopted", "session_renewed", "session_logout", "session_revoked")
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

    @property
    def message(self) -> str:
        """What happened, in a sentence."""
        meaning = MEANINGS[self.name]
        return meaning.reasons.get(self.reason or "", meaning.sentence)

    def __str__(self) -> str:
        # %r escapes CR and LF: a user id cannot forge a line.
        details = (("reason", self.reason), ("handle", self.handle), ("user_id", self.user_id))
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
    logger.log(MEANINGS[event.name].level, "%s%s", event, held_back, extra={"event": event})


class Notice(NamedTuple):
    """Something to report to the operator. The engine makes an event of it."""

    name: EventName
    reason: str | None = None
    handle: str | None = None
    user_id: str | None = None
    number: int | None = None
