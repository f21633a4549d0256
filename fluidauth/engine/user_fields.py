"""Carry out on a session what its application asked for by a field that names the user."""

from __future__ import annotations

from typing import Protocol

from fluidauth.rules.user_fields import FieldsOfUser, own_fields, wish_by_fields
from fluidauth.session import Session
from fluidauth.session.state import State
from fluidauth.session.wish import NO_WISH

from .requests import Requests


class Following(Protocol):
    """What this asks of a visit."""

    requests: Requests
    state: State | None
    answerable: bool

    def now(self) -> int: ...
    def wish_end(self, session: Session) -> None: ...


def follow_fields(visit: Following, session: Session, keep: bool = True) -> None:
    """Sign in or out whom the application did by changing a field; only out where *keep* is false."""
    state, policy = visit.state, visit.requests.policy
    user_of = policy.user_of
    if state is None or user_of is None:
        return
    if isinstance(user_of, FieldsOfUser) and user_of.is_silent(state, session):
        return
    wish = wish_by_fields(policy, state, session, visit.now(), visit.answerable, keep)
    if wish is NO_WISH:
        return
    state.signed_in_anew = False
    if wish.confirmed_at is not None:
        state.ask(renews=True, confirmed_at=wish.confirmed_at)
        return
    login = wish.login
    another = state.user_id is not None and (login is None or login.user_id != state.user_id)
    if another:
        kept = own_fields(state, session) if keep else {}
        if login is None:
            visit.wish_end(session)
        else:
            dict.clear(session)
            state.detach()
        dict.update(session, kept)
    if login is not None:
        state.ask(login=login, renews=False)
