"""One SQLite file for all processes of a machine: WAL, one writer, group commit.

Only this package knows SQLite: its locks, its log, its errors. The blocking store decides. Its asynchronous
twin runs it in the loop or in a thread.
"""

from .async_store import AsyncSQLiteStore as AsyncSQLiteStore
from .store import SQLiteStore as SQLiteStore
