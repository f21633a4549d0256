"""Records in, records out. No key, no cookie, no clock.

What a store of your own needs is here. Each of our stores has its module or package.
"""

from fluidauth.records import SessionInfo, SessionRecord

from .base import AsyncSessionStore, SessionStore

__all__ = [
    "AsyncSessionStore",
    "SessionInfo",
    "SessionRecord",
    "SessionStore",
]
