"""What many keys, encrypted fields and a rotation cost, each beside its bare counterpart.

What is compared takes turns within each round; compare ratios of one run.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import os
import random
import secrets
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from fluidauth import Keyring, SessionEngine, SQLiteStore
from fluidauth.engine.settings import MAX_PAYLOAD
from fluidauth.formats import tokens
from fluidauth.formats.encryption import FieldCipher
from fluidauth.formats.payloads import Sealer
from fluidauth.keys import new_secret
from fluidauth.maintenance.rekey import BATCH, RATE, rekey
from fluidauth.records import Body, SessionRecord
from fluidauth.rules.versions import first_version, new_body
from fluidauth.stores.sqlite.opening import connect

DATA_BYTES = 288  # of one session's fields, as json.dumps writes them
SECRET_FIELD = "email"  # 64 bytes of JSON text
NOISE = 0.25  # quartiles further apart than this part of the median say little
RINGS = (1, 10, 100)
VERIFY_BAND = 0.05  # around 1, for the ratio of a hundred keys to one
FIELD_LIMIT = 3.0  # times one derived key and one AES-GCM call
REKEY_LIMIT = 1 / 3  # of the rows that a bare loop moves in a second
P99_LIMIT = 1.2  # times the load without rekey beside it

CLIENTS = 200
CHANGES = 5  # one request in so many changes its session, the others read it
LOAD = 200  # requests a second of all clients together, far from what the servers can do
SECONDS = 3  # of each phase; many short ones, so that a disturbance spoils few
SERVERS = ("gunicorn", "uvicorn-workers")
INSERT = """INSERT INTO fluidauth_sessions
    (namespace, handle, user_id, created_at, expires_at, version, kid, payload)
    VALUES (1, ?, ?, ?, ?, ?, ?, ?)"""
SELECT = """SELECT handle, user_id, created_at, expires_at, version, kid, payload
    FROM fluidauth_sessions INDEXED BY sqlite_autoindex_fluidauth_sessions_1
    WHERE namespace = 1 AND handle > ? ORDER BY handle LIMIT ?"""
UPDATE = "UPDATE fluidauth_sessions SET version = ?, payload = ? WHERE handle = ?"
RESET = "UPDATE fluidauth_sessions SET version = 1, payload = ? WHERE handle = ? AND version > 1"
MOVED = "SELECT count(*) FROM fluidauth_sessions WHERE user_id IS NULL AND version > 1"


# -- figures ----------------------------------------------------------------------------


class Spread(NamedTuple):
    """The quartiles of what the rounds found."""

    low: float
    middle: float
    high: float

    def __str__(self) -> str:
        noise = " (noise)" if self.high - self.low > NOISE * abs(self.middle) else ""
        return f"{self.middle:.3f} ({self.low:.3f}–{self.high:.3f}){noise}"


Figures = dict[str, list[float]]
Case = tuple[Callable[[Any], object], Sequence[Any]]


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return how many times *theirs* the rounds found *mine* to be."""
    ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
    return Spread(*statistics.quantiles(ratios, n=4, method="inclusive"))


def take_turns(cases: dict[str, Case], rounds: int) -> Figures:
    """Return the microseconds per call of each case in each round, after one that warms up."""
    figures: Figures = {name: [] for name in cases}
    gc.collect()
    gc.freeze()
    for number in range(rounds + 1):
        for name in random.sample(list(cases), len(cases)):
            call, items = cases[name]
            start = time.perf_counter()
            for item in items:
                call(item)
            if number:
                figures[name].append((time.perf_counter() - start) / len(items) * 1e6)
    return figures


def show(name: str, figures: Sequence[float], baseline: Sequence[float], unit: str = "µs") -> None:
    """Print the median of *figures*, and how many times *baseline* that is."""
    print(f"  {name:46}{statistics.median(figures):9.2f} {unit:8}{ratio(figures, baseline)}")


def verdict(text: str, holds: bool, limit: str) -> bool:
    """Print whether a target is met, and return it."""
    print(f"{text}  [{limit}: {'ok' if holds else 'MISSED'}]")
    return holds


