"""Commands for many keys, sent together: one pipeline to each server that has any of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .connection import Command, LinkError
from .routing import Pipeline, Routes, Steps, again
from .url import Place


def ask_together(
    routes: Routes, commands: Sequence[tuple[bytes, Command]], wait: tuple[Command, ...] = ()
) -> Steps[tuple[list[Any], list[int]]]:
    """Send each command to the server of its key; return the replies in their places, none of them an error.

    *wait* ends each pipeline, and its replies come last. As with :meth:`Routes.ask`, each command may be sent
    more than once. In a cluster, a command whose key has moved gets no reply at once, and is sent alone.
    """
    if not commands:
        return [], []
    if not routes.is_cluster:
        sent = (*(command for _, command in commands), *wait)
        found = yield from routes.ask(commands[0][0], *sent, apart=bool(wait))
        return found[: len(commands)], found[len(commands) :]
    replies: list[Any] = [None] * len(commands)
    reached: list[int] = []
    for place, positions in (yield from _by_place(routes, commands)).items():
        pipeline = Pipeline(
            place, (*(commands[each][1] for each in positions), *wait), bool(wait), tells=True
        )
        sent_before = False
        try:
            found = yield pipeline
        except LinkError as error:
            found, sent_before = [error] * len(positions), error.sent
        for position, reply in zip(positions, found, strict=False):
            replies[position] = reply
            if isinstance(reply, Exception):
                key, command = commands[position]
                alone = again(command) if sent_before else command
                replies[position], *more = yield from routes.ask(key, alone, *wait, apart=bool(wait))
                reached += more
        reached += [0 if isinstance(each, Exception) else each for each in found[len(positions) :]]
    return replies, reached


def _by_place(routes: Routes, commands: Sequence[tuple[bytes, Command]]) -> Steps[dict[Place, list[int]]]:
    """Return which of *commands* go to which server, as far as the servers are known."""
    found: dict[Place, list[int]] = {}
    for position, (key, _) in enumerate(commands):
        found.setdefault((yield from routes.place_of(key)), []).append(position)
    return found
