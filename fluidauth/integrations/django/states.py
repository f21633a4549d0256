"""States of sessions, as Django's session store asks for them."""

from __future__ import annotations

from django.contrib.sessions.backends.base import UpdateError

from fluidauth.engine.visit import Visit
from fluidauth.formats.payloads import plain_fields
from fluidauth.records import Lifetime
from fluidauth.rules.versions import token_for
from fluidauth.session.state import State

from .configuration import get_engine
from .token_visit import DjangoVisit


def visit_of_state(state: State) -> Visit:
    """Return a visit that begins with *state*, which is in the store already."""
    visit = DjangoVisit(get_engine().requests)
    visit.state = state
    return visit


def loaded_state(visit: Visit) -> State:
    """Return the state of a session that was loaded."""
    if visit.state is None:
        raise UpdateError
    return visit.state


def untouched(state: State) -> State:
    """Return *state* with its fields as stored, none encrypted: Django may have changed its copy of them."""
    if state.record is None or state.body is None:
        return state
    found = state.snapshot()
    found.base = plain_fields(state.record)
    found.body = state.body._replace(fields=found.base)
    return found


def token_of(state: State) -> str:
    """Return what the cookie must carry, under the key that must sign it."""
    if state.record is None or state.credential is None:
        raise UpdateError
    return token_for(get_engine().policy, state.record, state.credential.session_id)


def remaining(state: State) -> Lifetime:
    """Return the lifetime that the session has left."""
    body = state.body
    if body is None:
        raise UpdateError
    left = body.deadline - get_engine().requests.now()
    return Lifetime(max(1, left), body.idle, body.persistent)
