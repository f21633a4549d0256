"""One of several processes that end each other's sessions in a SQLite file, and read what has ended.

    python -m tests.behaviour.concurrency.logouts FILE BOARD NUMBER READS

The file BOARD has an eight-byte number for each place: how many sessions of that place have ended. The
process that ends one writes that down when the store has answered. So a session that has ended there must be
gone from the very next read of every process. All read all sessions all the time, so that each knows them.
"""

from __future__ import annotations

import mmap
import random
import sys
import threading
from contextlib import closing
from pathlib import Path

from fluidauth import SQLiteStore
from fluidauth.stores import SessionRecord
from fluidauth.testing import make_record

PLACES = 12
PROCESSES = 4
THREADS = 2
_READS_A_LOGOUT = 20


def session(place: int, number: int) -> SessionRecord:
    """Return the record of one of the sessions that follow each other in a place."""
    return make_record(f"place {place}, session {number}")


def prepare(file: Path, board: Path) -> None:
    """Begin the first session of each place."""
    board.write_bytes(bytes(8 * PLACES))
    with closing(SQLiteStore(file, durability="normal")) as store:
        for place in range(PLACES):
            store.create(session(place, 1))


def look(store: SQLiteStore, ended: memoryview, chance: random.Random) -> str:
    """Read a live session, then one that ended before; return what is wrong, if anything is."""
    place = chance.randrange(PLACES)
    before: int = ended[place]
    store.get_again(session(place, before + 1).handle)
    gone = session(place, before)
    return (
        f"session {before} of place {place} is still there" if before and store.get_again(gone.handle) else ""
    )


def end_one(store: SQLiteStore, ended: memoryview, place: int) -> None:
    """End the live session of *place*, which no other process does, and begin the next one."""
    live: int = ended[place] + 1
    assert store.delete(session(place, live).handle)
    ended[place] = live
    store.create(session(place, live + 1))


def main(file: str, board: str, number: str, reads: str) -> None:
    own = range(int(number), PLACES, PROCESSES)
    wrong: list[str] = []

    def work(thread: int) -> None:
        chance = random.Random(f"{number} {thread}")
        for _ in range(int(reads) // THREADS):
            if thread == 0 and chance.randrange(_READS_A_LOGOUT) == 0:
                end_one(store, ended, chance.choice(own))
            if complaint := look(store, ended, chance):
                wrong.append(complaint)

    with (
        open(board, "r+b") as opened,
        mmap.mmap(opened.fileno(), 0) as shared,
        memoryview(shared) as numbers,
        numbers.cast("Q") as ended,
        closing(SQLiteStore(file, durability="normal", timeout=30)) as store,
    ):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    print(f"{len(wrong)} of {reads}", *wrong[:5], sep="; ")


if __name__ == "__main__":
    main(*sys.argv[1:])
