"""Help for tests: of stores, and of applications with sessions.

Every store must pass the suites ``StoreContract`` and ``AsyncStoreContract``, and every store on a
server ``RemoteStoreContract`` and ``AsyncRemoteStoreContract``. There are also a clock that tests
move, an engine in memory, and clients that are signed in. For the fixtures of pytest, write
``pytest_plugins = ["fluidauth.testing.fixtures"]``.
"""

from .async_remote import AsyncRemoteStoreContract
from .clients import memory_engine, sign_in
from .clock import BEGINNING, FakeClock
from .contract import AsyncStoreContract, StoreContract, make_record
from .remote import RemoteStoreContract
from .server import RemoteServer

__all__ = [
    "BEGINNING",
    "AsyncRemoteStoreContract",
    "AsyncStoreContract",
    "FakeClock",
    "RemoteServer",
    "RemoteStoreContract",
    "StoreContract",
    "make_record",
    "memory_engine",
    "sign_in",
]
