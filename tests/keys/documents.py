"""Keyring files for tests, as they should be and as they should not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fluidauth.keys import new_secret
from fluidauth.keys.document import KeyDocument

NOW = 1_760_000_000
FIRST, SECOND, THIRD = (new_secret() for _ in range(3))


def write(path: Path, content: KeyDocument | bytes) -> None:
    """Put a file at *path* as another program would: whole, mode 0600."""
    draft = path.with_name("draft")
    draft.touch(0o600)
    draft.write_bytes(content if isinstance(content, bytes) else content.render())
    draft.rename(path)


def altered(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a good file after *change* to its content."""
    content = json.loads(KeyDocument().added(FIRST, NOW).added(SECOND, NOW).render())
    change(content)
    return json.dumps(content).encode()


def key(number: int, **members: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["keys"][number].update(members)


def without(number: int, member: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["keys"][number].pop(member)


MALFORMED = {
    "empty": (b"", "it is not strict JSON; was it only written in part?"),
    "half-written": (KeyDocument().added(FIRST, NOW).render()[:-20], "it is not strict JSON"),
    "garbage": (b"\xff\xfe\x00", "it is not strict JSON"),
    "nested deep": (b"[" * 60_000, "it is not strict JSON"),
    "long number": (b'{"serial": ' + b"9" * 5000 + b"}", "it is not strict JSON"),
    "member twice": (b'{"format": 1, "format": 1, "serial": 1, "keys": []}', "it is not strict JSON"),
    "a list": (b"[]", "it needs exactly the members format, serial and keys"),
    "a secret alone": (FIRST.encode(), "it is not strict JSON"),
    "more members": (altered(lambda c: c.update(comment="x")), "it needs exactly the members"),
    "no serial": (altered(lambda c: c.pop("serial")), "it needs exactly the members"),
    "other format": (altered(lambda c: c.update(format=2)), "its format is not 1: it was written by another"),
    "true format": (altered(lambda c: c.update(format=True)), "its format is not 1"),
    "negative serial": (altered(lambda c: c.update(serial=-1)), "serial must be a whole number"),
    "fractional serial": (altered(lambda c: c.update(serial=1.5)), "serial must be a whole number"),
    "keys no list": (altered(lambda c: c.update(keys={})), "keys a list"),
    "key no object": (
        altered(lambda c: c["keys"].append("x")),
        "each key needs kid, state, created, changed",
    ),
    "key with more": (altered(key(0, note="x")), "each key needs"),
    "key with less": (altered(without(0, "created")), "each key needs"),
    "upper-case kid": (altered(key(0, kid="ABCDEF")), "a kid is 6 characters"),
    "kid no text": (altered(key(0, kid=[1])), "a kid is 6 characters"),
    "unknown state": (altered(key(0, state="active")), "its state is not one of pending, signing, verifying"),
    "state no text": (altered(key(0, state=["signing"])), "its state is not one of"),
    "time as text": (altered(key(0, changed="2026-01-01")), "created and changed must be Unix seconds"),
    "time true": (altered(key(0, created=True)), "created and changed must be Unix seconds"),
    "no secret": (altered(without(0, "secret")), "a revoked key has no secret, every other has one"),
    "revoked with secret": (altered(key(0, state="revoked")), "a revoked key has no secret"),
    "secret no text": (altered(key(0, secret=5)), "the secret is not text"),
    "weak secret": (altered(key(0, secret="changeme")), "the secret has 8 characters"),
    "another's secret": (altered(key(0, secret=THIRD)), "its secret has another kid, so one of the two"),
    "kid twice": (altered(lambda c: c["keys"].append(c["keys"][0])), "is given twice"),
    "two sign": (altered(key(0, state="signing")), "both sign; exactly one may"),
    "none signs": (altered(key(1, state="verifying")), "has no signing key; promote one"),
    "too large": (b" " * (64 * 1024 + 1), "has more than 65536 bytes"),
}


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def keyring_event(self, name: str, reason: str) -> None:
        self.events.append((name, reason))
