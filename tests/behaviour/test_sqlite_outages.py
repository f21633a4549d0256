"""Faults of a real file: what is answered meanwhile, and what is left when they end.

Each fault is brought about, lasts for some requests and ends. Nothing acknowledged is
lost, no cookie is cleared, and nothing has to be restarted.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fluidauth import Session, SessionEngine, SQLiteStore, StoreError
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.stores.sqlite import file as sqlite_file
from fluidauth.testing import FakeClock
from fluidauth.testing.ticker import Ticker
from harness import ROOT
from harness.servers.redis import until
from tests.support import Browser, Protocol, apart

pytestmark = pytest.mark.requirement("52", "53")

TIMEOUT = 0.2  # seconds


Fault = Callable[[SQLiteStore], Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def visitor(
    protocol: Protocol, file: Path, clock: FakeClock, events: list[SessionEvent], monkeypatch: Any
) -> Iterator[Browser]:
    """Signed in, with a field, on a file that is looked at with every read."""
    monkeypatch.setattr(sqlite_file, "CHECK_INTERVAL", 0.0)
    store = SQLiteStore(file, timeout=TIMEOUT)
    engine = SessionEngine(new_secret(), store, clock=clock, on_event=events.append)
    browser = Browser(protocol, engine)
    browser.request(lambda session: session.login("ann", {"kept": 1}))
    yield browser
    engine.close()


def store_of(visitor: Browser) -> SQLiteStore:
    store = visitor.engine.requests.store
    assert isinstance(store, SQLiteStore)
    return store


def fields(session: Session) -> Any:
    return session.user_id, dict(session)


def grow(session: Session) -> None:
    session["large"] = "x" * 50_000


def put(session: Session) -> None:
    session["late"] = True


def writer(store: SQLiteStore) -> sqlite3.Connection:
    """Return the connection that writes, which stays in the pool."""
    pool = store._opened().writers
    connection = pool.borrow()
    pool.give_back(connection)
    return connection


@contextmanager
def disk_full(store: SQLiteStore) -> Iterator[None]:
    """No page can be added to the file."""
    connection = writer(store)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    yield
    connection.execute("PRAGMA max_page_count = 1073741823")


@contextmanager
def held(store: SQLiteStore, statement: str) -> Iterator[None]:
    """Another process holds a lock, for longer than the time limit."""
    program = (
        "import sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n"
        f"{statement}\n"
        "print('held', flush=True)\nsys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(store.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield
        process.kill()


def locked_for_writing(store: SQLiteStore) -> Any:
    return held(store, "c.execute('BEGIN IMMEDIATE')")


@contextmanager
def locked_altogether(store: SQLiteStore) -> Iterator[None]:
    """Another process has the file for itself alone, as some backup programs do."""
    store.close()  # it gets the lock only where nobody has the file open
    take = "c.execute('PRAGMA locking_mode = EXCLUSIVE'); c.execute('BEGIN EXCLUSIVE')"
    with held(store, take):
        yield


@contextmanager
def overwritten(store: SQLiteStore, damage: Callable[[Path], object]) -> Iterator[None]:
    """The file's bytes are damaged in place, and later those of a backup are put back."""
    store.close()  # the log is in the file now
    whole = store.path.read_bytes()
    damage(store.path)
    yield
    for journal in ("-wal", "-shm"):
        Path(f"{store.path}{journal}").unlink(missing_ok=True)
    store.path.write_bytes(whole)


def corrupt_header(store: SQLiteStore) -> Any:
    return overwritten(store, lambda path: path.write_bytes(b"\xff" * 4096 + path.read_bytes()[4096:]))


def corrupt_pages(store: SQLiteStore) -> Any:
    def damage(path: Path) -> None:
        whole = path.read_bytes()
        path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))

    return overwritten(store, damage)


def truncated(store: SQLiteStore) -> Any:
    return overwritten(store, lambda path: os.truncate(path, 4096))


def emptied(store: SQLiteStore) -> Any:
    return overwritten(store, lambda path: os.truncate(path, 0))


@contextmanager
def removed(store: SQLiteStore) -> Iterator[None]:
    """The file is moved away under open connections, and later moved back."""
    connection = writer(store)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    away = store.path.with_suffix(".away")
    store.path.rename(away)
    yield
    away.rename(store.path)