def fields(number: int) -> dict[str, Any]:
    """Return what an application might keep for one visitor, of exactly DATA_BYTES."""
    email = f"visitor-{number:06}@".ljust(62, "x")  # and two quotes
    found = {"name": f"Visitor {number:06}", SECRET_FIELD: email, "visits": 100_000, "note": ""}
    found["note"] = "x" * (DATA_BYTES - len(json.dumps(found)))
    return found


# -- many keys --------------------------------------------------------------------------


def verifying(rounds: int) -> bool:
    """Compare the verification of a token with few keys and with many."""
    given = [new_secret() for _ in range(max(RINGS))]
    ids = [tokens.new_session_id() for _ in range(2000)]
    cases = our_verifications(given, ids) | their_verifications(given, ids[:500])
    figures = take_turns(cases, rounds)
    print("verifying a token; the ratio is to one key of the same library")
    for name, found in figures.items():
        show(name, found, figures["itsdangerous, 1" if name.startswith("itsdangerous") else "1 key"])
    ratios = [ratio(figures[f"100 keys, by the {place}"], figures["1 key"]) for place in ("first", "last")]
    holds = all(
        r.low <= 1 <= r.high or (r.low >= 1 - VERIFY_BAND and r.high <= 1 + VERIFY_BAND) for r in ratios
    )
    return verdict(f"100 keys: {' and '.join(map(str, ratios))} times one", holds, f"1 ± {VERIFY_BAND}")


def our_verifications(given: list[str], ids: list[str]) -> dict[str, Case]:
    """Return a case for each ring, with tokens by its first key, which signs, and by its last."""
    cases: dict[str, Case] = {}
    for count in RINGS:
        ring = Keyring.from_secrets(given[:count])
        last = ring.find(ring.kids[-1]) or ring.signing
        verify = partial(tokens.verify, ring)
        first_name = f"{count} keys, by the first" if count > 1 else "1 key"
        cases[first_name] = verify, [tokens.sign(ring.signing, id_) for id_ in ids]
        if count > 1:
            cases[f"{count} keys, by the last"] = verify, [tokens.sign(last, id_) for id_ in ids]
    return cases


def their_verifications(given: list[str], ids: list[str]) -> dict[str, Case]:
    """Return the same for itsdangerous, with tokens by the oldest key; nothing if it is not installed."""
    try:
        from itsdangerous import TimestampSigner
    except ImportError:
        return {}
    signed = [TimestampSigner(given[0]).sign(id_) for id_ in ids]  # there the oldest is first
    return {f"itsdangerous, {n}": (TimestampSigner(given[:n]).unsign, signed) for n in RINGS}


# -- one encrypted field ------------------------------------------------------------------


def encrypting(rounds: int) -> bool:
    """Compare one encrypted field with one derived key and one call of AES-GCM."""
    figures = take_turns(bare_fields() | our_fields() | records_with_and_without(), rounds)
    print("\none encrypted field of 64 bytes; the ratio is to the bare calls")
    for what in ("sealing", "unsealing"):
        pairs = zip(figures[f"{what} with the field"], figures[f"{what} without"], strict=True)
        figures[f"{what} with, minus without"] = [having - lacking for having, lacking in pairs]
    worst = 0.0
    for name, found in figures.items():
        backward = "decrypt" in name or name.startswith("unsealing")
        bare = figures["bare decryption" if backward else "bare encryption"]
        show(name, found, bare)
        if name.startswith("FieldCipher") or name.endswith("minus without"):
            worst = max(worst, ratio(found, bare).middle)
    return verdict(f"{worst:.2f} times the bare calls at most", worst <= FIELD_LIMIT, f"<= {FIELD_LIMIT}")


