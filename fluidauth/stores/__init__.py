"""Records in, records out. No key, no cookie, no clock.

What a store of one's own needs is here; ours are in a module or package each.
"""

from fluidauth.records import SessionInfo as SessionInfo
from fluidauth.records import SessionRecord as SessionRecord

from .base import AsyncSessionStore as AsyncSessionStore
from .base import SessionStore as SessionStore
