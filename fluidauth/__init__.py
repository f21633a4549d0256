"""Server-side sessions for WSGI and ASGI applications.

Everything that an application needs is here. Less common errors are in ``fluidauth.errors``. A
store of your own needs ``fluidauth.stores``, and its test suites are in ``fluidauth.testing``.
"""

from fluidauth.formats.cookies import CookieOptions
from fluidauth.formats.local_path import local_path
from fluidauth.formats.request_head import RequestHead
from fluidauth.stores.memory import MemoryStore
from fluidauth.stores.sqlite import SQLiteStore

from .engine import SessionEngine
from .errors import (
    ConfigError,
    CrossOriginError,
    FluidAuthError,
    FreshLoginRequired,
    ImpersonationError,
    NoSuchSession,
    NotRedeemable,
    PayloadError,
    SessionClosed,
    SessionNotLoaded,
    StoreError,
)
from .events import SessionEvent
from .keys import Keyring, new_secret
from .middleware import ASGISessionMiddleware, SessionMiddleware, WSGISessionMiddleware
from .records import Lifetime
from .session import Session
from .session.notes import Actor, Flash

__version__ = "0.1.0"

__all__ = [
    "ASGISessionMiddleware",
    "Actor",
    "ConfigError",
    "CookieOptions",
    "CrossOriginError",
    "Flash",
    "FluidAuthError",
    "FreshLoginRequired",
    "ImpersonationError",
    "Keyring",
    "Lifetime",
    "MemoryStore",
    "NoSuchSession",
    "NotRedeemable",
    "PayloadError",
    "RequestHead",
    "SQLiteStore",
    "Session",
    "SessionClosed",
    "SessionEngine",
    "SessionEvent",
    "SessionMiddleware",
    "SessionNotLoaded",
    "StoreError",
    "WSGISessionMiddleware",
    "local_path",
    "new_secret",
]
