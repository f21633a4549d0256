"""What a keyring file says: which secrets there are, and the state of each.

Pure: no I/O, and the clock is passed in. A document never changes: each change makes a new
one with the next serial number. Its form is strict JSON, with exactly these members::

    {"format": 1, "serial": 3, "keys": [
        {"kid": "7ymt5w", "state": "signing", "created": 1760000000, "changed": 1760000020,
         "secret": "fask1_…"},
        {"kid": "q2xk4d", "state": "revoked", "created": 1750000000, "changed": 1760000900}]}

Times are Unix seconds. ``changed`` is the time of the last change of state.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from fluidauth.errors import ConfigError, KeyStateError

from .key import kid_of
from .strength import problem_with

KeyState = Literal["pending", "signing", "verifying", "revoked"]
STATES: tuple[KeyState, ...] = get_args(KeyState)  # a key only moves forward through them

_FORMAT = 1
_KID = re.compile(r"[a-z2-7]{6}")
_LATEST = 2**53  # what every JSON reader keeps exactly


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One key: its state, and its secret unless it is revoked."""

    kid: str
    state: KeyState
    created: int
    changed: int
    secret: str | None = field(default=None, repr=False)

    def moved(self, state: KeyState, now: int) -> KeyEntry:
        """Return the entry in *state*; a revoked key has no secret any more."""
        return replace(self, state=state, changed=now, secret=None if state == "revoked" else self.secret)


@dataclass(frozen=True, slots=True)
class KeyDocument:
    """All entries, and a number that grows with each change.

    Each change returns a new document, or raises ``KeyStateError`` if it is illegal.
    """

    serial: int = 0
    entries: tuple[KeyEntry, ...] = ()

    @property
    def signing(self) -> KeyEntry | None:
        """The entry of the key that signs."""
        return next((entry for entry in self.entries if entry.state == "signing"), None)

    @property
    def states(self) -> dict[str, KeyState]:
        """The state of each key by its ``kid``."""
        return {entry.kid: entry.state for entry in self.entries}

    def find(self, kid: str) -> KeyEntry:
        """Return the entry of *kid*; raise :class:`ConfigError` if there is none."""
        for entry in self.entries:
            if entry.kid == kid:
                return entry
        # Text that is no kid is not repeated: somebody may have pasted a secret.
        shown = kid if _KID.fullmatch(kid) else "of that name"
        raise ConfigError(f"no key {shown} in the keyring; it has {', '.join(self.states) or 'none'}")

    def added(self, secret: str, now: int) -> KeyDocument:
        """Return the document with another key: pending, or signing if it is the first."""
        try:
            secret = secret.strip()
            problem = problem_with([secret])
            kid = "" if problem else kid_of(secret)
            entry = KeyEntry(kid, "pending" if self.entries else "signing", now, now, secret)
        finally:
            del secret  # a traceback that prints locals must not show it
        if problem:
            raise ConfigError(problem)
        if kid in self.states:
            raise KeyStateError(f"key {kid} is in the keyring already, as {self.states[kid]}")
        return KeyDocument(self.serial + 1, (entry, *self.entries))

    def promoted(self, kid: str, now: int) -> KeyDocument:
        """Return the document in which the pending key *kid* signs and the former one verifies."""
        state = self.find(kid).state
        if state != "pending":
            raise KeyStateError(f"key {kid} is {state}; only a pending key can be promoted")
        former: dict[str, KeyState] = {self.signing.kid: "verifying"} if self.signing else {}
        return self._with({**former, kid: "signing"}, now)

    def revoked(self, kid: str, now: int) -> KeyDocument:
        """Return the document in which *kid* opens nothing and its secret is erased."""
        state = self.find(kid).state
        if state == "revoked":
            raise KeyStateError(f"key {kid} is revoked already")
        if state == "signing":
            raise KeyStateError(
                f"key {kid} signs; promote another first, or if it leaked, "
                f"fluidauth keys revoke {kid} --leaked"
            )
        return self._with({kid: "revoked"}, now)

    def leaked(self, kid: str, successor: str, now: int) -> KeyDocument:
        """Return the document in which *kid* is revoked and, if it signs, *successor* takes its place."""
        try:
            if self.find(kid).state != "signing":
                return self.revoked(kid, now)
            added = self.added(successor, now)
        finally:
            del successor  # as above
        joined = replace(self, entries=added.entries)  # one change, one serial
        return joined._with({added.entries[0].kid: "signing", kid: "revoked"}, now)

    def pruned(self, before: int) -> KeyDocument:
        """Return the document without the keys that were revoked before the time *before*."""
        kept = tuple(entry for entry in self.entries if entry.state != "revoked" or entry.changed >= before)
        return self if kept == self.entries else KeyDocument(self.serial + 1, kept)

    def check_follows(self, serial: int, states: Mapping[str, KeyState]) -> None:
        """Raise :class:`ConfigError` unless this may come after *serial* and *states*: nothing goes back."""
        if self.serial < serial:
            raise ConfigError(
                f"serial {self.serial} is lower than {serial}, which was in force: is it an old copy?"
            )
        for kid, state in self.states.items():
            former = states.get(kid, state)
            if STATES.index(state) < STATES.index(former):
                raise ConfigError(f"key {kid} was {former} and cannot become {state}")

    def render(self) -> bytes:
        """Return the document as the file stores it."""
        keys = [
            {name: getattr(entry, name) for name in KeyEntry.__slots__ if getattr(entry, name) is not None}
            for entry in self.entries
        ]
        return json.dumps({"format": _FORMAT, "serial": self.serial, "keys": keys}, indent=1).encode() + b"\n"

    def _with(self, states: Mapping[str, KeyState], now: int) -> KeyDocument:
        """Return the document with the keys of *states* moved to these states."""
        entries = tuple(
            entry.moved(states[entry.kid], now) if entry.kid in states else entry for entry in self.entries
        )
        return KeyDocument(self.serial + 1, entries)


