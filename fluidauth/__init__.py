"""Server-side sessions for WSGI and ASGI applications.

Everything that an application needs is here. Less common errors are in ``fluidauth.errors``. A
store of your own needs ``fluidauth.stores``, and its test suites are in ``fluidauth.testing``.
"""

from fluidauth.formats.cookies import CookieOptions
from fluidauth.stores.memory import MemoryStore
from fluidauth.stores.sqlite import SQLiteStore

from .engine import SessionEngine
from .errors import (
    ConfigError,
    FluidAuthError,
    FreshLoginRequired,
    NoSuchSession,
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

__version__ = "0.1.0"

__all__ = [
    "ASGISessionMiddleware",
    "ConfigError",
    "CookieOptions",
    "FluidAuthError",
    "FreshLoginRequired",
    "Keyring",
    "Lifetime",
    "MemoryStore",
    "NoSuchSession",
    "PayloadError",
    "SQLiteStore",
    "Session",
    "SessionClosed",
    "SessionEngine",
    "SessionEvent",
    "SessionMiddleware",
    "SessionNotLoaded",
    "StoreError",
    "WSGISessionMiddleware",
    "new_secret",
]
