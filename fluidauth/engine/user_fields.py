"""Carry out the login or logout that an application asked for by a field that names the user."""

from __future__ import annotations

from typing import Protocol

from fluidauth.errors import Refusal
from fluidauth.rules.policy import Policy
from fluidauth.rules.user_fields import TAKEN_BACK, FieldsOfUser, own_fields, user_before, wish_by_fields
from fluidauth.session import Session
from fluidauth.session.state import State
from fluidauth.session.wish import NO_WISH, Login

from .requests import Requests


class Following(Protocol):
    """What this asks of a visit."""

    requests: Requests
    state: State | None
    answerable: bool

    def now(self) -> int: ...
    def wish_end(self, session: Session) -> None: ...
    def begun(self) -> float: ...
    def login_refusal(self, cross_site: bool | None) -> Refusal | None: ...


def follow_fields(visit: Following, session: Session, keep: bool = True) -> None:
    """Log the user in or out if the application did so by changing a field. Only out if *keep* is false."""
    state, policy = visit.state, visit.requests.policy
    user_of = policy.user_of
    if state is None or user_of is None:
        return
    if isinstance(user_of, FieldsOfUser) and user_of.is_silent(state, session):
        return
    try:
        wish = wish_by_fields(policy, state, session, visit.now(), visit.answerable, keep)
    except Exception:
        if keep:
            raise
        return  # the request failed: its logout is kept, whatever the fields hold
    if wish is NO_WISH:
        return
    state.signed_in_anew = False
    if wish is TAKEN_BACK:
        state.ask(login=None)
    elif wish.renews:
        state.ask(renews=True, confirmed_at=wish.confirmed_at, named=wish.named)
    elif wish.ends:
        kept = own_fields(policy, state, session, None) if keep else {}
        visit.wish_end(session)
        dict.update(session, kept)
    elif wish.login is not None:
        refusal = visit.login_refusal(None)
        if refusal is not None:
            raise refusal
        _sign_in(policy, state, session, wish.login._replace(begun=visit.begun()))


def _sign_in(policy: Policy, state: State, session: Session, login: Login) -> None:
    """Have the next save carry out *login*, without the fields of another user."""
    holder = state.user_id or user_before(policy, state)
    if holder not in (None, login.user_id):
        kept = own_fields(policy, state, session, login.user_id)
        dict.clear(session)
        state.detach()
        dict.update(session, kept)
    state.ask(login=login, renews=False)
