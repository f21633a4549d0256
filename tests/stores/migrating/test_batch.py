"""Many sessions carried over together, with requests, deaths and other movers in between."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fluidauth.stores import SessionRecord
from fluidauth.stores.migrating.batch import move_many
from fluidauth.stores.migrating.handover import NEW, OLD, Migration
from fluidauth.testing import make_record
from tests.stores.migrating.test_interleavings import (
    FIRST,
    KIN_DIGITS,
    Act,
    Actor,
    World,
    log_out,
    problems_after,
    renew,
    revoke,
    write,
)

OTHERS = [make_record(f"other {number}", user_id="user-2", payload=b"kept") for number in range(5)]
STEPS = 8  # calls on the two stores for one batch
LATER = FIRST.expires_at + 500


def prolong(world: World, who: int, migration: Migration) -> Act:
    assert (yield from migration.touch(FIRST.handle, LATER))


def world_of_many() -> World:
    world = World()
    for record in (FIRST, *OTHERS):
        world.stores[OLD].create(record)
    return world


def copying(world: World) -> Actor:
    return Actor(world, move_many(Migration(True, KIN_DIGITS), world.stores[OLD].scan()))


def others_in(world: World, place: int) -> list[SessionRecord]:
    return [record for record in world.stores[place].scan() if record.payload == b"kept"]


def test_batch_takes_as_many_calls_as_one_session() -> None:
    world = world_of_many()
    actor = copying(world)

    steps = 0
    while not actor.is_done:
        actor.step()
        steps += 1

    assert (steps, actor.value) == (STEPS - 1, [True] * 6)
    assert sorted(world.stores[NEW].scan()) == sorted([FIRST, *OTHERS])
    assert world.stores[OLD].scan() == []


@pytest.mark.requirement("4", "5")
@pytest.mark.parametrize("moving", [True, False])
@pytest.mark.parametrize("act", [write, prolong, log_out, revoke, renew])
def test_request_amid_a_batch_counts(act: Callable[..., Act], moving: bool) -> None:
    """Between any two of its calls: a change or touch is carried over, an end is final, others move on."""
    for steps in range(STEPS):
        world = world_of_many()
        actor = copying(world)
        for _ in range(min(steps, STEPS - 1)):
            actor.step()

        world.run(act(world, 1, Migration(moving, KIN_DIGITS)))
        while not actor.is_done:
            actor.step()

        if act is prolong:
            found = world.run(Migration(True, KIN_DIGITS).get(FIRST.handle))
            assert found == FIRST._replace(expires_at=LATER), steps
        else:
            assert problems_after(world) == [], steps
        assert sorted(others_in(world, NEW)) == sorted(OTHERS), steps


@pytest.mark.requirement("4", "5")
@pytest.mark.parametrize("steps", range(STEPS))
def test_batch_that_dies_is_finished_by_the_next_one(steps: int) -> None:
    """Whichever call was its last: all sessions are there, as they were, and once."""
    world = world_of_many()
    dying = copying(world)
    for _ in range(min(steps, STEPS - 1)):
        dying.step()

    world.run(move_many(Migration(True, KIN_DIGITS), world.stores[OLD].scan()))

    sessions = [record for record in world.stores[NEW].scan() if not record.payload.startswith(b"fluidauth")]
    assert sorted(sessions) == sorted([FIRST, *OTHERS])
    assert world.stores[OLD].scan() == []


@pytest.mark.requirement("4", "5")
@pytest.mark.parametrize("lead", range(STEPS))
def test_two_batches_side_by_side_move_each_session_once(lead: int) -> None:
    """Two commands at once, call by call, the first of them ahead."""
    world = world_of_many()
    movers = [copying(world), copying(world)]
    for _ in range(min(lead, STEPS - 1)):
        movers[0].step()
    while not all(mover.is_done for mover in movers):
        for mover in movers:
            if not mover.is_done:
                mover.step()

    assert sorted(world.stores[NEW].scan()) == sorted([FIRST, *OTHERS])
    assert world.stores[OLD].scan() == []
    assert [sum(done) for done in zip(*(mover.value for mover in movers), strict=True)] == [1] * 6


def test_batch_removes_copies_that_a_restored_old_store_has() -> None:
    """The new store counts."""
    world = world_of_many()
    newer = FIRST._replace(version=4, payload=b"newer")
    world.stores[NEW].create(newer)

    done = world.run(move_many(Migration(True, KIN_DIGITS), world.stores[OLD].scan()))

    assert done.count(False) == 1
    assert world.stores[NEW].get(FIRST.handle) == newer
    assert world.stores[OLD].scan() == []
