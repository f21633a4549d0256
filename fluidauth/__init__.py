"""Server-side sessions for WSGI and ASGI applications.

Everything that an application needs is here; errors beyond the common ones are in
``fluidauth.errors``, what a store of one's own needs in ``fluidauth.stores``, test suites for
it in ``fluidauth.testing``.
"""

from fluidauth.formats.cookies import CookieOptions as CookieOptions
from fluidauth.stores.memory import MemoryStore as MemoryStore
from fluidauth.stores.sqlite import SQLiteStore as SQLiteStore

from .engine import SessionEngine as SessionEngine
from .errors import ConfigError as ConfigError
from .errors import FluidAuthError as FluidAuthError
from .errors import PayloadError as PayloadError
from .errors import SessionClosed as SessionClosed
from .errors import SessionNotLoaded as SessionNotLoaded
from .errors import StoreError as StoreError
from .events import SessionEvent as SessionEvent
from .keys import Keyring as Keyring
from .keys import new_secret as new_secret
from .middleware import ASGISessionMiddleware as ASGISessionMiddleware
from .middleware import SessionMiddleware as SessionMiddleware
from .middleware import WSGISessionMiddleware as WSGISessionMiddleware
from .records import Lifetime as Lifetime
from .session import Session as Session
