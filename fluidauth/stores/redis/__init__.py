"""Redis and Valkey, alone, behind Sentinel or as a cluster.

The modules ``commands`` and ``scripts`` say what is sent to servers, and know no socket. The modules
``connection`` and ``routing`` know sockets, and no record.
"""

from .async_store import AsyncRedisStore as AsyncRedisStore
from .store import RedisStore as RedisStore
