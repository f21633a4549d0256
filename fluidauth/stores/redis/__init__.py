"""Redis and Valkey, alone, behind Sentinel or as a cluster.

What is said to servers (``commands``, ``scripts``) knows no socket; what knows sockets (``connection``,
``routing``) knows no record.
"""

from .async_store import AsyncRedisStore as AsyncRedisStore
from .store import RedisStore as RedisStore
