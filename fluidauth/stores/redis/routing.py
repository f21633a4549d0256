"""Which Redis server is asked, and what is done if it cannot answer: single, Sentinel or Cluster.

This is written once, as generators of what to send (:class:`Pipeline`), for threads and event loops.
"""

from __future__ import annotations

import time
from binascii import crc_hqx
from collections.abc import Generator, Iterable
from typing import Any, NamedTuple, TypeVar

from hiredis import ReplyError

from fluidauth.errors import StoreError

from .attempts import Attempts
from .connection import Command, LinkError
from .refusals import SOON, code_of, refusal
from .url import Place, Settings

T = TypeVar("T")

PAUSE = 0.05  # seconds before a server that is not ready is asked again
FRESH = 0.05  # seconds for which we do not ask again where the servers are
REST = 0.5  # seconds for which a server that did not answer in time is left alone
CONFIRMED = 5.0  # seconds for which Sentinel's answer about the primary counts, without a failure
PROBE = 0.5  # seconds for the answer to where the servers are
SLOTS = 16384


class Pipeline(NamedTuple):
    """Commands for one server, to be sent together."""

    place: Place
    commands: tuple[Command, ...]
    apart: bool = False
    """They may take long, and nobody else should wait for them."""
    limit: float | None = None
    """Seconds, if less than usual."""
    tells: bool = False
    """Whether a connection that ended while unused is an error, and is not made again at once."""


class Pause(NamedTuple):
    """Nothing to do for some *seconds*."""

    seconds: float


Steps = Generator[Pipeline | Pause, Any, T]
"""Is sent the list of replies to each :class:`Pipeline`, or has :class:`LinkError` thrown in."""


