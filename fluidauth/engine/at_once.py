"""What a visit does before its response: changes committed at once, and what is asked of its request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from fluidauth.errors import Refusal
from fluidauth.formats import form_tokens
from fluidauth.formats.local_path import page_of
from fluidauth.formats.request_head import RequestHead
from fluidauth.formats.tokens import new_session_id
from fluidauth.operations.adopt import handle_to_be
from fluidauth.operations.at_once import Taking, prolong, take
from fluidauth.operations.lookup import Live
from fluidauth.operations.runner import Steps
from fluidauth.records import handle_of
from fluidauth.rules.expiry import is_expired, next_expiry
from fluidauth.rules.user_fields import fields_naming
from fluidauth.session.state import State

from .cross_origin import login_refusal
from .requests import Requests

T = TypeVar("T")

BACKGROUND = "none"  # the value of the header Session-Activity of a request that is no activity


class AtOnce:
    """The part of a :class:`Visit` that waits for no response."""

    __slots__ = ()
    requests: Requests
    state: State | None
    failed: bool
    since: float

    if TYPE_CHECKING:

        async def quiet(self) -> None: ...

    # -- the request -----------------------------------------------------------------

    def request_head(self) -> RequestHead | None:
        """Return the head of the request; None if there is none, or it is not known."""
        return None

    def login_refusal(self, cross_site: bool | None) -> Refusal | None:
        """Return the error if this request may sign nobody in, because a page of another origin made it."""
        return login_refusal(self.requests, self.request_head(), cross_site)

    def begins(self) -> None:
        """Note that the request is at its beginning. What signs nobody in need not ask for the time."""
        self.since = self.requests.clock()  # type: ignore[misc]  # a slot of the subclass

    def begun(self) -> float:
        """Return when the request began, in Unix seconds.

        It is one that may change something, or its first one-time value counts, or the login itself.
        """
        return getattr(self, "since", None) or self.requests.moment()

    def moment(self) -> float:
        return self.requests.moment()

    def counts(self) -> bool:
        """Return whether the request is activity, which prolongs the session."""
        if self.state is not None and self.state.counts is not None:
            return self.state.counts
        head = self.request_head()
        if head is None:
            return True
        if (head.header("session-activity") or "").strip().lower() == BACKGROUND:
            return False
        predicate = self.requests.policy.activity
        return predicate is None or bool(predicate(head))

    def login_page(self) -> str | None:
        """Return where a page asks for the password, and leads back; None if this request loads no page."""
        url, head = self.requests.policy.login_url, self.request_head()
        return None if url is None or head is None else page_of(url, head)

    # -- the session -----------------------------------------------------------------

    def naming(self, fields: dict[str, Any], user_id: str) -> dict[str, Any]:
        """Return the field that names *user_id* as the one in *fields* names its user."""
        return fields_naming(self.requests.policy.user_names, fields, user_id)

    def form_token(self) -> str:
        """Return a token for the session's forms. One that is not stored yet gets its id now."""
        state = self.state
        if state is None:
            raise RuntimeError("the session was not read")
        return form_tokens.make(self.requests.policy.keyring, self._handle(state))

    def knows_form(self, token: object) -> bool:
        """Return whether *token* is one of this session's forms."""
        state = self.state
        record = None if state is None else state.record
        return record is not None and form_tokens.is_genuine(
            self.requests.policy.keyring, record.handle, token
        )

    def _handle(self, state: State) -> str:
        if state.stored is not None and not state.wish.renews and state.wish.login is None:
            return state.stored.handle
        if state.adoption is not None and not (state.signs_in or state.wish.renews or state.detached):
            state.reserved = state.reserved or new_session_id()
            return handle_to_be(self.requests.policy, state.adoption, state.reserved)
        prefix, digits = self.requests.policy.handle_prefix, self.requests.policy.kin_digits
        kin = "" if state.record is None else state.record.handle[:digits]
        while state.reserved is None or not handle_of(prefix, state.reserved).startswith(kin):
            state.reserved = new_session_id()
        return handle_of(prefix, state.reserved)

    def take_note(self, taking: Taking[T]) -> T | None:
        """Take something out of the notes of the stored session; None if it is not there."""
        handle = self._stored()
        if handle is None:
            return None
        steps = self._taking(handle, taking)
        return self._taken(self.requests.perform(steps, "save"))

    async def atake_note(self, taking: Taking[T]) -> T | None:
        """Do as :meth:`take_note`, without blocking."""
        await self.quiet()
        handle = self._stored()
        if handle is None:
            return None
        steps = self._taking(handle, taking)
        return self._taken(await self.requests.aperform(steps, "save"))

    def extend(self) -> bool:
        """Count as activity now, if that moves the deadline by enough; return False if it has ended."""
        handle = self._stored()
        if handle is None or not self._idled():
            return handle is not None
        steps = prolong(self.requests.policy, handle, self.requests.now())
        return self._extended(self.requests.perform(steps, "extend"))

    async def aextend(self) -> bool:
        """Do as :meth:`extend`, without blocking."""
        handle = self._stored()
        if handle is None or not self._idled():
            return handle is not None
        steps = prolong(self.requests.policy, handle, self.requests.now())
        return self._extended(await self.requests.aperform(steps, "extend"))

    def _idled(self) -> bool:
        """Return whether its deadline should move, as far as is known, or has passed."""
        state, now = self.state, self.requests.now()
        if state is None or state.record is None or state.body is None:
            return False
        if is_expired(state.record, state.body, now) or (state.acting and now >= state.acting.until):
            return True
        return next_expiry(state.record, state.body, now) != state.record.expires_at

    def _stored(self) -> str | None:
        stored = None if self.state is None else self.state.stored
        return None if stored is None else stored.handle

    def _taking(self, handle: str, taking: Taking[T]) -> Steps[tuple[Live, T] | None]:
        if not hasattr(self, "since"):
            self.begins()
        return take(self.requests.policy, handle, self.requests.now(), taking, self.counts())

    def _taken(self, found: tuple[Live, T] | None) -> T | None:
        if found is None:
            return None
        live, what = found
        state = self.state
        if state is not None and state.record is not None and state.body is not None:
            # If nobody else has changed it, the next save need not merge.
            if live.record.handle == state.record.handle and live.record.version == state.record.version + 1:
                state.record = live.record
            state.body = state.body._replace(notes=live.body.notes)
        return what

    def _extended(self, live: Live | None) -> bool:
        state = self.state
        if live is None:
            return False
        if state is not None and state.record is not None and state.record.handle == live.record.handle:
            later = max(state.record.expires_at, live.record.expires_at)
            state.record = state.record._replace(expires_at=later)
        return True