def bare_fields() -> dict[str, Case]:
    """Return what no implementation can do without: a derived key, a nonce, one call."""
    root, text, bound = secrets.token_bytes(32), b"x" * 64, secrets.token_bytes(100)

    def key(handle: bytes) -> AESGCM:
        return AESGCM(HKDFExpand(hashes.SHA256(), 32, handle).derive(root))

    def encrypt(handle: bytes) -> tuple[bytes, bytes, bytes]:
        nonce = os.urandom(12)
        return handle, nonce, key(handle).encrypt(nonce, text, bound)

    def decrypt(given: tuple[bytes, bytes, bytes]) -> bytes:
        handle, nonce, sealed = given
        return key(handle).decrypt(nonce, sealed, bound)

    handles = [handle.encode() for handle in new_handles()]
    return {
        "bare encryption": (encrypt, handles),
        "bare decryption": (decrypt, [encrypt(handle) for handle in handles]),
    }


def our_fields() -> dict[str, Case]:
    """Return the same by a cipher of its own for each session, as every request makes one."""
    ring, text = Keyring.from_secrets(new_secret()), "x" * 64

    def encrypt(handle: str) -> str:
        return FieldCipher(ring, handle).encrypt(SECRET_FIELD, text)

    def decrypt(given: tuple[str, str]) -> str:
        return FieldCipher(ring, given[0]).decrypt(SECRET_FIELD, given[1])

    handles = new_handles()
    return {
        "FieldCipher.encrypt": (encrypt, handles),
        "FieldCipher.decrypt": (decrypt, [(handle, encrypt(handle)) for handle in handles]),
    }


def records_with_and_without() -> dict[str, Case]:
    """Return the sealing and unsealing of a record with one field encrypted, and with none."""
    ring, body = Keyring.from_secrets(new_secret()), Body(fields(1), 2_000_000, 3600, True, None)
    records = [SessionRecord(h, "user-1", 1_000_000, 1_003_600, 1, "abcdef", b"") for h in new_handles()]
    cases: dict[str, Case] = {}
    for name, encrypted in (("without", ()), ("with the field", (SECRET_FIELD,))):
        sealer = Sealer(ring, encrypted, MAX_PAYLOAD)
        seal = partial(sealer.seal, body=body)
        cases[f"sealing {name}"] = seal, records
        cases[f"unsealing {name}"] = sealer.unseal, [seal(record) for record in records]
    return cases


def new_handles() -> list[str]:
    return [secrets.token_hex(32) for _ in range(500)]


# -- rekey as fast as it can ------------------------------------------------------------------


def rekeying(rounds: int, count: int) -> bool:
    """Compare rekey with a bare loop that reads and updates the same rows in the same batches."""
    print(f"\nrekeying {count:,} rows in batches of {BATCH}; the ratio is to a bare loop")
    worst = math.inf
    for durability in ("full", "normal"):
        for encrypted in ((), (SECRET_FIELD,)):
            with tempfile.TemporaryDirectory() as name:
                found = rekey_rounds(Path(name), durability, encrypted, rounds, count)
            what = f"{durability}, {'one field encrypted' if encrypted else 'nothing encrypted'}"
            show(f"{what}: bare", found["bare"], found["bare"], "rows/ms")
            show(f"{what}: rekey", found["rekey"], found["bare"], "rows/ms")
            worst = min(worst, ratio(found["rekey"], found["bare"]).middle)
    return verdict(f"{worst:.2f} times the bare loop at least", worst >= REKEY_LIMIT, "a third")


def rekey_rounds(
    folder: Path, durability: Any, encrypted: tuple[str, ...], rounds: int, count: int
) -> Figures:
    """Return the rows per millisecond of rekey and of the bare loop in each round."""
    given = [new_secret(), new_secret()]
    paths = folder / "rekey.db", folder / "bare.db"
    fill(paths[0], given[1:], encrypted, count)
    shutil.copyfile(*paths)
    sealers = [Sealer(Keyring.from_secrets(order), (), MAX_PAYLOAD) for order in (given, given[::-1])]
    found: Figures = {"rekey": [], "bare": []}
    with (
        closing(SQLiteStore(paths[0], durability=durability)) as store,
        closing(connect(paths[1], durability)) as connection,
    ):
        connection.execute("PRAGMA wal_autocheckpoint = 1000")  # as SQLite does by itself
        for number in range(rounds + 1):  # the first one warms up
            calls = {
                "rekey": partial(rekey_all, sealers[number % 2], store),
                "bare": partial(update_all, connection),
            }
            for name in random.sample(list(calls), 2):
                start = time.perf_counter()
                done = calls[name]()
                took = time.perf_counter() - start
                if done != count:
                    raise RuntimeError(f"{done} of {count} rows were done")
                found[name] += [count / took / 1e3] if number else []
    return found