@contextmanager
def replaced_by_a_stranger(store: SQLiteStore) -> Iterator[None]:
    """Another database takes the file's place."""
    with removed(store):
        with closing(sqlite3.connect(store.path)) as connection:
            connection.execute("CREATE TABLE strange (x)")
        yield
        for journal in ("", "-wal", "-shm"):
            Path(f"{store.path}{journal}").unlink(missing_ok=True)


READABLE: list[Fault] = [disk_full, locked_for_writing]
UNREADABLE: list[Fault] = [
    locked_altogether,
    corrupt_header,
    corrupt_pages,
    truncated,
    emptied,
    removed,
    replaced_by_a_stranger,
]


# -- what holds for each --------------------------------------------------------------


@pytest.mark.parametrize("fault", READABLE)
def test_reads_go_on(visitor: Browser, fault: Fault, events: list[SessionEvent]) -> None:
    """Who only reads notices nothing; who writes gets 503 within the limit; then all is as before."""
    with fault(store_of(visitor)):
        read = visitor.request(fields)
        with Ticker() as ticker:
            written = visitor.request(grow)
        login = visitor.with_cookie(None).request(lambda s: s.login("bob", {"large": "x" * 50_000}))
        still = visitor.get(fields)
    after = visitor.get(fields)
    visitor.request(grow)

    assert (read.status, read.value) == (200, ("ann", {"kept": 1}))
    for refused in (written, login):
        assert (refused.status, refused.set_cookies) == (503, [])
        assert refused.all("retry-after") == ["5"]
    assert ticker.seconds < 2 * TIMEOUT + 1
    assert still == after == ("ann", {"kept": 1})
    assert len(visitor.get(fields)[1]["large"]) == 50_000
    assert ("store_error", "save") in [(event.name, event.reason) for event in events]


@pytest.mark.parametrize("fault", UNREADABLE)
def test_an_unreadable_file_is_a_503(visitor: Browser, fault: Fault, file: Path) -> None:
    """It is never an anonymous session; when the file is back, so is the session."""
    with fault(store_of(visitor)):
        answers = [visitor.request(handler) for handler in (fields, put)]
        untouched = visitor.request(lambda session: None)
        remade = fault in (emptied, removed, replaced_by_a_stranger) and file.exists() and has_sessions(file)
    after = visitor.get(fields)
    written = visitor.request(put)

    assert [(answer.status, answer.set_cookies) for answer in answers] == [(503, [])] * 2
    assert untouched.status == 200
    assert not remade
    assert after == ("ann", {"kept": 1})
    assert written.status == 200
    assert visitor.get(fields) == ("ann", {"kept": 1, "late": True})


@pytest.mark.requirement("4")
@pytest.mark.parametrize("fault", UNREADABLE)
def test_a_logout_on_an_unreadable_file(visitor: Browser, fault: Fault) -> None:
    """It is a 503, and when the file is back nobody gets in here; asked for again it is carried out."""
    with fault(store_of(visitor)):
        response = visitor.request(Session.logout)
    replay = visitor.get(fields)
    retried = visitor.request(Session.logout)

    assert (response.status, response.set_cookies) == (503, [])
    assert replay == (None, {})
    assert retried.status == 200
    assert store_of(visitor).scan() == []


def has_sessions(file: Path) -> bool:
    """Return whether somebody made tables for sessions anew."""
    try:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("SELECT 1 FROM fluidauth_sessions").fetchone()
    except sqlite3.Error:
        return False
    return True


@pytest.mark.parametrize("fault", READABLE)
def test_a_logout_on_a_full_disk(visitor: Browser, fault: Fault) -> None:
    """It succeeds where it can be made durable, and is a 503 that lets nobody in where it cannot."""
    with fault(store_of(visitor)):
        response = visitor.request(Session.logout)
        replay = visitor.get(fields)
    retried = visitor.request(Session.logout)

    assert response.status == (200 if fault is disk_full else 503)
    assert replay == (None, {})
    assert retried.status == 200
    assert store_of(visitor).scan() == []


def test_a_restored_backup_is_taken_up(visitor: Browser, file: Path, events: list[SessionEvent]) -> None:
    """A file put in the place of the open one is read from the next request on."""
    store = store_of(visitor)
    writer(store).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    backup = file.with_suffix(".backup")
    shutil.copyfile(file, backup)
    visitor.request(put)

    for journal in ("-wal", "-shm"):
        Path(f"{file}{journal}").unlink(missing_ok=True)
    backup.replace(file)

    assert visitor.get(fields) == ("ann", {"kept": 1})
    assert visitor.request(put).status == 200
    assert visitor.get(fields) == ("ann", {"kept": 1, "late": True})


