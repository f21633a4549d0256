"""Acting in another user's name: the part of a session that begins and ends that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fluidauth.errors import FreshLoginRequired, ImpersonationError, SessionClosed
from fluidauth.formats.json_values import check
from fluidauth.records import check_user_id, seconds

from .notes import Acting, Actor, acting_in
from .sign_in import SignIn, open_state
from .state import State, back_to_own
from .wish import Login

LIFETIME = 30 * 60  # seconds
_LONGEST_REASON = 200  # characters


class Impersonation(SignIn):
    """Who really is there, if somebody acts in the user's name."""

    __slots__ = ()

    @property
    def actor(self) -> Actor | None:
        """Who acts in the user's name, why and until when; None if the user is really there."""
        acting = acting_in(self._read().notes)
        return None if acting is None else acting.actor

    def impersonate(
        self,
        user_id: str,
        reason: str,
        *,
        data: dict[str, Any] | None = None,
        lifetime: int | timedelta = LIFETIME,
    ) -> None:
        """Act in the name of *user_id* for *lifetime* seconds, under a new id and with fields of its own.

        The application decides who may. The *reason* goes into events. The own session waits, and comes back
        by :meth:`end_impersonation`, or when the time is over. If it ends, so does this. Nobody has
        authenticated as *user_id*, so :meth:`require` with a time or a method refuses it.

        Raise :class:`ImpersonationError` if that goes on already, :class:`FreshLoginRequired` if nobody is
        signed in, and :class:`SessionClosed` if this request has changes that are not saved yet.
        """
        check_user_id(user_id)
        _check_reason(reason)
        check(data or {}, "data")
        limit, state, visit = seconds("lifetime", lifetime), open_state(self, "impersonate()"), self._visit
        stored = _own_record(self, state, user_id)
        now, fields = visit.now(), visit.naming(self, user_id)
        acting = Acting(str(state.user_id), reason, now, now + limit, stored)
        dict.clear(self)
        state.detach()
        login = Login(user_id, None, None, begun=visit.begun(), acting=acting)
        state.ask(login=login, renews=False)
        self.update({**fields, **(data or {})})

    def end_impersonation(self) -> None:
        """Go back to the own session, under a new id. The one in the other user's name ends.

        Raise :class:`ImpersonationError` if nobody acts in another's name.
        """
        state = open_state(self, "end_impersonation()")
        if state.acting is None or state.parent is None or state.wish.login is not None:
            raise self._told(ImpersonationError("nobody acts in another user's name here"))
        own = back_to_own(state, state.parent)
        self._visit.state = own
        self._fill(own)

    def require_real_user(self) -> None:
        """Raise :class:`ImpersonationError` if somebody acts in the user's name."""
        if acting_in(self._read().notes) is not None:
            raise self._told(ImpersonationError("this may not be done in another user's name"))


def _own_record(session: SignIn, state: State, user_id: str) -> str:
    """Return the handle of the session that waits meanwhile."""
    if acting_in(state.notes) is not None:
        raise session._told(ImpersonationError("this is in another user's name already; end that first"))
    if state.user_id is None:
        raise session._told(FreshLoginRequired("nobody is signed in who could act in another's name"))
    if state.user_id == user_id:
        raise ValueError(f"{user_id!r} is signed in already, and needs nobody to act for them")
    if state.stored is None or state.is_changed(session):
        raise SessionClosed("this request has changes that are not saved; call save() before impersonate()")
    return state.stored.handle


def _check_reason(reason: object) -> None:
    if not isinstance(reason, str):
        raise TypeError(f"reason must be text, not {type(reason).__name__}")
    if not 1 <= len(reason.strip()) <= _LONGEST_REASON:
        raise ValueError(f"reason must be 1 to {_LONGEST_REASON} characters: it goes into events")
