"""PostgreSQL: one table, single statements, no transaction that waits for an answer of ours."""

from .async_store import AsyncPostgresStore as AsyncPostgresStore
from .store import PostgresStore as PostgresStore
