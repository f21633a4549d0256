"""Processes that move sessions and those that do not yet, in every order: no promise is broken."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from fluidauth import MemoryStore, Session, SessionEngine
from fluidauth.errors import RecordExists
from fluidauth.keys import new_secret
from fluidauth.records import MAX_LIFETIME
from fluidauth.stores import SessionRecord
from fluidauth.stores.migrating import MigratingStore
from fluidauth.stores.migrating.batch import move_many
from fluidauth.stores.migrating.handover import NEW, OLD, Migration, Steps
from fluidauth.stores.redis import RedisStore
from fluidauth.testing import make_record
from harness.servers.redis import empty_redis
from tests.support import Browser, Protocol

USER = "user-1"
FIRST = make_record("first", user_id=USER, payload=b"")
TOMBSTONE = b"T"
END_OF_TOMBSTONE = FIRST.created_at + 1
KIN_DIGITS = 2
PLAYS = 10_000
Act = Generator[tuple[Any, ...], Any, None]


@dataclass
class World:
    """Two stores with one session in the old one, and what clients were told about it."""

    stores: tuple[MemoryStore, MemoryStore] = field(default_factory=lambda: (MemoryStore(), MemoryStore()))
    written: set[int] = field(default_factory=set)
    """Whose change was acknowledged."""
    ending: bool = False
    """Whether somebody began to end the session, or to renew its id."""
    ended: bool = False
    """Whether somebody was told that it ended."""
    successors: set[str] = field(default_factory=set)
    """Handles of the sessions that took its place."""
    doomed: set[str] = field(default_factory=set)
    """Those of them that were there when a revocation of the user began, which was done."""
    revoking: bool = False
    problems: list[str] = field(default_factory=list)

    def look(self, found: SessionRecord | None, was_ended: bool) -> bool:
        """Return whether *found*, asked for when the session *was_ended* or not, is alive."""
        alive = found is not None and found.payload != TOMBSTONE
        if alive and was_ended:
            self.problems.append("alive after its end")
        if not alive and not self.ending:
            self.problems.append("lost")
        return alive

    def run(self, steps: Steps[Any]) -> Any:
        """Carry out *steps* with nobody beside it."""
        actor = Actor(self, steps)
        while not actor.is_done:
            actor.step()
        return actor.value


class Actor:
    """A process that makes one call of *steps* on the stores at each step."""

    def __init__(self, world: World, steps: Steps[Any]) -> None:
        self._world, self._steps = world, steps
        self.value: Any = None
        self.is_done = False
        self._go_on(lambda: next(steps))

    def run_to(self, place: int, method: str) -> None:
        """Go on until that call on a store is the next one."""
        while self._call[:2] != (place, method):
            self.step()

    def step(self) -> None:
        place, method, *arguments = self._call
        try:
            answer = getattr(self._world.stores[place], method)(*arguments)
        except RecordExists as error:
            refusal = error
            self._go_on(lambda: self._steps.throw(refusal))
        else:
            self._go_on(lambda: self._steps.send(answer))

    def _go_on(self, resume: Callable[[], tuple[Any, ...]]) -> None:
        try:
            self._call = resume()
        except StopIteration as done:
            self.is_done, self.value = True, done.value


def read(world: World, who: int, migration: Migration) -> Act:
    was_ended = world.ended
    world.look((yield from migration.get(FIRST.handle)), was_ended)


def write(world: World, who: int, migration: Migration) -> Act:
    while True:
        was_ended = world.ended
        found = yield from migration.get(FIRST.handle)
        if found is None or not world.look(found, was_ended):
            return
        changed = found._replace(version=found.version + 1, payload=found.payload + bytes([who]))
        if (yield from migration.update(changed)):
            world.written.add(who)
            return


def touch(world: World, who: int, migration: Migration) -> Act:
    yield from migration.touch(FIRST.handle, FIRST.expires_at + who)


def move(world: World, who: int, migration: Migration) -> Act:
    yield from migration.move(FIRST.handle)


def copy(world: World, who: int, migration: Migration) -> Act:
    yield from move_many(migration, (yield (OLD, "scan", None, 10)))


def revoke_others(world: World, who: int, migration: Migration) -> Act:
    yield from _revoke(world, migration, FIRST.handle)


def log_out(world: World, who: int, migration: Migration) -> Act:
    world.ending = True
    yield from migration.delete(FIRST.handle)
    world.ended = True


def log_out_of_what_was_read(world: World, who: int, migration: Migration) -> Act:
    world.ending = True
    while (found := (yield from migration.get(FIRST.handle))) is not None:
        if (yield from migration.delete(FIRST.handle, found.version)):
            break
    world.ended = True


def revoke(world: World, who: int, migration: Migration) -> Act:
    world.ending = True
    yield from _revoke(world, migration, None)
    world.ended = True


def _revoke(world: World, migration: Migration, spared: str | None) -> Act:
    world.revoking = True
    successors = set(world.successors)
    yield from migration.delete_for_user(USER, spared)
    world.doomed |= successors


def renew(world: World, who: int, migration: Migration) -> Act:
    world.ending = True
    successor = FIRST._replace(handle=f"{FIRST.handle[:2]}{who:062x}", payload=b"renewed")
    while True:
        found = yield from migration.get(FIRST.handle)
        if found is None or found.payload == TOMBSTONE:
            return
        tombstone = found._replace(
            user_id=None, version=found.version + 1, payload=TOMBSTONE, expires_at=END_OF_TOMBSTONE
        )
        if (yield from migration.replace(tombstone, successor)):
            world.successors.add(successor.handle)
            world.ended = True
            return


CHANGES = (read, write, touch, move, copy, revoke_others)
ENDS = (log_out, log_out_of_what_was_read, revoke, renew)


class Play(NamedTuple):
    """Who does what at once, and in which order: each turn is one call of one process on a store."""

    acts: Sequence[Callable[[World, int, Migration], Act]]
    moving: list[bool]
    """For each of them, whether its process moves sessions already."""
    turns: list[int]
    dying: set[int]
    """Who does nothing more when the turns are over, while the others get to their end."""

    @classmethod
    def at_random(cls, chance: random.Random) -> Play:
        pool = CHANGES + ENDS if chance.random() < 0.7 else CHANGES
        acts = chance.choices(pool, k=chance.randint(2, 5))
        return cls(
            acts,
            [chance.random() < 0.7 for _ in acts],
            [chance.randrange(5) for _ in range(chance.randrange(60))],
            {who for who in range(1, 6) if chance.random() < 0.3},
        )

    def run(self, restored: bool = False) -> World:
        """Return the world after it; *restored*: the old store has again what was carried over."""
        world = World()
        world.stores[OLD].create(FIRST)
        if restored:
            world.stores[NEW].create(FIRST)
        running = {
            who: Actor(world, act(world, who, Migration(moving, KIN_DIGITS)))
            for who, (act, moving) in enumerate(zip(self.acts, self.moving, strict=True), 1)
        }
        for turn in self.turns:
            alive = [actor for actor in running.values() if not actor.is_done]
            if alive:
                alive[turn % len(alive)].step()
        for who in self.dying:
            running.pop(who, None)
        for actor in running.values():
            while not actor.is_done:
                actor.step()
        return world


@pytest.mark.requirement("4", "5")
@pytest.mark.parametrize("seed", range(4))
def test_every_interleaving_of_a_migration_keeps_every_promise(seed: int) -> None:
    """In tens of thousands of interleavings, deaths included, no change is lost and no end undone."""
    chance = random.Random(seed)
    for _ in range(PLAYS):
        play = Play.at_random(chance)
        world = play.run()
        assert problems_after(world) == [], play
        claims = [record for record in world.stores[NEW].scan() if record.payload.startswith(b"fluidauth")]
        assert not claims or play.dying, play


@pytest.mark.requirement("4", "5")
def test_a_copy_in_a_restored_old_store_revives_and_undoes_nothing() -> None:
    chance = random.Random(0)
    for _ in range(PLAYS):
        play = Play.at_random(chance)
        play = play._replace(moving=[True] * len(play.acts))
        assert problems_after(play.run(restored=True)) == [], play


def problems_after(world: World) -> list[str]:
    """Return which promise was broken in *world*, also by what is done when all is over."""
    mover = Migration(True, KIN_DIGITS)
    found = world.run(mover.get(FIRST.handle))
    if world.look(found, world.ended) and not world.ending:
        if not world.written <= set(found.payload):
            world.problems.append("a change was lost")
        if len(found.payload) > len(set(found.payload)):
            world.problems.append("a change was made twice")
        if found != FIRST._replace(
            version=1 + len(found.payload), payload=found.payload, expires_at=found.expires_at
        ):
            world.problems.append("not the record that was carried over")
    for handle in world.successors:
        there = world.run(mover.get(handle)) is not None
        if there and handle in world.doomed:
            world.problems.append("a renewed session is alive after a revocation")
        if not there and not world.revoking:
            world.problems.append("a renewed session was lost")
    if found is not None and found.payload == TOMBSTONE:
        world.stores[NEW].clean(END_OF_TOMBSTONE)
        world.look(world.run(mover.get(FIRST.handle)), True)
    world.run(mover.move(FIRST.handle))
    if world.stores[OLD].scan():
        world.problems.append("something is left in the old store")
    return world.problems


@pytest.mark.requirement("4")
def test_a_logout_that_finds_nothing_is_final_too() -> None:
    """Nothing is made of a session whose first logout died halfway, whatever a mover still means to do."""
    world, mover = World(), Migration(True, KIN_DIGITS)
    world.stores[OLD].create(FIRST)
    moving = Actor(world, mover.move(FIRST.handle))
    moving.run_to(NEW, "replace")
    dying = Actor(world, mover.delete(FIRST.handle))
    dying.run_to(OLD, "delete")
    dying.step()

    assert world.run(mover.delete(FIRST.handle)) is False
    while not moving.is_done:
        moving.step()

    assert world.run(mover.get(FIRST.handle)) is None


@pytest.mark.requirement("3", "4")
@pytest.mark.parametrize("end", [Session.logout, Session.regenerate])
def test_ended_session_is_not_in_a_restored_old_store(
    protocol: Protocol, end: Callable[[Session], None]
) -> None:
    """It has again what was carried over: from a backup, or from a replica that lacks the removal."""
    old, new, secret = MemoryStore(), MemoryStore(), new_secret()
    browser = Browser(protocol, SessionEngine(secret, MigratingStore(old, new)))
    browser.request(lambda session: session.login("ada"))
    [there] = new.scan()
    old.create(there)

    assert browser.twin().request(end).status == 200

    assert old.scan() == []
    new.delete(there.handle)  # as a tombstone goes in the end
    assert browser.get(lambda session: session.user_id) is None


@pytest.mark.requirement("4")
@pytest.mark.parametrize("moving", [True, False])
def test_a_version_that_ends_is_that_of_the_new_store(moving: bool) -> None:
    old, new = MemoryStore(), MemoryStore()
    both = MigratingStore(old, new, moving=moving)
    old.create(FIRST)
    new.create(FIRST._replace(version=2))

    assert both.delete(FIRST.handle, 1) is False
    assert both.delete(FIRST.handle, 2) is True

    assert both.get(FIRST.handle) is None


@pytest.mark.requirement("64")
@pytest.mark.parametrize("age", [MAX_LIFETIME + 100, 10**10])
def test_record_that_began_long_ago_is_carried_over_to_redis(age: int) -> None:
    """As the mark by which a revocation ends the coming in of former sessions; Redis drops what expired."""
    created_at = max(0, int(time.time()) - age)
    with closing(RedisStore(empty_redis())) as new:
        both = MigratingStore(MemoryStore(), new)
        marks = [
            make_record(name, created_at=created_at, expires_at=int(time.time()) + left)
            for name, left in (("read", 100), ("moved", 0))
        ]
        for mark in marks:
            both.old.create(mark)

        assert both.move(marks[1].handle)
        assert both.get(marks[0].handle) == marks[0]

        assert sorted(new.scan()) == sorted(marks)
