"""PostgreSQL: one table, single statements, no transaction that waits for us."""

from .async_store import AsyncPostgresStore as AsyncPostgresStore
from .store import PostgresStore as PostgresStore