def rekey_all(sealer: Sealer, store: SQLiteStore) -> int:
    """Move every row to the key that signs for *sealer*; return how many."""
    *_, totals = rekey(sealer, store)
    return totals.done


def update_all(connection: sqlite3.Connection) -> int:
    """Read every row and write another payload, a transaction for each batch; return how many."""
    done, after = 0, b""
    while rows := connection.execute(SELECT, (after, BATCH)).fetchall():
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(UPDATE, [(row[4] + 1, row[6][::-1], row[0]) for row in rows])
        connection.execute("COMMIT")
        done, after = done + len(rows), rows[-1][0]
    return done


def fill(path: Path, given: list[str], encrypted: tuple[str, ...], count: int) -> list[tuple[bytes, bytes]]:
    """Put *count* sessions into the file at *path* by plain SQL; return their payloads and handles."""
    with closing(SQLiteStore(path)) as store:
        store.open()
        policy, now = SessionEngine(given, store, encrypted_fields=encrypted).policy, int(time.time())
        rows = []
        for number in range(count):
            body = new_body(policy, fields(number), now)
            _, record = first_version(policy, None, now, body, now)
            rows.append((bytes.fromhex(record.handle), *record[1:]))
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executemany(INSERT, rows)
    return [(row[-1], row[0]) for row in rows]


# -- rekey beside a load ----------------------------------------------------------------------


class Phase(NamedTuple):
    """The median and the 99th percentile in milliseconds, and how many rows a second were moved."""

    p50: float
    p99: float
    moved: float


