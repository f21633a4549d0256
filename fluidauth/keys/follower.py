"""The file of a keyring while it is in use: when to look at it, and what may follow what is in force.

Any thread of any process may look. The writers are other processes (``fluidauth keys``).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from fluidauth.after_fork import ProcessLock
from fluidauth.errors import ConfigError
from fluidauth.meanings import EventName

from . import file as keyfile
from .document import KeyDocument, KeyState

RELOAD_INTERVAL = 5.0  # seconds between two looks at the file
EARLY_INTERVAL = 1.0  # seconds between two looks for an unknown key id

Install = Callable[[KeyDocument], None]
"""Puts the keys of a document in force."""


class KeyringListener(Protocol):
    """Gets reports about a keyring's file."""

    def keyring_event(self, name: EventName, reason: str) -> None: ...


class Follower:
    """Looks at a keyring's file from time to time. Puts its keys in force, or reports why not."""

    def __init__(self, path: Path, interval: float, trust_mount: bool, clock: Callable[[], float]) -> None:
        self.path = path
        self.interval = interval
        self.trust_mount = trust_mount
        self.clock = clock
        self.stamp: keyfile.Stamp | None = None
        self.serial: int = 0
        self.in_force: Mapping[str, KeyState] = {}
        self.history: Mapping[str, KeyState] = {}
        """The last state of every key that there ever was."""
        self.look_at: float = clock() + interval
        self.look_early_at: float = 0.0
        self.listeners: weakref.WeakSet[KeyringListener] = weakref.WeakSet()
        self.lock: ProcessLock = ProcessLock()

    def look_early(self, install: Install) -> None:
        """Look because of an unknown key id, but not for each forged cookie."""
        if self.clock() >= self.look_early_at:
            self.look(install, may_wait=True)

    def look(self, install: Install, may_wait: bool) -> None:
        """Load the file if it changed. Wait for another thread's look only if *may_wait*."""
        # Threads of one process race here, every five seconds. One of them reads the file, and the others
        # serve with the keys they have. Only a thread that needs an unknown key waits for the result.
        if not self.lock.acquire(blocking=may_wait):
            return
        news = None
        try:
            now = self.clock()
            if now < (self.look_early_at if may_wait else self.look_at):
                return  # somebody else looked meanwhile
            self.look_at, self.look_early_at = now + self.interval, now + EARLY_INTERVAL
            # None: it was read so soon after a change that its times would not show another change.
            if keyfile.stamp_of(self.path) != self.stamp or self.stamp is None:
                news = self._reload(install)
        finally:
            self.lock.release()
        if news is not None:  # without the lock: the listener may ask for keys
            self.tell(*news)

    def _reload(self, install: Install) -> tuple[EventName, str] | None:
        """Put what the file says in force, all or nothing; return what to report."""
        try:
            document, stamp = keyfile.read(self.path, trust_mount=self.trust_mount)
            self.check(document)
        except ConfigError as error:
            return "keyring_rejected", str(error)
        is_new = not self.is_in_force(document)
        if is_new:
            install(document)  # before accept(): if this fails, the next look tries it again
            self.accept(document)
        self.stamp = stamp  # last: a child that is forked earlier reads the file again
        if not is_new:
            return None
        unsigned = "" if document.signing else ", no key signs: nothing can be stored"
        return "keyring_reloaded", f"serial {document.serial}{unsigned}"

    def accept(self, document: KeyDocument) -> None:
        """Remember what is in force, because the next document must follow it."""
        self.serial, self.in_force = document.serial, document.states
        self.history = {**self.history, **document.states}

    def is_in_force(self, document: KeyDocument) -> bool:
        return (document.serial, document.states) == (self.serial, self.in_force)

    def check(self, document: KeyDocument) -> None:
        """Raise :class:`ConfigError` unless *document* may follow what is in force."""
        try:
            document.check_follows(self.serial, self.history)
            if self.in_force.keys().isdisjoint(document.states):
                raise ConfigError("it has none of the keys in force: another deployment's?")
            # A revocation must not be put off, even where it leaves nothing that signs.
            had_one = "signing" in self.in_force.values()
            if document.signing is None and had_one and not self._has_more_revoked(document):
                raise ConfigError("it has no signing key")
        except ConfigError as error:
            raise ConfigError(f"keyring file {self.path}: {error}") from error

    def _has_more_revoked(self, document: KeyDocument) -> bool:
        return any(
            state == "revoked" and self.in_force.get(kid) != "revoked"
            for kid, state in document.states.items()
        )

    def tell(self, name: EventName, reason: str) -> None:
        for listener in list(self.listeners):
            listener.keyring_event(name, reason)
