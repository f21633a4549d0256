"""A session outside of requests: it can be read, or changed inside of a block, but not after that."""

from __future__ import annotations

from fluidauth.errors import NoSuchSession
from fluidauth.operations.lookup import Live
from fluidauth.operations.save import CLOSED
from fluidauth.session.state import State
from fluidauth.session.wish import Credential

from .requests import Requests
from .visit import Visit

READ_ONLY = "it was opened to be read; change it inside `with engine.edit(handle)`"
_LEFT = "its `with engine.edit(handle)` has ended; change it inside of another one"
_NOT_SAVED = (CLOSED["ended"], CLOSED["logged_in"], CLOSED["key_revoked"])


def visit_outside(requests: Requests, live: Live, closed: str | None = None) -> Visit:
    """Return the visit of *live*, found without a request; *closed* says why it takes no changes."""
    visit = Visit(requests)
    state = State(Credential("", "", live.record.kid, live.record.handle), live.record, live.body)
    state.closed = closed
    visit.state, visit.answerable = state, False  # no response carries a cookie
    return visit


def check_saved(visit: Visit) -> None:
    """Raise :class:`NoSuchSession` if no session was left to save the changes in."""
    state = visit.state
    if state is not None and state.closed in _NOT_SAVED:
        raise NoSuchSession(f"the change was not saved: {state.closed}")


def shut(visit: Visit) -> None:
    """Refuse changes from now on, because nothing would save them."""
    if visit.state is not None:
        visit.state.closed = visit.state.closed or _LEFT