def test_a_write_into_a_removed_file_is_not_acknowledged(visitor: Browser, monkeypatch: Any) -> None:
    """Even between two looks at the file: each commit is followed by one."""
    monkeypatch.setattr(sqlite_file, "CHECK_INTERVAL", 3600.0)
    visitor.get(fields)  # sets the next look
    with removed(store_of(visitor)):
        response = visitor.request(put)

    assert (response.status, response.set_cookies) == (503, [])
    assert visitor.get(fields)[1]["kept"] == 1  # and "late" if the file came back: nobody was told either way


JOURNALS = [("-wal",), ("-shm",), ("-wal", "-shm")]


@pytest.mark.parametrize("journals", JOURNALS)
def test_nothing_is_acknowledged_into_a_removed_log(
    visitor: Browser, file: Path, journals: tuple[str, ...], monkeypatch: Any
) -> None:
    """As where somebody tidies up beside the running service: what was acknowledged before is there."""
    monkeypatch.setattr(sqlite_file, "CHECK_INTERVAL", 3600.0)
    other = visitor.with_cookie(None)
    other.request(lambda session: session.login("bob"))
    other.request(Session.logout)
    for journal in journals:
        Path(f"{file}{journal}").unlink()

    response = visitor.request(put)

    with closing(SQLiteStore(file)) as elsewhere:  # as of a process that begins now
        found = [record.user_id for record in elsewhere.scan()]
    assert (response.status, response.set_cookies, found) == (503, [], ["ann"])
    assert visitor.request(put).status == 200
    assert visitor.get(fields) == ("ann", {"kept": 1, "late": True})


@pytest.mark.parametrize("journals", JOURNALS)
def test_two_processes_get_over_a_removed_log(file: Path, journals: tuple[str, ...]) -> None:
    """Each answers with 503s until all have let go of it, and loses nothing that it acknowledged before."""
    secret = new_secret()
    with other_process(file, secret) as ask, closing(SQLiteStore(file)) as store:
        engine = SessionEngine(secret, store)
        sessions = [str(engine.create_session(name)[1].handle) for name in ("ann", "bob", "eve")]
        engine.delete_session(sessions[0])
        assert ask(f"delete {sessions[1]}") == "True"
        for journal in journals:
            Path(f"{file}{journal}").unlink()

        until(lambda: ask(f"visit {sessions[2]}") == "True")
        until(lambda: visited(engine, sessions[2]))

        assert [ask(f"user {handle}") for handle in sessions] == ["None", "None", "eve"]
        assert [engine.get_session(handle) for handle in sessions[:2]] == [None, None]
        assert visits(engine, sessions[2]) >= 2  # and those that were a 503, if they were made all the same
        assert engine.requests.store.damage() == []


def test_a_log_made_anew_is_no_removed_one(visitor: Browser, file: Path, monkeypatch: Any) -> None:
    """SQLite removes it with its last connection, as where a process forks, and begins another."""
    monkeypatch.setattr(sqlite_file, "CHECK_INTERVAL", 3600.0)
    store = store_of(visitor)
    visitor.request(put)
    store._opened().fresh.stop()
    store._opened().fresh.resume()
    for connections in (store._opened().writers, store._opened().readers):
        while connection := connections.take():
            connections.discard(connection)
    assert not Path(f"{file}-wal").exists()

    answers = [visitor.request(handler).status for handler in (put, fields, put)]

    assert answers == [200, 200, 200]


OTHER = """
import sys
from fluidauth import SessionEngine, SQLiteStore, StoreError
engine = SessionEngine(sys.argv[2], SQLiteStore(sys.argv[1]))
for line in sys.stdin:
    verb, handle = line.split()
    try:
        if verb == "user":
            session = engine.get_session(handle)
            print(session and session.user_id, flush=True)
        elif verb == "delete":
            print(engine.delete_session(handle), flush=True)
        else:
            with engine.edit(handle) as session:
                session.add("visits")
            print(True, flush=True)
    except StoreError as error:
        print(error, flush=True)
"""


