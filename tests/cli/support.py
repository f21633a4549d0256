"""What tests of the command line share."""

from __future__ import annotations

import json
import sqlite3
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from itsdangerous import TimestampSigner

from fluidauth import Keyring, SessionEngine
from fluidauth.integrations.starlette import StarletteCookie
from fluidauth.keys import file as keyfile
from fluidauth.keys import new_secret
from fluidauth.keys.key import kid_of
from tests.support import Browser

OLD, NEW = new_secret(), new_secret()
LONG_AGO = 1_600_000_000
QUICK = ("--interval", "0")  # nobody follows the file here


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Result]


def sign_in(engine: SessionEngine, user: str = "ada") -> tuple[str, str]:
    """Begin a session; return its token and handle."""
    token, session = engine.create_session(user, {"theme": "dark", "email": "SECRET-ada@example.com"})
    return token, str(session.handle)


def former_visitor(engine: SessionEngine, ring: Path) -> tuple[Callable[[], Browser], Callable[[str], str]]:
    """Return what makes browsers of a process that takes former sessions over, and what makes cookies."""
    secret = new_secret()

    def cookie(user: str) -> str:
        fields = b64encode(json.dumps({"user": user}).encode())
        return f"session={TimestampSigner(secret).sign(fields).decode()}"

    def browser() -> Browser:
        adopter = StarletteCookie(secret, user_id=lambda fields: fields.get("user"))
        return Browser("wsgi", SessionEngine(Keyring.from_file(ring), engine.requests.store, adopt=[adopter]))

    return browser, cookie


def promote_new(path: Path) -> None:
    """Let a second key sign, as if long ago."""
    keyfile.change(path, lambda r: r.added(NEW, LONG_AGO).promoted(kid_of(NEW), LONG_AGO))


def expire(engine: SessionEngine, handle: str) -> None:
    """Let the stored session be over."""
    store = engine.requests.store
    record = store.get(handle)
    assert record is not None
    store.delete(handle)
    store.create(record._replace(expires_at=int(time.time()) - 1))


def change_row(statement: str, *values: Any) -> None:
    with closing(sqlite3.connect("sessions.db")) as connection, connection:
        connection.execute(statement, values)
