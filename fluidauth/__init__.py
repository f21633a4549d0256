"""Server-side sessions for WSGI and ASGI applications.

Everything that an application needs is here; errors beyond the common ones are in
``fluidauth.errors``, what a store of one's own needs in ``fluidauth.stores``, test suites for
it in ``fluidauth.testing``.
"""

from fluidauth.engine import SessionEngine as SessionEngine
from fluidauth.errors import ConfigError as ConfigError
from fluidauth.errors import FluidAuthError as FluidAuthError
from fluidauth.errors import PayloadError as PayloadError
from fluidauth.errors import SessionClosed as SessionClosed
from fluidauth.errors import SessionNotLoaded as SessionNotLoaded
from fluidauth.errors import StoreError as StoreError
from fluidauth.events import SessionEvent as SessionEvent
from fluidauth.formats.cookies import CookieOptions as CookieOptions
from fluidauth.keys import Keyring as Keyring
from fluidauth.keys import new_secret as new_secret
from fluidauth.middleware import ASGISessionMiddleware as ASGISessionMiddleware
from fluidauth.middleware import SessionMiddleware as SessionMiddleware
from fluidauth.middleware import WSGISessionMiddleware as WSGISessionMiddleware
from fluidauth.records import Lifetime as Lifetime
from fluidauth.session import Session as Session
from fluidauth.stores.memory import MemoryStore as MemoryStore
from fluidauth.stores.sqlite import SQLiteStore as SQLiteStore