class Site(NamedTuple):
    """Servers at *url* on the file at *path*, with the rows to move and the cookies of the clients."""

    path: Path
    given: list[str]
    rekeying: str
    rows: list[tuple[bytes, bytes]]
    visitors: list[str]
    url: str
    connection: sqlite3.Connection

    def phase(self, beside: bool) -> Phase:
        """Put the rows back under the old key, then load the servers, *beside* rekey or alone."""
        with self.connection:
            self.connection.executemany(RESET, self.rows)
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        gc.collect()
        gc.freeze()
        with self.rekey() if beside else nullcontext():
            before, start = self.moved(), time.perf_counter()
            took = sorted(asyncio.run(load(self.url, self.visitors)))
            rate = (self.moved() - before) / (time.perf_counter() - start)
        return Phase(took[len(took) // 2], took[int(len(took) * 0.99)], rate)

    @contextmanager
    def rekey(self) -> Iterator[None]:
        """Run ``fluidauth sessions rekey``, from its first batch on, beside the block."""
        command = f"-m fluidauth sessions {self.rekeying}"
        environ = {"FLUIDAUTH_SECRETS": " ".join(self.given), "FLUIDAUTH_DATABASE": str(self.path)}
        process = subprocess.Popen(
            [sys.executable, *command.split()], env=os.environ | environ, stdout=subprocess.DEVNULL
        )
        try:
            while self.moved() == 0 and process.poll() is None:
                time.sleep(0.01)
            yield
            if process.poll() is not None:
                raise RuntimeError(f"rekey ended before the load did, with {process.returncode}")
        finally:
            process.terminate()
            process.wait()

    def moved(self) -> int:
        """Return how many rows are under the new key."""
        count: int = self.connection.execute(MOVED).fetchone()[0]
        return count


@contextmanager
def site(name: str, rate: int, batch: int) -> Iterator[Site]:
    """Run the server *name* on a file with enough rows under a former key, and clients under the new one."""
    from harness.servers.processes import serving  # here, as it needs the group `test`

    with tempfile.TemporaryDirectory() as folder:
        path, given = Path(folder) / "sessions.db", [new_secret(), new_secret()]
        rows = fill(path, given[1:], (SECRET_FIELD,), max(20_000, rate * (SECONDS + 10)))
        engine = SessionEngine(given, SQLiteStore(path), encrypted_fields=(SECRET_FIELD,))
        visitors = [engine.create_session(f"user-{n}", fields(n))[0] for n in range(CLIENTS)]
        engine.close()
        command = f"rekey --rate {rate} --batch {batch}"
        with serving(name, path, *given) as url, closing(sqlite3.connect(path)) as connection:
            yield Site(path, given, command, rows, visitors, url, connection)


def under_load(rounds: int, rate: int, batch: int) -> bool:
    """Compare what clients wait without and with rekey beside them, on real servers."""
    print(f"\n{CLIENTS} clients, {LOAD} requests a second in all, alone and beside rekey ", end="")
    print(f"--rate {rate} --batch {batch}: {rounds} phases of {SECONDS} s each")
    worst = 0.0
    for name in SERVERS:
        phases: dict[str, list[Phase]] = {"alone": [], "alone again": [], "beside": []}
        with site(name, rate, batch) as running:
            running.phase(beside=False)  # warms up
            for _ in range(rounds):
                for kind in random.sample(list(phases), len(phases)):
                    phases[kind].append(running.phase(kind == "beside"))
        print(f"  {name}: {statistics.median(phase.moved for phase in phases['beside']):.0f} rows/s moved")
        for part in ("p50", "p99"):
            figures = {kind: [getattr(phase, part) for phase in found] for kind, found in phases.items()}
            for kind, found in figures.items():  # how far "alone again" is from 1 is the noise
                show(f"{part}, {kind}", found, figures["alone"], "ms")
        both = [(a + b) / 2 for a, b in zip(figures["alone"], figures["alone again"], strict=True)]
        worst = max(worst, ratio(figures["beside"], both).middle)
    return verdict(f"p99 grows to {worst:.2f} times both at most", worst <= P99_LIMIT, f"<= {P99_LIMIT}")


async def load(url: str, visitors: Sequence[str]) -> list[float]:
    """Let each client ask once in its time slot, at a random moment; return the milliseconds of each."""
    slot = CLIENTS / LOAD
    loop = asyncio.get_running_loop()
    begin = loop.time() + 0.1

    async def client(number: int) -> list[float]:
        took = []
        for step in range(int(SECONDS / slot)):
            path = f"/set?key=visits&value={step}" if (number + step) % CHANGES == 0 else "/get?key=visits"
            due = begin + (step + random.random()) * slot
            await asyncio.sleep(max(0.0, due - loop.time()))
            took.append(await ask(url, path, visitors[number]))
        return took

    found = await asyncio.gather(*(client(number) for number in range(len(visitors))))
    return [each for took in found for each in took]


async def ask(url: str, path: str, token: str) -> float:
    """Make one request on a connection of its own; return its milliseconds."""
    start = time.perf_counter()
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
    writer.write(f"{head}Cookie: __Host-session={token}\r\n\r\n".encode())
    answer = await reader.read()
    took = (time.perf_counter() - start) * 1e3
    writer.close()
    if not answer.startswith(b"HTTP/1.1 200") or (path.startswith("/get") and answer.endswith(b"null")):
        raise RuntimeError(f"{path} was answered with {answer[:200]!r}")
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a target is missed")
    parser.add_argument("--quick", action="store_true", help="few rounds: a minute, to see that it works")
    parser.add_argument("--skip-load", action="store_true", help="without the servers")
    parser.add_argument("--only-load", action="store_true", help="nothing but the servers")
    parser.add_argument("--rate", type=int, default=RATE, help="of rekey under load (%(default)s)")
    parser.add_argument("--batch", type=int, default=BATCH, help="of rekey under load (%(default)s)")
    options = parser.parse_args()
    outcomes = []
    if not options.only_load:
        rounds = 20 if options.quick else 100
        outcomes += [verifying(rounds), encrypting(rounds)]
        outcomes.append(rekeying(3, 2_000) if options.quick else rekeying(9, 20_000))
    if not options.skip_load:
        outcomes.append(under_load(2 if options.quick else 20, options.rate, options.batch))
    return int(options.check and not all(outcomes))


if __name__ == "__main__":
    sys.exit(main())
