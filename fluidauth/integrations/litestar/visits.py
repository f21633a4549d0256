"""What a request of Litestar also does with its session: it shows the id, and takes models as fields."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from litestar.exceptions import SerializationException
from litestar.serialization import decode_json, encode_json
from litestar.types import Empty
from litestar.utils import get_serializer_from_scope
from litestar.utils.scope.state import ScopeState

from fluidauth.errors import PayloadError, SessionClosed
from fluidauth.formats.json_values import check
from fluidauth.formats.tokens import new_session_id
from fluidauth.middleware.asgi_visits import ASGIVisit
from fluidauth.middleware.replaced import fields_of
from fluidauth.middleware.shared_scope import SharedHTTPVisit, SharedWebSocketVisit
from fluidauth.records import handle_of
from fluidauth.rules.loading import identify
from fluidauth.rules.saving import SavePlan
from fluidauth.session import Session
from fluidauth.session.state import State


def fields_for(value: object, scope: Any, place: str) -> dict[str, Any]:
    """Return the fields of *value*, put into *place*: a dict, a dataclass, or a model of pydantic and others.

    Values that are not JSON become what Litestar would send. Raise :class:`PayloadError` if that is no dict.
    """
    try:
        fields = fields_of(value, place)
        check(fields, "session")
    except PayloadError:
        converted = _encoded(value, scope)
        if not isinstance(converted, dict):
            raise
        return converted
    return fields


def _encoded(value: object, scope: Any) -> Any:
    try:
        serializer = get_serializer_from_scope(scope)
    except (AttributeError, KeyError):  # outside of any route
        serializer = None
    try:
        return decode_json(encode_json(value, serializer))
    except SerializationException:
        return None


class LitestarScope(dict[str, Any]):
    """A scope that loads its session at the first access, as C code reads what a handler returns.

    What is written into it, except for the session, is visible to layers outside as well.
    """

    __slots__ = ("_outer",)

    def __init__(self, outer: Any) -> None:
        super().__init__(outer)
        self._outer = outer

    def __setitem__(self, key: str, value: Any) -> None:
        dict.__setitem__(self, key, value)
        if key != "session":
            self._outer[key] = value

    def __getitem__(self, key: str) -> Any:
        found = dict.__getitem__(self, key)
        if key == "session" and issubclass(type(found), Session):
            with suppress(SessionClosed):  # too late: reading it raises
                Session.mark_accessed(found)
        return found


class _LitestarVisit(ASGIVisit):
    __slots__ = ()

    def fields_of(self, found: object) -> dict[str, Any]:
        return fields_for(found, self.request, "scope['session']")

    # -- the id of the session: a handle, which names it and opens nothing -----------

    def begin(self) -> None:
        """Have ``request.get_session_id()`` return the handle of the session, also before it is stored."""
        super().begin()
        self.request: Any = LitestarScope(self.request)
        self.reserved: str = ""
        credentials, _ = identify(self.requests.policy, self.cookies)
        self.tell(credentials[0].handle if len(credentials) == 1 else self.reserve())

    def tell(self, handle: str | None) -> None:
        if "state" in self.request:  # around an application there may be none yet
            ScopeState.from_scope(self.request).session_id = Empty if handle is None else handle

    def reserve(self) -> str:
        """Return the handle that a new session will have."""
        self.reserved = self.reserved or new_session_id()
        return handle_of(self.requests.policy.handle_prefix, self.reserved)

    def load(self) -> State:
        state = super().load()
        self.tell(self.reserve() if state.stored is None else state.stored.handle)
        return state

    def plan(self, session: Session, keep: bool = True) -> SavePlan | None:
        state = self.state
        if state is not None:
            if state.record is not None or state.wish.ends:
                self.reserved = ""  # what has ended never lives again under its id
            state.reserved = state.reserved or self.reserved or None
        return super().plan(session, keep)

    def close_head(self, readable: bool = False) -> None:
        super().close_head(readable)
        if self.state is not None:
            self.tell(None if self.state.stored is None else self.state.stored.handle)


class LitestarHTTPVisit(_LitestarVisit, SharedHTTPVisit):
    __slots__ = ()


class LitestarWebSocketVisit(_LitestarVisit, SharedWebSocketVisit):
    __slots__ = ()


VISITS: Mapping[str, Any] = {"http": LitestarHTTPVisit, "websocket": LitestarWebSocketVisit}
