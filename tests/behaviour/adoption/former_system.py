"""A session system that there was before ours."""

from __future__ import annotations

from typing import Any

from fluidauth import CookieOptions, MemoryStore, Session, SessionEngine, StoreError
from fluidauth.adoption import Adopted, Adopter
from fluidauth.errors import NotSupported
from fluidauth.stores import SessionRecord

DAY = 86_400


class OldSystem(Adopter):
    """Keeps sessions by the text in its cookie."""

    name = "old"
    cookie = CookieOptions("old", secure=False, path="/app", domain="example.org")
    lifetime = 14 * DAY
    blocks = True

    def __init__(self) -> None:
        self.sessions: dict[str, Adopted] = {
            "ada": Adopted({"cart": ["tea"]}, "ada"),
            "anon": Adopted({"n": 1}),
        }
        self.down = False

    def read(self, value: str) -> Adopted | None:
        if self.down:
            raise StoreError("the old store is out of order")
        found = self.sessions.get(value)
        return None if found is None else Adopted({**found.fields}, found.user_id)

    def forget(self, value: str) -> None:
        if self.down:
            raise StoreError("the old store is out of order")
        self.sessions.pop(value, None)


def whoami(session: Session) -> tuple[str | None, dict[str, Any]]:
    return session.user_id, dict(session)


def sessions_of_ada(engine: SessionEngine) -> int:
    """Return how many there are, 1 where the store cannot list them."""
    try:
        return len(engine.list_sessions("ada"))
    except NotSupported:
        return 1


ADA = ("ada", {"cart": ["tea"]})


class Between(MemoryStore):
    """Lets something else happen between a request's looking for a record and its making it."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Any = None

    def create(self, record: SessionRecord) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        super().create(record)
