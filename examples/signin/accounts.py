"""What the three applications share: example users, and a second factor by time (RFC 6238).

    python examples/signin/accounts.py SECRET

prints the code of this moment, for those who have no authenticator at hand. A real application keeps its
users in a database, and limits how often somebody may try.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

TEMPLATES = Path(__file__).parent / "templates"
STEP = 30  # seconds that a code is good for
MOST_TRIES = 5  # of a second factor, before the password is asked again
SHORTEST = 15  # characters of a password


@dataclass
class Factor:
    """A second factor: codes of six digits, each accepted once."""

    secret: bytes = field(default_factory=lambda: secrets.token_bytes(20), repr=False)
    used: int = 0  # the step of the last code
    lock: Lock = field(default_factory=Lock, repr=False)

    def accepts(self, code: str) -> bool:
        """Return whether *code* is that of now, or of the step before or after, and was not used."""
        step = int(time.time()) // STEP
        with self.lock:
            for each in (step - 1, step, step + 1):
                is_it = hmac.compare_digest(code_of(self.secret, each).encode(), code.strip().encode())
                if is_it and each > self.used:
                    self.used = each
                    return True
        return False

    @property
    def address(self) -> str:
        """What an authenticator takes, as text or as a picture of it."""
        return f"otpauth://totp/example?secret={base64.b32encode(self.secret).decode()}"


def code_of(secret: bytes, step: int) -> str:
    """Return the code of a time *step* (RFC 4226, section 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**6:06}"


@dataclass
class User:
    name: str
    email: str
    password: str = field(repr=False)  # in the clear only until an application has hashed it
    factor: Factor | None = None
    is_admin: bool = False

    @property
    def strongest(self) -> str:
        """The method by which this user proves most."""
        return "otp" if self.factor else "pwd"


def example_users() -> dict[str, User]:
    """Make the users, with new passwords, and print how they sign in."""
    factors = {"ada": Factor(), "bob": Factor(), "carol": None}
    users = {
        name: User(name, f"{name}@example.com", secrets.token_urlsafe(12), factor, name == "ada")
        for name, factor in factors.items()
    }
    print("EXAMPLE USERS, for your own machine alone:", flush=True)
    for user in users.values():
        second = f", second factor {user.factor.address}" if user.factor else ""
        print(f"  {user.name}, password {user.password}{second}", flush=True)
    return users


class Passwords:
    """The hashed passwords of *users*, by the functions that a framework brings."""

    def __init__(
        self, users: dict[str, User], hashed: Callable[[str], str], matches: Callable[[str, str], bool]
    ) -> None:
        self._users, self._hashed, self._matches = users, hashed, matches
        self._nobodys = hashed(secrets.token_urlsafe())
        for user in users.values():
            user.password = hashed(user.password)

    def user_with(self, name: str, password: str) -> User | None:
        """Return the user *name* with that *password*. It takes as long if there is no such user."""
        user = self._users.get(name)
        fits = self._matches(user.password if user else self._nobodys, password)
        return user if fits else None

    def proves(self, user: User, given: str) -> bool:
        """Return whether *given* is the code of *user*, or the password of one without a second factor."""
        return user.factor.accepts(given) if user.factor else self._matches(user.password, given)

    def change(self, user: User, old: str, new: str, again: str) -> str | None:
        """Give *user* a new password; return what is wrong if that may not be."""
        if not self._matches(user.password, old):
            return "The old password is wrong."
        if new != again:
            return "The new passwords are not the same."
        if len(new) < SHORTEST:
            return f"Use {SHORTEST} characters or more."
        user.password = self._hashed(new)
        return None


def time_of(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M UTC")


if __name__ == "__main__":
    print(code_of(base64.b32decode(sys.argv[1]), int(time.time()) // STEP))
