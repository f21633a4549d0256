"""Records in, records out. No key, no cookie, no clock.

What a store of one's own needs is here; ours are in a module or package each.
"""

from fluidauth.records import SessionInfo, SessionRecord

from .base import AsyncSessionStore, SessionStore

__all__ = [
    "AsyncSessionStore",
    "SessionInfo",
    "SessionRecord",
    "SessionStore",
]