@contextmanager
def other_process(file: Path, secret: str) -> Iterator[Callable[[str], str]]:
    """Give what has a second process do something, and returns its answer."""
    command = [sys.executable, "-c", OTHER, str(file), secret]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:

        def ask(line: str) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(line + "\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        yield ask
        process.stdin.close()  # type: ignore[union-attr]  # it is a pipe


def visits(engine: SessionEngine, handle: str) -> int:
    session = engine.get_session(handle)
    assert session is not None
    return int(session["visits"])


def visited(engine: SessionEngine, handle: str) -> bool:
    """Return whether the store did as it was told."""
    try:
        with engine.edit(handle) as session:
            session.add("visits")
    except StoreError:
        return False
    return True


# -- faults that need a process of their own ---------------------------------------------


IN_PROCESS = """
import resource, os, signal, sys
from pathlib import Path
from harness import ROOT
from fluidauth import Session, SessionEngine, SQLiteStore
from fluidauth.keys import new_secret
from tests.support import Browser

path, fault, protocol = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
if fault == "read-only" and os.getuid() == 0:  # nothing is read-only to root
    os.chown(path.parent, 65534, 65534)
    os.setgid(65534)
    os.setuid(65534)
engine = SessionEngine(new_secret(), SQLiteStore(path, timeout=0.2))
visitor = Browser(protocol, engine)
visitor.request(lambda s: s.login("ann", {"kept": 1}))

def change(session):
    session["large"] = os.urandom(20_000).hex()

if fault == "file-size":  # EFBIG, as from a disk without room
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (33_000, resource.RLIM_INFINITY))
else:
    engine.close()
    path.chmod(0o400)
failed = visitor.request(change)
read = visitor.get(lambda s: (s.user_id, dict(s)))
if fault == "file-size":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
else:
    engine.close()
    for file in path.parent.iterdir():
        file.chmod(0o600)
worked = visitor.request(change)
print(failed.status, failed.set_cookies, read, worked.status, sorted(visitor.get(dict)))
"""


@pytest.mark.parametrize("fault", ["file-size", "read-only"])
def test_a_file_that_cannot_be_written(protocol: Protocol, fault: str) -> None:
    """The kernel refuses to write: 503, reads go on, and it works again when it may."""
    with tempfile.TemporaryDirectory() as folder:  # which also who is not root any more may enter
        command = [sys.executable, "-c", IN_PROCESS, f"{folder}/sessions.db", fault, protocol]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout == "503 [] ('ann', {'kept': 1}) 200 ['kept', 'large']\n", done.stderr


LOGOUT = """
import resource, signal, sys
from pathlib import Path
from harness import ROOT
from fluidauth import Session, SessionEngine, SQLiteStore
from fluidauth.keys import new_secret
from tests.support import Browser

path, protocol = Path(sys.argv[1]), sys.argv[2]
engine = SessionEngine(new_secret(), SQLiteStore(path))
visitor = Browser(protocol, engine)
visitor.request(lambda s: s.login("ann"))
for number in range(40):
    visitor.request(lambda s: s.update(number=number))
assert Path(f"{path}-wal").stat().st_size > 100_000
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
print(visitor.request(Session.logout).status, engine.requests.store.scan())
"""


def test_a_logout_gets_its_room_from_the_log(tmp_path: Path, protocol: Protocol) -> None:
    """Where the log cannot grow, what it holds is moved into the file, and the logout succeeds."""
    command = [sys.executable, "-c", LOGOUT, str(tmp_path / "sessions.db"), protocol]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout == "200 []\n", done.stderr


def test_an_event_loop_is_not_held_up(file: Path) -> None:
    """A file that somebody has to himself costs a loop less than 50 ms, and then a 503."""
    store = SQLiteStore(file, timeout=1.0)
    engine = SessionEngine(new_secret(), store)
    visitor = Browser("asgi", engine)
    visitor.request(lambda session: session.login("ann"))

    gaps: list[float] = []

    def run(request: Any) -> None:
        async def main() -> None:
            beating = asyncio.create_task(beat())
            await asyncio.sleep(0)
            await request
            await asyncio.sleep(0.01)
            beating.cancel()

        apart(asyncio.run, main())

    async def beat() -> None:
        while True:
            before = ticker.seconds
            await asyncio.sleep(0.001)
            gaps.append(ticker.seconds - before)

    visitor.run = run
    with Ticker() as ticker:
        with locked_altogether(store):
            locked = visitor.request(fields)
        after = visitor.request(fields)
        held = [store._opened().readers.borrow() for _ in range(8)] + [store._opened().writers.borrow()]
        exhausted = visitor.request(fields)
    for connection in held:
        store._opened().readers.give_back(connection)

    assert [response.status for response in (locked, after, exhausted)] == [503, 200, 503]
    assert max(gaps) < 0.05
    engine.close()
