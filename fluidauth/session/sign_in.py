"""Who is signed in: the part of a session that begins, proves and ends that."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from functools import partial
from typing import Any

from fluidauth.errors import (
    FreshLoginRequired,
    ImpersonationError,
    SessionClosed,
    SessionNotLoaded,
    StoreError,
)
from fluidauth.formats.json_values import check
from fluidauth.records import Lifetime, check_lifetime, check_user_id, seconds

from .loading import Loading
from .notes import actor_in, methods_in, proven
from .proof import AS_OTHER, Proof, checked, demanded
from .state import State
from .wish import Login

UNREAD = (StoreError, SessionNotLoaded, SessionClosed)  # a logout needs no read


class SignIn(Loading):
    """Login and logout, and how the user authenticated."""

    __slots__ = ()

    def login(
        self,
        user_id: str,
        data: dict[str, Any] | None = None,
        *,
        lifetime: Lifetime | None = None,
        methods: Collection[str] = (),
        cross_site: bool | None = None,
    ) -> None:
        """Sign *user_id* in under a new id. From the save on, the old id opens nothing.

        Fields are kept, unless another user was signed in. *lifetime* overrides the engine's timeouts for
        this session (NIST SP 800-63B-4, section 5.2). How the user authenticated is said by *methods*, such
        as ``("pwd", "otp")`` (RFC 8176).

        Raise :class:`CrossOriginError` if a page of another origin makes the request, by a form, a frame or a
        script, and the engine's option *cross_origin* is ``"block"``. A navigation may come from elsewhere.
        With *cross_site* false it may not, either. With true, the caller has checked who sent the request.
        Raise ``TypeError`` if *user_id* is not text, or *methods* is no tuple of text.
        """
        check_user_id(user_id)
        check_lifetime(lifetime)
        check(data or {}, "data")
        used = checked(methods)
        if cross_site is not None and not isinstance(cross_site, bool):  # no other text may switch it off
            raise TypeError(f"cross_site={cross_site!r} must be True, False or None")
        state, visit = self._answerable_state("login()"), self._visit
        refusal = visit.login_refusal(cross_site)
        if refusal is not None:
            raise self._told(refusal)
        if state.user_id not in (None, user_id) or state.acting is not None:
            dict.clear(self)
            state.detach()
        state.closed = None
        login = Login(user_id, lifetime, visit.now(), methods=used, begun=visit.begun())
        state.ask(login=login, renews=False)
        self.update(data or {})

    def regenerate(self) -> None:
        """Give the session a new id with the same data. From the save on, the old id opens nothing."""
        state = open_state(self, "regenerate()")
        if not (state.signs_in or state.wish.ends):
            state.ask(renews=True)

    def confirm(self, methods: Collection[str] = ()) -> None:
        """Note that the user authenticated again, by *methods*. The session gets a new id and ``auth_time``.

        Deadlines and fields stay. Raise :class:`FreshLoginRequired` if nobody is signed in, and
        :class:`ImpersonationError` if somebody acts in the user's name.
        """
        used, state, now = checked(methods), open_state(self, "confirm()"), self._visit.now()
        _check_signed_in(self, state, "so there is nothing to confirm; log the user in first")
        if state.wish.login is not None:
            login = state.wish.login
            state.ask(login=login._replace(auth_time=now, methods=(*login.methods, *used)))
            return
        state.ask(renews=True, confirmed_at=now)
        if used:
            state.note_change(partial(proven, used, now))

    def keep_only_this(self) -> None:
        """End all other sessions of the user, and logins that are under way. This one gets a new id.

        Call it after the password or another way to sign in has changed. It is done by the save. Raise as
        :meth:`confirm`.
        """
        state = open_state(self, "keep_only_this()")
        _check_signed_in(self, state, "so there are no sessions to end")
        state.ask(renews=state.wish.login is None, alone_since=self._visit.moment())

    def set_lifetime(self, lifetime: Lifetime) -> None:
        """Give the session other timeouts, counted from now. Its cookie gets the same expiry.

        The session can end later than before, but not later than the engine's absolute timeout after its
        login or beginning (NIST SP 800-63B-4, section 5.2). Raise ``TypeError`` if it is no ``Lifetime``.
        """
        if not isinstance(lifetime, Lifetime):
            raise TypeError(f"lifetime={lifetime!r} must be a Lifetime, such as Lifetime(absolute=3600)")
        state = self._answerable_state("set_lifetime()")
        self._change()
        if state.wish.login is not None and state.signs_in:
            state.ask(login=state.wish.login._replace(lifetime=lifetime))
        else:
            state.ask(lifetime=lifetime)

    def logout(self) -> None:
        """End the session for good. The save removes its record, even if the handler fails.

        Nothing is read for this, because the cookie names the session. In a stream or WebSocket, where the
        response has begun, it ends at once. A later write in the same request starts a fresh session. Raise
        :class:`TooManyCookies` if the request has more cookies of our name than we read.
        """
        try:
            self._read()
        except UNREAD:
            self._fill(self._visit.nobody())
        self._visit.log_out(self)

    destroy = logout

    def clear(self) -> None:
        """Remove each field. If a user is signed in, or that cannot be read, do as :meth:`logout`."""
        try:
            state = self._read()
            leaves = state.user_id is not None or state.wish.ends
        except UNREAD:
            leaves = True
        if leaves:
            SignIn.logout(self)
        else:
            super().clear()

    # -- what a page demands -----------------------------------------------------

    def require_fresh(self, max_age: int | timedelta) -> None:
        """Do as :meth:`require` with ``within=max_age``."""
        SignIn.require(self, max_age)

    def require(
        self, within: int | timedelta | None = None, method: str | Collection[str] | None = None
    ) -> None:
        """Raise :class:`FreshLoginRequired` unless the user authenticated *within* so many seconds.

        If *method* is given, that must have been by it, or by one of several. Without arguments, any
        signed-in user will do. If the engine has a *login_url*, the response to a page leads there. Raise
        :class:`ImpersonationError` if somebody acts in the user's name, who did not authenticate.
        """
        limit = None if within is None else seconds("within", within)
        wanted = demanded(method)
        state = self._read()
        notes = state.notes
        proof = Proof(state.user_id, state.auth_time, methods_in(notes), actor_in(notes) is not None)
        error = proof.lacks(self._visit.now(), limit, wanted, self._visit.login_page)
        if error is not None:
            raise self._told(error)


def open_state(session: SignIn, what: str) -> State:
    """Return the state of *session* for *what*, which needs a cookie, and a session that is not closed."""
    state = session._answerable_state(what)
    if state.closed:
        raise SessionClosed(f"this session is closed: {state.closed}")
    return state


def _check_signed_in(session: SignIn, state: State, so: str) -> None:
    if state.user_id is None:
        raise session._told(FreshLoginRequired(f"nobody is signed in, {so}"))
    if actor_in(state.notes) is not None:  # also if it began in this request
        raise session._told(ImpersonationError(AS_OTHER))
