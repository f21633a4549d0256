"""Server-side sessions for WSGI and ASGI applications.

Everything that an application needs is here; errors beyond the common ones are in
``fluidauth.errors``, test suites for stores in ``fluidauth.testing``.
"""

from fluidauth.formats.cookies import CookieOptions as CookieOptions
from fluidauth.stores.base import AsyncSessionStore as AsyncSessionStore
from fluidauth.stores.base import SessionStore as SessionStore
from fluidauth.stores.memory import MemoryStore as MemoryStore
from fluidauth.stores.sqlite import SQLiteStore as SQLiteStore

from .engine import SessionEngine as SessionEngine
from .errors import ConfigError as ConfigError
from .errors import FluidAuthError as FluidAuthError
from .errors import PayloadError as PayloadError
from .errors import SessionClosed as SessionClosed
from .errors import SessionNotLoaded as SessionNotLoaded
from .errors import StoreError as StoreError
from .keys import Keyring as Keyring
from .middleware import ASGISessionMiddleware as ASGISessionMiddleware
from .middleware import SessionMiddleware as SessionMiddleware
from .middleware import WSGISessionMiddleware as WSGISessionMiddleware
from .records import Lifetime as Lifetime
from .records import SessionInfo as SessionInfo
from .records import SessionRecord as SessionRecord
from .session import Session as Session
