"""The visit of a WSGI or ASGI request. Its session is in a dict, where others find it and may replace it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from fluidauth.engine.requests import Requests
from fluidauth.errors import ConfigError, PayloadError
from fluidauth.formats.json_values import decode, encode, is_same
from fluidauth.formats.request_head import RequestHead
from fluidauth.session import Session
from fluidauth.session.faces import view_of
from fluidauth.session.session import visit_of

from .replaced import OURS, advice_on, another_in, fields_of, tell
from .response import ResponseVisit

PassOn = TypeVar("PassOn", bound=Callable[..., Any])


class MiddlewareVisit(ResponseVisit, Generic[PassOn]):
    """The visit of one request, which it holds until :meth:`let_go`.

    A request holds its session, and a session its visit. If the visit held the request for longer, each would
    be a circle. Its payload would stay in memory until the garbage collector runs.
    """

    __slots__ = ("inside", "key", "pass_on", "request", "reserved", "session", "taken")
    holder: ClassVar[str]
    """What the protocol calls a request."""
    request: Any
    """The environ of WSGI, or the scope of ASGI."""
    session: Session
    key: str
    """Of the session in the request."""
    pass_on: PassOn
    """The server's ``send`` or ``start_response``."""
    inside: object
    """The application within the middleware."""
    taken: tuple[object, dict[str, Any]]
    """The dict that was taken in, which the application still has, and what it held then."""
    reserved: str
    """The id of a new session, for a framework that shows it before the session is stored."""

    def let_go(self) -> None:
        """Nothing more will come: hold neither the request nor its session, which takes no more changes."""
        self.end()
        del self.request, self.session

    def request_head(self) -> RequestHead | None:
        """Return the head of the request, as long as it goes on."""
        request = getattr(self, "request", None)
        return None if request is None else RequestHead(request)

    def owes_more(self) -> bool:
        """Return whether there may be something to save, or a failure to report."""
        session, state = self.session, self.state
        if self.request.get(self.key) is not session:
            return True  # the application put something in our place
        if state is None:
            return self.found is not None
        return state.due or self.failed or self.saving is not None or state.is_changed(session)

    def tidies(self) -> bool:
        """Return whether cleaning follows this response."""
        return self.requests.cleaning_due and self.state is not None

    # -- what was put in our place ---------------------------------------------------

    def take_in(self, session: Session) -> None:
        """Have *session* become what the application put in its place, if it did.

        Raise :class:`PayloadError` if that is no session, unless the response reports an error anyway.
        """
        fields = self.instead()
        if fields is not None:
            self.take(session, fields)

    async def atake_in(self, session: Session) -> None:
        """Do as :meth:`take_in`, without blocking."""
        fields = self.instead()
        if fields:
            await Session.aload(session)
        if fields is not None:
            self.take(session, fields)

    def take(self, session: Session, fields: dict[str, Any]) -> None:
        """Have *session* become *fields*. If they were taken before, take only what changed since.

        Other requests may have changed the session meanwhile, and a login may have removed fields.
        """
        found, before = getattr(self, "taken", (None, {}))
        if found is not fields or not fields:
            self.become(session, fields)
        elif not is_same(before, fields):
            kept = {
                name: value for name, value in dict.items(session) if name in fields or name not in before
            }
            changed = {n: v for n, v in fields.items() if n not in before or not is_same(before[n], v)}
            self.become(session, {**kept, **changed})
        self.taken = fields, decode(encode(fields))

    def look_again(self) -> None:
        """Carry out a logout that was put in our place during a body or WebSocket, which may take long."""
        fields = self.instead()
        if fields is not None and not fields:
            self.become(self.session, fields)

    def become(self, session: Session, fields: dict[str, Any]) -> None:
        """Give *session* these *fields* instead of all others. If there are none, clear the session."""
        state = self.state
        if fields:
            Session.become(session, fields)
        elif state is None or state.user_id is not None or state.unreadable or dict.__len__(session):
            Session.clear(session)

    def instead(self) -> dict[str, Any] | None:
        """Return the fields that the session is to become, none of them to clear it; None to keep it."""
        found = self.request.get(self.key, self.session)
        if found is self.session or self.unavailable or _visit_behind(found) is self:
            return None
        other = self.other_in(found)
        if other is not None:
            tell(self.requests, other)
            return None
        try:
            fields = self.fields_of(found)
        except PayloadError:
            if self.keep:
                raise
            return None
        if fields and not self.keep:
            return None
        if type(found) is not dict:  # a dict may still change: the application has it
            self.request[self.key] = self.session
        return fields

    def other_in(self, found: object) -> str | None:
        """Return the full name of another middleware whose session *found* is, if it is one."""
        behind = _visit_behind(found)  # an earlier request left only its fields
        return None if behind and behind.requests is self.requests else another_in(found, self.inside)

    def fields_of(self, found: object) -> dict[str, Any]:
        """Return the fields that *found* stands for; raise :class:`PayloadError` if it has none."""
        return fields_of(found, f"{self.holder}[{self.key!r}]")

    def reclaim(self, request: Any, session: Session) -> None:
        """Have *session* become what *request* has in its place, maybe a copy of ours, and put it back.

        Raise :class:`ConfigError` if that is the session of another middleware.
        """
        found = request.get(self.key, session)
        if found is not session:
            other = self.other_in(found)
            if other is not None:
                tell(self.requests, other)
                raise ConfigError(advice_on(other))
            self.become(session, self.fields_of(found))
        request[self.key] = session


def session_in(scope: Mapping[str, object], advice: str) -> Session:
    """Return the session that a middleware put into *scope*, with all names, and count it as used.

    Raise :class:`ConfigError`, which ends with *advice*, if there is none, or if another middleware replaced
    it.
    """
    found = scope.get("session")
    if not issubclass(type(found), Session):
        ours = scope.get(OURS)
        if not isinstance(ours, Session):
            raise ConfigError(f"no session here: {advice}")
        visit_of(ours).reclaim(scope, ours)
        found = ours
    session = view_of(found)  # type: ignore[arg-type]  # a Session, as said
    session.mark_accessed()
    return session


def is_nested(found: object, requests: Requests) -> bool:
    """Return whether *found* is a session of these *requests*: the middleware is nested in itself."""
    visit = _visit_behind(found)
    return visit is not None and visit.requests is requests and not visit.over


def is_over(found: object) -> bool:
    """Return whether *found* is a session of a request that has ended, left in a scope that is used again."""
    visit = _visit_behind(found)
    return visit is not None and bool(visit.over)


def _visit_behind(found: object) -> Any:
    # Not ``isinstance``: what others put there may refuse to name its class.
    return visit_of(found) if issubclass(type(found), Session) else None  # type: ignore[arg-type]  # as said
