"""Help for tests: of stores, and of applications with sessions.

Suites that every store must pass (``StoreContract``, ``AsyncStoreContract``) and every store on
a server (``RemoteStoreContract``, ``AsyncRemoteStoreContract``), a clock that tests move, an
engine in memory, and clients that are signed in. The last three as fixtures of pytest:
``pytest_plugins = ["fluidauth.testing.fixtures"]``.
"""

from .async_remote import AsyncRemoteStoreContract as AsyncRemoteStoreContract
from .clients import memory_engine as memory_engine
from .clients import sign_in as sign_in
from .clock import BEGINNING as BEGINNING
from .clock import FakeClock as FakeClock
from .contract import AsyncStoreContract as AsyncStoreContract
from .contract import StoreContract as StoreContract
from .contract import make_record as make_record
from .remote import RemoteStoreContract as RemoteStoreContract
from .server import RemoteServer as RemoteServer
