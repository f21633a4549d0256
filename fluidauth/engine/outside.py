"""A session outside of requests: it can be read, or changed inside of a block, but not after that."""

from __future__ import annotations

from fluidauth.errors import NoSuchSession
from fluidauth.operations.save import CLOSED

from .visit import Visit

READ_ONLY = "it was opened to be read; change it inside `with engine.edit(handle)`"
_LEFT = "its `with engine.edit(handle)` has ended; change it inside of another one"
_NOT_SAVED = (CLOSED["ended"], CLOSED["logged_in"], CLOSED["key_revoked"])


def check_saved(visit: Visit) -> None:
    """Raise :class:`NoSuchSession` if no session was left to save the changes in."""
    state = visit.state
    if state is not None and state.closed in _NOT_SAVED:
        raise NoSuchSession(f"the change was not saved: {state.closed}")


def shut(visit: Visit) -> None:
    """Refuse changes from now on, because nothing would save them."""
    if visit.state is not None:
        visit.state.closed = visit.state.closed or _LEFT