class Routes:
    """What is known about where the keys of one store are. All its threads or tasks share it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._is_single = settings.kind == "single"
        self._primary: Place | None = settings.places[0] if self._is_single else None
        self._slots: dict[int, Place] = {}
        self._learnt_at = 0.0
        self._is_stale = False
        self._trouble = "nobody says which server is the primary"
        self._resting: dict[Place, tuple[float, LinkError]] = {}

    @property
    def is_cluster(self) -> bool:
        return self.settings.kind == "cluster"

    # -- asking -------------------------------------------------------------------

    def ask(self, key: bytes, *commands: Command, apart: bool = False) -> Steps[list[Any]]:
        """Send *commands* to the server of *key*; return the replies, none of them an error.

        Each may be sent more than once, so its effect must not depend on that. If its answer was lost and it
        may have been carried out, a script gets one more argument.
        """
        attempts = Attempts(self.settings)
        slot = _slot_of(key) if self.is_cluster else 0
        detour: Place | None = None
        while True:
            place = detour or self._known(slot) or (yield from self._find(slot, attempts))
            self._check_rest(place)
            sent = commands if detour is None else tuple(c for each in commands for c in (("ASKING",), each))
            try:
                # The server that closed the connection may not be the primary any more, and not know it yet.
                replies: list[Any] = yield Pipeline(place, sent, apart, tells=not self._is_single)
            except LinkError as error:
                if error.refusal is None:
                    self._note_failure(error, rests=not apart)
                    attempts.after_loss(error)
                    if error.sent:
                        commands = tuple(again(command) for command in commands)
                    yield Pause(PAUSE if attempts.count > 1 else 0)
                    detour = None
                    continue
                replies = [error.refusal]
            problem = next((each for each in replies if isinstance(each, ReplyError)), None)
            if problem is None:
                return replies if len(sent) == len(commands) else replies[1::2]
            if code_of(problem) == "READONLY":
                attempts.after_readonly(problem)
            detour = yield from self._prepareagain(problem, place, slot, commands)
            attempts.check_time(problem)

    def _prepareagain(
        self, problem: ReplyError, place: Place, slot: int, commands: Iterable[Command]
    ) -> Steps[Place | None]:
        """Do what *problem* needs before *commands* are sent again; raise if another try is useless.

        If it names a server, return that one to send them to this time.
        """
        code, words = code_of(problem), str(problem).split(" ")
        if code == "NOSCRIPT":
            yield from self._load_scripts(place, commands)
        elif code == "MOVED":
            self._slots[slot] = _place_in(words[2], place)
            self._is_stale = True
        elif code == "ASK":
            return _place_in(words[2], place)
        elif code in SOON or code == "READONLY":
            self._is_stale = True
            yield Pause(PAUSE)
        else:
            raise refusal(problem)
        return None

    def at(self, place: Place, *commands: Command) -> Steps[list[Any]]:
        """Send *commands* to *place*, whatever their keys; return the replies, errors among them."""
        attempts = Attempts(self.settings)
        while True:
            try:
                replies: list[Any] = yield Pipeline(place, commands, True)
                return replies
            except LinkError as error:
                if code_of(error.refusal) in SOON:
                    attempts.check_time(error.refusal)
                else:
                    attempts.after_loss(error)
                yield Pause(PAUSE)

    def primaries(self) -> Steps[list[Place]]:
        """Return all servers that hold keys."""
        if self._known(0) is None:
            yield from self._find(0, Attempts(self.settings))
        return sorted(set(self._slots.values())) if self.is_cluster else [p for p in [self._primary] if p]

    def place_of(self, key: bytes) -> Steps[Place]:
        """Return the server of *key*. Ask for it if necessary."""
        slot = _slot_of(key) if self.is_cluster else 0
        return self._known(slot) or (yield from self._find(slot, Attempts(self.settings)))

    def one_for_each_primary(self, keys: Iterable[bytes]) -> list[bytes]:
        """Return one of *keys* for each primary that has any, as far as is known."""
        found: dict[Place | None, bytes] = {}
        for key in keys:
            place = self._slots.get(_slot_of(key)) if self.is_cluster else self._primary
            found.setdefault(place, key)
        return list(found.values())

    # -- where a key is -------------------------------------------------------------

    def _known(self, slot: int) -> Place | None:
        """Return the server of *slot*; None if that must be asked for."""
        place = self._slots.get(slot) if self.is_cluster else self._primary
        if self._is_single or place is None:
            return place
        # All callers whose connections broke come here at once. Within FRESH seconds of an answer they use
        # that answer. Otherwise each of them would ask every server.
        is_doubtful = self._is_stale or self._rests(place)
        if is_doubtful and time.monotonic() - self._learnt_at > FRESH:
            return None
        return place if self.is_cluster or self._is_confirmed() else None

    def _is_confirmed(self) -> bool:
        """Return whether Sentinel was asked lately. If not, the caller asks.

        A process that is cut off together with an old primary would read there sessions that have ended
        elsewhere. If we wait for replicas, nobody continues without a quorum of sentinels. Otherwise one
        caller asks, and the primary is kept if no sentinel answers.
        """
        now = time.monotonic()
        if now - self._learnt_at <= CONFIRMED:
            return True
        if self.settings.wait_replicas:
            self._primary = None
        else:
            self._learnt_at = now
        return False

    def _find(self, slot: int, attempts: Attempts) -> Steps[Place]:
        """Ask until a server knows the server of *slot*."""
        while True:
            yield from self._learn()
            place = self._slots.get(slot) if self.is_cluster else self._primary
            if place is not None:
                return place
            attempts.check_time(self._trouble)
            yield Pause(PAUSE)

    def _learn(self) -> Steps[None]:
        """Find the servers again, from the first one that answers."""
        service = self.settings.service
        commands: tuple[Command, ...] = (("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service),)
        if self.settings.wait_replicas:
            commands += (("SENTINEL", "CKQUORUM", service),)
        asked: Iterable[Place] = self.settings.places
        if self.is_cluster:
            commands = (("CLUSTER", "SLOTS"),)
            asked = dict.fromkeys([*self._slots.values(), *self.settings.places])
        for place in [each for each in asked if not self._rests(each)]:
            try:
                reply, *quorum = yield Pipeline(place, commands, True, min(PROBE, self.settings.timeout))
            except LinkError as error:
                self._note_failure(error)
                continue
            veto = next((each for each in quorum if isinstance(each, ReplyError)), None)
            if veto is not None:
                self._trouble = f"this sentinel has no quorum, {veto}"
            elif isinstance(reply, list) and self._take_in(reply, place):
                # A doubt that was noted meanwhile is lost. The next call that meets its cause notes it again.
                self._learnt_at, self._is_stale = time.monotonic(), False
                return

    def _take_in(self, reply: list[Any], asked: Place) -> bool:
        """Note the servers that *reply* names; return whether there are any."""
        if not self.is_cluster:
            self._primary = Place(reply[0].decode(), int(reply[1]))
            return True
        # Replaced as a whole: a thread that looks meanwhile finds the old map or the new one, not a part.
        self._slots = {
            slot: _node(primary, asked)
            for first, last, primary, *_ in reply
            for slot in range(first, last + 1)
        }
        return bool(self._slots)

    def _load_scripts(self, place: Place, commands: Iterable[Command]) -> Steps[None]:
        """Load the scripts that *place* forgot."""
        yield Pipeline(
            place, tuple(("SCRIPT", "LOAD", c[0].source) for c in commands if not isinstance(c[0], str))
        )

    # -- servers that do not answer -----------------------------------------------------

    def doubt(self) -> None:
        """Ask again where the servers are, if there are servers that say so."""
        self._is_stale = True

    def _note_failure(self, error: LinkError, rests: bool = True) -> None:
        """Doubt what is known. A server that did not answer in time *rests*, unless only replicas were late.

        It does not rest either if the connection was used before: a firewall may have forgotten that.
        """
        self.doubt()
        if error.timed_out and rests and not error.was_used:
            self._resting[error.place] = (time.monotonic() + REST, error)

    def _rests(self, place: Place) -> bool:
        # Nothing is ever removed, so no other thread can do that between these two looks.
        return place in self._resting and self._resting[place][0] > time.monotonic()

    def _check_rest(self, place: Place) -> None:
        """Raise if a request waited for *place* in vain just now, so that others need not wait as long."""
        if self._resting and self._rests(place):
            error = self._resting[place][1]
            raise StoreError(f"Redis does not answer: {error}") from error


def again(command: Command) -> Command:
    """Return *command* as it is sent if it may have been carried out already."""
    return command if isinstance(command[0], str) else (*command, "again")


def _slot_of(key: bytes) -> int:
    """Return the slot of *key*: by what is in its first braces, if anything is."""
    tag = key.partition(b"{")[2].partition(b"}")
    return crc_hqx(tag[0] if tag[0] and tag[1] else key, 0) % SLOTS


def _place_in(address: str, asked: Place) -> Place:
    """Return ``host:port`` as a place. Without a host it is that of *asked*."""
    host, _, port = address.rpartition(":")
    return Place(host or asked.host, int(port))


def _node(described: list[Any], asked: Place) -> Place:
    host = (described[0] or b"").decode()
    return Place(host if host not in ("", "?") else asked.host, described[1])