def parse(text: bytes) -> KeyDocument:
    """Return what *text* says; raise :class:`ConfigError`, which shows none of it, for any other form."""
    try:
        return _parsed(text)
    except ConfigError as error:
        problem = str(error)
    finally:
        del text
    # Without the frames that held secrets: a traceback may print what is in them.
    raise ConfigError(problem)


def _parsed(text: bytes) -> KeyDocument:
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_object)
    except (ValueError, RecursionError):
        raise ConfigError("it is not strict JSON; was it only written in part?") from None
    if not isinstance(found, dict) or set(found) != {"format", "serial", "keys"}:
        raise ConfigError("it needs exactly the members format, serial and keys")
    if found["format"] != _FORMAT or type(found["format"]) is not int:
        raise ConfigError(f"its format is not {_FORMAT}: it was written by another version")
    if not _is_number(found["serial"]) or not isinstance(found["keys"], list):
        raise ConfigError("serial must be a whole number, keys a list")
    document = KeyDocument(found["serial"], tuple(_entry(key) for key in found["keys"]))
    _check_together(document)
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def _entry(found: object) -> KeyEntry:
    needed = {"kid", "state", "created", "changed"}
    if not isinstance(found, dict) or not needed <= set(found) <= {*needed, "secret"}:
        raise ConfigError("each key needs kid, state, created, changed and, unless revoked, secret")
    kid, state = found["kid"], found["state"]
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise ConfigError("a kid is 6 characters of a to z and 2 to 7")
    if state not in STATES:
        raise ConfigError(f"key {kid}: its state is not one of {', '.join(STATES)}")
    if not _is_number(found["created"]) or not _is_number(found["changed"]):
        raise ConfigError(f"key {kid}: created and changed must be Unix seconds")
    if ("secret" in found) == (state == "revoked"):
        raise ConfigError(f"key {kid}: a revoked key has no secret, every other has one")
    if state != "revoked":
        _check_secret(kid, found["secret"])
    return KeyEntry(kid, state, found["created"], found["changed"], found.get("secret"))


def _check_secret(kid: str, secret: Any) -> None:
    problem = problem_with([secret]) if isinstance(secret, str) else "the secret is not text"
    if problem:
        raise ConfigError(f"key {kid}: {problem}")
    if kid_of(secret) != kid:
        raise ConfigError(f"key {kid}: its secret has another kid, so one of the two was altered")


def _check_together(document: KeyDocument) -> None:
    kids = [entry.kid for entry in document.entries]
    for kid in kids:
        if kids.count(kid) > 1:
            raise ConfigError(f"key {kid} is given twice")
    signing = [entry.kid for entry in document.entries if entry.state == "signing"]
    if len(signing) > 1:
        raise ConfigError(f"keys {' and '.join(signing)} both sign; exactly one may")


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LATEST
