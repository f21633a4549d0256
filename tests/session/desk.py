"""A session without a request, and every way to use it."""

from __future__ import annotations

import copy
import operator
from typing import Any

from fluidauth import CookieOptions, MemoryStore, Session, SessionEngine, StoreError
from fluidauth.engine.visit import Visit
from fluidauth.stores import SessionRecord

SECRET = "TEST-ONLY-0123456789-abcdefghijklmn"
FIELDS: dict[str, Any] = {"a": 1, "b": [2, {"c": None}]}


class CountingStore(MemoryStore):
    """Counts the reads, and fails them while it is *down*."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.down = False

    def get(self, handle: str) -> SessionRecord | None:
        self.reads += 1
        if self.down:
            raise StoreError("the store is down")
        return super().get(handle)


class Desk:
    """One stored session, and requests that come with its cookie."""

    def __init__(self, fields: dict[str, Any] = FIELDS) -> None:
        self.store = CountingStore()
        self.engine = SessionEngine(SECRET, self.store, cookie=CookieOptions(secure=False))
        self.token, session = self.engine.create_session("user-42", copy.deepcopy(fields))
        assert session.handle is not None
        self.handle = session.handle

    def request(self, may_block: bool = True) -> Session:
        return Session(Visit(self.engine.requests, f"session={self.token}", may_block))

    def stored(self) -> Any:
        return self.engine.get_session(self.handle)


def keywords(**fields: Any) -> dict[str, Any]:
    return fields


def ior(target: Any, other: Any) -> Any:
    target |= other
    return target


def match(session: Session) -> Any:
    match session:
        case {"a": 1, **rest}:
            return rest
        case _:
            return "no match"


def changed(change: Any) -> Any:
    """Return what calls *change* on a session and gives what became of the session."""

    def call(session: Session) -> Any:
        answer = change(session)
        return answer, dict(session)

    return call


B = FIELDS["b"]

CHANGES: dict[str, tuple[Any, Any]] = {
    "[]=": (lambda s: operator.setitem(s, "z", 0), (None, {**FIELDS, "z": 0})),
    "del": (lambda s: operator.delitem(s, "a"), (None, {"b": B})),
    "pop": (lambda s: s.pop("a"), (1, {"b": B})),
    "pop, default": (lambda s: s.pop("x", 7), (7, FIELDS)),
    "popitem": (lambda s: s.popitem(), (("b", B), {"a": 1})),
    "clear": (lambda s: s.clear(), (None, {})),
    "setdefault, there": (lambda s: s.setdefault("a", 7), (1, FIELDS)),
    "setdefault, absent": (lambda s: s.setdefault("z", 7), (7, {**FIELDS, "z": 7})),
    "setdefault, None": (lambda s: s.setdefault("z"), (None, {**FIELDS, "z": None})),
    "update, dict": (lambda s: s.update({"a": 0}), (None, {**FIELDS, "a": 0})),
    "update, pairs": (lambda s: s.update([("a", 0)]), (None, {**FIELDS, "a": 0})),
    "update, names": (lambda s: s.update({"z": 0}, a=2), (None, {"a": 2, "b": B, "z": 0})),
    "|= of the session": (lambda s: ior(s, {"a": 0}) is s, (True, {**FIELDS, "a": 0})),
    "add": (lambda s: s.add("a", 2), (None, {**FIELDS, "a": 3})),
    "append": (lambda s: s.append("b", 3), (None, {"a": 1, "b": [*B, 3]})),
    "logout": (lambda s: s.logout(), (None, {})),
}
